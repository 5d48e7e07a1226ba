#pragma once

// How suspicious silence is (Hayashibara, Défago, Yared, Katayama: "The φ accrual failure
// detector", SRDS 2004).

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <optional>
#include <vector>

#include <heph/remote/protocol/liveness.hpp>

namespace heph::remote::protocol {

/// Tunes a `phi_accrual`.
struct phi_accrual_settings {
    using milliseconds = std::chrono::milliseconds;

    /// At which φ a peer is taken for dead: 8 means that, as its answers came so far, one of 10^8
    /// would come as late as this or later. At most `threshold_most`, beyond which nothing is more
    /// suspicious.
    double threshold = 8;
    /// What a peer may pause besides, to collect garbage or because of others on its machine.
    milliseconds pause{3'000};
    /// What is taken for the standard deviation of its answers when they come more evenly; at least
    /// a millisecond.
    milliseconds deviation_min{100};
    /// How many of its latest answers count: 2 to `samples_most`.
    std::size_t samples_max = 200;

    static constexpr double threshold_most = 300;
    static constexpr std::size_t samples_most = 10'000;
};

/// Estimates, from how late a peer's signs of life came so far, how likely it is that one is still
/// to come: φ = -log10 of that, for normally distributed times.
///
/// A peer has to say something only when it is asked, which is after a silence of `heartbeat`. What
/// comes earlier tells nothing about how late an answer may be, and is not counted: a peer that was
/// busy and then falls idle is not suspected for that.
///
/// *Thread safety*: unsafe.
class phi_accrual {
public:
    using duration = liveness::duration;

    phi_accrual(const phi_accrual_settings& settings, duration heartbeat)
        : settings_(settings), heartbeat_(heartbeat) {
        settings_.samples_max =
            std::clamp<std::size_t>(settings_.samples_max, 2, phi_accrual_settings::samples_most);
        // A guess, before anything is known: a peer that answers within half a heartbeat.
        late_.reserve(settings_.samples_max);
        add(seconds(heartbeat) / 4);
        add(seconds(heartbeat) / 2);
    }

    /// Says that something came after so much silence.
    void heard_after(duration silence) {
        if (silence >= heartbeat_) { add(seconds(silence - heartbeat_)); }
    }

    /// Tells how suspicious so much silence is: from 0 on, and infinite in the end.
    [[nodiscard]] double phi(duration silence) const noexcept {
        const double late = seconds(silence - heartbeat_) - seconds(settings_.pause);
        const auto count = static_cast<double>(late_.size());
        const double mean = sum_ / count;
        const double variance = std::max(squares_ / count - mean * mean, 0.0);
        const double deviation = std::max(std::sqrt(variance), deviation_min());
        const double later = std::erfc((late - mean) / (deviation * std::numbers::sqrt2)) / 2;
        return later > 0 ? -std::log10(later) : std::numeric_limits<double>::infinity();
    }
    [[nodiscard]] bool is_dead(duration silence) const noexcept {
        return phi(silence) >= settings_.threshold;
    }

private:
    static double seconds(duration of) noexcept {
        return std::chrono::duration<double>(of).count();
    }
    double deviation_min() const noexcept {
        return std::max(seconds(settings_.deviation_min), 1e-6);
    }

    void add(double late) {
        if (late_.size() < settings_.samples_max) {
            late_.push_back(late);
        } else {
            late_[next_] = late;
            next_ = (next_ + 1) % late_.size();
        }
        // Anew, as what is added and taken away again does not come to nothing.
        sum_ = squares_ = 0;
        for (const double each : late_) {
            sum_ += each;
            squares_ += each * each;
        }
    }

    phi_accrual_settings settings_;
    duration heartbeat_;
    std::vector<double> late_;  // In seconds beyond the heartbeat, the oldest one at `next_`.
    std::size_t next_ = 0;
    double sum_ = 0;
    double squares_ = 0;
};

/// Decides when a silent peer is taken for dead: after a fixed time, or earlier when its silence
/// is suspicious. It is used as a `liveness`, which counts for both: time in which this program did
/// not run makes nobody suspicious, nor does it make anybody's answers late.
///
/// *Thread safety*: unsafe.
class failure_detector {
public:
    using clock = liveness::clock;
    using duration = liveness::duration;

    failure_detector(duration silence_max, duration heartbeat,
                     const std::optional<phi_accrual_settings>& suspicion, clock::time_point now)
        : silence_(silence_max, now, suspicion ? heartbeat / 8 : duration::max()) {
        if (suspicion) { suspicion_.emplace(*suspicion, heartbeat); }
    }

    void heard(clock::time_point now) {
        // An answer counts as late as this program can have noticed.
        if (suspicion_) {
            silence_.tick(now);
            suspicion_->heard_after(silence_.silent_for());
        }
        silence_.heard(now);
    }
    void tick(clock::time_point now) noexcept { silence_.tick(now); }
    [[nodiscard]] bool is_dead() const noexcept {
        return silence_.is_dead() || (suspicion_ && suspicion_->is_dead(silence_.silent_for()));
    }
    /// How suspicious the peer is; 0 where a fixed time decides.
    [[nodiscard]] double phi() const noexcept {
        return suspicion_ ? suspicion_->phi(silence_.silent_for()) : 0;
    }
    [[nodiscard]] duration silent_for() const noexcept { return silence_.silent_for(); }
    [[nodiscard]] duration step() const noexcept { return silence_.step(); }

private:
    liveness silence_;
    std::optional<phi_accrual> suspicion_;
};

}  // namespace heph::remote::protocol
