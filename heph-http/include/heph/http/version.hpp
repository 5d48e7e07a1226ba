#pragma once

#include <cstdint>
#include <string_view>

namespace heph::http {

/// Names the protocol version of a message. A later minor version than 1.1 is treated as 1.1
/// (RFC 9110, 2.5).
enum class version : std::uint8_t { http_1_0, http_1_1 };

/// Gives the version as it stands in a message, `HTTP/1.1` for one.
[[nodiscard]] constexpr std::string_view to_string(version value) noexcept {
    return value == version::http_1_0 ? "HTTP/1.0" : "HTTP/1.1";
}

}  // namespace heph::http
