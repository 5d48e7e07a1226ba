#pragma once

// A coroutine type that knows nothing of heph, and the event loop that it lives on: what another
// library would bring along, made as small as can be.

#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>

namespace heph::inbox::test {

/// Runs functions one after the other, on the threads that call `run`.
class event_loop {
public:
    void post(std::function<void()> next) {
        {
            const std::lock_guard lock(mutex_);
            queue_.push_back(std::move(next));
            ++posts_;
        }
        more_.notify_one();
    }

    /// Runs the next function, if there is one.
    bool run_one() {
        std::function<void()> next;
        {
            const std::lock_guard lock(mutex_);
            if (queue_.empty()) { return false; }
            next = std::move(queue_.front());
            queue_.pop_front();
        }
        next();
        return true;
    }

    /// Runs what is there, and what comes of it.
    void run_ready() {
        while (run_one()) {}
    }

    /// Runs until `stop`.
    void run() {
        for (;;) {
            {
                std::unique_lock lock(mutex_);
                more_.wait(lock, [&] { return stopped_ || !queue_.empty(); });
                if (stopped_) { return; }
            }
            run_one();
        }
    }
    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopped_ = true;
        }
        more_.notify_all();
    }

    /// Tells how many functions wait, and how many ever came.
    std::size_t size() {
        const std::lock_guard lock(mutex_);
        return queue_.size();
    }
    std::size_t posts() {
        const std::lock_guard lock(mutex_);
        return posts_;
    }
    /// Drops what waits, as a loop does that ends.
    void clear() {
        std::deque<std::function<void()>> dropped;
        const std::lock_guard lock(mutex_);
        dropped.swap(queue_);
    }

private:
    std::mutex mutex_;
    std::condition_variable more_;
    std::deque<std::function<void()>> queue_;
    std::size_t posts_ = 0;
    bool stopped_ = false;
};

/// A coroutine that starts at once, and whose owner may destroy it while it is suspended.
class foreign {
public:
    struct promise_type {
        std::exception_ptr error;
        foreign get_return_object() {
            return foreign(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        static std::suspend_never initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        void unhandled_exception() noexcept { error = std::current_exception(); }
    };

    foreign(foreign&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    foreign& operator=(foreign&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~foreign() {
        if (handle_) { handle_.destroy(); }
    }

    bool done() const { return handle_.done(); }
    std::exception_ptr error() const { return handle_.promise().error; }

private:
    explicit foreign(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
    std::coroutine_handle<promise_type> handle_;
};

}  // namespace heph::inbox::test
