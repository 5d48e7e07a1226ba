#pragma once

// Which timers are due next: how to bring a structure of one's own for them.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace heph::rt {

/// A timer that runs, as a timer queue sees it: a place in the future that waits.
///
/// *Thread safety*: used by the queue that has it. *Lifetime*: valid from `add` to `remove`, or
/// until `expire` has given it.
class armed_timer {
public:
    armed_timer(const armed_timer&) = delete;
    armed_timer& operator=(const armed_timer&) = delete;

    /// Gives when it is due, in time since its worker was made. It stays the same while a queue has
    /// the timer, and may be past already.
    [[nodiscard]] std::chrono::milliseconds due() const noexcept {
        return std::chrono::milliseconds(static_cast<std::int64_t>(when));
    }

protected:
    armed_timer() noexcept = default;
    ~armed_timer() = default;

    std::uint64_t when = 0;  // In milliseconds.

public:
    armed_timer* next = nullptr;      ///< For the queue to link it with, while it has the timer.
    armed_timer* previous = nullptr;  ///< As `next`.
    std::uint32_t place = 0;          ///< For the queue to find it by, such as its index in a heap.
};

/// Keeps the timers that run on one worker, and tells which of them are due.
///
/// A worker adds a timer when its future begins to wait, and removes it when the future is dropped
/// or set to another time, for which it is added again. Once a turn, and with timers that are due,
/// it takes those out by `expire`, one after the other until there is none. By `next` it knows how
/// long it may sleep; it asks several times a turn, so that has to be quick. While no timer runs,
/// it calls nothing.
///
/// The time is that of the runtime's clock, in whole milliseconds since the worker was made; it
/// does not go back. Timers of thread-safe actors are in the queue of the worker that polled them.
///
/// What the runtime sees to, whatever a queue does: no timer completes before its time, since one
/// that is given too early is added again when its process runs. What it leaves to the queue: that
/// a timer is given at all, and no later than `now`; that it is given once; and that nothing is
/// given after it was removed, which would be memory of somebody else.
///
/// *Errors*: what `add` throws leaves the poll of the timer, and with it the actor's coroutine; the
/// timer is not added then. The other functions have nothing to fail by.
/// *Thread safety*: made, used and destroyed by its worker's thread. *Lifetime*: it outlives all
/// processes of its worker, and has no timers any more in the end.
class timer_queue {
public:
    timer_queue() = default;
    timer_queue(const timer_queue&) = delete;
    timer_queue& operator=(const timer_queue&) = delete;
    virtual ~timer_queue();

    /// Takes a timer, which is in no queue.
    virtual void add(armed_timer& timer) = 0;
    /// Gives one back that it has, due or not.
    virtual void remove(armed_timer& timer) noexcept = 0;
    /// Takes out one of those that are due at `now` or before, the earliest first, and gives it;
    /// null when there is none. Those that are due at the same time come in any order; in a
    /// `testing::simulation` it has to be the same in each run.
    [[nodiscard]] virtual armed_timer* expire(std::chrono::milliseconds now) noexcept = 0;
    /// Gives when the earliest one is due, or a time before that; nothing when it has none.
    [[nodiscard]] virtual std::optional<std::chrono::milliseconds> next() const noexcept = 0;
};

/// Makes a worker's timer queue, on its thread.
using timer_queue_factory = std::function<std::unique_ptr<timer_queue>()>;

}  // namespace heph::rt
