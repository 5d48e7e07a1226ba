#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace heph::http::detail {

/// Makes the text of an entity tag from content, piece by piece: FNV-1a, in two lanes that begin
/// apart: 128 bits, for files that nobody crafts to collide.
class content_hash {
public:
    /// `size` is that of all the content.
    explicit content_hash(std::size_t size) noexcept : second_(0x9e3779b97f4a7c15 ^ size) {}

    void add(std::string_view piece) noexcept {
        constexpr std::uint64_t prime = 0x100000001b3;
        for (const char c : piece) {
            const auto byte = static_cast<unsigned char>(c);
            first_ = (first_ ^ byte) * prime;
            second_ = (second_ ^ byte) * prime;
        }
    }
    [[nodiscard]] std::string text() const {
        std::string made;
        append_hex(made, first_);
        append_hex(made, second_);
        return made;
    }

private:
    static void append_hex(std::string& to, std::uint64_t value) {
        for (int shift = 60; shift >= 0; shift -= 4) {
            to += "0123456789abcdef"[(value >> static_cast<unsigned>(shift)) & 0xfU];
        }
    }

    std::uint64_t first_ = 0xcbf29ce484222325;
    std::uint64_t second_;
};

}  // namespace heph::http::detail
