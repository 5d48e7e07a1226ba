#pragma once

// Keeps what strangers can cause to be logged within bounds.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include <heph/core/log.hpp>

#include "environment.hpp"

namespace heph::remote::detail {

/// Lets 20 lines pass at once, and one a second after that; tells how many it kept back.
class log_limiter {
public:
    /// *Lifetime*: refers to the environment.
    explicit log_limiter(const environment& time) : time_(&time), since_(time.now()) {}

    void log(log_level level, std::string line) {
        const auto now = time_->now();
        const auto earned = std::chrono::duration_cast<std::chrono::seconds>(now - since_).count();
        if (earned > 0) {
            left_ = std::min<std::int64_t>(lines_at_once, left_ + earned);
            since_ = now;
        }
        if (left_ == 0) {
            ++kept_back_;
            return;
        }
        --left_;
        if (const auto missing = std::exchange(kept_back_, 0); missing != 0) {
            line += " (and " + std::to_string(missing) + " lines like it before)";
        }
        heph::log(level, line);
    }

private:
    static constexpr std::int64_t lines_at_once = 20;

    const environment* time_;
    steady_time since_;
    std::int64_t left_ = lines_at_once;
    std::uint64_t kept_back_ = 0;
};

}  // namespace heph::remote::detail
