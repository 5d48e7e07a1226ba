#pragma once

// What an actor takes, as it is called on the wire.

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/rpc.hpp>
#include <heph/remote/codec/codec.hpp>

namespace heph::remote::detail {

/// Is a type that the codec can write and read.
template <typename T>
concept encodable = requires { sizeof(value_codec<T>); } && std::default_initializable<T>;

template <typename T>
concept encodable_or_void = std::is_void_v<T> || encodable<T>;

template <typename T>
concept remote_call = heph::detail::rpc_message<T> && encodable_or_void<typename T::request_type> &&
                      encodable_or_void<typename T::response_type>;

/// Is a message, or an alternative of one, that can travel.
template <typename T>
concept remote_alternative = remote_call<T> || encodable<T>;

template <typename M>
struct alternatives_of {
    static constexpr std::size_t count = 1;
    template <template <typename...> typename F>
    using apply = F<M>;
};
template <typename... Ts>
struct alternatives_of<std::variant<Ts...>> {
    static constexpr std::size_t count = sizeof...(Ts);
    template <template <typename...> typename F>
    using apply = F<Ts...>;
};

template <typename... Ts>
using all_remote = std::bool_constant<(remote_alternative<Ts> && ...)>;

/// Gives the name of an alternative on the wire. A call is named by what it asks and answers, or by
/// its `message_name`.
template <typename T>
std::string alternative_name() {
    if constexpr (requires { std::string_view(T::message_name); }) {
        return std::string(std::string_view(T::message_name));
    } else if constexpr (heph::detail::rpc_message<T>) {
        return "rpc<" + type_name<typename T::request_type>() + "," +
               type_name<typename T::response_type>() + ">";
    } else {
        return type_name<T>();
    }
}

template <typename... Ts>
struct alternative_names {
    static std::vector<std::string> make() {
        std::vector<std::string> names;
        names.reserve(sizeof...(Ts));
        (names.push_back(alternative_name<Ts>()), ...);
        return names;
    }
};

/// Gives the names of all alternatives of a message, in their order.
template <typename M>
std::vector<std::string> names_of() {
    return alternatives_of<M>::template apply<alternative_names>::make();
}

template <typename T, typename... Ts>
constexpr std::size_t index_among() {
    std::size_t at = 0;
    const bool found = ((std::same_as<T, Ts> || (++at, false)) || ...);
    return found ? at : sizeof...(Ts);
}

template <typename T>
struct index_in {
    template <typename... Ts>
    using among = std::integral_constant<std::size_t, index_among<T, Ts...>()>;
};

/// The number of an alternative of `M`; the count of them when `T` is none.
template <typename M, typename T>
inline constexpr std::size_t alternative_index =
    alternatives_of<M>::template apply<index_in<T>::template among>::value;

/// Is a message, not a call, that an actor of `M` takes.
template <typename T, typename M>
concept sendable =
    !heph::detail::rpc_message<T> && (alternative_index<M, T> < alternatives_of<M>::count);

template <typename M>
struct alternatives_in {
    template <typename... Ts>
    using all_of =
        std::bool_constant<((alternative_index<M, Ts> < alternatives_of<M>::count) && ...)>;
};

/// Is a message all of whose alternatives are some of `M`'s.
template <typename Part, typename M>
concept is_part_of =
    alternatives_of<Part>::template apply<alternatives_in<M>::template all_of>::value;

}  // namespace heph::remote::detail

namespace heph::remote {

/// Is the message type of an actor that other nodes can reach: a described struct (or another type
/// that the codec knows), an `rpc` of those or of `void`, or a `std::variant` of such.
///
/// Two alternatives must not have the same name on the wire: calls that ask and answer the same get
/// a name of their own by a member `static constexpr std::string_view message_name`.
template <typename M>
concept remote_message = detail::alternatives_of<M>::template apply<detail::all_remote>::value;

}  // namespace heph::remote
