#pragma once

#include <cstddef>

namespace heph::detail {

/// Gives memory for a coroutine frame, 16-byte aligned, from the calling thread's pool.
/// *Errors*: throws `std::bad_alloc`.
[[nodiscard]] void* allocate_frame(std::size_t size);

/// Gives a frame back, from any thread. A frame freed on another thread goes home through the
/// owning pool's remote-free list. *Requires*: `size` is what `allocate_frame` was called with.
void free_frame(void* frame, std::size_t size) noexcept;

}  // namespace heph::detail
