#include "blocking_jobs.hpp"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "blocking_pool.hpp"
#include "busy_descriptors.hpp"
#include "runtime_core.hpp"
#include "thread_cpus.hpp"
#include "worker_link.hpp"

namespace heph::rt::detail {

struct blocking_jobs::state {
    explicit state(worker_link& of) noexcept : cpus(of.runtime().blocking()->cpus()), link(&of) {}

    // What threads do. They are called, and return, with the mutex locked.

    using lock_type = std::unique_lock<std::mutex>;
    void work(lock_type& lock) noexcept;
    void stand_by(lock_type& lock) noexcept;

    // Starts a thread. *Requires*: the mutex is locked.
    [[nodiscard]] static bool start(const std::shared_ptr<state>& shared, bool stands_by) noexcept;

    const thread_cpus cpus;                 // Of the threads: a worker may have but one.
    std::atomic<bool> any_finished{false};  // Sequentially consistent; see `worker_link`, Sleeping.
    std::mutex mutex;                       // Guards what follows.
    std::condition_variable work_or_end;
    std::condition_variable overdue;  // For the one that stands by.
    std::condition_variable done;
    std::condition_variable thread_ended;
    slot* first = nullptr;  // Queued, linked by `next_job`.
    slot* last = nullptr;
    slot* finished = nullptr;
    std::size_t queued = 0;
    std::uint64_t taken = 0;  // So many left the queue.
    std::size_t idle = 0;
    std::size_t busy = 0;
    std::size_t threads = 0;  // Without the one that stands by.
    bool standing_by = false;
    worker_link* link;  // Null once the worker is done with it.
};

blocking_jobs::blocking_jobs(worker_link& link) : state_(std::make_shared<state>(link)) {}

blocking_jobs::~blocking_jobs() {
    std::unique_lock lock(state_->mutex);
    state_->link = nullptr;
    state_->work_or_end.notify_all();
    state_->overdue.notify_all();
    if (state_->busy != 0) { return; }
    state_->thread_ended.wait(lock,
                              [this] { return state_->threads == 0 && !state_->standing_by; });
}

bool blocking_jobs::submit(slot& operation) noexcept {
    operation.next_job = nullptr;
    operation.unwanted.store(false, std::memory_order_relaxed);
    hold_descriptor(operation);
    const std::lock_guard lock(state_->mutex);
    if (state_->idle <= state_->queued) {
        if (state_->threads < threads_max) {
            if (!state::start(state_, false) && state_->threads == 0) {
                let_go_of_descriptor(operation);
                return false;
            }
        } else if (!state_->standing_by && state_->threads < stuck_threads_max) {
            (void)state::start(state_, true);
        }
    }
    (state_->first != nullptr ? state_->last->next_job : state_->first) = &operation;
    state_->last = &operation;
    ++state_->queued;
    state_->work_or_end.notify_one();
    if (state_->standing_by) { state_->overdue.notify_one(); }
    return true;
}

bool blocking_jobs::state::start(const std::shared_ptr<state>& shared, bool stands_by) noexcept {
    try {
        std::thread([shared, stands_by] {
            // Signals are for the threads that ask for them; and what nobody reads any more is an
            // error.
            sigset_t all;
            sigfillset(&all);
            (void)pthread_sigmask(SIG_BLOCK, &all, nullptr);
            (void)pthread_setname_np(pthread_self(), "heph-blocking");
            shared->cpus.apply();
            lock_type lock(shared->mutex);
            if (stands_by) {
                shared->stand_by(lock);
                shared->standing_by = false;
                ++shared->threads;
                // Should this one be stuck, too.
                if (shared->link != nullptr && shared->threads < stuck_threads_max) {
                    (void)start(shared, true);
                }
            }
            if (shared->link != nullptr) { shared->work(lock); }
            --shared->threads;
            shared->thread_ended.notify_all();
        }).detach();
    } catch (const std::system_error&) { return false; } catch (const std::bad_alloc&) {
        return false;
    }
    if (stands_by) {
        shared->standing_by = true;
    } else {
        ++shared->threads;
    }
    return true;
}

// Returns when all threads are stuck, or at the end.
void blocking_jobs::state::stand_by(lock_type& lock) noexcept {
    while (link != nullptr) {
        overdue.wait(lock, [this] { return first != nullptr || link == nullptr; });
        const std::uint64_t before = taken;
        const bool moves =
            overdue.wait_for(lock, patience, [&] { return taken != before || link == nullptr; });
        if (!moves && first != nullptr) { return; }
    }
}

void blocking_jobs::state::work(lock_type& lock) noexcept {
    while (link != nullptr) {
        // One that was stuck came back, and another stands in for it.
        if (threads > threads_max && idle != 0 && first == nullptr) { return; }
        ++idle;
        work_or_end.wait(lock, [this] { return first != nullptr || link == nullptr; });
        --idle;
        if (link == nullptr) { return; }
        slot* const next = first;
        first = next->next_job;
        --queued;
        ++taken;
        ++busy;
        lock.unlock();
        const bool unwanted = next->unwanted.load(std::memory_order_relaxed);
        next->job_result = unwanted ? -ECANCELED : perform(*next);
        let_go_of_descriptor(*next);
        lock.lock();
        --busy;
        if (link == nullptr) {
            // Nobody waits any more.
            if (next->kind == slot_kind::opens && next->job_result >= 0) {
                ::close(next->job_result);
            }
            return;
        }
        next->next_job = std::exchange(finished, next);
        any_finished.store(true, std::memory_order_seq_cst);
        link->notify(false);
        done.notify_one();
    }
}

bool blocking_jobs::any_finished() const noexcept {
    return state_->any_finished.load(std::memory_order_seq_cst);
}

slot* blocking_jobs::take_finished() noexcept {
    if (!state_->any_finished.load(std::memory_order_relaxed)) { return nullptr; }
    const std::lock_guard lock(state_->mutex);
    state_->any_finished.store(false, std::memory_order_seq_cst);
    slot* newest = std::exchange(state_->finished, nullptr);
    slot* oldest = nullptr;
    while (newest != nullptr) {
        slot* following = std::exchange(newest->next_job, oldest);
        oldest = std::exchange(newest, following);
    }
    return oldest;
}

void blocking_jobs::wait_for_finished(std::chrono::steady_clock::time_point until) noexcept {
    std::unique_lock lock(state_->mutex);
    state_->done.wait_until(lock, until, [this] { return state_->finished != nullptr; });
}

}  // namespace heph::rt::detail
