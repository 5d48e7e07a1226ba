#pragma once

// Cutting a stream of bytes into frames.
//
// A frame is its length (4 bytes, big-endian, 1 to the agreed maximum), then that many bytes, of
// which the first says its type.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <heph/remote/protocol/error.hpp>

namespace heph::remote::protocol {

/// The type of a frame: its first byte. Numbers never get another meaning.
enum class frame_type : std::uint8_t {
    hello = 0x01,
    welcome = 0x02,
    reject = 0x03,
    data = 0x10,
    ack = 0x11,
    ping = 0x12,
    pong = 0x13,
    goodbye = 0x14,
};

inline constexpr std::size_t frame_header_bytes = 4;

/// Says where the rest of a frame belongs that is not whole yet, so that it is received there, and
/// not put together elsewhere first.
class frame_placer {
public:
    /// What is known of a frame when it is asked: type, sequence, kind and a number of the kind's.
    static constexpr std::size_t head_bytes = 1 + 8 + 1 + 8;

    frame_placer() = default;
    /// Gives memory for the `rest` bytes behind the head of a frame, or none: it is given as any
    /// other then. *Lifetime*: valid until the frame is given, or the reader is not used any more.
    [[nodiscard]] virtual std::span<std::byte> place(std::span<const std::byte, head_bytes> head,
                                                     std::size_t rest) = 0;

protected:
    frame_placer(const frame_placer&) = default;
    frame_placer& operator=(const frame_placer&) = default;
    ~frame_placer() = default;
};

/// Cuts bytes that arrive into whole frames.
///
/// A frame that is whole in what was fed is given where it lies. What is kept is the beginning of
/// one whose rest is still to come, and never more than that: a declared length takes memory for
/// `room_ahead` bytes more than came. Who knows where the rest belongs may say so: `frame_placer`.
class frame_reader {
public:
    /// So much memory a declared length may take beyond what came of the frame.
    static constexpr std::size_t room_ahead = 64 * 1024;

    explicit frame_reader(std::size_t frame_bytes_max) noexcept
        : frame_bytes_max_(frame_bytes_max) {}

    /// Changes the limit, for the frames that have not been taken yet.
    void set_frame_bytes_max(std::size_t limit) noexcept { frame_bytes_max_ = limit; }

    /// Takes bytes that arrived. Views given before are invalid from here.
    /// *Requires*: `next` gave nothing since the last bytes. *Lifetime*: borrows them until then.
    void feed(std::span<const std::byte> bytes) noexcept { fed_ = bytes; }

    /// Gives room for the rest of the frame whose beginning is kept, as far as there is memory for
    /// it: bytes that are written there need not be fed. Empty: none is kept, or its length is not
    /// known yet. *Requires*: as `feed`. *Errors*: throws `std::bad_alloc`.
    [[nodiscard]] std::span<std::byte> room();
    /// Takes bytes that were written to the front of `room()`. *Requires*: no more than it has.
    void commit(std::size_t count) noexcept { (placed_.empty() ? kept_ : placed_bytes_) += count; }

    /// Gives the next whole frame without its length; nothing when more bytes are needed. Of a
    /// frame whose rest the placer took, it gives the head: `was_placed`.
    /// *Errors*: `garbage` (an empty frame), `frame_too_large`; throws `std::bad_alloc`.
    /// *Lifetime*: valid until the next call of a member that is not const.
    [[nodiscard]] std::expected<std::optional<std::span<const std::byte>>, error> next(
        frame_placer* placer = nullptr);
    /// Tells whether the frame that was given last is a head, whose rest is where it belongs.
    [[nodiscard]] bool was_placed() const noexcept { return !placed_.empty(); }

    /// Tells how many bytes wait for the rest of their frame.
    [[nodiscard]] std::size_t held_bytes() const noexcept {
        return kept_ + placed_bytes_ + fed_.size();
    }

    /// Forgets everything.
    void clear() noexcept {
        fed_ = {};
        kept_ = 0;
        forget_place();
    }

private:
    // Memory of up to so many bytes is kept for the next frame that comes in pieces.
    static constexpr std::size_t memory_kept_max = 128 * 1024;

    [[nodiscard]] std::expected<std::size_t, error> size_of(
        std::span<const std::byte> frame) const noexcept;
    void keep(std::size_t count);
    void reserve(std::size_t bytes);
    void ask(frame_placer& placer, std::size_t frame_bytes);
    void forget_place() noexcept {
        placed_ = {};
        placed_bytes_ = 0;
        was_asked_ = false;
    }

    std::span<const std::byte> fed_;       // Bytes that were fed, and not taken yet.
    std::unique_ptr<std::byte[]> memory_;  // The beginning of a frame, before those.
    std::size_t capacity_ = 0;             // Of the memory.
    std::size_t kept_ = 0;                 // How much of it is in use.
    std::span<std::byte> placed_;          // Where the rest of that frame goes, if not behind it.
    std::size_t placed_bytes_ = 0;         // How much of it came.
    bool was_asked_ = false;               // The placer was, of that frame.
    bool was_given_ = false;               // The frame in it was given: it is of no use any more.
    std::size_t frame_bytes_max_;
};

/// Writes fixed-width big-endian numbers and frame headers.
class frame_writer {
public:
    /// Begins a frame at the end of `out`. `end()` fills its length in.
    frame_writer(std::vector<std::byte>& out, frame_type type);

    void u8(std::uint8_t value) { out_->push_back(std::byte{value}); }
    void u16(std::uint16_t value) { number(value, 2); }
    void u32(std::uint32_t value) { number(value, 4); }
    void u64(std::uint64_t value) { number(value, 8); }
    void bytes(std::span<const std::byte> value) {
        out_->insert(out_->end(), value.begin(), value.end());
    }
    [[nodiscard]] std::vector<std::byte>& out() noexcept { return *out_; }

    /// Fills the length in, of a frame of which `more` bytes follow elsewhere.
    void end(std::size_t more = 0) noexcept;

private:
    void number(std::uint64_t value, std::size_t width);

    std::vector<std::byte>* out_;
    std::size_t begin_;
};

/// Fills fixed-width big-endian numbers into bytes that are there. *Requires*: there are enough.
class field_filler {
public:
    explicit field_filler(std::span<std::byte> into) noexcept : at_(into.data()) {}

    void u8(std::uint8_t value) noexcept { *at_++ = std::byte{value}; }
    void u16(std::uint16_t value) noexcept { number(value); }
    void u32(std::uint32_t value) noexcept { number(value); }
    void u64(std::uint64_t value) noexcept { number(value); }

private:
    template <typename T>
    void number(T value) noexcept {
        if constexpr (std::endian::native == std::endian::little) { value = std::byteswap(value); }
        std::memcpy(at_, &value, sizeof value);
        at_ += sizeof value;
    }

    std::byte* at_;
};

/// Reads fixed-width big-endian numbers. When one is not there, it gives 0 and `good()` is false.
class field_reader {
public:
    explicit field_reader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

    std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(number(1)); }
    std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(number(2)); }
    std::uint32_t u32() noexcept { return static_cast<std::uint32_t>(number(4)); }
    std::uint64_t u64() noexcept { return number(8); }

    /// Gives the bytes that were not read.
    [[nodiscard]] std::span<const std::byte> rest() const noexcept { return bytes_; }
    [[nodiscard]] bool good() const noexcept { return good_; }
    /// Tells whether all was there, and nothing is left.
    [[nodiscard]] bool complete() const noexcept { return good_ && bytes_.empty(); }

private:
    std::uint64_t number(std::size_t width) noexcept {
        if (bytes_.size() < width) {
            good_ = false;
            return 0;
        }
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < width; ++i) {
            value = value << 8 | std::to_integer<std::uint64_t>(bytes_[i]);
        }
        bytes_ = bytes_.subspan(width);
        return value;
    }

    std::span<const std::byte> bytes_;
    bool good_ = true;
};

}  // namespace heph::remote::protocol
