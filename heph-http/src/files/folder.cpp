#include "folder.hpp"

#include <cerrno>
#include <chrono>
#include <ctime>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <heph/rt/blocking.hpp>

namespace heph::http::detail {

namespace {

using opened = std::expected<opened_file, std::error_code>;

// Of which one alone fails about once in a hundred times while another process does nothing but
// rename files.
constexpr int open_tries_max = 64;

std::error_code last_error() noexcept { return {errno, std::system_category()}; }

int open_beneath(int root, const std::string& path, std::uint64_t more) noexcept {
    open_how how{};
    // Opening a named pipe would wait for its writer otherwise.
    how.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | more;
    return static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

// The first or the last time there is, for what is before or after: from 1677 to 2262.
file_time to_time(const timespec& from) noexcept {
    constexpr auto first = std::chrono::ceil<std::chrono::seconds>(file_time::min());
    constexpr auto last = std::chrono::floor<std::chrono::seconds>(file_time::max());
    const std::chrono::sys_seconds whole(std::chrono::seconds(from.tv_sec));
    if (whole < first) { return file_time::min(); }
    if (whole >= last) { return file_time::max(); }
    return file_time(whole) + std::chrono::nanoseconds(from.tv_nsec);
}

opened describe(int descriptor) {
    opened_file made;
    made.file = rt::fs::file(descriptor);
    struct stat found{};
    if (::fstat(descriptor, &found) != 0) { return opened(std::unexpect, last_error()); }
    made.is_folder = S_ISDIR(found.st_mode);
    if (!made.is_folder && !S_ISREG(found.st_mode)) {
        return opened(std::unexpect, std::make_error_code(std::errc::no_such_file_or_directory));
    }
    // Reads of the ring would give up where they have to wait for the disk.
    if (!made.is_folder && ::fcntl(descriptor, F_SETFL, 0) != 0) {
        return opened(std::unexpect, last_error());
    }
    made.size = static_cast<std::uint64_t>(found.st_size);
    made.modified = to_time(found.st_mtim);
    return made;
}

opened open_and_describe(int root, const std::string& path) {
    // The kernel gives up a `..` in a link when anything at all is renamed or mounted meanwhile, as
    // it cannot tell whether that led out of the folder: it is to be asked again (openat2(2)).
    int descriptor = open_beneath(root, path, 0);
    for (int tries = 1; descriptor < 0 && errno == EAGAIN && tries < open_tries_max; ++tries) {
        descriptor = open_beneath(root, path, 0);
    }
    if (descriptor < 0) { return opened(std::unexpect, last_error()); }
    return describe(descriptor);
}

}  // namespace

folder::folder(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) { throw std::system_error(last_error(), path.string()); }
    root_ = std::make_shared<const rt::fs::file>(descriptor);
    const auto itself = open_and_describe(descriptor, ".");
    if (!itself) { throw std::system_error(itself.error(), "openat2 in " + path.string()); }
}

task<opened> folder::open(std::string path) const {
    const int descriptor = open_beneath(root_->descriptor(), path, RESOLVE_CACHED);
    if (descriptor >= 0) { co_return describe(descriptor); }
    // Anything else is the answer already.
    if (errno != EAGAIN) { co_return opened(std::unexpect, last_error()); }
    auto waiting = rt::spawn_blocking([root = root_, path = std::move(path)] {
        return open_and_describe(root->descriptor(), path);
    });
    auto found = co_await waiting;
    co_return found;
}

}  // namespace heph::http::detail
