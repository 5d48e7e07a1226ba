#pragma once

// Waiting for time to pass, exact to the millisecond, never early.

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/detail/timer_node.hpp>
#include <heph/rt/time_source.hpp>

namespace heph::rt {

/// Completes after a duration, or at a point in time.
///
///     co_await heph::rt::timer(100ms);
///
/// The duration counts from the first poll. *Errors*: polling throws `std::system_error` with
/// `errc::no_worker` outside of a worker. *Cancellation*: destroying it, O(1).
class [[nodiscard]] timer {
public:
    using value_type = void;

    /// Makes a timer for `after` from the first poll; a negative duration completes at once. One
    /// that the clock cannot hold, such as `hours::max()`, is as long as it can.
    template <typename Rep, typename Period>
    explicit timer(std::chrono::duration<Rep, Period> after) noexcept
        : after_(heph::detail::to_clock(after)) {}
    /// Makes a timer for a point in time; one that is past completes at once.
    explicit timer(clock::time_point at) noexcept : at_(at), absolute_(true) {}

    timer(timer&& other) noexcept
        : after_(other.after_), at_(other.at_), absolute_(other.absolute_) {}

    polled<void> poll(const waker& waker);

    /// Starts anew: completes `after` from the next poll.
    template <typename Rep, typename Period>
    void reset(std::chrono::duration<Rep, Period> after) noexcept {
        node_.disarm();
        node_.fired = false;
        after_ = heph::detail::to_clock(after);
        absolute_ = false;
    }

private:
    clock::duration after_{};
    clock::time_point at_{};
    bool absolute_ = false;
    detail::timer_node node_;
};

/// Says that a deadline passed before the future was ready.
using deadline_passed = timed_out;

/// Completes with a future's value, or with `deadline_passed` when that takes too long.
///
///     auto read = co_await heph::rt::deadline(1s, stream.next());
///
/// It is `heph::with_deadline` with a timer of this runtime. The future is kept inside; when the
/// deadline passes it is destroyed with the deadline, which cancels it. A future that is ready in
/// the same poll in which the deadline passes wins.
template <future F>
class [[nodiscard]] deadline : public deadline_future<F, timer> {
public:
    template <typename Rep, typename Period>
    deadline(std::chrono::duration<Rep, Period> after, F inner)
        : deadline_future<F, timer>(std::move(inner), timer(after)) {}
    deadline(clock::time_point at, F inner)
        : deadline_future<F, timer>(std::move(inner), timer(at)) {}
};

/// Says what becomes of an interval's points in time that were missed, because nobody waited.
enum class missed_ticks {
    skip,   ///< One `next()` completes at once for all of them; then it is back in step.
    burst,  ///< Each of them completes a `next()` at once, until it has caught up.
    delay,  ///< One completes at once; the next one is a whole period later.
};

/// Completes again and again, once a period.
///
///     heph::rt::interval every(1s);
///     while (true) { co_await every.next(); … }
///
/// The times are `start + n * period`, so that it does not drift. What happens with times that
/// were missed while nobody waited is the second parameter's to say.
class interval {
public:
    /// Makes an interval whose first period begins at the first poll of the first `next()`.
    /// *Requires*: `period` is at least 1 ms.
    template <typename Rep, typename Period>
    explicit interval(std::chrono::duration<Rep, Period> period,
                      missed_ticks missed = missed_ticks::skip) noexcept
        : period_(heph::detail::to_clock(period)), missed_(missed) {}

    /// Waits for the next point in time. Refers to the interval.
    class [[nodiscard]] next_future {
    public:
        using value_type = void;
        explicit next_future(interval& owner) noexcept : owner_(&owner) {}
        polled<void> poll(const waker& waker);

    private:
        interval* owner_;
        detail::timer_node node_;

    public:
        next_future(next_future&& other) noexcept : owner_(other.owner_) {}
    };

    next_future next() noexcept { return next_future(*this); }

private:
    clock::duration period_;
    missed_ticks missed_;
    clock::time_point due_{};
    bool started_ = false;
};

}  // namespace heph::rt
