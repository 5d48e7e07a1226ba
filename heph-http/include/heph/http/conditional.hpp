#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <heph/http/entity_tag.hpp>
#include <heph/http/headers.hpp>
#include <heph/http/method.hpp>
#include <heph/http/request.hpp>
#include <heph/http/response.hpp>

namespace heph::http {

/// Describes the representation that a request is about, as it is before the request has changed
/// anything (RFC 9110, 8.8).
struct validators {
    std::optional<entity_tag> tag;                     ///< What `ETag` says.
    std::optional<std::chrono::sys_seconds> modified;  ///< What `Last-Modified` says.
    bool exists = true;  ///< False when there is no representation: a PUT would create one.

    /// Reads `ETag` and `Last-Modified`; what is malformed is left out.
    [[nodiscard]] static validators of(const headers& headers);
};

/// Says what the conditions of a request come to.
enum class precondition : std::uint8_t {
    proceed,       ///< Answer as if there were no conditions.
    not_modified,  ///< The client has this version: 304.
    failed,        ///< The client's premise is wrong: 412, and nothing may be changed.
};

/// Evaluates `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since` in the
/// order of RFC 9110, 13.2.2.
///
/// To be asked once the request is known to succeed otherwise, and before it changes anything.
/// A tag that is malformed matches nothing, and a date that is malformed, or there twice, is
/// ignored. CONNECT, OPTIONS and TRACE have no conditions.
[[nodiscard]] precondition evaluate_conditions(method method, const headers& request,
                                               const validators& current);

/// Tells whether `If-Range`, when it is there, still holds, so that `Range` may be answered with
/// 206 (RFC 9110, 13.1.5). A date holds only when it is exactly the date of modification, and at
/// least one second old at `now`.
[[nodiscard]] bool range_condition_holds(const headers& request, const validators& current,
                                         std::chrono::sys_seconds now);

/// Turns a successful response to GET or HEAD into what the request's conditions and `Range` ask
/// for, by the response's own `ETag` and `Last-Modified`: 304, 412, 206 with one range or with
/// several (`multipart/byteranges`), or 416. Anything else is given back as it is.
///
/// Ranges are taken of bodies that are not streamed; `Accept-Ranges` is added to these.
[[nodiscard]] response apply_conditions(const request& request, response full);

}  // namespace heph::http
