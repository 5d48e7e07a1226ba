#pragma once

// Time as a runtime gives it: deadlines, and what has to hold of a runtime's timers.
//
//     heph::task<> patient(heph::rt::local_context<std::string> ctx, heph::actor_ref<ask> other) {
//         auto next = co_await ctx.receive(heph::deadline_in(1s));
//         if (!next && next.error() == heph::receive_error::empty) { … }  // nothing came in time
//         auto answer = co_await other.rpc(ctx.deadline_in(100ms), 42);
//         if (!answer && answer.error() == heph::rpc_error::timed_out) { … }
//         auto written = co_await heph::with_deadline(file.write(data), ctx.deadline_in(5s));
//         if (!written) { … }  // the write is cancelled
//     }
//
// heph-core has no timers of its own. What it needs of one it takes from the runtime access of a
// context, or as a future without a value: anything that becomes ready when the time has come.

#include <chrono>
#include <concepts>
#include <expected>
#include <type_traits>
#include <utility>

#include <heph/core/detail/future_traits.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// A point in time on the clock of all timers, which a change of the wall clock does not affect.
using steady_time = std::chrono::steady_clock::time_point;

/// Describes what can be waited for without giving a value: a timer, for one.
template <typename T>
concept timer_future = future<T> && std::is_void_v<future_value_t<T>> && std::move_constructible<T>;

/// Describes the runtime access of actors that may ask for the time and wait for it.
///
/// `now()` gives the runtime's time, which may be a virtual one. `timer_at(when)` gives a future
/// without a value that is ready at `when` or soon after it, never before; at its first poll when
/// `when` is past. Destroying it cancels it.
template <typename RT>
concept timed_runtime = requires(RT& runtime, steady_time when) {
    { runtime.now() } -> std::same_as<steady_time>;
    { runtime.timer_at(when) } -> timer_future;
};

/// Names the timers of a runtime.
template <timed_runtime RT>
using timer_of_t = decltype(std::declval<RT&>().timer_at(steady_time()));

/// Says that a deadline passed before a future was ready.
struct timed_out {
    explicit constexpr timed_out() noexcept = default;
    constexpr bool operator==(const timed_out&) const noexcept = default;
};

namespace detail {

/// Converts a duration to the clock's, to the nearest that it can hold.
template <typename Rep, typename Period>
constexpr std::chrono::steady_clock::duration to_clock(
    std::chrono::duration<Rep, Period> after) noexcept {
    using clock_duration = std::chrono::steady_clock::duration;
    // Compared as floating point, in which nothing overflows.
    using wide = std::chrono::duration<long double>;
    if (wide(after) >= wide(clock_duration::max())) { return clock_duration::max(); }
    if (wide(after) <= wide(clock_duration::min())) { return clock_duration::min(); }
    return std::chrono::ceil<clock_duration>(after);
}

/// Adds without overflow.
constexpr steady_time later(steady_time now, steady_time::duration after) noexcept {
    if (after > steady_time::duration::zero() && now > steady_time::max() - after) {
        return steady_time::max();
    }
    if (after < steady_time::duration::zero() && now < steady_time::min() - after) {
        return steady_time::min();
    }
    return now + after;
}

}  // namespace detail

/// Says until when to wait: for a duration from the time at which it is used, or until a point in
/// time. It knows no clock: it is for functions that have a runtime.
class deadline {
public:
    /// Makes a deadline that begins to count when it is used. A negative duration is past.
    template <typename Rep, typename Period>
    explicit constexpr deadline(std::chrono::duration<Rep, Period> after) noexcept
        : after_(detail::to_clock(after)) {}
    /// Makes a deadline at a point in time.
    explicit constexpr deadline(steady_time at) noexcept : at_(at), absolute_(true) {}

    /// Gives the point in time, if it is used `now`.
    [[nodiscard]] constexpr steady_time at(steady_time now) const noexcept {
        return absolute_ ? at_ : detail::later(now, after_);
    }

private:
    std::chrono::steady_clock::duration after_{};
    steady_time at_{};
    bool absolute_ = false;
};

/// Makes a deadline that begins to count when it is used: `heph::deadline_in(1s)`.
template <typename Rep, typename Period>
[[nodiscard]] constexpr deadline deadline_in(std::chrono::duration<Rep, Period> after) noexcept {
    return deadline(after);
}

/// Makes a deadline at a point in time.
[[nodiscard]] constexpr deadline deadline_at(steady_time when) noexcept { return deadline(when); }

/// A deadline with the timer that watches over it. It is a future without a value: ready when the
/// time has come. *Cancellation*: cancels the timer.
template <timer_future Timer>
class [[nodiscard]] bound_deadline {
public:
    using value_type = void;
    static constexpr bool is_sendable = sendable<Timer>;

    explicit bound_deadline(Timer watching) noexcept(std::is_nothrow_move_constructible_v<Timer>)
        : timer_(std::move(watching)) {}

    polled<void> poll(const waker& waker) noexcept(detail::polls_noexcept<Timer>) {
        return timer_.poll(waker);
    }

    /// Gives the timer. *Requires*: it was not polled yet.
    [[nodiscard]] Timer&& timer() && noexcept { return std::move(timer_); }

private:
    Timer timer_;
};

namespace detail {

template <typename T>
inline constexpr bool is_deadline = std::is_same_v<T, deadline>;
template <typename Timer>
inline constexpr bool is_deadline<bound_deadline<Timer>> = true;

template <typename... Args>
inline constexpr bool begins_with_deadline = false;
template <typename First, typename... Rest>
inline constexpr bool begins_with_deadline<First, Rest...> =
    is_deadline<std::remove_cvref_t<First>>;

}  // namespace detail

/// Makes a deadline of any timer, or of anything else that ends the waiting when it is ready.
template <timer_future Timer>
[[nodiscard]] bound_deadline<Timer> bind_deadline(Timer watching) {
    return bound_deadline<Timer>(std::move(watching));
}

/// Makes a deadline that a runtime watches over. It counts from now.
template <timed_runtime RT>
[[nodiscard]] bound_deadline<timer_of_t<RT>> bind_deadline(RT& runtime, deadline until) {
    return bound_deadline<timer_of_t<RT>>(runtime.timer_at(until.at(runtime.now())));
}

/// Waits for a future for as long as a timer lets it. See `with_deadline`.
template <typename Held, timer_future Timer>
class [[nodiscard]] deadline_future {
    using future_type = std::remove_cvref_t<Held>;

public:
    using value_type = std::expected<future_value_t<future_type>, timed_out>;
    static constexpr bool is_sendable = sendable<Held> && sendable<Timer>;

    deadline_future(Held&& inner, Timer watching)
        : timer_(std::move(watching)), inner_(std::forward<Held>(inner)) {}

    polled<value_type> poll(const waker& waker) noexcept(detail::polls_noexcept<future_type> &&
                                                         detail::polls_noexcept<Timer>) {
        auto now = inner_.poll(waker);
        if (now.is_ready()) {
            if constexpr (std::is_void_v<future_value_t<future_type>>) {
                return polled<value_type>(std::in_place);
            } else {
                return polled<value_type>(std::in_place, std::move(now).value());
            }
        }
        if (timer_.poll(waker).is_ready()) {
            return polled<value_type>(std::in_place, std::unexpect);
        }
        return pending;
    }

private:
    Timer timer_;
    Held inner_;
};

/// Waits for a future until a deadline: gives `std::expected<T, timed_out>`. The timer is any
/// future without a value. A future that is ready in the poll in which the time comes wins.
///
///     auto read = co_await heph::with_deadline(file.read(4096), ctx.deadline_in(1s));
///
/// A future given as a temporary or moved is kept, and cancelled when the result of this call is
/// destroyed; one that is given as an lvalue is borrowed, and can be awaited again.
///
/// *Errors*: an exception of the future, or of the timer, leaves `poll`.
/// *Cancellation*: cancels the timer, and the future if it is kept.
template <typename Future, timer_future Timer>
    requires future<std::remove_cvref_t<Future>>
[[nodiscard]] deadline_future<Future, Timer> with_deadline(Future&& awaited, Timer watching) {
    return deadline_future<Future, Timer>(std::forward<Future>(awaited), std::move(watching));
}

}  // namespace heph
