#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include <heph/rt/time_source.hpp>

namespace heph::remote {

/// Says until when something may take: a duration from now, or a point in time.
///
///     co_await ref.rpc(1s, request);
///
/// It counts from where it is made, not from where it is awaited; on a worker by the clock of its
/// runtime.
class deadline {
public:
    using clock = rt::clock;

    /// Ends after a duration, at most a year.
    template <typename Rep, typename Period>
    deadline(std::chrono::duration<Rep, Period> after)  // NOLINT(google-explicit-constructor)
        : after_(std::chrono::duration_cast<clock::duration>(
              std::min<std::chrono::duration<double>>(after, std::chrono::hours(24 * 365)))),
          at_(clock::now() + *after_) {}
    /// Ends at a point in time.
    deadline(clock::time_point at) noexcept : at_(at) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] clock::time_point at() const noexcept { return at_; }
    /// Gives the duration that it was made of, for who has another clock; nothing for a point in
    /// time.
    [[nodiscard]] std::optional<clock::duration> after() const noexcept { return after_; }

private:
    std::optional<clock::duration> after_;
    clock::time_point at_;
};

}  // namespace heph::remote
