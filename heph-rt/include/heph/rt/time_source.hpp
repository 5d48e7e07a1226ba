#pragma once

// Where a runtime's time comes from: the system, or a clock that a test moves.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <heph/core/timing.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::rt {

/// The clock of all timers. On a worker whose runtime was given a clock by `setup::clock` it is
/// that one; everywhere else it is `std::chrono::steady_clock`, whose points in time it shares.
///
/// That is Linux's CLOCK_MONOTONIC: a change of the wall clock does not affect it, and it stands
/// still while the machine is suspended, so that no timer fires early, or all at once, when it
/// wakes. What has to happen at a time of day has to look at the wall clock from time to time.
class clock {
public:
    using duration = std::chrono::steady_clock::duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::steady_clock::time_point;
    static constexpr bool is_steady = true;

    /// Gives the time. *Thread safety*: safe.
    [[nodiscard]] static time_point now() noexcept;
};

/// Says what becomes of a virtual clock while every worker is idle.
enum class idle_time : std::uint8_t {
    stands,    ///< It stands still, until the test moves it.
    advances,  ///< It is moved to the next timer: a test waits for nothing.
};

namespace detail {

/// A clock of the program's, for the workers of a runtime. *Thread safety*: safe.
class time_source {
public:
    /// Calls a waker when the time has come.
    class alarm {
    public:
        alarm() = default;
        alarm(const alarm&) = delete;
        alarm& operator=(const alarm&) = delete;
        virtual ~alarm();
        /// Tells whether it has; otherwise takes the waker.
        [[nodiscard]] virtual bool poll(const waker& waker) = 0;
    };

    time_source() = default;
    time_source(const time_source&) = delete;
    time_source& operator=(const time_source&) = delete;
    virtual ~time_source();

    [[nodiscard]] virtual clock::time_point now() noexcept = 0;
    [[nodiscard]] virtual std::unique_ptr<alarm> alarm_at(clock::time_point when) = 0;
    /// Moves the time to the earliest alarm. Tells whether there was one.
    virtual bool advance_to_next() = 0;
    [[nodiscard]] virtual bool can_advance() const noexcept = 0;
};

template <timed_runtime Clock>
class time_source_of final : public time_source {
    using timer_type = timer_of_t<Clock>;

    class alarm_of final : public alarm {
    public:
        explicit alarm_of(timer_type timer) : timer_(std::move(timer)) {}
        [[nodiscard]] bool poll(const waker& waker) override {
            return timer_.poll(waker).is_ready();
        }

    private:
        timer_type timer_;
    };

public:
    explicit time_source_of(Clock clock) : clock_(std::move(clock)) {}

    [[nodiscard]] clock::time_point now() noexcept override { return clock_.now(); }
    [[nodiscard]] std::unique_ptr<alarm> alarm_at(clock::time_point when) override {
        return std::make_unique<alarm_of>(clock_.timer_at(when));
    }
    bool advance_to_next() override {
        if constexpr (advances) {
            return clock_.advance_to_next();
        } else {
            return false;
        }
    }
    [[nodiscard]] bool can_advance() const noexcept override { return advances; }

private:
    static constexpr bool advances = requires(Clock& clock) { clock.advance_to_next(); };

    Clock clock_;
};

}  // namespace detail

}  // namespace heph::rt
