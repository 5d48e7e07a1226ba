#pragma once

// Messages as text, for the failures of tests.

#include <chrono>
#include <concepts>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include <heph/core/failure.hpp>

namespace heph::testing {

namespace detail {

template <typename T>
concept streamable = requires(std::ostream& out, const T& value) { out << value; };

template <typename T>
inline constexpr bool is_variant = false;
template <typename... Ts>
inline constexpr bool is_variant<std::variant<Ts...>> = true;

/// Gives a duration in its largest unit that has no fraction.
[[nodiscard]] std::string to_text(std::chrono::steady_clock::duration duration);

}  // namespace detail

/// Describes a message: what it prints with `<<`, else `to_string`, else the name of its type. Of a
/// variant, the name of the alternative comes first.
template <typename M>
[[nodiscard]] std::string describe(const M& message) {
    if constexpr (std::is_pointer_v<M>) {
        if (message == nullptr) { return "a null pointer"; }
    }
    if constexpr (detail::is_variant<M>) {
        if (message.valueless_by_exception()) { return "a variant without a value"; }
        return std::visit(
            []<typename T>(const T& held) {
                const std::string name = heph::detail::type_name(typeid(T));
                const std::string text = describe(held);
                return text == name ? name : name + " " + text;
            },
            message);
    } else if constexpr (std::same_as<M, bool>) {
        return message ? "true" : "false";
    } else if constexpr (std::convertible_to<const M&, std::string_view>) {
        return '"' + std::string(std::string_view(message)) + '"';
    } else if constexpr (detail::streamable<M>) {
        std::ostringstream out;
        out << message;
        return out.str();
    } else if constexpr (requires {
                             { to_string(message) } -> std::convertible_to<std::string_view>;
                         }) {
        return std::string(to_string(message));
    } else {
        return heph::detail::type_name(typeid(M));
    }
}

}  // namespace heph::testing
