#pragma once

// What sockets that keep messages apart have in common.

#include <cstddef>
#include <utility>
#include <vector>

#include <heph/rt/buffer.hpp>

namespace heph::rt::net {

/// Holds a message that arrived: `Bytes` is a buffer, or a list of buffers that were filled one
/// after the other. A message that had no room in them is cut off, which is told.
template <typename Bytes = buffer>
class message {
public:
    message(Bytes bytes, std::size_t size, bool truncated) noexcept
        : bytes_(std::move(bytes)), size_(size), truncated_(truncated) {}

    /// Gives the buffer, or the list, that was received into. What it had before stays in front.
    [[nodiscard]] Bytes& bytes() noexcept { return bytes_; }
    [[nodiscard]] const Bytes& bytes() const noexcept { return bytes_; }
    /// Gives the bytes of the message as it was sent, also when a part was cut off.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// Tells whether a part was cut off, and lost, for want of room.
    [[nodiscard]] bool is_truncated() const noexcept { return truncated_; }

private:
    Bytes bytes_;
    std::size_t size_;
    bool truncated_;
};

/// Holds a message and who sent it.
template <typename Address, typename Bytes = buffer>
class datagram : public message<Bytes> {
public:
    datagram(message<Bytes> received, Address from) noexcept
        : message<Bytes>(std::move(received)), from_(std::move(from)) {}

    [[nodiscard]] const Address& from() const noexcept { return from_; }

private:
    Address from_;
};

}  // namespace heph::rt::net
