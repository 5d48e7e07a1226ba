#pragma once

// Turning described structs into MessagePack, and bytes straight back into structs.
//
// A struct is an array of its members, in the order of its description. Decoding takes what is
// there: members beyond the array's end keep their defaults, values beyond the last member are
// skipped. doc/wire-format.md has the form of every type.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <heph/remote/codec/error.hpp>
#include <heph/remote/codec/reader.hpp>
#include <heph/remote/codec/type_name.hpp>
#include <heph/remote/codec/writer.hpp>
#include <heph/remote/message.hpp>

namespace heph::remote {

namespace detail {

template <typename T>
struct value_codec;
/// How values are in JSON: codec/json.hpp.
template <typename T>
struct json_codec;

template <typename T>
void write_value(writer& out, const T& value) {
    value_codec<T>::write(out, value);
}
template <typename T>
[[nodiscard]] bool read_value(reader& in, T& value) {
    return value_codec<T>::read(in, value);
}

template <std::integral T>
struct value_codec<T> {
    static void write(writer& out, T value) { out.integer(value); }
    static bool read(reader& in, T& value) { return in.read_integer(value); }
};

template <>
struct value_codec<bool> {
    static void write(writer& out, bool value) { out.boolean(value); }
    static bool read(reader& in, bool& value) { return in.read_bool(value); }
};

template <>
struct value_codec<float> {
    static void write(writer& out, float value) { out.floating(value); }
    static bool read(reader& in, float& value) { return in.read_float(value); }
};

template <>
struct value_codec<double> {
    static void write(writer& out, double value) { out.floating(value); }
    static bool read(reader& in, double& value) { return in.read_double(value); }
};

// Scoped, because a value beyond the enumerators of an unscoped one is undefined behaviour.
template <typename T>
    requires std::is_scoped_enum_v<T>
struct value_codec<T> {
    using number = std::underlying_type_t<T>;
    static void write(writer& out, T value) { out.integer(static_cast<number>(value)); }
    static bool read(reader& in, T& value) {
        number decoded{};
        if (!in.read_integer(decoded)) { return false; }
        value = static_cast<T>(decoded);
        return true;
    }
};

template <>
struct value_codec<std::monostate> {
    static void write(writer& out, std::monostate) { out.nil(); }
    static bool read(reader& in, std::monostate&) {
        return in.take_nil() || in.fail(codec_error::wrong_type);
    }
};

template <>
struct value_codec<std::string> {
    static void write(writer& out, const std::string& value) { out.string(value); }
    static bool read(reader& in, std::string& value) {
        std::string_view view;
        if (!in.read_string(view) || !in.charge(view.size(), 1)) { return false; }
        value.assign(view);
        return true;
    }
};

template <>
struct value_codec<std::vector<std::byte>> {
    static void write(writer& out, const std::vector<std::byte>& value) { out.binary(value); }
    static bool read(reader& in, std::vector<std::byte>& value) {
        std::span<const std::byte> view;
        if (!in.read_binary(view) || !in.charge(view.size(), 1)) { return false; }
        value.assign(view.begin(), view.end());
        return true;
    }
};

template <typename T>
struct value_codec<std::vector<T>> {
    static void write(writer& out, const std::vector<T>& value) {
        out.array(value.size());
        for (const auto& element : value) { write_value<T>(out, element); }
    }
    static bool read(reader& in, std::vector<T>& value) {
        std::uint32_t count = 0;
        if (!in.enter_array(count) || !in.charge(count, sizeof(T))) { return false; }
        value.clear();
        value.reserve(count);
        for (std::uint32_t i = 0; i < count; ++i) {
            T element{};
            if (!read_value(in, element)) { return false; }
            value.push_back(std::move(element));
        }
        in.leave();
        return true;
    }
};

/// Is a type one of whose values is nil on the wire, and nothing else.
template <typename T>
inline constexpr bool is_always_nil = false;
template <>
inline constexpr bool is_always_nil<std::monostate> = true;
template <typename T>
inline constexpr bool is_always_nil<std::optional<T>> = true;

template <typename T>
struct value_codec<std::optional<T>> {
    static_assert(!is_always_nil<T>,
                  "an optional of this would be nil on the wire with a value and without one");

    static void write(writer& out, const std::optional<T>& value) {
        value ? write_value(out, *value) : out.nil();
    }
    static bool read(reader& in, std::optional<T>& value) {
        if (in.take_nil()) {
            value.reset();
            return true;
        }
        return read_value(in, value.emplace());
    }
};

/// Tells whether a key equals itself. One that is NaN, or has it in it, does not, and breaks the
/// order of its map.
template <typename K>
[[nodiscard]] bool is_orderly(const K& key) {
    if constexpr (requires { key == key; }) {
        const K& same = key;
        return key == same;
    } else {
        return true;
    }
}

template <typename K, typename V>
struct value_codec<std::map<K, V>> {
    // What a node of the map takes besides its pair, about.
    static constexpr std::size_t node_bytes = 48;

    static void write(writer& out, const std::map<K, V>& value) {
        out.map(value.size());
        for (const auto& [key, mapped] : value) {
            write_value(out, key);
            write_value(out, mapped);
        }
    }
    static bool read(reader& in, std::map<K, V>& value) {
        std::uint32_t count = 0;
        if (!in.enter_map(count) || !in.charge(count, sizeof(std::pair<K, V>) + node_bytes)) {
            return false;
        }
        value.clear();
        for (std::uint32_t i = 0; i < count; ++i) {
            K key{};
            V mapped{};
            if (!read_value(in, key) || !read_value(in, mapped)) { return false; }
            if (!is_orderly(key)) { return in.fail(codec_error::out_of_range); }
            if (!value.try_emplace(std::move(key), std::move(mapped)).second) {
                return in.fail(codec_error::duplicate_key);
            }
        }
        in.leave();
        return true;
    }
};

template <typename... Ts>
struct value_codec<std::variant<Ts...>> {
    static_assert(
        have_distinct_names<Ts...>(),
        "two alternatives have the same name on the wire, as all integers do: wrap one in "
        "a described struct");

    static void write(writer& out, const std::variant<Ts...>& value) {
        out.array(2);
        std::visit(
            [&out]<typename T>(const T& held) {
                out.string(type_name<T>());
                write_value(out, held);
            },
            value);
    }
    static bool read(reader& in, std::variant<Ts...>& value) {
        std::uint32_t count = 0;
        std::string_view name;
        if (!in.enter_array(count)) { return false; }
        if (count != 2) { return in.fail(codec_error::malformed); }
        if (!in.read_string(name)) { return false; }
        bool known = false;
        bool good = false;
        const auto try_one = [&]<typename T>(std::type_identity<T>) {
            if (known || name != type_name<T>()) { return; }
            known = true;
            good = read_value(in, value.template emplace<T>());
        };
        (try_one(std::type_identity<Ts>{}), ...);
        if (!known) { return in.fail(codec_error::unknown_alternative); }
        in.leave();
        return good;
    }
};

template <described T>
struct value_codec<T> {
    static constexpr std::size_t member_count =
        std::tuple_size_v<std::remove_cvref_t<decltype(description_of<T>.members)>>;

    static void write(writer& out, const T& value) {
        out.array(member_count);
        std::apply([&](auto... members) { (write_value(out, value.*members), ...); },
                   description_of<T>.members);
    }
    static bool read(reader& in, T& value) {
        std::uint32_t count = 0;
        if (!in.enter_array(count)) { return false; }
        std::uint32_t taken = 0;
        const auto read_one = [&](auto member) {
            if (taken == count) { return true; }
            ++taken;
            return read_value(in, value.*member);
        };
        const bool good = std::apply([&](auto... members) { return (read_one(members) && ...); },
                                     description_of<T>.members);
        if (!good) { return false; }
        for (; taken < count; ++taken) {
            if (!in.skip()) { return false; }
        }
        in.leave();
        return true;
    }
};

}  // namespace detail

namespace detail {

/// Bounds what decoding a payload may take by what it takes itself, so that small ones, of which
/// there may be many, stay small. A large one may be as large again in memory.
[[nodiscard]] constexpr decode_limits payload_limits(std::size_t payload_bytes) noexcept {
    constexpr std::size_t for_any = 64 * 1024;
    constexpr std::size_t times = 64;  // An empty map, one byte, is an element of 48.
    decode_limits limits;
    const std::size_t most = limits.memory_bytes_max;
    limits.memory_bytes_max =
        payload_bytes +
        (payload_bytes < most / times ? std::min(most, for_any + times * payload_bytes) : most);
    return limits;
}

}  // namespace detail

/// Appends the bytes of a value to `out`. *Errors*: throws `std::bad_alloc`.
template <typename T>
void encode_to(std::vector<std::byte>& out, const T& value) {
    writer to(out);
    detail::write_value(to, value);
}

/// Gives the bytes of a value.
template <typename T>
[[nodiscard]] std::vector<std::byte> encode(const T& value) {
    std::vector<std::byte> out;
    encode_to(out, value);
    return out;
}

/// Reads a value; all of the bytes have to be used up.
/// *Errors*: what is wrong with the bytes first. Throws `std::bad_alloc`, within the limits.
template <typename T>
[[nodiscard]] std::expected<T, codec_error> decode(std::span<const std::byte> bytes,
                                                   const decode_limits& limits = {}) {
    reader from(bytes, limits);
    T value{};
    if (!detail::read_value(from, value)) { return std::unexpected(from.error()); }
    if (from.left() != 0) { return std::unexpected(codec_error::trailing_bytes); }
    return value;
}

}  // namespace heph::remote
