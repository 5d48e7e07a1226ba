#pragma once

#include <liburing.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "slot.hpp"

namespace heph::rt::detail {

/// The provided buffers of one worker: the kernel takes them as data arrives, chunks hold them, and
/// they come back when a chunk is destroyed, on whatever thread.
///
/// *Thread safety*: used by the worker's thread, except `give_back`.
class buffer_pool {
public:
    static constexpr int group = 0;

    /// Registers `count` (a power of two) buffers of `bytes` each. *Errors*: a positive errno.
    [[nodiscard]] static std::expected<std::unique_ptr<buffer_pool>, int> make(io_uring& ring,
                                                                               std::size_t count,
                                                                               std::size_t bytes);
    ~buffer_pool();
    buffer_pool(const buffer_pool&) = delete;
    buffer_pool& operator=(const buffer_pool&) = delete;

    [[nodiscard]] std::byte* data(std::uint16_t id) noexcept { return memory_ + id * bytes_; }

    /// Notes that the kernel filled a buffer and puts it at a queue's end.
    void enqueue(chunk_queue& queue, std::uint16_t id, std::size_t size) noexcept;
    /// Takes the queue's first buffer. Gives its id and size. *Requires*: the queue has one.
    std::pair<std::uint16_t, std::size_t> dequeue(chunk_queue& queue) noexcept;
    /// Gives all of a queue's buffers back to the kernel.
    void discard(chunk_queue& queue) noexcept;
    /// Gives a buffer straight back that the kernel filled and nobody wants.
    void recycle(std::uint16_t id) noexcept;

    /// Gives back a buffer that a chunk held.
    void give_back(std::uint16_t id) noexcept;
    /// Hands the buffers that came back on other threads to the kernel.
    void collect_returned() noexcept {
        if (any_returned_.load(std::memory_order_relaxed)) { take_returned(); }
    }

    /// Ends the worker's part. Deletes the pool now, or when the last chunk is gone.
    static void close(std::unique_ptr<buffer_pool> pool) noexcept;

private:
    buffer_pool(std::size_t count, std::size_t bytes) noexcept : count_(count), bytes_(bytes) {}

    void hand_to_kernel(std::uint16_t id) noexcept;
    void take_returned() noexcept;

    std::size_t count_;
    std::size_t bytes_;
    io_uring_buf_ring* ring_ = nullptr;
    std::byte* memory_ = nullptr;
    std::size_t held_ = 0;               // By queues and chunks, as far as the worker knows.
    std::vector<std::uint16_t> next_;    // Of a queued buffer.
    std::vector<std::uint32_t> filled_;  // Bytes in a queued buffer.

    std::atomic<bool> any_returned_{false};  // A hint; the mutex orders what it is about.
    std::mutex elsewhere_;                   // Guards what follows.
    std::vector<std::uint16_t> returned_;    // With room for all: giving back needs no memory.
    bool closed_ = false;
};

}  // namespace heph::rt::detail
