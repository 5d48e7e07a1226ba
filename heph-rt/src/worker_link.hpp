#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include <heph/rt/detail/biased_count.hpp>
#include <heph/rt/detail/process.hpp>

#include "fair_queue.hpp"
#include "shared_queue.hpp"
#include "worker_counters.hpp"

namespace heph::rt::detail {

class runtime_core;
class snapshot_request;

/// How other threads reach a worker: what they queue for it, and how they wake it.
///
/// Sleeping
///     The worker sets `sleeping_`, looks for work once more, then waits on its ring. A thread that
///     queues work does so first and then looks at `sleeping_`. All four accesses are sequentially
///     consistent, so that at least one of the two sees the other: either the worker finds the
///     work, or the thread finds it sleeping and wakes it: a worker by a message to its ring, where
///     rings can send them, any other thread by its event descriptor.
///
/// Headers
///     Wakers may outlive a worker, and its runtime; they reach the link through a process's
///     header. The link counts the headers of its worker's local processes, the worker being one
///     of the reasons, and stands for all of them at the runtime core.
///
/// *Thread safety*: safe, but for the functions that say "the worker's".
/// *Lifetime*: the runtime core's, which every process header keeps alive.
class worker_link {
public:
    /// *Errors*: throws `std::system_error` when no descriptor is to be had.
    explicit worker_link(runtime_core& runtime);
    ~worker_link();
    worker_link(const worker_link&) = delete;
    worker_link& operator=(const worker_link&) = delete;

    [[nodiscard]] runtime_core& runtime() const noexcept { return *runtime_; }
    [[nodiscard]] worker_counters& counters() noexcept { return counters_; }
    [[nodiscard]] std::size_t shared_count() const noexcept {
        return shared_count_.load(std::memory_order_relaxed);
    }

    /// Queues a woken process that only this worker may poll, and wakes the worker.
    void push_remote(process_header& process) noexcept;
    /// Queues a woken process that other workers may take, and wakes the worker. Gives whether it
    /// slept.
    bool push_shared(process_header& process) noexcept;
    /// Wakes the worker if it sleeps. Gives whether it did. Who does so `with_a_message` sent it
    /// something; who has done a part of its I/O did not.
    bool notify(bool with_a_message = true) noexcept;

    /// Takes all that `push_remote` queued, in order. The worker's.
    [[nodiscard]] process_header* take_remote() noexcept;
    /// Says which of them the worker runs, before others may wake it again. The worker's.
    void note_shared_run(const process_header& process) noexcept { shared_.note_run(process); }
    /// Takes the next one that `push_shared` queued, or null. `since` is what the worker ran of
    /// such processes since the last call; a thief has no part in that.
    [[nodiscard]] process_header* take_shared(const shared_run& since) noexcept;
    /// Notes the same, and gives the virtual time of those that are queued.
    std::uint64_t advance_shared(const shared_run& since) noexcept;
    /// Gives the virtual time of the thread-safe processes that are queued here, for who has no
    /// lock.
    [[nodiscard]] std::uint64_t shared_time() const noexcept {
        return shared_time_.load(std::memory_order_relaxed);
    }
    /// Says what the virtual time of the worker's own queue is; 0 while a scheduler of the
    /// program's is in its place. The worker's.
    void set_ready_time(std::uint64_t time) noexcept {
        ready_time_.store(time, std::memory_order_relaxed);
    }

    /// Takes one for a thief to run.
    [[nodiscard]] process_header* steal_for(worker_link& thief) noexcept;
    [[nodiscard]] bool has_shared() const noexcept {
        return shared_count_.load(std::memory_order_seq_cst) != 0;
    }
    [[nodiscard]] bool has_remote() const noexcept {
        return remote_.load(std::memory_order_seq_cst) != nullptr;
    }

    /// Says that the time has come that the worker waits for, by a clock of the program's, and
    /// wakes it.
    void ring_alarm() noexcept {
        alarm_rang_.store(true, std::memory_order_seq_cst);  // See Sleeping.
        notify();
    }
    [[nodiscard]] bool alarm_rang() const noexcept {
        return alarm_rang_.load(std::memory_order_seq_cst);
    }
    /// The worker's, before it looks at the clock.
    void silence_alarm() noexcept { alarm_rang_.store(false, std::memory_order_seq_cst); }

    /// Tells whether the worker said that it waits, and was not woken since.
    [[nodiscard]] bool sleeping() const noexcept {
        return sleeping_.load(std::memory_order_seq_cst);
    }
    /// Gives how often the worker has said that it waits: while it is the same number, and the
    /// worker is `sleeping`, it has done nothing in between.
    [[nodiscard]] std::uint32_t naps() const noexcept {
        return naps_.load(std::memory_order_seq_cst);
    }
    /// Hands the worker a question, and wakes it.
    void ask(std::shared_ptr<snapshot_request> request);
    [[nodiscard]] bool asked() const noexcept { return asked_.load(std::memory_order_seq_cst); }
    /// Gives what `ask` handed over. The worker's.
    [[nodiscard]] std::vector<std::shared_ptr<snapshot_request>> take_requests() noexcept;

    /// Says that the worker is about to wait. The worker's.
    void set_sleeping() noexcept {
        naps_.store(naps_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
        sleeping_.store(true, std::memory_order_seq_cst);
        std::atomic_thread_fence(std::memory_order_seq_cst);  // Before the flags are read.
    }
    /// Says that it does not wait any more. The worker's.
    void set_awake() noexcept { sleeping_.store(false, std::memory_order_seq_cst); }

    [[nodiscard]] int event_descriptor() const noexcept { return event_; }
    /// Gives when the worker was last woken by a message from its sleep, on the steady clock.
    [[nodiscard]] std::chrono::steady_clock::time_point woken_at() const noexcept {
        return std::chrono::steady_clock::time_point(
            std::chrono::steady_clock::duration(woken_at_.load(std::memory_order_relaxed)));
    }
    /// Says how other workers' drivers may wake this one's, -1 for not at all. The worker's.
    void set_ring_descriptor(int descriptor) noexcept {
        ring_.store(descriptor, std::memory_order_relaxed);
    }

    /// Counts the header of a local process. The worker's.
    void add_header() noexcept { headers_.owner_add(); }
    /// Forgets the header of a process that is freed, on any thread.
    void drop_header(bool shared) noexcept;
    /// Begins and ends the worker's own claim to the link.
    void open() noexcept;
    void close() noexcept;

private:
    void rouse() noexcept;

    // Written rarely, read by those who rouse.
    runtime_core* runtime_;
    int event_;
    std::atomic<int> ring_{-1};
    std::atomic<std::chrono::steady_clock::rep> woken_at_{0};
    // On cache lines of their own: what wakes write and the worker looks at; what every worker
    // looks at that has nothing to do; and what only the worker writes, all the time.
    alignas(64) std::atomic<process_header*> remote_{nullptr};  // Newest first.
    std::atomic<bool> sleeping_{false};
    std::atomic<bool> alarm_rang_{false};
    std::atomic<bool> asked_{false};
    std::atomic<std::uint32_t> naps_{0};
    alignas(64) std::atomic<std::size_t> shared_count_{0};
    alignas(64) worker_counters counters_;
    biased_count headers_;
    std::atomic<std::uint64_t> ready_time_{fair_queue::first_time};
    alignas(64) std::mutex mutex_;  // Guards what follows.
    shared_queue shared_;
    std::atomic<std::uint64_t> shared_time_{fair_queue::first_time};  // A copy for all to read.
    std::vector<std::shared_ptr<snapshot_request>> requests_;
};

/// The link of the worker that this thread is, or null.
extern constinit thread_local worker_link* this_thread_link;

}  // namespace heph::rt::detail
