#pragma once

// Keeps what others can cause to be logged within bounds.
//
//     heph::log_limit refused(60, 20);  // 20 lines at once, and 60 a minute in the long run
//     …
//     refused.log(heph::log_level::warning, "refused " + name, ctx.runtime().now());
//
// Or, where making the line costs something, or the words are to be others:
//
//     if (refused.admits(now)) { … refused.take_left_out() … }
//
// A line takes an interval of time, a minute divided by the lines of it. `full_at_` is the time at
// which nothing would be taken any more: a line puts it off by an interval, and is admitted while
// it is no further ahead than all lines at once but one. (The "generic cell rate algorithm" of
// ITU-T I.371.)

#include <chrono>
#include <cstdint>
#include <string_view>
#include <utility>

#include <heph/core/log.hpp>
#include <heph/core/timing.hpp>

namespace heph {

/// Bounds how many lines go to the log: some at once, then as many as the time allows; counts those
/// that are left out. Time comes from who asks. A clock that goes back does no harm.
///
/// *Thread safety*: unsafe: give each thread its own.
class log_limit {
public:
    /// Allows so many lines a minute, and as many at once, or `at_once` of them. 0 allows none.
    explicit log_limit(std::uint32_t lines_per_minute) noexcept
        : log_limit(lines_per_minute, lines_per_minute) {}
    log_limit(std::uint32_t lines_per_minute, std::uint32_t at_once) noexcept;

    /// Tells whether a line may be written now; counts it among those left out when not.
    [[nodiscard]] bool admits(steady_time now) noexcept;

    /// Gives how many lines were left out since `take_left_out` was last called.
    [[nodiscard]] std::uint64_t left_out() const noexcept { return left_out_; }
    /// Gives that number, and counts anew.
    std::uint64_t take_left_out() noexcept { return std::exchange(left_out_, 0); }

    /// Writes a line, unless there were too many; says with it how many were left out before.
    void log(log_level level, std::string_view line, steady_time now) noexcept;

private:
    using duration = std::chrono::nanoseconds;

    steady_time full_at_ = steady_time::min();
    duration interval_{};  // Zero when none is allowed.
    duration ahead_max_{};
    std::uint64_t left_out_ = 0;
};

}  // namespace heph
