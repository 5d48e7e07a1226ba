#pragma once

// Lets a plain thread wait for a future.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

#include <heph/inbox/future.hpp>

namespace heph::inbox::detail {

/// Puts the thread that owns it to sleep until a waker made from it is used.
///
/// Wakers may outlive the thread, so it is counted: one reference for the thread, one for each
/// waker.
class parker {
public:
    /// Gives a waker for the calling thread. Each thread makes one parker, once.
    static waker waker_of_this_thread() {
        parker& mine = of_this_thread();
        add_reference(&mine);
        return waker(&mine, &vtable);
    }

    /// Sleeps until the thread was woken since the last call.
    static void park() {
        parker& mine = of_this_thread();
        std::unique_lock lock(mine.mutex_);
        mine.condition_.wait(lock, [&] { return mine.woken_; });
        mine.woken_ = false;
    }

    /// Sleeps like `park`, but not longer than until `deadline`. Tells whether it was woken.
    template <typename Clock, typename Duration>
    static bool park_until(const std::chrono::time_point<Clock, Duration>& deadline) {
        parker& mine = of_this_thread();
        std::unique_lock lock(mine.mutex_);
        return mine.condition_.wait_until(lock, deadline, [&] { return mine.woken_; }) &&
               std::exchange(mine.woken_, false);
    }

private:
    struct owner {
        parker* mine;
        owner() : mine(new parker()) {}
        owner(const owner&) = delete;
        owner& operator=(const owner&) = delete;
        ~owner() { drop_reference(mine); }
    };

    static parker& of_this_thread() {
        thread_local owner of_thread;
        return *of_thread.mine;
    }

    static void add_reference(void* self) noexcept {
        // Relaxed: whoever copies a waker has a reference already.
        static_cast<parker*>(self)->references_.fetch_add(1, std::memory_order_relaxed);
    }
    static void wake(void* self) noexcept {
        auto& woken = *static_cast<parker*>(self);
        {
            std::lock_guard lock(woken.mutex_);
            woken.woken_ = true;
        }
        woken.condition_.notify_one();
    }
    static void drop_reference(void* self) noexcept {
        auto* dropped = static_cast<parker*>(self);
        // Acquire and release, pairs with itself: the last one sees what all others did.
        if (dropped->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) { delete dropped; }
    }

    static constexpr waker_vtable vtable{&add_reference, &wake, &drop_reference};

    std::atomic<std::uint32_t> references_ = 1;
    bool woken_ = false;
    std::mutex mutex_;
    std::condition_variable condition_;
};

/// Polls a future to its end on the calling thread, which sleeps between polls.
template <future F>
[[nodiscard]] polled<future_value_t<F>> wait_for(F& future) {
    const waker mine = parker::waker_of_this_thread();
    for (;;) {
        auto polled = future.poll(mine);
        if (polled.is_ready()) { return polled; }
        parker::park();
    }
}

/// Polls a future like `wait_for`, but gives up, with `pending`, at `deadline`.
template <future F, typename Clock, typename Duration>
[[nodiscard]] polled<future_value_t<F>> wait_until(
    F& future, const std::chrono::time_point<Clock, Duration>& deadline) {
    const waker mine = parker::waker_of_this_thread();
    for (;;) {
        auto polled = future.poll(mine);
        if (polled.is_ready() || !parker::park_until(deadline)) { return polled; }
    }
}

}  // namespace heph::inbox::detail
