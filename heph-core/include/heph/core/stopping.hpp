#pragma once

// Being asked to stop: what a runtime tells those who wait on it, and a signal to tell it with.
//
//     heph::stop_signal closing;
//     // In any number of tasks:
//     auto first = co_await heph::either(closing.stopping(), ref.rpc(1));
//     // From any thread:
//     closing.request();
//
// A runtime whose access is a `stoppable_runtime` ends, when it is asked to stop, the actors that
// wait for a restart (`backoff_supervisor`): nobody could tell these, as there is no actor yet.
// Actors that run decide for themselves: `either(ctx.runtime().stopping(), …)`.
//
// Invariants
//     1. A future is in the list of its signal exactly while it waits: it is taken out when the
//        signal is given, and when it is destroyed. Both happen under the lock.
//     2. Once given, a signal stays so, and its list stays empty.

#include <memory>
#include <utility>

#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// Describes the runtime access of actors whose runtime can be asked to stop.
///
/// `stopping()` gives a future without a value that is ready once that was asked for; at its first
/// poll when it was asked for before. Destroying it cancels it.
template <typename RT>
concept stoppable_runtime = requires(RT& runtime) {
    { runtime.stopping() } -> timer_future;
};

namespace detail {
class stop_state;
}  // namespace detail

/// Is ready once a signal was given. Made by `stop_signal::stopping`.
///
/// *Thread safety*: as every future; the signal may be given by another thread meanwhile.
/// *Cancellation*: destroying it, O(1). It may outlive the signal.
class [[nodiscard]] stop_future {
public:
    using value_type = void;

    explicit stop_future(std::shared_ptr<detail::stop_state> state) noexcept
        : state_(std::move(state)) {}
    /// *Requires*: it was not polled yet.
    stop_future(stop_future&& other) noexcept : state_(std::move(other.state_)) {}
    stop_future& operator=(stop_future&&) = delete;
    ~stop_future();

    polled<void> poll(const waker& waker) noexcept;

private:
    friend class detail::stop_state;

    std::shared_ptr<detail::stop_state> state_;
    waker waker_;  // This, and what follows, is guarded by the state's lock.
    stop_future* next_ = nullptr;
    stop_future* previous_ = nullptr;
    bool is_waiting_ = false;
};

/// Tells all that wait for it, once, that it is time to stop. Copies are handles of the same one.
///
/// *Thread safety*: safe; one object that is assigned to is not.
class stop_signal {
public:
    stop_signal();

    /// Gives the signal. Those who wait are woken.
    void request() const noexcept;
    /// Tells whether it was given.
    [[nodiscard]] bool requested() const noexcept;
    /// Makes a future that is ready once it was given.
    [[nodiscard]] stop_future stopping() const noexcept { return stop_future(state_); }

private:
    std::shared_ptr<detail::stop_state> state_;
};

namespace detail {

/// The stopping of a runtime that knows none.
struct never_stopping {};

template <typename RT>
auto stopping_of(RT& runtime) {
    if constexpr (stoppable_runtime<RT>) {
        return runtime.stopping();
    } else {
        return never_stopping();
    }
}

}  // namespace detail

}  // namespace heph
