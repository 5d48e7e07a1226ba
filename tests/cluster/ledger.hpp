#pragma once

// What a node did, line by line, in a file that is read when the node is dead.

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

namespace cluster_test {

/// Gives the time that all processes of a machine share, in nanoseconds.
inline std::int64_t now_ns() noexcept {
    timespec at{};
    (void)::clock_gettime(CLOCK_MONOTONIC, &at);
    return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

/// Appends lines to a file, each at once, so that SIGKILL loses none.
class ledger {
public:
    explicit ledger(const std::string& path)
        : file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
        if (file_ < 0) { throw std::system_error(errno, std::system_category(), path); }
    }
    ledger(const ledger&) = delete;
    ledger& operator=(const ledger&) = delete;
    ~ledger() { ::close(file_); }

    void add(std::string line) const {
        line += '\n';
        if (::write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
            throw std::runtime_error("the ledger cannot be written");
        }
    }

private:
    int file_;
};

}  // namespace cluster_test
