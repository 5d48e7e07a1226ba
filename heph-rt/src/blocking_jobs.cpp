#include "blocking_jobs.hpp"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <new>
#include <system_error>
#include <utility>

#include "blocking_pool.hpp"
#include "busy_descriptors.hpp"
#include "runtime_core.hpp"
#include "thread_cpus.hpp"
#include "worker_link.hpp"

namespace heph::rt::detail {

struct blocking_jobs::state {
    explicit state(worker_link& of) noexcept : cpus(of.runtime().blocking()->cpus()), link(&of) {}

    const thread_cpus cpus;                 // Of the threads: a worker may have but one.
    std::atomic<bool> any_finished{false};  // Sequentially consistent; see `worker_link`, Sleeping.
    std::mutex mutex;                       // Guards what follows.
    std::condition_variable work;
    std::condition_variable done;
    slot* first = nullptr;  // Queued, linked by `next_job`.
    slot* last = nullptr;
    slot* finished = nullptr;
    std::size_t queued = 0;
    std::size_t idle = 0;
    std::size_t busy = 0;
    worker_link* link;  // Null once the worker is done with it.
};

blocking_jobs::blocking_jobs(worker_link& link) : state_(std::make_shared<state>(link)) {
    threads_.reserve(threads_max);
}

blocking_jobs::~blocking_jobs() {
    std::size_t busy = 0;
    {
        const std::lock_guard lock(state_->mutex);
        state_->link = nullptr;
        busy = state_->busy;
    }
    state_->work.notify_all();
    for (std::thread& each : threads_) { busy == 0 ? each.join() : each.detach(); }
}

bool blocking_jobs::submit(slot& operation) noexcept {
    operation.next_job = nullptr;
    operation.unwanted.store(false, std::memory_order_relaxed);
    bool too_few = false;
    {
        const std::lock_guard lock(state_->mutex);
        too_few = state_->idle <= state_->queued;
    }
    if (too_few && threads_.size() < threads_max && !start_thread() && threads_.empty()) {
        return false;
    }
    hold_descriptor(operation);
    {
        const std::lock_guard lock(state_->mutex);
        (state_->first != nullptr ? state_->last->next_job : state_->first) = &operation;
        state_->last = &operation;
        ++state_->queued;
    }
    state_->work.notify_one();
    return true;
}

bool blocking_jobs::start_thread() noexcept {
    try {
        threads_.emplace_back([shared = state_] { work(shared); });
        (void)pthread_setname_np(threads_.back().native_handle(), "heph-blocking");
        return true;
    } catch (const std::system_error&) { return false; } catch (const std::bad_alloc&) {
        return false;
    }
}

void blocking_jobs::work(const std::shared_ptr<state>& shared) noexcept {
    // Signals are for the threads that ask for them; and what nobody reads any more is an error.
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, nullptr);
    shared->cpus.apply();
    std::unique_lock lock(shared->mutex);
    for (;;) {
        ++shared->idle;
        shared->work.wait(lock,
                          [&] { return shared->first != nullptr || shared->link == nullptr; });
        --shared->idle;
        slot* const taken = shared->first;
        if (taken == nullptr || shared->link == nullptr) { return; }
        shared->first = taken->next_job;
        --shared->queued;
        ++shared->busy;
        lock.unlock();
        const bool unwanted = taken->unwanted.load(std::memory_order_relaxed);
        taken->job_result = unwanted ? -ECANCELED : perform(*taken);
        let_go_of_descriptor(*taken);
        lock.lock();
        --shared->busy;
        if (shared->link == nullptr) {
            // Nobody waits any more.
            if (taken->kind == slot_kind::opens && taken->job_result >= 0) {
                ::close(taken->job_result);
            }
            return;
        }
        taken->next_job = std::exchange(shared->finished, taken);
        shared->any_finished.store(true, std::memory_order_seq_cst);
        shared->link->notify(false);
        shared->done.notify_one();
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
