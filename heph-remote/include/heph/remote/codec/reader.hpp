#pragma once

// Reading MessagePack from bytes that nobody vouches for.
//
// Format: https://github.com/msgpack/msgpack/blob/master/spec.md (2017 edition).
//
// Invariants
//     1. No byte beyond the input is read: each length is compared with what is left first.
//     2. No memory is taken here at all; what a decoder wants to take is charged to a budget
//        before it is taken.
//     3. Once `fail` was called the reader stays failed, with the first error.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <heph/remote/codec/error.hpp>
#include <heph/remote/codec/narrow.hpp>

namespace heph::remote {

/// Bounds what decoding one message may cost. There is no way to switch them off.
struct decode_limits {
    std::uint32_t depth_max = 64;                     ///< Arrays and maps within each other.
    std::size_t memory_bytes_max = 16 * 1024 * 1024;  ///< Taken for strings and containers.
};

/// Reads values one after the other. Each `read_…` gives false, and keeps why, when the next value
/// is not what was asked for.
///
/// *Lifetime*: the bytes must outlive it and the views it gives.
class reader {
public:
    explicit reader(std::span<const std::byte> bytes, const decode_limits& limits = {}) noexcept
        : at_(bytes.data()),
          end_(bytes.data() + bytes.size()),
          depth_left_(limits.depth_max),
          memory_left_(limits.memory_bytes_max) {}

    [[nodiscard]] codec_error error() const noexcept { return error_; }
    [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

    /// Keeps the first error, and gives false to return.
    bool fail(codec_error why) noexcept {
        if (!failed_) {
            failed_ = true;
            error_ = why;
        }
        return false;
    }

    /// Takes nil, if that is next.
    [[nodiscard]] bool take_nil() noexcept {
        if (left() == 0 || tag() != 0xc0) { return false; }
        ++at_;
        return true;
    }

    [[nodiscard]] bool read_bool(bool& value) noexcept {
        if (!need(1)) { return false; }
        if ((tag() & 0xfe) != 0xc2) { return fail(codec_error::wrong_type); }
        value = tag() == 0xc3;
        ++at_;
        return true;
    }

    /// Reads an integer of any encoded width that fits `T`.
    template <std::integral T>
    [[nodiscard]] bool read_integer(T& value) noexcept {
        std::uint64_t bits = 0;
        bool negative = false;
        if (!read_any_integer(bits, negative)) { return false; }
        return narrow(bits, negative, value) || fail(codec_error::out_of_range);
    }

    [[nodiscard]] bool read_float(float& value) noexcept;
    /// Reads a double; a float is taken too, as nothing is lost.
    [[nodiscard]] bool read_double(double& value) noexcept;

    /// Reads a string; its bytes need not be UTF-8.
    [[nodiscard]] bool read_string(std::string_view& value) noexcept;
    [[nodiscard]] bool read_binary(std::span<const std::byte>& value) noexcept;

    /// Enters an array of `count` values. Each must be read or skipped before `leave()`.
    [[nodiscard]] bool enter_array(std::uint32_t& count) noexcept;
    /// Enters a map of `count` keys, each followed by its value.
    [[nodiscard]] bool enter_map(std::uint32_t& count) noexcept;
    void leave() noexcept { ++depth_left_; }

    /// Passes over one value, whatever it is.
    [[nodiscard]] bool skip() noexcept;

    /// Asks to take memory for `count` things of `bytes` each.
    [[nodiscard]] bool charge(std::size_t count, std::size_t bytes) noexcept {
        if (bytes != 0 && count > memory_left_ / bytes) { return fail(codec_error::too_large); }
        memory_left_ -= count * bytes;
        return true;
    }

private:
    [[nodiscard]] std::uint8_t tag() const noexcept { return std::to_integer<std::uint8_t>(*at_); }
    [[nodiscard]] bool need(std::size_t bytes) noexcept {
        return left() >= bytes || fail(codec_error::truncated);
    }
    // Reads a big-endian number behind the tag. *Requires*: the bytes are there.
    [[nodiscard]] std::uint64_t big_endian(std::size_t bytes) const noexcept {
        std::uint64_t value = 0;
        for (std::size_t i = 1; i <= bytes; ++i) {
            value = value << 8 | std::to_integer<std::uint64_t>(at_[i]);
        }
        return value;
    }
    // Reads the tag and length of a string, a binary or a container.
    [[nodiscard]] bool read_length(std::size_t width, std::uint32_t& length) noexcept {
        if (!need(1 + width)) { return false; }
        length = static_cast<std::uint32_t>(big_endian(width));
        at_ += 1 + width;
        return true;
    }
    [[nodiscard]] bool read_any_integer(std::uint64_t& bits, bool& negative) noexcept;
    [[nodiscard]] bool enter(std::uint32_t count, std::uint32_t values_each) noexcept;
    [[nodiscard]] bool pass(std::size_t bytes) noexcept {
        if (!need(bytes)) { return false; }
        at_ += bytes;
        return true;
    }

    const std::byte* at_;
    const std::byte* end_;
    std::uint32_t depth_left_;
    std::size_t memory_left_;
    codec_error error_ = codec_error::malformed;
    bool failed_ = false;
};

inline bool reader::read_any_integer(std::uint64_t& bits, bool& negative) noexcept {
    if (!need(1)) { return false; }
    const std::uint8_t first = tag();
    negative = false;
    if (first <= 0x7f) {
        bits = first;
        ++at_;
        return true;
    }
    if (first >= 0xe0) {
        bits =
            static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int8_t>(first)));
        negative = true;
        ++at_;
        return true;
    }
    if (first < 0xcc || first > 0xd3) { return fail(codec_error::wrong_type); }
    const std::size_t width = std::size_t{1} << ((first - 0xcc) & 3);
    if (!need(1 + width)) { return false; }
    bits = big_endian(width);
    at_ += 1 + width;
    if (first >= 0xd0) {
        // Extends the sign from the encoded width.
        const auto shift = static_cast<unsigned>(64 - 8 * width);
        const auto wide = static_cast<std::int64_t>(bits << shift) >> shift;
        negative = wide < 0;
        bits = static_cast<std::uint64_t>(wide);
    }
    return true;
}

inline bool reader::read_float(float& value) noexcept {
    if (!need(1)) { return false; }
    if (tag() != 0xca) { return fail(codec_error::wrong_type); }
    if (!need(5)) { return false; }
    value = std::bit_cast<float>(static_cast<std::uint32_t>(big_endian(4)));
    at_ += 5;
    return true;
}

inline bool reader::read_double(double& value) noexcept {
    if (!need(1)) { return false; }
    if (tag() == 0xca) {
        float narrow = 0;
        if (!read_float(narrow)) { return false; }
        value = static_cast<double>(narrow);
        return true;
    }
    if (tag() != 0xcb) { return fail(codec_error::wrong_type); }
    if (!need(9)) { return false; }
    value = std::bit_cast<double>(big_endian(8));
    at_ += 9;
    return true;
}

inline bool reader::read_string(std::string_view& value) noexcept {
    if (!need(1)) { return false; }
    std::uint32_t length = 0;
    const std::uint8_t first = tag();
    if ((first & 0xe0) == 0xa0) {
        length = first & 0x1f;
        ++at_;
    } else if (first >= 0xd9 && first <= 0xdb) {
        if (!read_length(std::size_t{1} << (first - 0xd9), length)) { return false; }
    } else {
        return fail(codec_error::wrong_type);
    }
    if (!need(length)) { return false; }
    value = {reinterpret_cast<const char*>(at_), length};
    at_ += length;
    return true;
}

inline bool reader::read_binary(std::span<const std::byte>& value) noexcept {
    if (!need(1)) { return false; }
    const std::uint8_t first = tag();
    if (first < 0xc4 || first > 0xc6) { return fail(codec_error::wrong_type); }
    std::uint32_t length = 0;
    if (!read_length(std::size_t{1} << (first - 0xc4), length) || !need(length)) { return false; }
    value = {at_, length};
    at_ += length;
    return true;
}

inline bool reader::enter(std::uint32_t count, std::uint32_t values_each) noexcept {
    // Every value takes a byte at least, so that a length that cannot be true is seen at once.
    if (count > left() / values_each) { return fail(codec_error::truncated); }
    if (depth_left_ == 0) { return fail(codec_error::too_deep); }
    --depth_left_;
    return true;
}

inline bool reader::enter_array(std::uint32_t& count) noexcept {
    if (!need(1)) { return false; }
    const std::uint8_t first = tag();
    if ((first & 0xf0) == 0x90) {
        count = first & 0x0f;
        ++at_;
    } else if (first == 0xdc || first == 0xdd) {
        if (!read_length(first == 0xdc ? 2 : 4, count)) { return false; }
    } else {
        return fail(codec_error::wrong_type);
    }
    return enter(count, 1);
}

inline bool reader::enter_map(std::uint32_t& count) noexcept {
    if (!need(1)) { return false; }
    const std::uint8_t first = tag();
    if ((first & 0xf0) == 0x80) {
        count = first & 0x0f;
        ++at_;
    } else if (first == 0xde || first == 0xdf) {
        if (!read_length(first == 0xde ? 2 : 4, count)) { return false; }
    } else {
        return fail(codec_error::wrong_type);
    }
    return enter(count, 2);
}

inline bool reader::skip() noexcept {
    if (!need(1)) { return false; }
    const std::uint8_t first = tag();
    const bool is_map = (first & 0xf0) == 0x80 || first == 0xde || first == 0xdf;
    if (is_map || (first & 0xf0) == 0x90 || first == 0xdc || first == 0xdd) {
        std::uint32_t count = 0;
        if (is_map ? !enter_map(count) : !enter_array(count)) { return false; }
        const std::uint64_t values = std::uint64_t{count} * (is_map ? 2 : 1);
        for (std::uint64_t i = 0; i < values; ++i) {
            if (!skip()) { return false; }
        }
        leave();
        return true;
    }
    if ((first & 0xe0) == 0xa0) { return pass(1 + std::size_t{first & 0x1fU}); }
    if (first <= 0x7f || first >= 0xe0) { return pass(1); }
    std::uint32_t length = 0;
    switch (first) {
        case 0xc0:
        case 0xc2:
        case 0xc3: return pass(1);
        case 0xc4:
        case 0xd9: return read_length(1, length) && pass(length);
        case 0xc5:
        case 0xda: return read_length(2, length) && pass(length);
        case 0xc6:
        case 0xdb: return read_length(4, length) && pass(length);
        // Extensions: a length, a byte for the kind, the bytes.
        case 0xc7: return read_length(1, length) && pass(1 + std::size_t{length});
        case 0xc8: return read_length(2, length) && pass(1 + std::size_t{length});
        case 0xc9: return read_length(4, length) && pass(1 + std::size_t{length});
        case 0xca: return pass(5);
        case 0xcb: return pass(9);
        case 0xcc:
        case 0xd0: return pass(2);
        case 0xcd:
        case 0xd1: return pass(3);
        case 0xce:
        case 0xd2: return pass(5);
        case 0xcf:
        case 0xd3: return pass(9);
        case 0xd4:
        case 0xd5:
        case 0xd6:
        case 0xd7:
        case 0xd8: return pass(2 + (std::size_t{1} << (first - 0xd4)));
        default: return fail(codec_error::malformed);  // 0xc1 is never used.
    }
}

}  // namespace heph::remote
