#pragma once

#include <string>
#include <string_view>

namespace heph::http::detail {

/// Appends what a client sent to a line of a log, so that it cannot forge one: quotes, backslashes
/// and what is not printable ASCII are written as \xHH, as httpd has it.
inline void append_escaped(std::string& to, std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
            to += c;
            continue;
        }
        to += "\\x";
        to += digits[byte >> 4U];
        to += digits[byte & 15U];
    }
}

}  // namespace heph::http::detail
