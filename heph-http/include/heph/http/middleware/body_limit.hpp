#pragma once

#include <cstdint>

#include <heph/http/router.hpp>

namespace heph::http {

/// Makes a middleware that sets how large the bodies of its routes may be, whole or streamed:
///
///     http::router uploads;
///     uploads.use(http::body_limit(100'000'000)).put("/{name}", store);
///     router.mount("/uploads", std::move(uploads));
///
/// The innermost one counts, and what the handler itself sets (`request::set_body_limit`, or the
/// argument of `read_body`) more than that; `limits::streamed_body_bytes_max` is never exceeded.
/// *Thread safety*: safe.
[[nodiscard]] middleware body_limit(std::uint64_t bytes_max);

}  // namespace heph::http
