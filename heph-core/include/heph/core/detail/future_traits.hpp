#pragma once

// What combinators ask of the futures they hold.

#include <type_traits>
#include <utility>
#include <variant>

#include <heph/inbox/future.hpp>

namespace heph::detail {

/// Tells whether polling a future never throws.
template <typename F>
inline constexpr bool polls_noexcept =
    noexcept(std::declval<std::remove_cvref_t<F>&>().poll(std::declval<const waker&>()));

/// What a future gives, with `std::monostate` in place of nothing.
template <typename F>
using held_value_t = std::conditional_t<std::is_void_v<future_value_t<std::remove_cvref_t<F>>>,
                                        std::monostate, future_value_t<std::remove_cvref_t<F>>>;

}  // namespace heph::detail
