#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <heph/rt/blocking.hpp>

#include "thread_cpus.hpp"

namespace heph::rt::detail {

/// A limited number of threads for functions that block. They start when there is more to do than
/// there are idle ones, and end after a while without work.
///
/// *Thread safety*: safe, but for `stop`.
class blocking_pool {
public:
    /// Makes a pool without threads. `name` is for the threads: `NAME-b`. They may use the CPUs
    /// that the calling thread may, also when pinned workers start them. A pool that may have none
    /// runs each function where it is first polled.
    blocking_pool(std::string name, std::size_t threads_max, bool workers_are_pinned);
    ~blocking_pool();
    blocking_pool(const blocking_pool&) = delete;
    blocking_pool& operator=(const blocking_pool&) = delete;

    /// Gives the CPUs of its threads.
    [[nodiscard]] const thread_cpus& cpus() const noexcept { return cpus_; }

    [[nodiscard]] bool poll(const std::shared_ptr<blocking_job>& job, const waker& waker);
    void drop(blocking_job& job) noexcept;

    /// Waits for what runs, and ends the threads. What is queued then, or later, never runs: its
    /// futures stay pending. *Requires*: called once, by the thread that ends the runtime.
    void stop() noexcept;

private:
    void enqueue(const std::shared_ptr<blocking_job>& job);
    [[nodiscard]] std::shared_ptr<blocking_job> dequeue(blocking_job& job) noexcept;
    void start_thread();
    void run() noexcept;

    std::string name_;
    std::size_t threads_max_;
    thread_cpus cpus_;
    std::mutex mutex_;  // Guards what follows.
    std::condition_variable work_or_end_;
    std::condition_variable thread_ended_;
    blocking_job* first_ = nullptr;
    blocking_job* last_ = nullptr;
    std::size_t queued_ = 0;
    std::size_t threads_ = 0;
    std::size_t idle_ = 0;
    bool stopped_ = false;
};

}  // namespace heph::rt::detail
