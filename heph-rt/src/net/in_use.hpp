#pragma once

// What to do about an address that is in use.
//
// A process that was killed has ended for whoever waits for it, and its listeners live on: they are
// closed when the kernel has taken its io_uring rings apart, which it does in the background; about
// 10 ms later. Who starts the next server at once would be refused.

#include <sys/socket.h>

#include <chrono>
#include <optional>

namespace heph::rt::detail {

/// How long a server waits for the listeners of a process that was killed.
inline constexpr std::chrono::milliseconds killed_process_wait{1'000};

/// Pauses between attempts, for longer and longer, until the time is up. Blocks the thread.
class bounded_pauses {
public:
    explicit bounded_pauses(std::chrono::milliseconds at_most) noexcept : left_(at_most) {}
    [[nodiscard]] bool is_left() const noexcept { return left_.count() > 0; }
    /// Gives whether there was time for a pause.
    [[nodiscard]] bool pause() noexcept;

private:
    std::chrono::nanoseconds left_;
    std::chrono::nanoseconds next_ = std::chrono::milliseconds(1);
};

/// Tells whether a descriptor of this process is bound to an address, or to a port of its kind and
/// type: waiting for that would be waiting for oneself. Where that cannot be found out it is not.
[[nodiscard]] bool is_bound_here(const sockaddr& address, socklen_t bytes, int type) noexcept;

}  // namespace heph::rt::detail
