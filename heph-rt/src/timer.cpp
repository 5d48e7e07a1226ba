#include <heph/rt/timer.hpp>

#include <algorithm>
#include <system_error>

#include <heph/rt/detail/worker_clock.hpp>
#include <heph/rt/error.hpp>

#include "worker_core.hpp"

namespace heph::rt {

namespace detail {

namespace {

worker_core& worker_or_throw() {
    worker_core* worker = current_worker();
    if (worker == nullptr) { throw std::system_error(make_error_code(errc::no_worker)); }
    return *worker;
}

// Rounds up, so that no timer is early.
std::uint64_t ceil_ms(clock::duration duration) noexcept {
    return static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(duration).count()));
}

// Makes a node idle that is no more among its worker's timers.
void forget(timer_node& node) noexcept {
    node.owner = nullptr;
    node.waker = waker();
    node.holder = pin();
}

}  // namespace

void timer_node::arm(std::uint64_t when_ms, const heph::waker& to_wake) {
    worker_core& worker = worker_or_throw();
    disarm();
    when = when_ms;
    waker = to_wake;
    holder = pin(worker.polled_process());
    owner = &worker;
    fired = false;
    try {
        worker.timers().add(*this);
    } catch (...) {  // Of a queue of the program's.
        forget(*this);
        throw;
    }
}

void timer_node::disarm() noexcept {
    if (owner == nullptr) { return; }
    owner->timers().remove(*this);
    forget(*this);
}

std::uint64_t worker_now_ms() { return worker_or_throw().now_ms(); }

std::uint64_t worker_coarse_ms() { return worker_or_throw().coarse_ms(); }

namespace {

// Gives the worker's clock at `at`.
std::uint64_t worker_ms_at(clock::time_point at) {
    return ceil_ms(at - worker_or_throw().started());
}

}  // namespace

}  // namespace detail

polled<void> timer::poll(const waker& waker) {
    if (node_.fired) { return ready; }
    if (node_.armed()) {
        if (!node_.waker.will_wake(waker)) { node_.waker = waker; }
        return pending;
    }
    const auto now = clock::now();
    if (!absolute_) {
        // Half of the clock's range is more than a lifetime; it must not overflow.
        at_ = heph::detail::later(now, std::min(after_, clock::duration::max() / 2));
        absolute_ = true;
    }
    if (at_ <= now) {
        node_.fired = true;
        return ready;
    }
    node_.arm(detail::worker_ms_at(at_), waker);
    return pending;
}

polled<void> interval::next_future::poll(const waker& waker) {
    interval& every = *owner_;
    if (node_.armed()) {
        if (!node_.waker.will_wake(waker)) { node_.waker = waker; }
        return pending;
    }
    // The points in time are not a worker's: the next one may be waited for on another worker.
    const auto period = std::clamp<clock::duration>(every.period_, std::chrono::milliseconds(1),
                                                    clock::duration::max() / 2);
    const auto now = clock::now();
    if (!every.started_) {
        every.started_ = true;
        every.due_ = now + period;
    }
    if (now >= every.due_) {
        switch (every.missed_) {
            case missed_ticks::skip:
                every.due_ += (now - every.due_) / period * period + period;
                break;
            case missed_ticks::burst: every.due_ += period; break;
            case missed_ticks::delay:
                // In time, give or take the timers' precision, it keeps its step.
                every.due_ = now - every.due_ < std::chrono::milliseconds(2) ? every.due_ + period
                                                                             : now + period;
                break;
        }
        return ready;
    }
    node_.arm(detail::worker_ms_at(every.due_), waker);
    return pending;
}

}  // namespace heph::rt
