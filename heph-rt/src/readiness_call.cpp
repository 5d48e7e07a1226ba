#include "readiness_call.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "net/socket_calls.hpp"
#include "system_call.hpp"

namespace heph::rt::detail {

std::int32_t is_ready(int descriptor, bool to_read) noexcept {
    if (this_thread_sockets != nullptr) [[unlikely]] {
        return this_thread_sockets->is_ready(descriptor, to_read) ? 0 : -EAGAIN;
    }
    pollfd asked{descriptor, static_cast<short>(to_read ? POLLIN : POLLOUT), 0};
    const std::int32_t count = retry([&] { return ::poll(&asked, 1, 0); });
    return count == 0 ? -EAGAIN : std::min(count, 0);
}

void make_non_blocking(int descriptor) noexcept {
    const int flags = ::fcntl(descriptor, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) == 0) {
        (void)::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
    }
}

std::int32_t readable_call::perform() noexcept { return is_ready(descriptor(), true); }

void readable_call::submit(io_uring_sqe& entry) noexcept {
    io_uring_prep_poll_add(&entry, descriptor(), POLLIN);
}

}  // namespace heph::rt::detail
