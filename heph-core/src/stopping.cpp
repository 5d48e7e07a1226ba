#include <heph/core/stopping.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include <heph/inbox/future.hpp>

namespace heph {

namespace detail {

class stop_state {
public:
    void request() noexcept {
        for (;;) {
            waker
                waiting;  // Woken outside of the lock: it may be the last one of who has a future.
            {
                const std::lock_guard lock(mutex_);
                requested_.store(true, std::memory_order_relaxed);
                if (first_ == nullptr) { return; }
                waiting = std::move(first_->waker_);
                unlink(*first_);
            }
            std::move(waiting).wake();
        }
    }
    // Only a hint of when to stop: what else was done before the request, the wake tells.
    [[nodiscard]] bool requested() const noexcept {
        return requested_.load(std::memory_order_relaxed);
    }

    /// Tells whether the signal was given; lets the future wait if it was not.
    bool check(stop_future& future, const waker& waker) noexcept {
        heph::waker before;  // Dropped outside of the lock.
        const std::lock_guard lock(mutex_);
        if (requested()) { return true; }
        if (!future.waker_.will_wake(waker)) { before = std::exchange(future.waker_, waker); }
        if (!std::exchange(future.is_waiting_, true)) {
            future.next_ = first_;
            if (first_ != nullptr) { first_->previous_ = &future; }
            first_ = &future;
        }
        return false;
    }
    void forget(stop_future& future) noexcept {
        const std::lock_guard lock(mutex_);
        if (future.is_waiting_) { unlink(future); }
    }

private:
    void unlink(stop_future& future) noexcept {
        (future.previous_ != nullptr ? future.previous_->next_ : first_) = future.next_;
        if (future.next_ != nullptr) { future.next_->previous_ = future.previous_; }
        future.next_ = nullptr;
        future.previous_ = nullptr;
        future.is_waiting_ = false;
    }

    std::mutex mutex_;
    stop_future* first_ = nullptr;
    std::atomic<bool> requested_{false};
};

}  // namespace detail

stop_future::~stop_future() {
    if (state_ != nullptr) { state_->forget(*this); }
}

polled<void> stop_future::poll(const waker& waker) noexcept {
    // Without one there is nobody to give the signal.
    if (state_ == nullptr || !state_->check(*this, waker)) { return pending; }
    return ready;
}

stop_signal::stop_signal() : state_(std::make_shared<detail::stop_state>()) {}

void stop_signal::request() const noexcept { state_->request(); }

bool stop_signal::requested() const noexcept { return state_->requested(); }

}  // namespace heph
