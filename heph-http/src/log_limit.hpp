#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

namespace heph::http::detail {

/// Bounds how many lines one worker writes about what its clients do, so that a flood of bad
/// clients cannot fill the disk: a minute's worth at once, then as many as the time allows.
///
/// *Thread safety*: unsafe: a worker has its own.
class log_limit {
public:
    explicit log_limit(std::uint32_t lines_per_minute) noexcept
        : per_minute_(lines_per_minute), credit_(std::uint64_t{lines_per_minute} * minute_ms) {}

    /// Tells whether a line may be written at `now_ms`; counts it when it may not.
    [[nodiscard]] bool admits(std::uint64_t now_ms) noexcept {
        if (!started_) {
            started_ = true;
            last_ms_ = now_ms;
        }
        // A line costs a minute of credit, and each millisecond earns `per_minute_`.
        const std::uint64_t full = std::uint64_t{per_minute_} * minute_ms;
        const std::uint64_t elapsed = std::min(now_ms - last_ms_, minute_ms);
        credit_ = std::min(credit_ + elapsed * per_minute_, full);
        last_ms_ = now_ms;
        if (credit_ < minute_ms) {
            ++left_out_;
            return false;
        }
        credit_ -= minute_ms;
        return true;
    }

    /// Gives how many lines were left out since this was last asked.
    [[nodiscard]] std::uint64_t take_left_out() noexcept { return std::exchange(left_out_, 0); }

private:
    static constexpr std::uint64_t minute_ms = 60'000;

    std::uint32_t per_minute_;
    std::uint64_t credit_;
    std::uint64_t last_ms_ = 0;
    std::uint64_t left_out_ = 0;
    bool started_ = false;
};

}  // namespace heph::http::detail
