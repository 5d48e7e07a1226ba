#pragma once

// What a timing wheel links: one node for each armed timer.

#include <cstdint>

#include <heph/inbox/waker.hpp>
#include <heph/rt/detail/pin.hpp>

namespace heph::rt::detail {

class worker_core;

/// A place in a worker's timing wheel. Lives in the future that waits, which does not move once it
/// is armed.
///
///     idle --arm--> armed --expires--> fired
///     armed --disarm or destroyed--> idle
struct timer_node {
    timer_node() noexcept = default;
    timer_node(const timer_node&) = delete;
    timer_node& operator=(const timer_node&) = delete;
    ~timer_node() { disarm(); }

    /// Arms the node on the calling worker for `when_ms` on its clock, to wake `waker`.
    /// *Errors*: throws `std::system_error` with `errc::no_worker` outside of a worker.
    void arm(std::uint64_t when_ms, const waker& waker);

    /// Takes the node out of its wheel, if it is in one.
    void disarm() noexcept;

    [[nodiscard]] bool armed() const noexcept { return owner != nullptr; }

    timer_node* next = nullptr;
    timer_node* previous = nullptr;
    std::uint64_t when = 0;  // In milliseconds, on the wheel's clock.
    worker_core* owner = nullptr;
    heph::waker waker;
    pin holder;
    std::uint8_t level = 0;
    std::uint16_t index = 0;
    bool fired = false;
};

/// Gives the calling worker's clock: milliseconds since it started, as of this turn of its loop.
/// *Errors*: throws `std::system_error` with `errc::no_worker` outside of a worker.
[[nodiscard]] std::uint64_t worker_now_ms();

}  // namespace heph::rt::detail
