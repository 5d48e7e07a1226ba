#pragma once

// Time that passes when a test says so, and a runtime that goes by it.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>

namespace heph::test {

/// A clock that stands still until it is advanced. Outlives its timers.
class manual_time {
public:
    class timer {
    public:
        using value_type = void;

        timer(manual_time& time, steady_time when) noexcept : time_(&time), when_(when) {}
        timer(timer&& other) noexcept
            : time_(std::exchange(other.time_, nullptr)), when_(other.when_) {}
        timer& operator=(timer&&) = delete;
        ~timer() { stop(); }

        polled<void> poll(const waker& waker) {
            if (time_->now_ >= when_) {
                stop();
                return ready;
            }
            if (!armed_) { time_->timers_.push_back(this); }
            armed_ = true;
            waker_ = waker;
            return pending;
        }

    private:
        friend class manual_time;

        void stop() noexcept {
            if (std::exchange(armed_, false)) { std::erase(time_->timers_, this); }
        }

        manual_time* time_;
        steady_time when_;
        waker waker_;
        bool armed_ = false;
    };

    [[nodiscard]] steady_time now() const noexcept { return now_; }
    [[nodiscard]] std::size_t waiting() const noexcept { return timers_.size(); }

    void advance(steady_time::duration by) {
        now_ += by;
        for (timer* armed : timers_) {
            if (armed->when_ <= now_) { armed->waker_.wake(); }
        }
    }

private:
    steady_time now_{std::chrono::hours(1)};
    std::vector<timer*> timers_;
};

/// The runtime access of an actor that goes by a `manual_time`.
class manual_runtime {
public:
    explicit manual_runtime(manual_time& time) noexcept : time_(&time) {}

    [[nodiscard]] steady_time now() const noexcept { return time_->now(); }
    [[nodiscard]] manual_time::timer timer_at(steady_time when) const noexcept {
        return manual_time::timer(*time_, when);
    }

private:
    manual_time* time_;
};

static_assert(timed_runtime<manual_runtime>);

/// A future without a value that is ready when the test says so.
class tripwire {
public:
    class tripped {
    public:
        using value_type = void;
        explicit tripped(tripwire& watched) noexcept : wire_(&watched) {}
        polled<void> poll(const waker& waker) noexcept {
            if (wire_->tripped_) { return ready; }
            wire_->waker_ = waker;
            return pending;
        }

    private:
        tripwire* wire_;
    };

    [[nodiscard]] tripped wait() noexcept { return tripped(*this); }
    void trip() {
        tripped_ = true;
        waker_.wake();
    }

private:
    bool tripped_ = false;
    waker waker_;
};

}  // namespace heph::test
