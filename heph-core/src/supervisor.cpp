#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <heph/core/detail/random_bits.hpp>
#include <heph/core/log.hpp>
#include <heph/core/supervisor.hpp>

namespace heph {

namespace detail {

void log_failure(const failure& why, std::string_view what_now, bool critical) noexcept {
    const log_level level = critical ? log_level::critical : log_level::warning;
    if (!log_enabled(level)) { return; }
    const log_actor actor(why.actor_name(), why.actor_id());
    try {
        std::string line = "actor ";
        line += why.actor_name().empty() ? std::string_view("without a name") : why.actor_name();
        line += why.stage() == failure_stage::running ? " failed: " : " could not be restarted: ";
        line += why.message();
        if (why.is_exception()) { line += " (exception " + why.type_name() + ")"; }
        line += "; ";
        line += what_now;
        log(log_record(level, line, actor).naming_actor());
    } catch (...) { log(level, "an actor failed, and there is no memory to say why", actor); }
}

void log_no_restart(std::string_view why, std::string_view name, std::uint64_t id) noexcept {
    if (!log_enabled(log_level::info)) { return; }
    const log_actor actor(name, id);
    try {
        std::string line = "actor ";
        line += name.empty() ? std::string_view("without a name") : name;
        line += " is not restarted, as ";
        line += why;
        log(log_record(log_level::info, line, actor).naming_actor());
    } catch (...) { log(log_level::info, "an actor that waits is not restarted", actor); }
}

bool restart_history::allow(steady_time now) {
    if (limit_.restarts == 0) { return false; }
    // Two of the oldest go if they are too old: one for the new one, and one more, so that what a
    // busy time left behind goes in the end.
    for (int i = 0; i < 2 && count_ != 0 && now - times_[oldest_] >= limit_.within; ++i) {
        oldest_ = (oldest_ + 1) % size_;
        --count_;
    }
    if (count_ >= limit_.restarts) { return false; }
    if (count_ == size_) { grow(); }
    times_[(oldest_ + count_) % size_] = now;
    ++count_;
    return true;
}

void restart_history::grow() {
    const std::size_t larger = std::min(std::max<std::size_t>(4, size_ * 2), limit_.restarts);
    auto times = std::make_unique<steady_time[]>(larger);
    for (std::size_t i = 0; i < count_; ++i) { times[i] = times_[(oldest_ + i) % size_]; }
    times_ = std::move(times);
    size_ = larger;
    oldest_ = 0;
}

namespace {

bool count_restart(restart_history& history, const failure& why, steady_time now) noexcept {
    try {
        if (history.allow(now)) { return true; }
    } catch (...) {
        // No memory to remember the restart with: do as if there were too many.
    }
    log_failure(why, "stopping it, as it was restarted too often", true);
    return false;
}

// Advances a generator of evenly spread numbers (a Weyl sequence, mixed).
std::uint64_t next_random(std::uint64_t& state) noexcept {
    state += 0x9e37'79b9'7f4a'7c15U;
    std::uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58'476d'1ce4'e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d0'49bb'1331'11ebU;
    return mixed ^ (mixed >> 31U);
}

// Bounds what a user may have set to nonsense.
backoff checked(backoff settings) {
    using std::chrono::nanoseconds;
    settings.initial = std::max(settings.initial, nanoseconds(0));
    settings.longest = std::max(settings.longest, settings.initial);
    if (!(settings.factor >= 1.0)) { settings.factor = 1.0; }  // Also when it is no number.
    if (!(settings.jitter >= 0.0)) { settings.jitter = 0.0; }
    settings.jitter = std::min(settings.jitter, 1.0);
    if (settings.seed == 0) { settings.seed = random_bits(); }
    return settings;
}

}  // namespace

bool decide_restart(restart_history& history, const failure& why, steady_time now) noexcept {
    if (!count_restart(history, why, now)) { return false; }
    log_failure(why, "restarting it", false);
    return true;
}

backoff_state::backoff_state(const backoff& settings)
    : settings_(checked(settings)),
      delay_(static_cast<double>(settings_.initial.count())),
      random_(settings_.seed) {}

std::chrono::nanoseconds backoff_state::next(steady_time now) noexcept {
    const auto longest = static_cast<double>(settings_.longest.count());
    if (due_ != steady_time() && now >= due_ && now - due_ >= settings_.reset_after) {
        delay_ = static_cast<double>(settings_.initial.count());
    }
    const double share = static_cast<double>(next_random(random_) >> 11U) * 0x1p-53;  // [0, 1)
    const double whole = std::min(delay_, longest);
    const double waits = whole * (1.0 - settings_.jitter * share);
    delay_ = std::min(whole * settings_.factor, longest);
    // Compared before it is converted: a double may be beyond what fits.
    const auto delay = waits >= static_cast<double>(std::chrono::nanoseconds::max().count())
                           ? std::chrono::nanoseconds::max()
                           : std::chrono::nanoseconds(static_cast<std::int64_t>(waits));
    due_ = later(now, delay);
    return delay;
}

std::optional<std::chrono::nanoseconds> decide_backoff(restart_history& history,
                                                       backoff_state& state, const failure& why,
                                                       steady_time now) noexcept {
    if (!count_restart(history, why, now)) { return std::nullopt; }
    const auto delay = state.next(now);
    if (log_enabled(log_level::warning)) {
        using milliseconds = std::chrono::milliseconds;
        const auto count = std::chrono::ceil<milliseconds>(delay).count();
        try {
            log_failure(why, "restarting it in " + std::to_string(count) + " ms", false);
        } catch (...) { log_failure(why, "restarting it later", false); }
    }
    return delay;
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
