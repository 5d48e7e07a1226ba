#pragma once

// What the timers of a worker consist of: one node for each that is armed.

#include <cstdint>

#include <heph/inbox/waker.hpp>
#include <heph/rt/detail/pin.hpp>
#include <heph/rt/timer_queue.hpp>

namespace heph::rt::detail {

class worker_core;

/// A place among a worker's timers. Lives in the future that waits, which does not move once it is
/// armed.
///
///     idle --arm--> armed --expires--> fired
///     armed --disarm or destroyed--> idle
///     armed --given too early by a queue of the program's--> idle, and woken
struct timer_node : armed_timer {
    timer_node() noexcept = default;
    timer_node(const timer_node&) = delete;
    timer_node& operator=(const timer_node&) = delete;
    ~timer_node() { disarm(); }

    /// Arms the node on the calling worker for `when_ms` on its clock, to wake `waker`.
    /// *Errors*: throws `std::system_error` with `errc::no_worker` outside of a worker; what a
    /// queue of the program's throws. It is idle then.
    void arm(std::uint64_t when_ms, const waker& waker);

    /// Takes the node out of its worker's timers, if it is among them.
    void disarm() noexcept;

    [[nodiscard]] bool armed() const noexcept { return owner != nullptr; }

    using armed_timer::when;
    bool fired = false;
    worker_core* owner = nullptr;
    heph::waker waker;
    pin holder;
};

/// Gives the calling worker's clock: milliseconds since it started, as of this turn of its loop.
/// *Errors*: throws `std::system_error` with `errc::no_worker` outside of a worker.
[[nodiscard]] std::uint64_t worker_now_ms();

}  // namespace heph::rt::detail
