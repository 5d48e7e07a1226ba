#include "blocking_pool.hpp"

#include <pthread.h>

#include <chrono>
#include <system_error>
#include <utility>

#include <csignal>

#include <heph/rt/error.hpp>

#include "runtime_core.hpp"
#include "worker_core.hpp"

namespace heph::rt::detail {

namespace {

// So long a thread waits for more to do.
constexpr std::chrono::seconds keep_alive{10};

void set_up_thread(const std::string& name) noexcept {
    (void)pthread_setname_np(pthread_self(), name.c_str());
    // Signals are for the threads that ask for them.
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

blocking_pool::blocking_pool(std::string name, std::size_t threads_max, bool workers_are_pinned)
    : name_(name.substr(0, 13) + "-b"),
      threads_max_(threads_max),
      cpus_(thread_cpus::of_this_thread(workers_are_pinned)) {}

blocking_pool::~blocking_pool() { stop(); }

bool blocking_pool::poll(const std::shared_ptr<blocking_job>& job, const waker& waker) {
    if (threads_max_ == 0) [[unlikely]] {
        job->run();
        job->now = blocking_job::state::done;
        return true;
    }
    const std::lock_guard lock(mutex_);
    if (job->now == blocking_job::state::done) { return true; }
    job->waker = waker;
    if (job->now == blocking_job::state::idle && !stopped_) { enqueue(job); }
    return false;
}

void blocking_pool::enqueue(const std::shared_ptr<blocking_job>& job) {
    if (idle_ <= queued_ && threads_ < threads_max_) { start_thread(); }
    job->self = job;
    job->now = blocking_job::state::queued;
    job->previous = last_;
    job->next = nullptr;
    (last_ != nullptr ? last_->next : first_) = job.get();
    last_ = job.get();
    ++queued_;
    work_or_end_.notify_one();
}

std::shared_ptr<blocking_job> blocking_pool::dequeue(blocking_job& job) noexcept {
    (job.previous != nullptr ? job.previous->next : first_) = job.next;
    (job.next != nullptr ? job.next->previous : last_) = job.previous;
    --queued_;
    return std::move(job.self);
}

void blocking_pool::start_thread() {
    try {
        std::thread([this] { run(); }).detach();
        ++threads_;
    } catch (const std::system_error&) {
        if (threads_ == 0) { throw; }  // The others will come to it.
    }
}

void blocking_pool::drop(blocking_job& job) noexcept {
    std::shared_ptr<blocking_job> never_run;
    waker not_needed;
    const std::lock_guard lock(mutex_);
    not_needed = std::move(job.waker);
    if (job.now == blocking_job::state::queued) {
        never_run = dequeue(job);
        job.now = blocking_job::state::idle;
    }
}

void blocking_pool::run() noexcept {
    set_up_thread(name_);
    cpus_.apply();
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        const bool woken = work_or_end_.wait_for(lock, keep_alive,
                                                 [this] { return first_ != nullptr || stopped_; });
        --idle_;
        if (!woken || stopped_) { break; }
        std::shared_ptr<blocking_job> job = dequeue(*first_);
        job->now = blocking_job::state::running;
        lock.unlock();
        job->run();
        waker waiting;
        lock.lock();
        job->now = blocking_job::state::done;
        waiting = std::move(job->waker);
        lock.unlock();
        waiting.wake();
        // What it was the last to hold goes here, before anybody may take the pool for idle.
        waiting = waker();
        job.reset();
        lock.lock();
    }
    --threads_;
    thread_ended_.notify_all();
}

void blocking_pool::stop() noexcept {
    std::unique_lock lock(mutex_);
    stopped_ = true;
    work_or_end_.notify_all();
    thread_ended_.wait(lock, [this] { return threads_ == 0; });
    // A queued job refers to itself. Its end may run the program's code: not under the lock.
    while (first_ != nullptr) {
        auto never_run = dequeue(*first_);
        never_run->now = blocking_job::state::idle;
        lock.unlock();
        never_run.reset();
        lock.lock();
    }
}

std::shared_ptr<blocking_pool> current_blocking_pool() {
    worker_core* worker = current_worker();
    if (worker == nullptr) { throw std::system_error(make_error_code(errc::no_worker)); }
    return worker->runtime().blocking();
}

bool poll_job(blocking_pool& pool, const std::shared_ptr<blocking_job>& job, const waker& waker) {
    return pool.poll(job, waker);
}

void drop_job(blocking_pool& pool, blocking_job& job) noexcept { pool.drop(job); }

}  // namespace heph::rt::detail
