#pragma once

// Waiting for another thread that is about to be done: a pause, then the rest of the time slice.

#include <atomic>

namespace heph::inbox::detail {

/// Makes a loop that waits for another thread's next few instructions polite: it pauses at first,
/// and then gives the processor away, because the other thread may need this very core.
template <typename Environment>
class backoff {
public:
    /// Waits a little, or longer after many calls.
    void wait() noexcept {
        if (count_ < Environment::pauses_max) {
            ++count_;
            Environment::pause();
        } else {
            Environment::yield();
        }
    }

    /// Tells whether the next call will give the processor away.
    [[nodiscard]] bool exhausted() const noexcept { return count_ >= Environment::pauses_max; }

private:
    int count_ = 0;
};

/// Guards a few pointers, in one byte. For slow paths only: nothing but pointer moves and
/// reference counts may happen while it is held.
template <typename Environment>
class spin_lock {
public:
    void lock() noexcept {
        backoff<Environment> waiting;
        // Acquire, pairs with the release in `unlock`.
        while (locked_.exchange(true, std::memory_order_acquire)) {
            do { waiting.wait(); } while (locked_.load(std::memory_order_relaxed));
        }
    }

    // Release, pairs with the acquire in `lock`.
    void unlock() noexcept { locked_.store(false, std::memory_order_release); }

private:
    typename Environment::template atomic<bool> locked_ = false;
};

}  // namespace heph::inbox::detail
