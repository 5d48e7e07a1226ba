#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <system_error>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/detail/timer_node.hpp>
#include <heph/rt/detail/worker_clock.hpp>

namespace heph::http::detail {

/// Wakes a task for the deadlines that it waits for, of which there may be several.
///
/// It is armed once and then left alone while the deadlines only move away: when it goes off early,
/// whoever still waits arms it again for what is left. So a request costs no change of the timing
/// wheel.
class alarm {
public:
    /// Tells whether a time on the worker's clock has come. Otherwise `waker` is woken by then.
    bool passed(std::uint64_t deadline_ms, const waker& waker);

private:
    rt::detail::timer_node node_;
};

/// A deadline that is set again and again.
class patience {
public:
    /// Lets `passed` say so `after` from now.
    void set(std::chrono::milliseconds after) {
        const auto wait = static_cast<std::uint64_t>(after.count() > 0 ? after.count() : 0);
        deadline_ms_ = rt::detail::worker_coarse_ms() + wait;
    }
    /// Gives the time until then.
    [[nodiscard]] std::chrono::milliseconds left() const {
        return std::chrono::milliseconds(static_cast<std::int64_t>(deadline_ms_) -
                                         static_cast<std::int64_t>(rt::detail::worker_coarse_ms()));
    }
    /// Tells whether the deadline has passed, and has `waker` woken when it may have.
    bool passed(alarm& wakes, const waker& waker) const {
        return wakes.passed(deadline_ms_, waker);
    }

private:
    std::uint64_t deadline_ms_ = 0;
};

/// How slowly a peer may take what is sent to it.
struct send_bounds {
    std::chrono::milliseconds pause{0};      ///< So long it may take nothing.
    std::uint64_t bytes_per_second_min = 0;  ///< From then on, so much on average; 0 for any.
};

/// Judges by what a peer has taken how it takes one block; no clock, no socket.
///
/// What it took before the first look is not known, so it gets the time until then as a gift.
class send_progress {
public:
    void begin(std::uint64_t now_ms, send_bounds bounds) noexcept;
    [[nodiscard]] const send_bounds& bounds() const noexcept { return bounds_; }
    /// Tells whether it is too slow. `taken` counts all bytes that it has taken so far, from
    /// whenever on; nothing says that this is not known, so that the block has to be gone in time.
    [[nodiscard]] bool is_too_slow(std::uint64_t now_ms,
                                   std::optional<std::uint64_t> taken) noexcept;

private:
    send_bounds bounds_{};
    std::uint64_t began_ms_ = 0;
    std::uint64_t progressed_ms_ = 0;
    std::uint64_t first_ = 0;  // What it had taken at the first look.
    std::uint64_t last_ = 0;   // And at the last one.
    bool looked_ = false;
};

/// Waits for a peer to take what is sent, for as long as it does take something: looks at what it
/// has taken from time to time, and never while a block is gone soon.
class send_patience {
public:
    /// A block begins to be sent. Its time counts from when it is first asked for: most are gone
    /// before, and need no clock.
    void begin(send_bounds bounds) noexcept {
        bounds_ = bounds;
        begun_ = false;
    }
    /// Tells whether the peer behind the socket takes it too slowly, and wakes `waker` to ask
    /// again.
    bool passed(int socket, alarm& wakes, const waker& waker);

private:
    send_progress progress_;
    send_bounds bounds_{};
    std::uint64_t next_look_ms_ = 0;
    bool begun_ = false;
};

/// Waits for the end of a step that sends, unless the peer is too slow.
/// *Errors*: the step's; `std::errc::timed_out`. *Lifetime*: `limit` and `wakes` outlive it.
template <future Step>
class [[nodiscard]] patient_future {
public:
    using value_type = std::expected<typename Step::value_type, std::error_code>;
    /// `limit` has begun.
    patient_future(send_patience& limit, alarm& wakes, int socket, Step step) noexcept
        : limit_(&limit), wakes_(&wakes), socket_(socket), step_(std::move(step)) {}
    polled<value_type> poll(const waker& waker) {
        auto taken = step_.poll(waker);
        if (taken.is_ready()) { return value_type(std::move(taken).value()); }
        if (limit_->passed(socket_, *wakes_, waker)) {
            return value_type(std::unexpect, std::make_error_code(std::errc::timed_out));
        }
        return pending;
    }

private:
    send_patience* limit_;
    alarm* wakes_;
    int socket_;
    Step step_;
};

/// Gives how many of the bytes that were sent over a TCP socket its peer has acknowledged; nothing
/// when the system does not tell.
[[nodiscard]] std::optional<std::uint64_t> acknowledged_bytes(int socket) noexcept;

/// Gives how many bytes the kernel has taken for such a socket, acknowledged or not.
[[nodiscard]] std::optional<std::uint64_t> accepted_bytes(int socket) noexcept;

}  // namespace heph::http::detail
