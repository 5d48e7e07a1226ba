#pragma once

// How a message becomes one of another type, and what it was again.

#include <concepts>
#include <cstddef>
#include <expected>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/match.hpp>

namespace heph::detail {

/// Tells whether `T` is exactly one alternative of a variant.
template <typename Variant, typename T>
inline constexpr bool holds_once = false;
template <typename... Ts, typename T>
inline constexpr bool holds_once<std::variant<Ts...>, T> =
    (std::size_t{std::same_as<Ts, T>} + ... + 0) == 1;

/// Tells whether every alternative of one variant is one of another.
template <typename From, typename To>
inline constexpr bool is_subset = false;
template <typename... Ts, typename To>
inline constexpr bool is_subset<std::variant<Ts...>, To> = (holds_once<To, Ts> && ...);

/// Tells whether two variants have an alternative in common.
template <typename From, typename To>
inline constexpr bool overlaps = false;
template <typename... Ts, typename To>
inline constexpr bool overlaps<std::variant<Ts...>, To> =
    is_variant<To> && (holds_once<To, Ts> || ...);

/// Tells of constructors of the standard library that do not convert: of containers, which take a
/// number for their size, and of smart pointers, which take over what a pointer leads to.
template <typename From, typename To>
concept only_makes = !std::convertible_to<From&&, To> &&
                     ((std::integral<From> && requires { typename To::allocator_type; }) ||
                      (std::is_pointer_v<From> && requires { typename To::element_type; }));

/// Describes what a message can always become: by a constructor, or as an alternative that both
/// variants have.
template <typename From, typename To>
concept maps_to =
    (std::constructible_from<To, From&&> && !only_makes<From, To>) || is_subset<From, To>;

/// Describes variants of which some messages can become a `To`.
template <typename From, typename To>
concept may_map_to = holds_once<From, To> || overlaps<From, To>;

/// Converts a message that can always be converted.
template <typename To>
struct convert_to {
    template <typename From>
    To operator()(From&& from) const {
        using from_type = std::remove_cvref_t<From>;
        // An alternative that can hold anything, such as std::any, would take the whole variant.
        constexpr bool by_alternatives =
            is_subset<from_type, To> && !holds_once<To, from_type> && !std::same_as<To, from_type>;
        if constexpr (std::constructible_from<To, From&&> && !by_alternatives) {
            return To(std::forward<From>(from));
        } else {
            return std::visit(
                [](auto&& held) {
                    return To(std::in_place_type<std::remove_cvref_t<decltype(held)>>,
                              std::forward<decltype(held)>(held));
                },
                std::forward<From>(from));
        }
    }
};

/// Converts the messages of a variant that `To` can hold, and refuses the others.
template <typename To>
struct take_alternative {
    template <typename From>
    std::expected<To, From> operator()(From&& from) const {
        using result = std::expected<To, From>;
        if constexpr (holds_once<std::remove_cvref_t<From>, To>) {
            if (To* held = std::get_if<To>(&from)) { return result(std::move(*held)); }
            return result(std::unexpect, std::move(from));
        } else {
            return std::visit(
                [&](auto& held) {
                    using type = std::remove_cvref_t<decltype(held)>;
                    if constexpr (holds_once<To, type>) {
                        return result(std::in_place, std::in_place_type<type>, std::move(held));
                    } else {
                        return result(std::unexpect, std::move(from));
                    }
                },
                from);
        }
    }
};

/// Tells whether a converted message may be turned into what it was.
template <typename From, typename To>
inline constexpr bool recovers = holds_once<To, From> || holds_once<From, To> || overlaps<To, From>;

/// Turns a message that was converted by alternatives into what it was.
template <typename From, typename To>
    requires recovers<From, To>
std::optional<From> recover(To&& converted) {
    if constexpr (holds_once<To, From>) {
        if (From* held = std::get_if<From>(&converted)) { return std::move(*held); }
        return std::nullopt;
    } else if constexpr (holds_once<From, To>) {
        return std::optional<From>(std::in_place, std::in_place_type<To>, std::move(converted));
    } else {
        return std::visit(
            [](auto& held) -> std::optional<From> {
                using type = std::remove_cvref_t<decltype(held)>;
                if constexpr (holds_once<From, type>) {
                    return std::optional<From>(std::in_place, std::in_place_type<type>,
                                               std::move(held));
                } else {
                    return std::nullopt;
                }
            },
            converted);
    }
}

}  // namespace heph::detail
