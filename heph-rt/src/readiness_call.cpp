#include "readiness_call.hpp"

#include <liburing.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "retry.hpp"

namespace heph::rt::detail {

std::int32_t is_ready(int descriptor, bool to_read) noexcept {
    pollfd asked{descriptor, static_cast<short>(to_read ? POLLIN : POLLOUT), 0};
    const std::int32_t count = retry([&] { return ::poll(&asked, 1, 0); });
    return count == 0 ? -EAGAIN : std::min(count, 0);
}

std::int32_t readable_call::perform() noexcept { return is_ready(descriptor(), true); }

void readable_call::submit(io_uring_sqe& entry) noexcept {
    io_uring_prep_poll_add(&entry, descriptor(), POLLIN);
}

}  // namespace heph::rt::detail
