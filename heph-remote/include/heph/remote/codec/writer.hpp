#pragma once

// Writing MessagePack, each value in its shortest form.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace heph::remote {

/// Appends values to a vector of bytes.
///
/// *Errors*: throws `std::bad_alloc`. *Requires*: lengths below 2^32. *Lifetime*: the vector's.
class writer {
public:
    explicit writer(std::vector<std::byte>& out) noexcept : out_(&out) {}

    void nil() { tag(0xc0); }
    void boolean(bool value) { tag(value ? 0xc3 : 0xc2); }

    template <std::integral T>
    void integer(T value) {
        if constexpr (std::is_signed_v<T>) {
            if (value < 0) { return negative(value); }
        }
        const auto bits = static_cast<std::uint64_t>(value);
        if (bits <= 0x7f) {
            tag(static_cast<std::uint8_t>(bits));
        } else if (bits <= 0xff) {
            number(0xcc, bits, 1);
        } else if (bits <= 0xffff) {
            number(0xcd, bits, 2);
        } else if (bits <= 0xffff'ffff) {
            number(0xce, bits, 4);
        } else {
            number(0xcf, bits, 8);
        }
    }

    void floating(float value) { number(0xca, std::bit_cast<std::uint32_t>(value), 4); }
    void floating(double value) { number(0xcb, std::bit_cast<std::uint64_t>(value), 8); }

    void string(std::string_view value) {
        if (value.size() <= 0x1f) {
            tag(static_cast<std::uint8_t>(0xa0 | value.size()));
        } else {
            length(0xd9, 0xda, 0xdb, value.size());
        }
        bytes(std::as_bytes(std::span(value)));
    }

    void binary(std::span<const std::byte> value) {
        length(0xc4, 0xc5, 0xc6, value.size());
        bytes(value);
    }

    /// Begins an array; `count` values have to follow.
    void array(std::size_t count) {
        if (count <= 0x0f) { return tag(static_cast<std::uint8_t>(0x90 | count)); }
        count <= 0xffff ? number(0xdc, count, 2) : number(0xdd, count, 4);
    }

    /// Begins a map; `count` keys have to follow, each with its value.
    void map(std::size_t count) {
        if (count <= 0x0f) { return tag(static_cast<std::uint8_t>(0x80 | count)); }
        count <= 0xffff ? number(0xde, count, 2) : number(0xdf, count, 4);
    }

private:
    void tag(std::uint8_t value) { out_->push_back(std::byte{value}); }

    void bytes(std::span<const std::byte> value) {
        out_->insert(out_->end(), value.begin(), value.end());
    }

    void number(std::uint8_t first, std::uint64_t bits, std::size_t width) {
        std::byte encoded[9] = {std::byte{first}};
        for (std::size_t i = 0; i < width; ++i) {
            encoded[width - i] = static_cast<std::byte>(bits >> (8 * i));
        }
        bytes(std::span(encoded).first(1 + width));
    }

    void length(std::uint8_t one, std::uint8_t two, std::uint8_t four, std::size_t count) {
        if (count <= 0xff) {
            number(one, count, 1);
        } else if (count <= 0xffff) {
            number(two, count, 2);
        } else {
            number(four, count, 4);
        }
    }

    void negative(std::int64_t value) {
        const auto bits = static_cast<std::uint64_t>(value);
        if (value >= -32) {
            tag(static_cast<std::uint8_t>(bits));
        } else if (value >= INT8_MIN) {
            number(0xd0, bits & 0xff, 1);
        } else if (value >= INT16_MIN) {
            number(0xd1, bits & 0xffff, 2);
        } else if (value >= INT32_MIN) {
            number(0xd2, bits & 0xffff'ffff, 4);
        } else {
            number(0xd3, bits, 8);
        }
    }

    std::vector<std::byte>* out_;
};

}  // namespace heph::remote
