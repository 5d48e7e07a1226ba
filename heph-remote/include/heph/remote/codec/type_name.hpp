#pragma once

// The stable names of types, by which two programs agree that they mean the same.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include <heph/remote/message.hpp>

namespace heph::remote {

namespace detail {

/// Appends the name of a type to what has `+=` for text.
template <typename T, typename To>
constexpr void append_name(To& to);

/// Appends the name of a template of the library, by its arguments' names.
template <typename T>
struct composed_name;
template <typename T>
struct composed_name<std::vector<T>> {
    static constexpr void append(auto& to) {
        to += std::string_view("list<");
        append_name<T>(to);
        to += std::string_view(">");
    }
};
template <>
struct composed_name<std::vector<std::byte>> {
    static constexpr void append(auto& to) { to += std::string_view("bytes"); }
};
template <typename T>
struct composed_name<std::optional<T>> {
    static constexpr void append(auto& to) {
        to += std::string_view("optional<");
        append_name<T>(to);
        to += std::string_view(">");
    }
};
template <typename K, typename V>
struct composed_name<std::map<K, V>> {
    static constexpr void append(auto& to) {
        to += std::string_view("map<");
        append_name<K>(to);
        to += std::string_view(",");
        append_name<V>(to);
        to += std::string_view(">");
    }
};
template <typename First, typename... Others>
struct composed_name<std::variant<First, Others...>> {
    static constexpr void append(auto& to) {
        to += std::string_view("variant<");
        append_name<First>(to);
        ((to += std::string_view(","), append_name<Others>(to)), ...);
        to += std::string_view(">");
    }
};

constexpr void append_digits(auto& to, std::uint32_t number) {
    if (number >= 10) { append_digits(to, number / 10); }
    to += std::string_view("0123456789").substr(number % 10, 1);
}

template <typename T, typename To>
constexpr void append_name(To& to) {
    if constexpr (std::is_void_v<T> || std::same_as<T, std::monostate>) {
        to += std::string_view("nothing");
    } else if constexpr (requires { std::string_view(T::message_name); }) {
        to += std::string_view(T::message_name);
    } else if constexpr (described<T>) {
        to += description_of<T>.name;
        to += std::string_view("@");
        append_digits(to, description_of<T>.version);
    } else if constexpr (std::same_as<T, bool>) {
        to += std::string_view("bool");
    } else if constexpr (std::integral<T> || std::is_enum_v<T>) {
        to += std::string_view("integer");
    } else if constexpr (std::floating_point<T>) {
        to += std::string_view("float");
    } else if constexpr (std::same_as<T, std::string>) {
        to += std::string_view("string");
    } else {
        composed_name<T>::append(to);
    }
}

/// Hashes a name: FNV-1a of 64 bits. A `std::string` does not do at compile time, with clang++ 19
/// and the library of g++ 12.
struct name_hash {
    constexpr name_hash& operator+=(std::string_view text) noexcept {
        for (const char each : text) {
            value = (value ^ static_cast<unsigned char>(each)) * 0x100000001b3U;
        }
        return *this;
    }
    std::uint64_t value = 0xcbf29ce484222325U;
};

template <typename T>
constexpr std::uint64_t hash_of_name() {
    name_hash hash;
    append_name<T>(hash);
    return hash.value;
}

/// Tells whether types can be told from each other on the wire.
template <typename... Ts>
constexpr bool have_distinct_names() {
    constexpr std::size_t count = sizeof...(Ts);
    const std::array<std::uint64_t, count> names{hash_of_name<Ts>()...};
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t k = 0; k < i; ++k) {
            if (names[i] == names[k]) { return false; }
        }
    }
    return true;
}

}  // namespace detail

/// Gives the name by which a type is known on the wire: for a described struct its name and its
/// version (`notes.put@1`), for others what they are. Widths of numbers are not part of it, as any
/// integer that fits is taken.
template <typename T>
[[nodiscard]] std::string type_name() {
    std::string name;
    detail::append_name<T>(name);
    return name;
}

}  // namespace heph::remote
