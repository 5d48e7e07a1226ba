#pragma once

#include <string>
#include <string_view>

namespace heph::http::detail {

/// Gives the 20 bytes of the SHA-1 of a text (RFC 3174). It is broken as a hash, and here for the
/// handshake of WebSocket only, which asks no more of it than to be no accident.
[[nodiscard]] std::string sha1(std::string_view text);

}  // namespace heph::http::detail
