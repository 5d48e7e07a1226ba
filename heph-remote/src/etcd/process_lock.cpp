#include "etcd/process_lock.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <heph/remote/etcd/error.hpp>

namespace heph::remote::etcd::detail {

namespace {

// Their locks are the kernel's own (statfs(2)); those without a name are not in <linux/magic.h>
// everywhere.
constexpr std::array<unsigned long, 8> local_file_systems{
    EXT4_SUPER_MAGIC,      XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,  TMPFS_MAGIC,
    OVERLAYFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, 0x2fc12fc1 /*zfs*/, 0xca451a4e /*bcachefs*/};

struct held_file {
    int descriptor = -1;  // Open until this process ends.
    bool is_locked = false;
};

std::mutex& files_mutex() {
    static std::mutex of_files;
    return of_files;
}
// Two openings of a file by one process would be strangers to each other.
std::map<std::string, held_file, std::less<>>& files() {
    static std::map<std::string, held_file, std::less<>> all;
    return all;
}

rt::error cannot_open(const std::string& path) {
    const int code = errno;
    return rt::error(std::error_code(code, std::system_category()),
                     "the lock file " + path + " cannot be opened: " +
                         std::error_code(code, std::system_category()).message());
}

}  // namespace

std::expected<process_lock, rt::error> process_lock::open(const std::string& path) {
    const int opened = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (opened < 0) { return std::unexpected(cannot_open(path)); }
    struct ::stat what{};
    struct ::statfs where{};
    if (::fstat(opened, &what) != 0 || ::fstatfs(opened, &where) != 0) {
        auto why = cannot_open(path);
        ::close(opened);
        return std::unexpected(std::move(why));
    }
    const auto kind = static_cast<unsigned long>(where.f_type) & 0xffffffffUL;
    if (!S_ISREG(what.st_mode) ||
        std::ranges::find(local_file_systems, kind) == local_file_systems.end()) {
        ::close(opened);
        return std::unexpected(rt::error(
            errc::bad_settings, "the lock file " + path +
                                    " is not a file of a file system of this machine, whose locks "
                                    "last as long as the processes that have them"));
    }
    std::string name = std::to_string(what.st_dev) + ':' + std::to_string(what.st_ino);
    const std::lock_guard lock(files_mutex());
    if (!files().try_emplace(name, opened, false).second) { ::close(opened); }
    return process_lock(std::move(name));
}

bool process_lock::take() const {
    const std::lock_guard lock(files_mutex());
    held_file& file = files().at(name_);
    if (!file.is_locked) { file.is_locked = ::flock(file.descriptor, LOCK_EX | LOCK_NB) == 0; }
    return file.is_locked;
}

}  // namespace heph::remote::etcd::detail
