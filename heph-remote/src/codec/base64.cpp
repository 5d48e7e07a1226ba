#include "codec/base64.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace heph::remote::codec {

namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> digit_values = [] {
    std::array<std::int8_t, 256> made{};
    made.fill(-1);
    for (std::size_t i = 0; i < alphabet.size(); ++i) {
        made[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
    }
    return made;
}();

}  // namespace

void append_base64(std::string& to, std::string_view bytes) {
    std::uint32_t held = 0;
    int bits = 0;
    for (const char each : bytes) {
        held = held << 8 | static_cast<unsigned char>(each);
        for (bits += 8; bits >= 6; bits -= 6) { to += alphabet[held >> (bits - 6) & 63U]; }
    }
    if (bits > 0) { to += alphabet[held << (6 - bits) & 63U]; }
    to.append((3 - bytes.size() % 3) % 3, '=');
}

std::optional<std::string> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) { return std::nullopt; }
    std::size_t padding = 0;
    while (padding < 2 && text.ends_with('=')) {
        text.remove_suffix(1);
        ++padding;
    }
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t held = 0;
    int bits = 0;
    for (const char each : text) {
        const int digit = digit_values[static_cast<unsigned char>(each)];
        if (digit < 0) { return std::nullopt; }
        held = held << 6 | static_cast<std::uint32_t>(digit);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes += static_cast<char>(held >> bits & 0xffU);
        }
    }
    // What is left over is zero, or two texts would stand for the same bytes.
    if ((held & ((1U << bits) - 1U)) != 0) { return std::nullopt; }
    return bytes;
}

}  // namespace heph::remote::codec
