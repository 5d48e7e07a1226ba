#pragma once

// What is read, by whom, and what it takes.

#include <time.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

namespace heph::bench {

/// So many reads of a file, and as many before them that are not measured.
struct reading {
    std::string path;
    std::uint64_t file_bytes = 0;
    std::size_t bytes = 0;      // Of each read; the file is a multiple of it.
    std::uint64_t reads = 0;    // That are measured.
    std::size_t under_way = 1;  // At a time.
    bool at_random = false;     // Else one after the other, from the beginning again at the end.
};

/// What a process took for a read, in nanoseconds.
struct taken {
    double cpu = 0;
    double wall = 0;
};

/// Hands out the reads and measures them. One thread's.
class work {
public:
    explicit work(const reading& what) : what_(what), warm_up_(what.reads / 10 + 1) {}

    /// Gives where to read next, or nothing when no more is to be read.
    [[nodiscard]] std::optional<std::uint64_t> next() noexcept {
        if (begun_ == warm_up_ + what_.reads) { return std::nullopt; }
        if (begun_ == warm_up_) { start_ = now(); }
        const std::uint64_t blocks = what_.file_bytes / what_.bytes;
        const std::uint64_t block = what_.at_random ? mixed(begun_) % blocks : begun_ % blocks;
        ++begun_;
        return block * what_.bytes;
    }
    /// Notes the end of a read that gave so many bytes.
    void done(std::uint64_t bytes) noexcept {
        if (bytes != what_.bytes) {
            (void)std::fprintf(stderr, "a read gave %llu bytes\n",
                               static_cast<unsigned long long>(bytes));
            std::exit(1);
        }
        if (++ended_ != warm_up_ + what_.reads) { return; }
        const taken end = now();
        const auto reads = static_cast<double>(what_.reads);
        took_ = {(end.cpu - start_.cpu) / reads, (end.wall - start_.wall) / reads};
    }
    [[nodiscard]] const reading& what() const noexcept { return what_; }
    [[nodiscard]] taken took() const noexcept { return took_; }

private:
    static double ns_of(clockid_t clock) noexcept {
        timespec time{};
        (void)::clock_gettime(clock, &time);
        return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
    }
    // Of all of the process's threads.
    static taken now() noexcept {
        return {ns_of(CLOCK_PROCESS_CPUTIME_ID), ns_of(CLOCK_MONOTONIC)};
    }
    // Spreads numbers (the finalizer of splitmix64).
    static std::uint64_t mixed(std::uint64_t number) noexcept {
        number += 0x9e3779b97f4a7c15U;
        number = (number ^ number >> 30U) * 0xbf58476d1ce4e5b9U;
        number = (number ^ number >> 27U) * 0x94d049bb133111ebU;
        return number ^ number >> 31U;
    }

    reading what_;
    std::uint64_t warm_up_;
    std::uint64_t begun_ = 0;
    std::uint64_t ended_ = 0;
    taken start_;
    taken took_;
};

// The readers. Each does all of the work and returns.

/// By plain system calls, one at a time: the floor.
void read_with_pread(work& all);
/// By heph-rt, with the driver that HEPH_DRIVER names.
void read_with_heph(work& all);
void read_with_uv(work& all);
/// By Boost.Asio, which reads files with io_uring only.
void read_with_asio(work& all);

}  // namespace heph::bench
