#pragma once

#include <algorithm>
#include <chrono>

namespace heph::rt::detail {

/// Decides for how long a worker looks for work before it sleeps.
///
/// Putting a thread to sleep and waking it takes tens of microseconds, a hundred times what a
/// message between running threads takes. It looks for about as long as that would take, if what
/// other threads sent lately came within that time; and not at all if it did not, so that nothing
/// is burnt where waiting is in order. Sans-io: it is told what happened.
///
/// *Thread safety*: unsafe.
class idle_spin {
public:
    using duration = std::chrono::nanoseconds;

    /// `most` is the longest it looks; zero for never.
    explicit idle_spin(duration most) noexcept : most_(most), expected_(4 * most) {}

    /// Gives for how long to look.
    [[nodiscard]] duration limit() const noexcept {
        return expected_ <= most_ ? most_ : duration::zero();
    }

    /// Notes that a worker was idle for `gap` when another thread sent something.
    void sent_after(duration gap) noexcept { learn(gap); }
    /// Notes that a worker looked in vain, or that it was not another thread that ended the wait.
    void not_sent() noexcept { learn(4 * most_); }

private:
    void learn(duration gap) noexcept { expected_ += (std::min(gap, 4 * most_) - expected_) / 4; }

    duration most_;
    duration expected_;
};

}  // namespace heph::rt::detail
