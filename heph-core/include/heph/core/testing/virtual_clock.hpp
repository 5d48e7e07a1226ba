#pragma once

// Time that passes when a test says so.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>

namespace heph::testing {

namespace detail {
class clock_state;
}  // namespace detail

/// Is ready when its clock has reached a point in time. Made by `virtual_clock::timer_at`.
///
/// *Thread safety*: as every future; the clock may be advanced by another thread meanwhile.
/// *Cancellation*: destroying it. It may outlive the clock.
class [[nodiscard]] virtual_timer {
public:
    using value_type = void;

    virtual_timer(std::shared_ptr<detail::clock_state> clock, steady_time when) noexcept;
    virtual_timer(virtual_timer&& other) noexcept;
    virtual_timer& operator=(virtual_timer&&) = delete;
    ~virtual_timer();

    polled<void> poll(const waker& waker);

private:
    std::shared_ptr<detail::clock_state> clock_;
    steady_time when_;
    std::uint64_t armed_ = 0;  // Its number among the clock's timers; 0 while it is not one.
};

/// A clock that stands still until it is told to go on. It is a `timed_runtime`: give it to actors
/// as their runtime, or take it from a `step_executor`, which moves it by itself.
///
///     heph::testing::virtual_clock clock;
///     auto reply = heph::with_deadline(ref.rpc(1), clock.timer_at(clock.now() + 1s));
///     clock.advance(1s);
///
/// Copies are handles of the same clock. *Thread safety*: safe.
class virtual_clock {
public:
    /// Makes a clock. Its first time is not the epoch, so that tests may look back.
    virtual_clock();

    [[nodiscard]] steady_time now() const noexcept;

    /// Makes a timer for a point in time.
    [[nodiscard]] virtual_timer timer_at(steady_time when) const noexcept {
        return virtual_timer(state_, when);
    }
    /// Makes a timer that counts from now.
    [[nodiscard]] virtual_timer timer(steady_time::duration after) const noexcept {
        return virtual_timer(state_, heph::detail::later(now(), after));
    }

    /// Moves the time on, and wakes the timers it passes, earliest first. Who is woken sees the
    /// time it was moved to. `step_executor::advance` stops at each timer on the way instead.
    /// *Requires*: `by` is not negative.
    void advance(steady_time::duration by);

    /// Moves the time to a point in it, unless that is past. As `advance`.
    void advance_to(steady_time when);

    /// Tells when the earliest timer is due that someone waits for; nothing when nobody waits.
    [[nodiscard]] std::optional<steady_time> next_timer() const;

    /// Moves the time to the earliest timer. Tells whether there was one.
    bool advance_to_next();

    /// Counts the timers that someone waits for.
    [[nodiscard]] std::size_t waiting() const;

private:
    std::shared_ptr<detail::clock_state> state_;
};

static_assert(timed_runtime<virtual_clock>);

}  // namespace heph::testing
