#pragma once

// Waiting for the first of several futures, each with what to do then.

#include <concepts>
#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <heph/core/detail/future_traits.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

namespace detail {

/// What a function gives for what a future gives.
template <typename F, typename Value>
struct handled : std::invoke_result<F&, Value> {};
template <typename F>
struct handled<F, void> : std::invoke_result<F&> {};

}  // namespace detail

/// One future of a `select`, with the function for its value. Made by `when`.
template <typename Held, typename F>
class [[nodiscard]] selection {
    using future_type = std::remove_cvref_t<Held>;
    using given_type = future_value_t<future_type>;

public:
    using value_type = typename detail::handled<F, given_type>::type;
    static constexpr bool is_sendable = sendable<Held> && sendable<F>;

    selection(Held&& awaited, F function)
        : awaited_(std::forward<Held>(awaited)), function_(std::move(function)) {}

    polled<value_type> poll(const waker& waker) {
        auto now = awaited_.poll(waker);
        if (!now.is_ready()) { return pending; }
        if constexpr (std::is_void_v<value_type>) {
            call(now);
            return ready;
        } else {
            return polled<value_type>(std::in_place, call(now));
        }
    }

private:
    value_type call(polled<given_type>& now) {
        if constexpr (std::is_void_v<given_type>) {
            return std::invoke(function_);
        } else {
            return std::invoke(function_, std::move(now).value());
        }
    }

    Held awaited_;
    [[no_unique_address]] F function_;
};

/// Pairs a future with the function that `select` calls with its value; without an argument if it
/// has none. A future given as an lvalue is borrowed.
template <typename Future, typename F>
    requires future<std::remove_cvref_t<Future>>
[[nodiscard]] selection<Future, F> when(Future&& awaited, F function) {
    return selection<Future, F>(std::forward<Future>(awaited), std::move(function));
}

/// Waits for the first of several futures. See `select`.
template <typename... Selections>
class [[nodiscard]] select_future {
public:
    using value_type = std::common_type_t<typename Selections::value_type...>;
    static constexpr bool is_sendable = (sendable<Selections> && ...);

    explicit select_future(Selections... selections) : selections_(std::move(selections)...) {}

    polled<value_type> poll(const waker& waker) { return poll_from<0>(waker); }

private:
    template <std::size_t Index>
    polled<value_type> poll_from(const waker& waker) {
        auto now = std::get<Index>(selections_).poll(waker);
        if (now.is_ready()) {
            if constexpr (std::is_void_v<value_type>) {
                return ready;
            } else {
                return polled<value_type>(std::in_place, std::move(now).value());
            }
        }
        if constexpr (Index + 1 < sizeof...(Selections)) {
            return poll_from<Index + 1>(waker);
        } else {
            return pending;
        }
    }

    std::tuple<Selections...> selections_;
};

/// Waits for whichever future is ready first, calls its function, and gives what that returns; all
/// functions return the same, or what has a common type. When several are ready, the first one
/// wins, and only its function is called.
///
///     auto receiving = ctx.receive();
///     bool go_on = co_await heph::select(
///         heph::when(receiving, [&](std::optional<job> next) { return take(std::move(next)); }),
///         heph::when(ctx.deadline_in(1s), [&] { flush(); return true; }));
///
/// The functions are called, not awaited, and may refer to what is there: with g++ 12 capture by
/// reference, as a lambda temporary with captures that have destructors is destroyed twice in an
/// expression with a `co_await`. See `either` for the values without functions.
///
/// *Errors*: an exception of a future or its function leaves `poll`. *Cancellation*: cancels the
/// futures it keeps; so does its end for those that were not ready.
template <typename... Held, typename... Fs>
    requires(sizeof...(Held) > 0)
[[nodiscard]] select_future<selection<Held, Fs>...> select(selection<Held, Fs>... selections) {
    return select_future<selection<Held, Fs>...>(std::move(selections)...);
}

}  // namespace heph
