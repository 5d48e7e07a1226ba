#pragma once

// What combinators ask of the futures they hold.

#include <concepts>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/inbox/future.hpp>

namespace heph::detail {

/// Tells whether polling a future never throws.
template <typename F>
inline constexpr bool polls_noexcept =
    noexcept(std::declval<std::remove_cvref_t<F>&>().poll(std::declval<const waker&>()));

/// Tells of a future that says that it is ready before it gives its value: who awaits it needs no
/// room for that, and moves it once less.
template <typename F>
concept two_step_future = requires(F& future, const waker& waker) {
    { future.ready_to_take(waker) } noexcept -> std::same_as<bool>;
    { future.take() } -> std::same_as<typename F::value_type>;
};

/// A type, with `std::monostate` in place of nothing.
template <typename T>
using value_or_monostate_t = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// What a future gives, with `std::monostate` in place of nothing.
template <typename F>
using held_value_t = value_or_monostate_t<future_value_t<std::remove_cvref_t<F>>>;

}  // namespace heph::detail
