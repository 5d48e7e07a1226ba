#pragma once

// How often something was restarted lately.

#include <chrono>
#include <cstddef>
#include <memory>

#include <heph/core/timing.hpp>

namespace heph {

class failure;

/// Says how often an actor may be restarted: `restarts` times within any span of `within`.
struct restart_limit {
    std::size_t restarts = 5;
    std::chrono::nanoseconds within = std::chrono::seconds(5);
};

namespace detail {

/// Remembers the last restarts, at most as many as are allowed in a period: a ring, which grows to
/// twice its size when it is full of what is not too old. So a restart takes the same time however
/// many the period holds, and a generous limit takes no more memory than it needs.
class restart_history {
public:
    explicit restart_history(restart_limit limit) noexcept : limit_(limit) {}
    restart_history(const restart_history& other) : limit_(other.limit_) {}  // It begins anew.
    restart_history& operator=(const restart_history&) = delete;
    restart_history(restart_history&&) noexcept = default;
    restart_history& operator=(restart_history&&) noexcept = default;

    /// Counts a restart, unless it would be one too many. *Errors*: throws `std::bad_alloc`.
    [[nodiscard]] bool allow(steady_time now);

    /// Forgets all.
    void clear() noexcept { count_ = 0; }

    [[nodiscard]] const restart_limit& limit() const noexcept { return limit_; }

private:
    void grow();

    restart_limit limit_;
    std::unique_ptr<steady_time[]> times_;
    std::size_t size_ = 0;
    std::size_t oldest_ = 0;
    std::size_t count_ = 0;
};

/// Counts the restart and logs the failure; false, and logged as critical, when it is one too many.
[[nodiscard]] bool decide_restart(restart_history& history, const failure& why,
                                  steady_time now) noexcept;

}  // namespace detail

}  // namespace heph
