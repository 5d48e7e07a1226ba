#pragma once

#include <liburing.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "provided_ring.hpp"
#include "slot.hpp"

namespace heph::rt::detail {

/// The provided buffers of one worker: the driver takes them as data arrives, chunks hold them, and
/// they come back when a chunk is destroyed, on whatever thread. With io_uring it is the kernel
/// that takes them, from a ring that it shares with the pool.
///
/// *Thread safety*: used by the worker's thread, except `give_back`.
class buffer_pool {
public:
    static constexpr int group = 0;

    /// Makes `count` (a power of two) buffers of `bytes` each. Null without memory.
    [[nodiscard]] static std::unique_ptr<buffer_pool> make(std::size_t count, std::size_t bytes);
    /// Hands all buffers to a ring, for good. Gives a positive errno, or 0.
    [[nodiscard]] int hand_to(io_uring& ring);
    ~buffer_pool();
    buffer_pool(const buffer_pool&) = delete;
    buffer_pool& operator=(const buffer_pool&) = delete;

    /// Takes a buffer that is free. *Requires*: they were not handed to a ring.
    [[nodiscard]] std::optional<std::uint16_t> take_free() noexcept {
        if (free_.empty()) { return std::nullopt; }
        const std::uint16_t id = free_.back();
        free_.pop_back();
        return id;
    }
    [[nodiscard]] std::size_t buffer_bytes() const noexcept { return bytes_; }

    [[nodiscard]] std::byte* data(std::uint16_t id) noexcept { return memory_ + id * bytes_; }

    /// Notes that a buffer was filled and puts it at a queue's end.
    void enqueue(chunk_queue& queue, std::uint16_t id, std::size_t size) noexcept;
    /// Takes the queue's first buffer. Gives its id and size. *Requires*: the queue has one.
    std::pair<std::uint16_t, std::size_t> dequeue(chunk_queue& queue) noexcept;
    /// Gives all of a queue's buffers back.
    void discard(chunk_queue& queue) noexcept;
    /// Gives a buffer straight back that was taken and that nobody wants.
    void recycle(std::uint16_t id) noexcept;

    /// Gives back a buffer that a chunk held.
    void give_back(std::uint16_t id) noexcept;
    /// Makes the buffers that came back on other threads free.
    void collect_returned() noexcept {
        if (any_returned_.load(std::memory_order_relaxed)) { take_returned(); }
    }

    /// Ends the worker's part. Deletes the pool now, or when the last chunk is gone.
    static void close(std::unique_ptr<buffer_pool> pool) noexcept;

private:
    buffer_pool(std::size_t count, std::size_t bytes) noexcept : count_(count), bytes_(bytes) {}

    void make_free(std::uint16_t id) noexcept;
    void take_returned() noexcept;

    std::size_t count_;
    std::size_t bytes_;
    provided_ring ring_;               // The kernel takes them, if it is there.
    std::vector<std::uint16_t> free_;  // Without a ring.
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
