#pragma once

#include <liburing.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/inbox/waker.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/buffer_pool.hpp>

#include "provided_ring.hpp"

namespace heph::rt::detail {

class driver;

/// What came and was not taken, linked through the pool.
struct arrivals {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    std::size_t count = 0;
};

/// The buffers of a pool that the program made.
///
///     free --taken by a driver, or by the kernel from the ring--> in use (queued, then leased)
///     in use --the last of its lease is gone--> free again: at once on the worker's thread; else
///               in the list of the returned, until who wants one collects them
///
/// It is owned by the pool's handles, by each lease, by each receive, and by the driver that it was
/// given to; which lets go of it when nobody else is left.
///
/// Who waits for a buffer leaves a waker in the same critical section in which it finds none; who
/// gives one back takes the wakers in that in which it adds it. So no wake is lost.
///
/// *Thread safety*: used by the thread of the worker it belongs to, except `give_back` and
/// `in_use`.
class pool_state : public std::enable_shared_from_this<pool_state> {
public:
    /// *Errors*: throws `std::bad_alloc`.
    explicit pool_state(const buffer_pool_options& options);
    ~pool_state();
    pool_state(const pool_state&) = delete;
    pool_state& operator=(const pool_state&) = delete;

    [[nodiscard]] bool has_memory() const noexcept { return memory_ != nullptr; }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] when_exhausted exhausted() const noexcept { return exhausted_; }
    [[nodiscard]] std::size_t in_use() const noexcept {
        return in_use_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::byte* data(std::uint16_t id) noexcept { return memory_ + id * bytes_; }

    // Belonging to a driver.

    /// Makes it belong to a worker's driver, if it does to none yet.
    /// *Errors*: `errc::wrong_worker`; those of registering it with the ring.
    [[nodiscard]] std::error_code join(driver& of);
    /// Hands all buffers to a ring, as a group. Gives a positive errno, or 0.
    [[nodiscard]] int hand_to(io_uring& ring, std::uint16_t group) noexcept;
    /// Takes them back from the ring, if they are there.
    void take_from(io_uring& ring) noexcept;
    /// Notes that the driver is about to end.
    void leave() noexcept;
    [[nodiscard]] std::uint16_t group() const noexcept { return group_; }

    // Receiving.

    /// Takes a buffer that is free. *Requires*: they were not handed to a ring.
    [[nodiscard]] std::optional<std::uint16_t> take_free() noexcept;
    /// Notes that the kernel took a buffer from the ring.
    void note_taken() noexcept { in_use_.fetch_add(1, std::memory_order_relaxed); }
    /// Puts a filled buffer, which is in use, at a queue's end.
    void enqueue(arrivals& queue, std::uint16_t id, std::size_t bytes) noexcept;
    /// Takes a queue's first. Gives the buffer and the bytes in it. *Requires*: there is one.
    [[nodiscard]] std::pair<std::uint16_t, std::size_t> dequeue(arrivals& queue) noexcept;
    /// Gives a part of a buffer that is in use to the program. *Errors*: throws `std::bad_alloc`;
    /// it is free again then.
    [[nodiscard]] buffer lease(std::uint16_t id, std::size_t from, std::size_t bytes);

    /// Tells whether any is free, those included that came back on other threads.
    [[nodiscard]] bool has_free() noexcept;
    /// The same; if none is, wakes when one is.
    [[nodiscard]] bool await_free(const waker& waker);
    /// Makes a buffer free that is in use, on whatever thread.
    void give_back(std::uint16_t id) noexcept;

private:
    void make_free(std::uint16_t id) noexcept;
    // With the mutex locked.
    [[nodiscard]] bool collect_returned() noexcept;

    struct queued {
        std::uint16_t next;
        std::uint32_t bytes;
    };

    std::size_t count_;
    std::size_t bytes_;
    when_exhausted exhausted_;
    std::byte* memory_ = nullptr;
    std::vector<queued> queued_;       // By buffer.
    std::vector<std::uint16_t> free_;  // Without a ring.
    provided_ring ring_;
    std::uint16_t group_ = 0;

    std::atomic<std::size_t> in_use_{0};
    std::atomic<const driver*> owner_{nullptr};  // Whose thread may make buffers free by itself.
    bool joined_ = false;                        // Some driver, once.
    std::atomic<bool> awaited_{false};           // A hint that `waiting_` is not empty.
    std::mutex elsewhere_;                       // Guards what follows.
    std::vector<std::uint16_t> returned_;        // With room for all.
    std::vector<waker> waiting_;
};

}  // namespace heph::rt::detail
