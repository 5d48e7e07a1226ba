#pragma once

// The bytes of a message, a call or an answer, in the memory in which they will be sent.

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace heph::remote::protocol {

/// Bytes that several frames may be parts of, and that nobody changes.
using shared_bytes = std::shared_ptr<const std::vector<std::byte>>;

/// Holds a payload behind room for all that its frame says before it. So whoever encodes a message
/// takes memory once, and the link neither copies it nor takes memory again.
class framed_payload {
public:
    /// Length, frame type, sequence, kind, actor, number, type.
    static constexpr std::size_t room_bytes = 4 + 1 + 8 + 1 + 8 + 8 + 2;

    framed_payload() {
        bytes_.reserve(room_bytes + usual_bytes);
        bytes_.resize(room_bytes);
    }
    explicit framed_payload(std::span<const std::byte> payload) {
        bytes_.reserve(room_bytes + payload.size());
        bytes_.resize(room_bytes);
        bytes_.insert(bytes_.end(), payload.begin(), payload.end());
    }

    /// Takes over a payload that came, without room: it is to be read, and not to be sent.
    [[nodiscard]] static framed_payload received(std::vector<std::byte> payload) noexcept {
        return framed_payload(std::move(payload), 0);
    }

    /// Gives the bytes, room and all, for the payload to be appended.
    [[nodiscard]] std::vector<std::byte>& out() noexcept { return bytes_; }
    [[nodiscard]] std::span<const std::byte> payload() const noexcept {
        return std::span(bytes_).subspan(begin_);
    }
    /// Gives them away, for the frame to be written to the room.
    [[nodiscard]] std::vector<std::byte> take() && noexcept { return std::move(bytes_); }
    /// Gives them away, room and all, for frames to be parts of them.
    [[nodiscard]] shared_bytes share() && {
        return std::make_shared<const std::vector<std::byte>>(std::move(bytes_));
    }

private:
    static constexpr std::size_t usual_bytes = 64;

    framed_payload(std::vector<std::byte> bytes, std::size_t begin) noexcept
        : bytes_(std::move(bytes)), begin_(begin) {}

    std::vector<std::byte> bytes_;
    std::size_t begin_ = room_bytes;  // Of the payload.
};

}  // namespace heph::remote::protocol
