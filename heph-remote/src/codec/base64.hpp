#pragma once

// Bytes in JSON, ours and that of etcd: RFC 4648, section 4, with padding.

#include <optional>
#include <string>
#include <string_view>

namespace heph::remote::codec {

/// Appends bytes in base64.
void append_base64(std::string& to, std::string_view bytes);

/// Reads base64; nothing for what is not exactly that.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace heph::remote::codec
