#pragma once

#include <chrono>

#include <heph/http/router.hpp>

namespace heph::http {

/// Makes a middleware that gives up handlers that take too long: they are destroyed where they
/// wait, and the request is answered with 503 and `Retry-After`. A streamed body is not limited, as
/// it begins when the handler has answered. *Requires*: `limit` is more than 0.
[[nodiscard]] middleware time_limit(std::chrono::milliseconds limit);

}  // namespace heph::http
