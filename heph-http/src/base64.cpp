#include "base64.hpp"

#include <cstddef>
#include <cstdint>

namespace heph::http::detail {

namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string encode_base64(std::string_view bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::string_view group = bytes.substr(at, 3);
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            bits <<= 8U;
            if (i < group.size()) { bits |= static_cast<unsigned char>(group[i]); }
        }
        for (std::size_t i = 0; i < 4; ++i) {
            text += i <= group.size() ? alphabet[bits >> (18U - 6U * i) & 63U] : '=';
        }
    }
    return text;
}

std::optional<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) { return {}; }
    std::string decoded;
    for (std::size_t at = 0; at < text.size(); at += 4) {
        const bool last = at + 4 == text.size();
        std::size_t padding = 0;
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            const char c = text[at + i];
            if (c == '=' && last && i >= 2) {
                ++padding;
                bits <<= 6U;
                continue;
            }
            const std::size_t digit = alphabet.find(c);
            if (digit == std::string_view::npos || padding > 0) { return {}; }
            bits = bits << 6U | static_cast<std::uint32_t>(digit);
        }
        for (std::size_t i = 0; i + padding < 3; ++i) {
            decoded += static_cast<char>(bits >> (16U - 8U * i) & 0xffU);
        }
    }
    return decoded;
}

}  // namespace heph::http::detail
