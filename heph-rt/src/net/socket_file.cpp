#include "socket_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "../system_call.hpp"

namespace heph::rt::detail {

bool identify(const char* path, file_identity& found) noexcept {
    struct statx status{};
    if (::statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &status) != 0) {
        return false;
    }
    found.device = makedev(status.stx_dev_major, status.stx_dev_minor);
    found.number = status.stx_ino;
    const bool has_birth = (status.stx_mask & STATX_BTIME) != 0;
    found.made_s = has_birth ? status.stx_btime.tv_sec : 0;
    found.made_ns = has_birth ? status.stx_btime.tv_nsec : 0;
    return true;
}

folder_lock::folder_lock(const std::string& path) {
    const std::size_t end = path.rfind('/');
    const std::string folder = end == std::string::npos ? "." : path.substr(0, end + 1);
    descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ < 0) { return; }
    if (retry([&] { return ::flock(descriptor_, LOCK_EX | LOCK_NB); }) == 0) {
        result_ = outcome::taken;
    } else if (errno == EWOULDBLOCK) {
        result_ = outcome::busy;
    }
}

folder_lock::~folder_lock() {
    if (descriptor_ >= 0) { ::close(descriptor_); }
}

socket_file::socket_file(std::string path) : path_(std::move(path)), process_(::getpid()) {
    if (!identify(path_.c_str(), its_)) { keep(); }
}

socket_file::~socket_file() {
    if (is_kept_.load(std::memory_order_relaxed) || ::getpid() != process_) { return; }
    // Who replaces a socket does so only where nobody listens; this listener is still there.
    file_identity now;
    if (identify(path_.c_str(), now) && now == its_) { ::unlink(path_.c_str()); }
}

std::error_code set_mode(const char* path, unsigned mode) noexcept {
#ifdef SYS_fchmodat2
    constexpr long number = SYS_fchmodat2;
#else
    constexpr long number = 452;  // The same for every architecture.
#endif
    if (::syscall(number, AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) == 0) { return {}; }
    if (errno != ENOSYS && errno != EPERM) { return last_error(); }
    return ::fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) == 0 ? std::error_code()
                                                                      : last_error();
}

}  // namespace heph::rt::detail
