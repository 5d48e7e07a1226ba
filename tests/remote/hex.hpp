#pragma once

// Bytes in tests, written as hexadecimal text.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heph::remote::testing {

/// Reads `93 01 a1 61`; white space is for the reader.
inline std::vector<std::byte> bytes_of(std::string_view hex) {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < hex.size();) {
        if (hex[i] == ' ' || hex[i] == '\n') {
            ++i;
            continue;
        }
        bytes.push_back(static_cast<std::byte>(digit(hex[i]) * 16 + digit(hex[i + 1])));
        i += 2;
    }
    return bytes;
}

/// Writes bytes as `93 01 a1 61`.
inline std::string hex_of(std::span<const std::byte> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const std::byte byte : bytes) {
        if (!text.empty()) { text += ' '; }
        text += digits[std::to_integer<unsigned>(byte) >> 4];
        text += digits[std::to_integer<unsigned>(byte) & 0xf];
    }
    return text;
}

}  // namespace heph::remote::testing
