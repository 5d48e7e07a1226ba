#include "note_id.hpp"

#include <cstdint>
#include <optional>

namespace notes {

namespace {

struct decoded {
    std::uint32_t code_point;
    std::size_t bytes;
};

// Decodes the first code point; nothing when it is malformed, overlong, a surrogate or too large.
std::optional<decoded> decode_first(std::string_view text) noexcept {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned char first = byte(0);
    if (first < 0x80) { return decoded{first, 1}; }
    std::size_t size = 0;
    std::uint32_t smallest = 0;
    std::uint32_t value = 0;
    if ((first & 0xe0) == 0xc0) {
        size = 2, smallest = 0x80, value = first & 0x1fU;
    } else if ((first & 0xf0) == 0xe0) {
        size = 3, smallest = 0x800, value = first & 0x0fU;
    } else if ((first & 0xf8) == 0xf0) {
        size = 4, smallest = 0x10000, value = first & 0x07U;
    } else {
        return std::nullopt;
    }
    if (text.size() < size) { return std::nullopt; }
    for (std::size_t at = 1; at < size; ++at) {
        if ((byte(at) & 0xc0) != 0x80) { return std::nullopt; }
        value = value << 6 | (byte(at) & 0x3fU);
    }
    const bool surrogate = value >= 0xd800 && value <= 0xdfff;
    if (value < smallest || value > 0x10ffff || surrogate) { return std::nullopt; }
    return decoded{value, size};
}

bool is_control(std::uint32_t code_point) noexcept {
    return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0) || code_point == 0x2028 ||
           code_point == 0x2029;
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        const auto first = decode_first(text);
        if (!first) { return false; }
        text.remove_prefix(first->bytes);
    }
    return true;
}

const char* why_bad_id(std::string_view id) noexcept {
    if (id.empty()) { return "the id is empty"; }
    if (id.size() > id_bytes_max) { return "the id is longer than 256 bytes"; }
    if (id == "." || id == "..") {
        return "the ids '.' and '..' have a meaning of their own in URLs";
    }
    for (std::string_view left = id; !left.empty();) {
        const auto first = decode_first(left);
        if (!first) { return "the id is not UTF-8"; }
        if (is_control(first->code_point)) {
            return "the id contains a control character or a line separator";
        }
        left.remove_prefix(first->bytes);
    }
    return nullptr;
}

}  // namespace notes
