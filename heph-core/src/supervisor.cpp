#include <cstddef>
#include <string>

#include <heph/core/log.hpp>
#include <heph/core/supervisor.hpp>

namespace heph {

namespace detail {

void log_failure(const failure& why, std::string_view what_now, bool critical) noexcept {
    const log_level level = critical ? log_level::critical : log_level::warning;
    try {
        std::string line = "actor ";
        line += why.actor_name().empty() ? std::string_view("without a name") : why.actor_name();
        line += why.stage() == failure_stage::running ? " failed: " : " could not be restarted: ";
        line += why.message();
        if (why.is_exception()) { line += " (exception " + why.type_name() + ")"; }
        line += "; ";
        line += what_now;
        log(level, line);
    } catch (...) { log(level, "an actor failed, and there is no memory to say why"); }
}

bool restart_history::allow(std::chrono::steady_clock::time_point now) {
    if (limit_.restarts == 0) { return false; }
    // What is too old makes room, so that a generous limit takes no more memory than it needs.
    if (!times_.empty() && now - times_[oldest_] >= limit_.within) {
        times_[oldest_] = now;
        oldest_ = (oldest_ + 1) % times_.size();
        return true;
    }
    if (times_.size() == limit_.restarts) { return false; }
    // The newest one stands before the oldest one, or at the end.
    if (oldest_ == 0) {
        times_.push_back(now);
    } else {
        times_.insert(times_.begin() + static_cast<std::ptrdiff_t>(oldest_), now);
        ++oldest_;
    }
    return true;
}

bool decide_restart(restart_history& history, const failure& why) noexcept {
    try {
        if (history.allow(std::chrono::steady_clock::now())) {
            log_failure(why, "restarting it", false);
            return true;
        }
    } catch (...) {
        // No memory to remember the restart with: do as if there were too many.
    }
    log_failure(why, "stopping it, as it was restarted too often", true);
    return false;
}

}  // namespace detail

stop_t no_supervisor::decide(const failure& why) noexcept {
    detail::log_failure(why, "stopping it, as it has no supervisor", true);
    return stop;
}

stop_t stop_supervisor::decide(const failure& why) noexcept {
    detail::log_failure(why, "stopping it", false);
    return stop;
}

}  // namespace heph
