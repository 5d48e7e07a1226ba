#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include <heph/core/testing/virtual_clock.hpp>

namespace heph::testing {

namespace detail {

// Timers are kept by time, and in the order in which they were armed where that is the same.
class clock_state {
public:
    [[nodiscard]] steady_time now() const {
        const std::scoped_lock lock(mutex_);
        return now_;
    }

    // Tells whether the time has come. Otherwise the waker is kept, under a number.
    bool is_due(steady_time when, std::uint64_t& armed, const waker& who) {
        waker kept(who);  // What it replaces is dropped outside the lock.
        const std::scoped_lock lock(mutex_);
        if (now_ >= when) { return true; }
        if (armed == 0) { armed = ++last_armed_; }
        std::swap(timers_[{when, armed}], kept);
        return false;
    }

    void disarm(steady_time when, std::uint64_t armed) {
        waker dropped;  // Outside the lock: its end may be the end of who owns another timer.
        const std::scoped_lock lock(mutex_);
        const auto found = timers_.find({when, armed});
        if (found == timers_.end()) { return; }
        dropped = std::move(found->second);
        timers_.erase(found);
    }

    void advance_to(steady_time when) {
        std::vector<waker> due;
        {
            const std::scoped_lock lock(mutex_);
            now_ = std::max(now_, when);
            while (!timers_.empty() && timers_.begin()->first.first <= now_) {
                due.push_back(std::move(timers_.begin()->second));
                timers_.erase(timers_.begin());
            }
        }
        for (const waker& one : due) { one.wake(); }
    }

    [[nodiscard]] std::optional<steady_time> next() const {
        const std::scoped_lock lock(mutex_);
        if (timers_.empty()) { return std::nullopt; }
        return timers_.begin()->first.first;
    }

    [[nodiscard]] std::size_t waiting() const {
        const std::scoped_lock lock(mutex_);
        return timers_.size();
    }

private:
    mutable std::mutex mutex_;
    steady_time now_{std::chrono::hours(1)};
    std::uint64_t last_armed_ = 0;
    std::map<std::pair<steady_time, std::uint64_t>, waker> timers_;
};

}  // namespace detail

virtual_timer::virtual_timer(std::shared_ptr<detail::clock_state> clock, steady_time when) noexcept
    : clock_(std::move(clock)), when_(when) {}

virtual_timer::virtual_timer(virtual_timer&& other) noexcept
    : clock_(std::move(other.clock_)), when_(other.when_), armed_(std::exchange(other.armed_, 0)) {}

virtual_timer::~virtual_timer() {
    if (armed_ != 0) { clock_->disarm(when_, armed_); }
}

polled<void> virtual_timer::poll(const waker& waker) {
    if (!clock_->is_due(when_, armed_, waker)) { return pending; }
    if (armed_ != 0) { clock_->disarm(when_, std::exchange(armed_, 0)); }
    return ready;
}

virtual_clock::virtual_clock() : state_(std::make_shared<detail::clock_state>()) {}

steady_time virtual_clock::now() const noexcept { return state_->now(); }

void virtual_clock::advance(steady_time::duration by) {
    state_->advance_to(heph::detail::later(state_->now(), by));
}

void virtual_clock::advance_to(steady_time when) { state_->advance_to(when); }

std::optional<steady_time> virtual_clock::next_timer() const { return state_->next(); }

bool virtual_clock::advance_to_next() {
    const auto next = state_->next();
    if (next) { state_->advance_to(*next); }
    return next.has_value();
}

std::size_t virtual_clock::waiting() const { return state_->waiting(); }

}  // namespace heph::testing
