// Frames come from heph-inbox's pool of blocks, as channels do: no header, any thread frees them.

#include <cstddef>
#include <new>

#include <heph/core/detail/frame_pool.hpp>
#include <heph/inbox/detail/block_pool.hpp>

namespace heph::detail {

namespace {

using inbox::detail::block_pool;

// Wraps around where another thread frees this one's frames.
constinit thread_local std::size_t bytes_in_use = 0;

}  // namespace

void* allocate_frame(std::size_t size) {
    void* frame = size <= block_pool::bytes_max ? block_pool::allocate(size) : ::operator new(size);
    bytes_in_use += block_pool::rounded(size);
    return frame;
}

void free_frame(void* frame, std::size_t size) noexcept {
    bytes_in_use -= block_pool::rounded(size);
    if (size <= block_pool::bytes_max) {
        block_pool::deallocate(frame, size);
    } else {
        ::operator delete(frame);
    }
}

std::size_t frame_bytes_in_use() noexcept { return bytes_in_use; }

}  // namespace heph::detail
