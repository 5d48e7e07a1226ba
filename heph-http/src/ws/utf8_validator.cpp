#include <cstddef>
#include <cstdint>
#include <cstring>

#include <heph/http/ws/utf8_validator.hpp>

namespace heph::http::ws {

namespace {

// Passes over eight bytes of ASCII at a time.
std::size_t count_ascii(std::string_view bytes) noexcept {
    std::size_t at = 0;
    for (; at + 8 <= bytes.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, 8);
        if ((word & 0x8080808080808080U) != 0) { break; }
    }
    return at;
}

}  // namespace

bool utf8_validator::feed(std::string_view bytes) noexcept {
    std::size_t at = left_ == 0 ? count_ascii(bytes) : 0;
    for (; at < bytes.size(); ++at) {
        const auto byte = static_cast<std::uint8_t>(bytes[at]);
        if (left_ > 0) {
            if (byte < low_ || byte > high_) { return false; }
            --left_;
            low_ = 0x80;
            high_ = 0xbf;
        } else if (byte >= 0x80) {
            if (byte < 0xc2 || byte > 0xf4) { return false; }
            left_ = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
            // No overlong forms, no surrogates, nothing beyond the last plane.
            low_ = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
            high_ = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
        }
    }
    return true;
}

}  // namespace heph::http::ws
