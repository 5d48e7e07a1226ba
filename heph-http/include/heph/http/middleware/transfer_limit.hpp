#pragma once

#include <chrono>
#include <cstdint>

#include <heph/http/router.hpp>

namespace heph::http {

/// Makes a middleware that says how slowly clients may take the answers of some routes, in the
/// place of the server's `limits::send_timeout` and `send_bytes_per_second_min`: longer for a
/// stream that is slow by nature, shorter for what is costly to hold.
///
///     router.get("/export", http::with(http::send_limit(120s, 16), export_all));
///
/// *Errors*: throws `std::invalid_argument` when the time-out is not positive.
[[nodiscard]] middleware send_limit(std::chrono::milliseconds timeout,
                                    std::uint64_t bytes_per_second_min);

/// Makes a middleware that says how slowly the bodies of requests may come, in the place of
/// `limits::body_grace` and `body_bytes_per_second_min`.
/// *Errors*: throws `std::invalid_argument` when the grace is negative.
[[nodiscard]] middleware receive_limit(std::chrono::milliseconds grace,
                                       std::uint64_t bytes_per_second_min);

}  // namespace heph::http
