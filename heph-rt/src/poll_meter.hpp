#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <heph/rt/detail/process.hpp>

namespace heph::rt::detail {

/// Measures how long processes run, without reading the clock for every poll.
///
/// Reading the clock costs as much as a short poll. Quick polls are therefore measured in windows
/// of several, and charged alike. As soon as a window's polls were long on average, each is
/// measured by itself, for as long as they are, and for a while longer.
///
/// *Thread safety*: unsafe.
class poll_meter {
public:
    using clock = std::chrono::steady_clock;
    using duration = std::chrono::nanoseconds;
    static constexpr std::size_t window_max = 16;

    /// Begins a window: what passed before it is nobody's.
    void begin(clock::time_point now) noexcept { started_ = now; }

    /// Notes a poll of a local process that goes on. Tells whether to close the window now.
    [[nodiscard]] bool note(process_header& process) noexcept {
        if (process.measured() == 0) {
            window_[used_++] = &process;
            process.set_measured(static_cast<std::uint32_t>(used_));
        }
        return ++polls_ >= limit_;
    }
    /// Notes a poll of a process that finished, or one whose account is not kept here.
    [[nodiscard]] bool note_finished(process_header& process) noexcept {
        if (process.measured() != 0) { window_[process.measured() - 1] = nullptr; }
        return ++polls_ >= limit_;
    }
    [[nodiscard]] bool empty() const noexcept { return polls_ == 0; }

    /// Gives how long the window is open.
    [[nodiscard]] duration since_begin(clock::time_point now) const noexcept {
        return std::chrono::duration_cast<duration>(now - started_);
    }

    /// Ends a window that one poll of a thread-safe process had to itself; see `close`.
    duration close_shared(clock::time_point now) noexcept {
        return std::chrono::duration_cast<duration>(now - std::exchange(started_, now));
    }

    /// Ends the window and begins the next one. Calls `charge(process, ran)` with each process
    /// that ran in it and still exists. Gives how long the window took.
    template <typename Charge>
    duration close(clock::time_point now, Charge charge) noexcept {
        const auto took = std::chrono::duration_cast<duration>(now - started_);
        // Copies, since the compiler has to assume that `charge` changes the originals.
        const std::size_t used = used_;
        const duration share = took / static_cast<std::int64_t>(used != 0 ? used : 1);
        for (std::size_t i = 0; i < used; ++i) {
            process_header* const ran = window_[i];
            if (ran == nullptr) { continue; }
            ran->set_measured(0);
            charge(*ran, share);
        }
        if (took > quick_ * static_cast<std::int64_t>(polls_ != 0 ? polls_ : 1)) {
            exact_left_ = exact_for;
        } else if (exact_left_ != 0) {
            --exact_left_;
        }
        limit_ = exact_left_ != 0 ? 1 : window_max;
        used_ = 0;
        polls_ = 0;
        started_ = now;
        return took;
    }

private:
    static constexpr duration quick_ = std::chrono::microseconds(30);
    static constexpr std::uint32_t exact_for = 256;

    std::array<process_header*, window_max> window_{};
    std::size_t used_ = 0;
    std::size_t polls_ = 0;
    std::size_t limit_ = window_max;
    std::uint32_t exact_left_ = 0;
    clock::time_point started_{};
};

}  // namespace heph::rt::detail
