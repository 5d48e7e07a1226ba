#pragma once

// The one interface between what can be waited for and what waits.

#include <concepts>

#include <heph/inbox/polled.hpp>
#include <heph/inbox/waker.hpp>

namespace heph {

/// Describes a value that will be there later, and that is asked for by polling.
///
/// `poll(waker)` returns the value, or keeps the waker (a copy of it) and wakes it when another
/// poll is worth while. The rules:
///
/// - It is not moved after its first poll, and not polled after it gave its value.
/// - It is polled by one thread at a time, not always by the same one.
/// - A later poll may bring another waker; only the last one counts.
/// - Destroying it at any time cancels it, and leaves nothing behind that refers to it.
/// - Its type has constructors. It is never an aggregate: g++ 12 destroys the members of an
///   aggregate twice that is built from temporaries within a `co_await` expression.
template <typename F>
concept future = requires(F& future, const waker& waker) {
    typename F::value_type;
    { future.poll(waker) } -> std::same_as<polled<typename F::value_type>>;
};

/// Names what a future gives.
template <future F>
using future_value_t = typename F::value_type;

}  // namespace heph
