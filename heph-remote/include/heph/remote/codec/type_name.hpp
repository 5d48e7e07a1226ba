#pragma once

// The stable names of types, by which two programs agree that they mean the same.

#include <concepts>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <heph/remote/message.hpp>

namespace heph::remote {

template <typename T>
[[nodiscard]] std::string type_name();

namespace detail {

/// Makes the name of a template of the library, by its arguments' names.
template <typename T>
struct composed_name;
template <typename T>
struct composed_name<std::vector<T>> {
    static std::string make() { return "list<" + type_name<T>() + ">"; }
};
template <>
struct composed_name<std::vector<std::byte>> {
    static std::string make() { return "bytes"; }
};
template <typename T>
struct composed_name<std::optional<T>> {
    static std::string make() { return "optional<" + type_name<T>() + ">"; }
};
template <typename K, typename V>
struct composed_name<std::map<K, V>> {
    static std::string make() { return "map<" + type_name<K>() + "," + type_name<V>() + ">"; }
};
template <typename... Ts>
struct composed_name<std::variant<Ts...>> {
    static std::string make() {
        std::string name = "variant<";
        ((name += type_name<Ts>() + ","), ...);
        name.back() = '>';
        return name;
    }
};

}  // namespace detail

/// Gives the name by which a type is known on the wire: for a described struct its name and its
/// version (`notes.put@1`), for others what they are. Widths of numbers are not part of it, as any
/// integer that fits is taken.
template <typename T>
std::string type_name() {
    if constexpr (std::is_void_v<T> || std::same_as<T, std::monostate>) {
        return "nothing";
    } else if constexpr (requires { std::string_view(T::message_name); }) {
        return std::string(std::string_view(T::message_name));
    } else if constexpr (described<T>) {
        const auto& description = description_of<T>;
        return std::string(description.name) + '@' + std::to_string(description.version);
    } else if constexpr (std::same_as<T, bool>) {
        return "bool";
    } else if constexpr (std::integral<T> || std::is_enum_v<T>) {
        return "integer";
    } else if constexpr (std::floating_point<T>) {
        return "float";
    } else if constexpr (std::same_as<T, std::string>) {
        return "string";
    } else {
        return detail::composed_name<T>::make();
    }
}

}  // namespace heph::remote
