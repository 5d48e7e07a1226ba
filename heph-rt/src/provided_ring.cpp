#include "provided_ring.hpp"

#include <sys/mman.h>

#include <cerrno>

namespace heph::rt::detail {

void* map_anonymous(std::size_t bytes) noexcept {
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

provided_ring::~provided_ring() {
    if (buffers_ != nullptr) { ::munmap(buffers_, count_ * sizeof(io_uring_buf)); }
}

int provided_ring::hand_to(io_uring& ring, std::size_t count, std::uint16_t group) noexcept {
    void* const memory = map_anonymous(count * sizeof(io_uring_buf));
    if (memory == nullptr) { return ENOMEM; }
    auto* const buffers = static_cast<io_uring_buf_ring*>(memory);
    io_uring_buf_ring_init(buffers);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(buffers);
    registration.ring_entries = static_cast<unsigned>(count);
    registration.bgid = group;
    if (const int failed = io_uring_register_buf_ring(&ring, &registration, 0); failed < 0) {
        ::munmap(memory, count * sizeof(io_uring_buf));
        return -failed;
    }
    buffers_ = buffers;
    count_ = count;
    return 0;
}

void provided_ring::take_from(io_uring& ring, std::uint16_t group) noexcept {
    if (buffers_ != nullptr) { (void)io_uring_unregister_buf_ring(&ring, group); }
}

void provided_ring::provide(std::byte* memory, std::size_t bytes, std::uint16_t id) noexcept {
    io_uring_buf_ring_add(buffers_, memory, static_cast<unsigned>(bytes), id,
                          io_uring_buf_ring_mask(static_cast<unsigned>(count_)), 0);
    io_uring_buf_ring_advance(buffers_, 1);
}

}  // namespace heph::rt::detail
