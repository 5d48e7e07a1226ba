#pragma once

#include <cstddef>
#include <string_view>

namespace heph::remote::codec {

/// Gives the length of the well-formed UTF-8 sequence with which a text begins; 0 if it does not
/// begin with one (RFC 3629, section 4).
[[nodiscard]] constexpr std::size_t utf8_length(std::string_view text) noexcept {
    if (text.empty()) { return 0; }
    const auto first = static_cast<unsigned char>(text[0]);
    if (first < 0x80) { return 1; }
    if (first < 0xc2 || first > 0xf4) { return 0; }
    const std::size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (text.size() < length) { return 0; }
    // The second byte has bounds of its own, against overlong forms, surrogates, and what is
    // beyond U+10FFFF.
    const auto second = static_cast<unsigned char>(text[1]);
    const unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) { return 0; }
    for (std::size_t i = 2; i < length; ++i) {
        const auto tail = static_cast<unsigned char>(text[i]);
        if (tail < 0x80 || tail > 0xbf) { return 0; }
    }
    return length;
}

}  // namespace heph::remote::codec
