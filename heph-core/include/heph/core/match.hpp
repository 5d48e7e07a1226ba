#pragma once

// Choosing what to do by the type of a message.

#include <type_traits>
#include <utility>
#include <variant>

namespace heph {

namespace detail {

template <typename... Cases>
struct overloaded : Cases... {
    explicit overloaded(Cases... cases) : Cases(std::move(cases))... {}
    using Cases::operator()...;
};

template <typename T>
inline constexpr bool is_variant = false;
template <typename... Ts>
inline constexpr bool is_variant<std::variant<Ts...>> = true;

}  // namespace detail

/// Calls the one of the functions that takes what the variant holds, and gives what it returns.
/// Every alternative must be taken by one of them; `[](auto&) {…}` takes all the rest.
///
///     heph::match(message, [&](add& m) { total += m.amount; },
///                          [&](get_total& call) { call.respond(total); });
///
/// Not across a `co_await`: the functions are called, not awaited. Have them return what to await.
template <typename Variant, typename... Cases>
    requires detail::is_variant<std::remove_cvref_t<Variant>>
decltype(auto) match(Variant&& variant, Cases... cases) {
    return std::visit(detail::overloaded<Cases...>(std::move(cases)...),
                      std::forward<Variant>(variant));
}

}  // namespace heph
