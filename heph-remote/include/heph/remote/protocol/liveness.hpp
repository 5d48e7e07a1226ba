#pragma once

#include <algorithm>
#include <chrono>

namespace heph::remote::protocol {

/// Decides when a silent peer is taken for dead. Time that this program did not run, because it had
/// no processor or was stopped, does not count: what the peer said meanwhile was not read yet.
///
/// It is to be told the time every `step()`. Silence is counted in steps, each for what passed
/// since the last one, but at most two steps: whoever comes late to look was away, and looks once
/// more before it decides.
///
/// *Thread safety*: unsafe.
class liveness {
public:
    using clock = std::chrono::steady_clock;
    using duration = clock::duration;

    /// Takes for how long a peer may be silent, when it was heard last, and how long a step may be.
    liveness(duration silence_max, clock::time_point now,
             duration step_max = duration::max()) noexcept
        : silence_max_(silence_max),
          step_(std::max<duration>(std::min(silence_max / 8, step_max),
                                   std::chrono::milliseconds(1))),
          seen_(now) {}

    /// Says that something came.
    void heard(clock::time_point now) noexcept {
        silent_ = duration::zero();
        seen_ = now;
    }
    /// Says what time it is.
    void tick(clock::time_point now) noexcept {
        silent_ += std::clamp(now - seen_, duration::zero(), 2 * step_);
        seen_ = now;
    }
    [[nodiscard]] bool is_dead() const noexcept { return silent_ >= silence_max_; }
    /// How long nothing came, as far as this program would have noticed.
    [[nodiscard]] duration silent_for() const noexcept { return silent_; }
    /// How long to wait, at most, until `tick` is to be called again.
    [[nodiscard]] duration step() const noexcept { return step_; }

private:
    duration silence_max_;
    duration step_;
    duration silent_ = duration::zero();
    clock::time_point seen_;
};

}  // namespace heph::remote::protocol
