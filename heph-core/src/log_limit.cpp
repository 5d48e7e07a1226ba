#include <heph/core/log_limit.hpp>

#include <algorithm>
#include <string>

namespace heph {

namespace {

constexpr std::chrono::nanoseconds minute = std::chrono::minutes(1);
// More is no bound any more, and must not overflow.
constexpr std::chrono::nanoseconds ahead_bound = std::chrono::years(1);

}  // namespace

log_limit::log_limit(std::uint32_t lines_per_minute, std::uint32_t at_once) noexcept {
    if (lines_per_minute == 0 || at_once == 0) { return; }
    interval_ = std::max(minute / lines_per_minute, duration(1));
    ahead_max_ = std::min<std::int64_t>(at_once - 1, ahead_bound / interval_) * interval_;
}

bool log_limit::admits(steady_time now) noexcept {
    if (interval_ > duration::zero()) {
        // No more than all at once, and one: further ahead it is when the clock went back.
        const steady_time latest = detail::later(now, ahead_max_ + interval_);
        const steady_time at = std::clamp(full_at_, now, latest);
        full_at_ = at;
        if (at - now <= ahead_max_) {
            full_at_ = detail::later(at, interval_);
            return true;
        }
    }
    ++left_out_;
    return false;
}

void log_limit::log(log_level level, std::string_view line, steady_time now) noexcept {
    if (!admits(now)) { return; }
    if (left_out_ == 0) { return heph::log(level, line); }
    try {
        const std::string with_count = std::string(line) + " (and " + std::to_string(left_out_) +
                                       (left_out_ == 1 ? " line" : " lines") + " like it before)";
        left_out_ = 0;
        heph::log(level, with_count);
    } catch (...) { heph::log(level, line); }  // No memory for the number: another time.
}

}  // namespace heph
