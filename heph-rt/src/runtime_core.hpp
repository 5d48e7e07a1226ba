#pragma once

#include <atomic>
#include <barrier>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include <heph/rt/detail/process.hpp>
#include <heph/rt/metrics.hpp>
#include <heph/rt/snapshot.hpp>
#include <heph/rt/time_source.hpp>

#include "sync_threads.hpp"
#include "worker_link.hpp"

namespace heph::rt::detail {

class blocking_pool;

// Longer, nobody waits for a snapshot; what is added to the clock must not overflow.
inline constexpr std::chrono::milliseconds snapshot_patience_max = std::chrono::hours(1);

/// What the workers of a runtime share. Every process and every handle keeps it alive: handles own
/// it, headers of processes are counted, and while there are any the core owns itself.
///
/// Life
///     running --request_stop--> stopping --grace passed or second signal--> dropping
///     any --no process left--> finished
///
/// `busy_` counts the reasons to go on: each worker that has local processes or is not set up yet,
/// each thread-safe process, and each sync actor. The runtime is finished once it is 0, and never
/// starts again.
///
/// *Thread safety*: safe.
class runtime_core {
public:
    [[nodiscard]] static std::shared_ptr<runtime_core> make(std::size_t workers,
                                                            std::shared_ptr<blocking_pool> blocking,
                                                            std::shared_ptr<time_source> time,
                                                            idle_time when_idle);

    /// Counts a header of a thread-safe process, or all of those of a worker, or who made the core.
    void add_header() noexcept { headers_.fetch_add(1, std::memory_order_relaxed); }
    /// Forgets one. The core may be gone afterwards.
    void drop_header() noexcept;

    [[nodiscard]] worker_link& link(std::size_t index) noexcept { return *links_[index]; }
    [[nodiscard]] std::size_t worker_count() const noexcept { return links_.size(); }
    [[nodiscard]] const std::shared_ptr<blocking_pool>& blocking() const noexcept {
        return blocking_;
    }
    [[nodiscard]] sync_threads& sync() noexcept { return sync_; }
    [[nodiscard]] runtime_metrics metrics() const;
    /// Says that a worker uses epoll.
    void note_epoll() noexcept { has_epoll_.store(true, std::memory_order_relaxed); }
    [[nodiscard]] bool has_epoll() const noexcept {
        return has_epoll_.load(std::memory_order_relaxed);
    }

    /// Takes a thread-safe process in, or drops it when the runtime is finished.
    void add_shared(process_header& process) noexcept;
    /// Takes a thread-safe process that is finished out of the registry, before its future goes.
    void unlist_shared(process_header& process) noexcept;
    /// Forgets it then, and drops the registry's reference.
    void remove_shared(process_header& process) noexcept;
    /// Takes the thread-safe processes that are at home with `link` out of the registry.
    [[nodiscard]] process_header* take_shared_of(const worker_link& link) noexcept;

    /// Drops the thread-safe processes that no worker has polled and none will: those of a runtime
    /// that never started, or of workers whose thread could not be started.
    /// *Requires*: no worker runs.
    void drop_unpolled() noexcept;

    void add_reason() noexcept { busy_.fetch_add(1, std::memory_order_acq_rel); }
    /// Adds one, unless the runtime is finished or about to drop what is left.
    [[nodiscard]] bool add_reason_unless_finished() noexcept;
    void drop_reason() noexcept;
    [[nodiscard]] bool finished() const noexcept {
        return finished_.load(std::memory_order_acquire);
    }

    /// Gives the clock that takes the place of the system's, or null.
    [[nodiscard]] time_source* time() const noexcept { return time_.get(); }
    [[nodiscard]] clock::time_point now() const noexcept {
        return time_ == nullptr ? std::chrono::steady_clock::now() : time_->now();
    }
    [[nodiscard]] bool time_advances() const noexcept { return time_advances_; }
    /// Moves the clock to the next timer, if every worker sleeps, none has been woken and none has
    /// work in its queues. Gives whether it did. Called by a worker that has said that it sleeps:
    /// the last one to do so sees all of them.
    bool advance_time_if_idle() noexcept;

    /// Asks the workers what they run, and waits for their answers, at most for `patience`.
    [[nodiscard]] runtime_snapshot snapshot(std::chrono::milliseconds patience);

    void request_stop() noexcept;
    [[nodiscard]] bool stop_requested() const noexcept {
        return stop_requested_.load(std::memory_order_acquire);
    }
    /// Makes the workers drop every process that is left.
    void drop_now() noexcept;
    [[nodiscard]] bool dropping() const noexcept {
        return dropping_.load(std::memory_order_acquire);
    }
    /// Waits until no worker runs processes any more.
    void arrive_and_wait_to_drop() { drop_barrier_.arrive_and_wait(); }
    /// Does a worker's part at the end that could not be started.
    void forgo_worker() {
        (void)drop_barrier_.arrive();
        drop_reason();
    }

    /// Wakes whoever is waiting on the coordinator's event descriptor: the state has changed.
    void notify_coordinator() noexcept;
    [[nodiscard]] int coordinator_descriptor() const noexcept { return coordinator_; }

    /// Takes a ready thread-safe process from another worker than `thief`, or gives null.
    [[nodiscard]] process_header* steal(worker_link& thief) noexcept;
    /// Wakes one sleeping worker other than `busy`, to steal from it.
    void wake_a_thief(const worker_link& busy) noexcept;
    [[nodiscard]] bool any_shared_work() const noexcept;

    ~runtime_core();
    runtime_core(const runtime_core&) = delete;
    runtime_core& operator=(const runtime_core&) = delete;

private:
    runtime_core(std::size_t workers, std::shared_ptr<blocking_pool> blocking,
                 std::shared_ptr<time_source> time, idle_time when_idle);

    void notify_all() noexcept;
    void add_shared_to(runtime_snapshot& into);

    std::atomic<std::size_t> headers_{1};  // The first one is that of who made the core.
    std::shared_ptr<runtime_core> self_;
    std::vector<std::unique_ptr<worker_link>> links_;
    std::shared_ptr<blocking_pool> blocking_;
    std::shared_ptr<time_source> time_;
    bool time_advances_;
    std::mutex advancing_;  // So that two workers do not move the clock twice.
    std::atomic<bool> has_epoll_{false};
    std::atomic<std::size_t> busy_;
    std::atomic<std::size_t> next_home_{0};
    std::atomic<bool> stop_requested_{false};
    std::atomic<bool> dropping_{false};
    std::atomic<bool> finished_{false};
    std::barrier<> drop_barrier_;
    sync_threads sync_;
    int coordinator_;  // After what may throw when it is made.

    std::mutex registry_;  // Guards what follows, and the step to `finished_`.
    process_header* shared_live_ = nullptr;
};

}  // namespace heph::rt::detail
