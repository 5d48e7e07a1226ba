#pragma once

// Lets a plain thread wait for a future.

#include <atomic>
#include <chrono>
#include <cstdint>

#include <heph/inbox/detail/environment.hpp>
#include <heph/inbox/future.hpp>

namespace heph::inbox::detail {

/// Puts the thread that has it to sleep until a waker made from it is used.
///
/// States of the word
///     idle      nobody has woken the thread since it last looked
///     woken     somebody has
///     sleeping  the thread sleeps, or is about to: who wakes it has to call the kernel
/// idle -> sleeping and woken -> idle, sleeping -> idle: the thread; any -> woken: who wakes.
///
/// Falling asleep and being woken takes tens of microseconds, so the thread looks for the wake
/// for a moment before: the longer, the more often that was worth it lately.
///
/// A thread makes one, at its first wait. When that is destroyed already, because the thread waits
/// in the destructor of a static object, or of one of its own, each wait makes one for itself.
///
/// Wakers may outlive the thread, so it is counted: one reference for who made it, one for each
/// waker.
template <typename Environment>
class parker {
public:
    /// The calling thread's parker, for one wait.
    class of_this_thread {
    public:
        /// *Errors*: throws `std::bad_alloc`.
        of_this_thread() {
            const owner* kept = Environment::template of_this_thread<owner>();
            parker_ = kept != nullptr ? kept->mine : new parker();
            is_own_ = kept == nullptr;
        }
        of_this_thread(const of_this_thread&) = delete;
        of_this_thread& operator=(const of_this_thread&) = delete;
        ~of_this_thread() {
            if (is_own_) { drop_reference(parker_); }
        }
        parker* operator->() const noexcept { return parker_; }

    private:
        parker* parker_;
        bool is_own_;
    };

    /// Gives a waker for the thread.
    waker make_waker() noexcept {
        add_reference(this);
        return waker(this, &vtable);
    }

    /// Sleeps until the thread was woken since the last call.
    void park() noexcept {
        if (spin() || !fall_asleep()) { return; }
        while (state_.load(std::memory_order_relaxed) == sleeping) {
            Environment::wait(state_, sleeping);
        }
        (void)look();
    }

    /// Sleeps like `park`, but not longer than until `deadline`. Tells whether it was woken.
    template <typename Clock, typename Duration>
    bool park_until(const std::chrono::time_point<Clock, Duration>& deadline) noexcept {
        if (spin() || !fall_asleep()) { return true; }
        while (state_.load(std::memory_order_relaxed) == sleeping) {
            if (!Environment::wait_until(state_, sleeping, deadline)) { break; }
        }
        return look();
    }

private:
    using atomic_word = typename Environment::template atomic<std::uint32_t>;

    static constexpr std::uint32_t idle = 0;
    static constexpr std::uint32_t woken = 1;
    static constexpr std::uint32_t sleeping = 2;

    static constexpr std::uint32_t spins_max = 512;  // Some 5 to 20 µs.
    static constexpr std::uint32_t spins_min = 16;

    struct owner {
        parker* mine;
        owner() : mine(new parker()) {}
        owner(const owner&) = delete;
        owner& operator=(const owner&) = delete;
        ~owner() { drop_reference(mine); }
    };

    // Takes the wake, if there is one. A read-modify-write, so that what was done before a wake
    // that finds the thread woken already is seen, too. Acquire, pairs with the release in `wake`.
    bool look() noexcept { return state_.exchange(idle, std::memory_order_acq_rel) == woken; }

    // Tells whether the thread may sleep now; else it took a wake.
    bool fall_asleep() noexcept {
        std::uint32_t now = idle;
        if (state_.compare_exchange_strong(now, sleeping, std::memory_order_acq_rel,
                                           std::memory_order_relaxed)) {
            return true;
        }
        (void)look();
        return false;
    }

    // Looks for a wake for a moment. Tells whether it took one.
    bool spin() noexcept {
        if (!Environment::may_spin()) { return false; }
        for (std::uint32_t i = 0; i < spins_; ++i) {
            if (state_.load(std::memory_order_relaxed) == woken) {
                // Perhaps by itself, to look again after others did something.
                if (i == 0) { Environment::yield(); }
                spins_ = spins_ < spins_max / 2 ? spins_ * 2 : spins_max;
                return look();
            }
            Environment::pause();
        }
        spins_ = spins_ > spins_min * 2 ? spins_ / 2 : spins_min;
        return false;
    }

    static void add_reference(void* self) noexcept {
        // Relaxed: whoever copies a waker has a reference already.
        static_cast<parker*>(self)->references_.fetch_add(1, std::memory_order_relaxed);
    }
    static void wake(void* self) noexcept {
        auto& mine = *static_cast<parker*>(self);
        // Release, pairs with the acquire in `look`: what is waited for is seen.
        if (mine.state_.exchange(woken, std::memory_order_acq_rel) == sleeping) {
            Environment::wake(mine.state_);
        }
    }
    static void drop_reference(void* self) noexcept {
        auto* dropped = static_cast<parker*>(self);
        // Acquire and release, pairs with itself: the last one sees what all others did.
        if (dropped->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) { delete dropped; }
    }

    static constexpr waker_vtable vtable{&add_reference, &wake, &drop_reference};

    atomic_word state_ = idle;
    atomic_word references_ = 1;
    std::uint32_t spins_ = spins_max;  // Of the owning thread only.
};

/// Polls a future to its end on the calling thread, which sleeps between polls.
template <typename Environment = standard_environment, future F>
[[nodiscard]] polled<future_value_t<F>> wait_for(F& future) {
    const typename parker<Environment>::of_this_thread thread;
    const waker mine = thread->make_waker();
    for (;;) {
        auto polled = future.poll(mine);
        if (polled.is_ready()) { return polled; }
        thread->park();
    }
}

/// Polls a future like `wait_for`, but gives up, with `pending`, at `deadline`.
template <typename Environment = standard_environment, future F, typename Clock, typename Duration>
[[nodiscard]] polled<future_value_t<F>> wait_until(
    F& future, const std::chrono::time_point<Clock, Duration>& deadline) {
    const typename parker<Environment>::of_this_thread thread;
    const waker mine = thread->make_waker();
    for (;;) {
        auto polled = future.poll(mine);
        if (polled.is_ready() || !thread->park_until(deadline)) { return polled; }
        // Wakes may be spurious, and may come again and again.
        if (has_passed(deadline)) { return future.poll(mine); }
    }
}

}  // namespace heph::inbox::detail
