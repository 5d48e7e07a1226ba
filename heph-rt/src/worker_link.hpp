#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>

#include <heph/rt/detail/process.hpp>

namespace heph::rt::detail {

/// How other threads reach a worker: what they queue for it, and how they wake it.
///
/// Sleeping
///     The worker sets `sleeping_`, looks for work once more, then waits on its ring. A thread that
///     queues work does so first and then looks at `sleeping_`. All four accesses are sequentially
///     consistent, so that at least one of the two sees the other: either the worker finds the
///     work, or the thread finds it sleeping and writes to the event descriptor.
///
/// *Thread safety*: safe, but for the functions that say "the worker's".
/// *Lifetime*: the runtime core's, which every process header keeps alive.
class worker_link {
public:
    /// *Errors*: throws `std::system_error` when no descriptor is to be had.
    worker_link();
    ~worker_link();
    worker_link(const worker_link&) = delete;
    worker_link& operator=(const worker_link&) = delete;

    /// Queues a woken process that only this worker may poll, and wakes the worker.
    void push_remote(process_header& process) noexcept;
    /// Queues a woken process that other workers may take, and wakes the worker. Gives whether it
    /// slept.
    bool push_shared(process_header& process) noexcept;
    /// Wakes the worker if it sleeps. Gives whether it did.
    bool notify() noexcept;

    /// Takes all that `push_remote` queued, in order. The worker's.
    [[nodiscard]] process_header* take_remote() noexcept;
    /// Takes the oldest that `push_shared` queued, or null.
    [[nodiscard]] process_header* take_shared() noexcept;
    [[nodiscard]] bool has_shared() const noexcept {
        return shared_count_.load(std::memory_order_seq_cst) != 0;
    }
    [[nodiscard]] bool has_remote() const noexcept {
        return remote_.load(std::memory_order_seq_cst) != nullptr;
    }

    /// Says that the worker is about to wait. The worker's.
    void set_sleeping() noexcept {
        sleeping_.store(true, std::memory_order_seq_cst);
        std::atomic_thread_fence(std::memory_order_seq_cst);  // Before the flags are read.
    }
    /// Says that it does not wait any more. The worker's.
    void set_awake() noexcept { sleeping_.store(false, std::memory_order_seq_cst); }

    [[nodiscard]] int event_descriptor() const noexcept { return event_; }

private:
    std::atomic<process_header*> remote_{nullptr};  // Newest first.
    std::atomic<bool> sleeping_{false};
    std::atomic<std::size_t> shared_count_{0};
    int event_;
    std::mutex shared_;  // Guards what follows.
    process_header* shared_head_ = nullptr;
    process_header* shared_tail_ = nullptr;
};

}  // namespace heph::rt::detail
