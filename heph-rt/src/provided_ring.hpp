#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>

namespace heph::rt::detail {

/// Maps memory that is touched only where it is used. Gives null when there is none.
[[nodiscard]] void* map_anonymous(std::size_t bytes) noexcept;

/// The buffers from which the kernel takes those that it receives into: a ring that is shared with
/// it, of a pool that has one. It does not own the buffers.
///
/// *Thread safety*: unsafe.
class provided_ring {
public:
    provided_ring() noexcept = default;
    provided_ring(const provided_ring&) = delete;
    provided_ring& operator=(const provided_ring&) = delete;
    ~provided_ring();

    /// Makes the ring, for `count` buffers, a power of two. Gives 0, or an errno: there is none
    /// then.
    [[nodiscard]] int hand_to(io_uring& ring, std::size_t count, std::uint16_t group) noexcept;
    /// Takes it from the kernel, which uses no buffer any more.
    void take_from(io_uring& ring, std::uint16_t group) noexcept;

    /// Tells whether the kernel has it, or had it.
    [[nodiscard]] bool is_there() const noexcept { return buffers_ != nullptr; }
    /// Gives the kernel a buffer. *Requires*: the ring is there.
    void provide(std::byte* memory, std::size_t bytes, std::uint16_t id) noexcept;

private:
    io_uring_buf_ring* buffers_ = nullptr;
    std::size_t count_ = 0;
};

}  // namespace heph::rt::detail
