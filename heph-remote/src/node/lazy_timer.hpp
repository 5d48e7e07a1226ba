#pragma once

#include <optional>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/inbox/future.hpp>

#include "environment.hpp"

namespace heph::remote::detail {

/// Becomes ready some time, for whoever puts it off much more often than it is reached: it is left
/// to run as it is, and when it is over, who waits finds out that there is nothing to do yet, and
/// starts it again. A timer for each wait would be made and taken back with each message.
///
/// It is awaited by reference, and is ready once for each start.
///
/// *Thread safety*: unsafe. *Lifetime*: outlived by the environment.
class [[nodiscard]] lazy_timer {
public:
    using value_type = void;
    explicit lazy_timer(environment& around) noexcept : around_(&around) {}

    [[nodiscard]] bool is_running() const noexcept { return running_.has_value(); }
    /// Has it be over at a point in time, or before.
    void run_until(steady_time when) {
        if (running_ && until_ <= when) { return; }
        running_.emplace(around_->timer_at(when));
        until_ = when;
    }
    polled<void> poll(const waker& waker) {
        if (!running_ || !running_->poll(waker).is_ready()) { return pending; }
        running_.reset();
        return ready;
    }

private:
    environment* around_;
    std::optional<task<>> running_;
    steady_time until_;
};

}  // namespace heph::remote::detail
