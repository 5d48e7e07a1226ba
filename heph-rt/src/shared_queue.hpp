#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <heph/rt/scheduler.hpp>

#include "fair_queue.hpp"

namespace heph::rt::detail {

/// For how long a worker ran thread-safe processes since it last told, and what the last one of
/// them weighs.
struct shared_run {
    std::chrono::nanoseconds ran{};
    std::uint64_t weight = 0;
};

/// The thread-safe processes that are ready at a worker: a fair queue, whose time advances by what
/// the worker ran of them.
///
/// Who ran shares that time with those who are queued. It may be one of them again by the time that
/// the worker tells how long that took, as any thread may have woken it as soon as it was let go;
/// it counts once all the same: the queue knows who ran last, until it is pushed.
///
/// *Thread safety*: unsafe, but for `note_run`, which the worker may call while another thread uses
/// the queue.
class shared_queue {
public:
    /// Says which process the worker runs, before others may wake it. It is not touched later.
    void note_run(const schedulable& process) noexcept {
        // Relaxed: who pushes it was told of it by the process's own state, or by being the worker.
        ran_last_.store(&process, std::memory_order_relaxed);
    }
    void push(schedulable& process) noexcept {
        const schedulable* its = &process;
        if (ran_last_.load(std::memory_order_relaxed) == its) {
            // Exchanged: the worker may run another one by now.
            ran_last_.compare_exchange_strong(its, nullptr, std::memory_order_relaxed);
        }
        queue_.push(process);
    }
    /// Notes what ran, and gives the next one, or null.
    [[nodiscard]] schedulable* pop(const shared_run& since) noexcept {
        advance(since);
        return queue_.pop();
    }
    void advance(const shared_run& since) noexcept {
        const bool is_queued = ran_last_.load(std::memory_order_relaxed) == nullptr;
        queue_.advance(since.ran, is_queued ? 0 : since.weight);
    }
    [[nodiscard]] std::uint64_t time() const noexcept { return queue_.time(); }

private:
    fair_queue queue_;
    std::atomic<const schedulable*> ran_last_{nullptr};
};

}  // namespace heph::rt::detail
