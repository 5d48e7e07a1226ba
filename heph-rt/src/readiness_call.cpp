#include "readiness_call.hpp"

#include <liburing.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "retry.hpp"

namespace heph::rt::detail {

std::int32_t readable_call::perform() noexcept {
    pollfd asked{descriptor(), POLLIN, 0};
    const std::int32_t count = retry([&] { return ::poll(&asked, 1, 0); });
    return count == 0 ? -EAGAIN : std::min(count, 0);
}

void readable_call::submit(io_uring_sqe& entry) noexcept {
    io_uring_prep_poll_add(&entry, descriptor(), POLLIN);
}

}  // namespace heph::rt::detail
