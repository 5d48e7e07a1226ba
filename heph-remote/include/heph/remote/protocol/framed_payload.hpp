#pragma once

// The bytes of a message or call, in the memory in which their frame will be sent.

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace heph::remote::protocol {

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

    /// Gives the bytes, room and all, for the payload to be appended.
    [[nodiscard]] std::vector<std::byte>& out() noexcept { return bytes_; }
    [[nodiscard]] std::span<const std::byte> payload() const noexcept {
        return std::span(bytes_).subspan(room_bytes);
    }
    /// Gives them away, for the frame to be written to the room.
    [[nodiscard]] std::vector<std::byte> take() && noexcept { return std::move(bytes_); }

private:
    static constexpr std::size_t usual_bytes = 64;

    std::vector<std::byte> bytes_;
};

}  // namespace heph::remote::protocol
