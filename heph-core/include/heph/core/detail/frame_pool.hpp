#pragma once

// Where coroutine frames, and other short-lived objects of varying type, get their memory.

#include <cstddef>

namespace heph::detail {

/// Gives memory for a coroutine frame, 16-byte aligned, from the calling thread's pool.
/// *Errors*: throws `std::bad_alloc`. *Requires*: `size` is not 0.
[[nodiscard]] void* allocate_frame(std::size_t size);

/// Gives a frame back, on any thread, which keeps it for its own next ones, and what is too much
/// for those of all threads. *Requires*: `size` is what `allocate_frame` was called with.
/// *Lifetime*: a frame may outlive the thread that made it.
void free_frame(void* frame, std::size_t size) noexcept;

/// Counts the bytes of the frames that the calling thread has made and that are not freed, with
/// what the pool adds to them: for differences, while no other thread frees this one's frames.
[[nodiscard]] std::size_t frame_bytes_in_use() noexcept;

}  // namespace heph::detail
