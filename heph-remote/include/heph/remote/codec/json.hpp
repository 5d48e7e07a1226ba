#pragma once

// Messages as JSON, to be looked at and for peers that are not written in C++.
//
// A described struct is an object of its members by their names. Decoding takes what is there:
// members that are missing keep their defaults, those that are not known are skipped.
// doc/json-form.md has the form of every type.
//
//     const std::string text = heph::remote::to_json(note_put{"a", "text"});
//     // {"id":"a","body":"text"}
//     const auto note = heph::remote::from_json<note_put>(text);
//     if (!note) { std::cerr << note.error().message() << '\n'; }

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <heph/remote/codec/codec.hpp>
#include <heph/remote/codec/json_reader.hpp>
#include <heph/remote/codec/json_writer.hpp>
#include <heph/remote/codec/type_name.hpp>
#include <heph/remote/message.hpp>

namespace heph::remote {

namespace detail {

template <std::integral T>
struct json_codec<T> {
    static void write(json_writer& out, T value) { out.integer(value); }
    static bool read(json_reader& in, T& value) { return in.read_integer(value); }
};

template <>
struct json_codec<bool> {
    static void write(json_writer& out, bool value) { out.boolean(value); }
    static bool read(json_reader& in, bool& value) { return in.read_bool(value); }
};

template <>
struct json_codec<float> {
    static void write(json_writer& out, float value) { out.floating(value); }
    static bool read(json_reader& in, float& value) { return in.read_float(value); }
};

template <>
struct json_codec<double> {
    static void write(json_writer& out, double value) { out.floating(value); }
    static bool read(json_reader& in, double& value) { return in.read_double(value); }
};

template <typename T>
    requires std::is_scoped_enum_v<T>
struct json_codec<T> {
    using number = std::underlying_type_t<T>;
    static void write(json_writer& out, T value) { out.value(static_cast<number>(value)); }
    static bool read(json_reader& in, T& value) {
        number decoded{};
        if (!in.value(decoded)) { return false; }
        value = static_cast<T>(decoded);
        return true;
    }
};

template <>
struct json_codec<std::monostate> {
    static void write(json_writer& out, std::monostate) { out.null(); }
    static bool read(json_reader& in, std::monostate&) { return in.read_null(); }
};

template <>
struct json_codec<std::string> {
    static void write(json_writer& out, const std::string& value) { out.text(value); }
    static bool read(json_reader& in, std::string& value) { return in.read_string(value); }
};

template <>
struct json_codec<std::vector<std::byte>> {
    static void write(json_writer& out, const std::vector<std::byte>& value) { out.bytes(value); }
    static bool read(json_reader& in, std::vector<std::byte>& value) {
        return in.read_bytes(value);
    }
};

/// Reads an array of what `read_one` reads.
template <typename F>
bool read_json_array(json_reader& in, F&& read_one) {
    bool more = false;
    if (!in.enter_array(more)) { return false; }
    for (std::size_t i = 0; more; ++i) {
        if (!read_one()) { return in.failed_in_element(i); }
        if (!in.next_element(more)) { return false; }
    }
    return true;
}

template <typename T>
struct json_codec<std::vector<T>> {
    static void write(json_writer& out, const std::vector<T>& value) {
        out.begin_array();
        // By value where the vector has no elements to refer to.
        for (const auto& element : value) { out.template value<T>(element); }
        out.end_array();
    }
    static bool read(json_reader& in, std::vector<T>& value) {
        value.clear();
        // How many there are is not said, so that the vector is charged as it grows: for what it
        // moves to while it still has what it moves from.
        std::size_t room = 0;
        return read_json_array(in, [&] {
            if (value.size() == room) {
                const std::size_t more = std::max<std::size_t>(room, 4);
                if (!in.charge(room + more, sizeof(T))) { return false; }
                value.reserve(room + more);
                in.give_back(room, sizeof(T));
                room += more;
            }
            T element{};
            if (!in.value(element)) { return false; }
            value.push_back(std::move(element));
            return true;
        });
    }
};

template <typename T>
struct json_codec<std::optional<T>> {
    static void write(json_writer& out, const std::optional<T>& value) {
        value ? out.value(*value) : out.null();
    }
    static bool read(json_reader& in, std::optional<T>& value) {
        if (in.take_null()) {
            value.reset();
            return true;
        }
        return in.value(value.emplace());
    }
};

/// Is what can be the name of a member.
template <typename K>
concept json_key = std::same_as<K, std::string> || std::integral<K> || std::is_scoped_enum_v<K>;

template <typename K, typename V>
struct json_codec<std::map<K, V>> {
    static constexpr std::size_t entry_bytes =
        sizeof(std::pair<K, V>) + value_codec<std::map<K, V>>::node_bytes;

    static void write(json_writer& out, const std::map<K, V>& value) {
        if constexpr (json_key<K>) {
            out.begin_object();
            for (const auto& [key, mapped] : value) {
                out.name(name_of(key));
                out.value(mapped);
            }
            out.end_object();
        } else {
            out.begin_array();
            for (const auto& [key, mapped] : value) {
                out.begin_array();
                out.value(key);
                out.value(mapped);
                out.end_array();
            }
            out.end_array();
        }
    }

    static bool read(json_reader& in, std::map<K, V>& value) {
        value.clear();
        if constexpr (json_key<K>) {
            bool more = false;
            if (!in.enter_object(more)) { return false; }
            while (more) {
                if (!read_member(in, value) || !in.next_member(more)) { return false; }
            }
            return true;
        } else {
            return read_json_array(in, [&] { return read_pair(in, value); });
        }
    }

private:
    static std::string name_of(const K& key) {
        if constexpr (std::same_as<K, std::string>) {
            return key;
        } else if constexpr (std::same_as<K, bool>) {
            return key ? "true" : "false";
        } else if constexpr (std::integral<K>) {
            return std::to_string(key);
        } else {
            return json_codec<std::map<std::underlying_type_t<K>, V>>::name_of(
                static_cast<std::underlying_type_t<K>>(key));
        }
    }
    template <typename>
    friend struct json_codec;

    // Reads a key that is a name; the name is in quotes, as integers may be.
    static bool read_key(json_reader& in, std::size_t begin, std::string_view name, K& key) {
        if constexpr (std::same_as<K, std::string>) {
            if (!in.charge(name.size(), 1)) { return false; }
            key.assign(name);
            return true;
        } else if constexpr (std::same_as<K, bool>) {
            key = name == "true";
            return key || name == "false" ||
                   in.fail_at(begin, codec_error::wrong_type, "a key is neither true nor false");
        } else if constexpr (!std::integral<K>) {
            using number = std::underlying_type_t<K>;
            number decoded{};
            if (!json_codec<std::map<number, V>>::read_key(in, begin, name, decoded)) {
                return false;
            }
            key = static_cast<K>(decoded);
            return true;
        } else {
            // The digits and nothing else: a reader would pass over spaces, and take quotes.
            const auto is_digit = [](char each) { return each >= '0' && each <= '9'; };
            if (name.empty() || !(is_digit(name.front()) || name.front() == '-') ||
                !is_digit(name.back())) {
                return in.fail_at(begin, codec_error::wrong_type);
            }
            json_reader digits(name);
            if (digits.value(key) && digits.finish()) { return true; }
            const bool is_number = digits.error().reason() == codec_error::out_of_range;
            return in.fail_at(begin,
                              is_number ? codec_error::out_of_range : codec_error::wrong_type);
        }
    }

    static bool read_member(json_reader& in, std::map<K, V>& value) {
        const std::size_t begin = in.begin_of_next();
        std::string_view name;
        K key{};
        if (!in.charge(1, entry_bytes) || !in.read_name(name) || !read_key(in, begin, name, key)) {
            return false;
        }
        const auto [at, is_new] = value.try_emplace(std::move(key));
        if (!is_new) { return in.fail_at(begin, codec_error::duplicate_key); }
        return in.value(at->second) || in.failed_in_key(name_of(at->first));
    }

    static bool read_pair(json_reader& in, std::map<K, V>& value) {
        const std::size_t begin = in.begin_of_next();
        bool more = false;
        K key{};
        V mapped{};
        if (!in.charge(1, entry_bytes) || !in.enter_array(more)) { return false; }
        if (!more) { return in.fail(codec_error::malformed, "a pair has no key"); }
        if (!in.value(key) || !in.next_element(more)) { return false; }
        if (!more) { return in.fail(codec_error::malformed, "a pair has no value"); }
        if (!in.value(mapped) || !in.next_element(more)) { return false; }
        if (more) { return in.fail(codec_error::malformed, "a pair has more than two values"); }
        if (!is_orderly(key)) { return in.fail_at(begin, codec_error::out_of_range); }
        return value.try_emplace(std::move(key), std::move(mapped)).second ||
               in.fail_at(begin, codec_error::duplicate_key);
    }
};

template <typename... Ts>
struct json_codec<std::variant<Ts...>> {
    static void write(json_writer& out, const std::variant<Ts...>& value) {
        out.begin_object();
        std::visit(
            [&out]<typename T>(const T& held) {
                out.name(type_name<T>());
                out.value(held);
            },
            value);
        out.end_object();
    }
    static bool read(json_reader& in, std::variant<Ts...>& value) {
        bool more = false;
        std::string_view name;
        if (!in.enter_object(more)) { return false; }
        if (!more) { return in.fail(codec_error::malformed, "a variant does not name its type"); }
        const std::size_t begin = in.begin_of_next();
        if (!in.read_name(name)) { return false; }
        bool known = false;
        bool good = false;
        const auto try_one = [&]<typename T>(std::type_identity<T>) {
            const std::string its_name = known ? std::string() : type_name<T>();
            if (known || name != its_name) { return; }
            known = true;
            good = in.value(value.template emplace<T>()) || in.failed_in_key(its_name);
        };
        (try_one(std::type_identity<Ts>{}), ...);
        if (!known) { return in.fail_at(begin, codec_error::unknown_alternative); }
        if (!good || !in.next_member(more)) { return false; }
        return !more || in.fail(codec_error::malformed, "a variant has more than one value");
    }
};

template <described T>
struct json_codec<T> {
    static constexpr const auto& description = description_of<T>;
    static constexpr std::size_t member_count = description.member_names.size();
    static_assert(member_count <= 64, "HEPH_MESSAGE describes at most 64 members");

    static void write(json_writer& out, const T& value) {
        out.begin_object();
        each_member([&](std::size_t i, auto member) {
            out.name(description.member_names[i]);
            out.value(value.*member);
            return true;
        });
        out.end_object();
    }

    static bool read(json_reader& in, T& value) {
        bool more = false;
        std::uint64_t seen = 0;
        if (!in.enter_object(more)) { return false; }
        while (more) {
            const std::size_t begin = in.begin_of_next();
            std::string_view name;
            if (!in.read_name(name)) { return false; }
            const auto at =
                static_cast<std::size_t>(std::ranges::find(description.member_names, name) -
                                         description.member_names.begin());
            if (at == member_count) {
                if (!in.skip()) { return false; }
            } else {
                const std::uint64_t bit = std::uint64_t{1} << at;
                if ((seen & bit) != 0) { return in.fail_at(begin, codec_error::duplicate_key); }
                seen |= bit;
                if (!read_member(in, value, at)) {
                    return in.failed_in_member(description.member_names[at]);
                }
            }
            if (!in.next_member(more)) { return false; }
        }
        return true;
    }

private:
    template <typename F>
    static bool each_member(F&& visit) {
        std::size_t i = 0;
        return std::apply([&](auto... members) { return (visit(i++, members) && ...); },
                          description.members);
    }
    static bool read_member(json_reader& in, T& value, std::size_t at) {
        return each_member(
            [&](std::size_t i, auto member) { return i != at || in.value(value.*member); });
    }
};

}  // namespace detail

template <typename T>
void json_writer::value(const T& from) {
    detail::json_codec<T>::write(*this, from);
}
template <typename T>
bool json_reader::value(T& into) {
    return detail::json_codec<T>::read(*this, into);
}

/// Gives a value as JSON, on one line. A string that is not UTF-8 gets U+FFFD for what is not.
/// *Errors*: throws `std::bad_alloc`.
template <typename T>
[[nodiscard]] std::string to_json(const T& value) {
    std::string text;
    json_writer(text).value(value);
    return text;
}

/// Reads a value; there has to be nothing but white space behind it.
/// *Errors*: what is wrong with the text first, and where. Throws `std::bad_alloc`, within the
/// limits.
template <typename T>
[[nodiscard]] std::expected<T, json_error> from_json(std::string_view text,
                                                     const decode_limits& limits = {}) {
    json_reader from(text, limits);
    T value{};
    if (!from.value(value) || !from.finish()) { return std::unexpected(from.error()); }
    return value;
}

}  // namespace heph::remote
