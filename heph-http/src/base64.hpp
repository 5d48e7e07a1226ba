#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace heph::http::detail {

/// Writes bytes as base64, with its padding (RFC 4648, 4).
[[nodiscard]] std::string encode_base64(std::string_view bytes);

/// Reads base64 with its padding, and nothing else.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace heph::http::detail
