#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include <heph/http/error.hpp>
#include <heph/http/method.hpp>

namespace heph::http {

/// Names the forms of a request target (RFC 9112, 3.2).
enum class target_form : std::uint8_t {
    origin,     ///< `/path?query`
    absolute,   ///< `http://host/path?query`
    authority,  ///< `host:port`, for CONNECT only
    asterisk,   ///< `*`, or `http://host` without a path, for OPTIONS only
};

/// The parts of a request target, as views into it, still percent-encoded.
struct target_parts {
    target_form form = target_form::origin;
    std::string_view authority;  ///< Of `http://host` and of the authority form.
    std::string_view path;       ///< Begins with `/`; empty for authority, `*`, `http://host`.
    std::string_view query;      ///< Without the question mark.
};

/// Takes a request target apart, in the form that its method allows.
///
/// Refused are characters that no URI has, a fragment, a path with broken percent-encoding, an
/// encoded NUL, or `.` and `..` segments, encoded or not: a client resolves these before it sends.
/// Of the characters that no URI has, those that clients are known to send all the same are taken:
/// `[ ] ^ { | }`, and in a query `" \ `` as well.
/// *Errors*: `bad_target`, `bad_percent_encoding`, `bad_host`.
[[nodiscard]] std::expected<target_parts, error> parse_target(method method,
                                                              std::string_view target) noexcept;

/// Tells whether `text` is a host with an optional port, as in `Host` (RFC 3986, 3.2). It is not
/// when it is empty, has user information, or a port above 65535.
[[nodiscard]] bool is_host(std::string_view text) noexcept;

/// Decodes `%41` and the like; `+` stays as it is.
/// *Errors*: `bad_percent_encoding`.
[[nodiscard]] std::expected<std::string, error> percent_decode(std::string_view text);

/// Encodes all but the unreserved characters of RFC 3986, so that the result can be one segment of
/// a path or one value of a query.
[[nodiscard]] std::string percent_encode(std::string_view text);

/// Gives the decoded value of the first parameter of this name in a query such as `a=1&b=x+y`.
///
/// `+` is a space; a percent sign that encodes nothing stands for itself, as browsers have it.
[[nodiscard]] std::optional<std::string> query_parameter(std::string_view query,
                                                         std::string_view name);

}  // namespace heph::http
