// Processes come from where coroutine frames come from, as do their inboxes.

#include <cstddef>

#include <heph/core/detail/frame_pool.hpp>
#include <heph/rt/detail/process.hpp>

namespace heph::rt::detail {

void* allocate_process(std::size_t size) { return heph::detail::allocate_frame(size); }

void free_process_memory(void* block, std::size_t size) noexcept {
    heph::detail::free_frame(block, size);
}

}  // namespace heph::rt::detail
