#pragma once

// The file by which a path leads to a Unix socket.

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

namespace heph::rt::detail {

/// Tells a file from others that had its path before, or have it later.
struct file_identity {
    std::uint64_t device = 0;
    std::uint64_t number = 0;
    std::int64_t made_s = 0;   // The number alone is used again. Zero where the file system has
    std::int64_t made_ns = 0;  // no times of birth.
    bool operator==(const file_identity&) const noexcept = default;
};

/// Finds out which file is at a path, that of a link itself. Gives whether it is there.
[[nodiscard]] bool identify(const char* path, file_identity& found) noexcept;

/// Keeps other processes from replacing, or removing, a socket of a directory meanwhile, as far as
/// they do it by this class.
///
/// The lock is the directory's, as `flock` has it: what is beside a socket would stay behind, and a
/// socket cannot be locked. It goes with the process.
class folder_lock {
public:
    enum class outcome : std::uint8_t {
        taken,
        busy,
        impossible,  ///< The directory cannot be read, or locked.
    };

    /// Locks the directory of a path. Does not wait.
    explicit folder_lock(const std::string& path);
    folder_lock(const folder_lock&) = delete;
    folder_lock& operator=(const folder_lock&) = delete;
    ~folder_lock();
    [[nodiscard]] outcome result() const noexcept { return result_; }

private:
    int descriptor_ = -1;
    outcome result_ = outcome::impossible;
};

/// Removes the file of a socket when it goes, if it is to, and that file is still there; not in a
/// process that was forked since.
///
/// *Thread safety*: `keep` is safe.
class socket_file {
public:
    /// *Requires*: the file is there.
    explicit socket_file(std::string path);
    socket_file(const socket_file&) = delete;
    socket_file& operator=(const socket_file&) = delete;
    ~socket_file();

    /// Leaves the file there.
    void keep() noexcept { is_kept_.store(true, std::memory_order_relaxed); }

private:
    std::string path_;
    file_identity its_;
    pid_t process_;
    std::atomic<bool> is_kept_ = false;  // Publishes nothing.
};

/// Gives a file its permissions; not what a link leads to. Without `/proc`, a kernel before 6.6
/// cannot.
[[nodiscard]] std::error_code set_mode(const char* path, unsigned mode) noexcept;

}  // namespace heph::rt::detail
