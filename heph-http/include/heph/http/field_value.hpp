#pragma once

// What types the value of a header field can be read as.
//
//     auto age = answer.headers().get_as<std::chrono::seconds>(field_name::age);
//     if (!age && age.error() != field_error::missing) { … }  // It is there, and makes no sense.
//
// A type of one's own joins by a specialisation:
//
//     template <> struct heph::http::field_value<tenant> {
//         static std::expected<tenant, field_error> parse(std::string_view text);
//     };

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include <heph/http/date.hpp>

namespace heph::http {

/// Says why a header field cannot be had as a value of some type.
enum class field_error : std::uint8_t {
    missing,       ///< There is no such field.
    repeated,      ///< There are several, where one value was asked for: which one counts?
    malformed,     ///< The text is not of this type.
    out_of_range,  ///< The text is of this type, but the type cannot hold it.
};

/// Gives a short text for logs.
[[nodiscard]] std::string_view message(field_error failure) noexcept;

/// Reads a field's value as a `T`: `parse(text)`, of text without blanks around it. Specialised for
/// the types below, and by whoever has others.
template <typename T>
struct field_value;

/// Describes the types that the value of a header field can be read as.
template <typename T>
concept field_readable = requires(std::string_view text) {
    { field_value<T>::parse(text) } -> std::same_as<std::expected<T, field_error>>;
};

/// The text as it stands. *Lifetime*: a view into the headers.
template <>
struct field_value<std::string_view> {
    static std::expected<std::string_view, field_error> parse(std::string_view text) noexcept {
        return text;
    }
};

/// A copy of the text.
template <>
struct field_value<std::string> {
    static std::expected<std::string, field_error> parse(std::string_view text) {
        return std::string(text);
    }
};

/// A decimal number, all of it: no sign but a minus for a signed type, no blanks, no `0x`.
template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
struct field_value<T> {
    static std::expected<T, field_error> parse(std::string_view text) noexcept {
        T value = 0;
        const char* const end = text.data() + text.size();
        const auto [at, failure] = std::from_chars(text.data(), end, value);
        if (failure == std::errc::invalid_argument || at != end) {
            return std::unexpected(field_error::malformed);
        }
        if (failure != std::errc()) { return std::unexpected(field_error::out_of_range); }
        return value;
    }
};

/// A number of seconds, as of `Age`. One that is too large counts as 2^31 (RFC 9111, 1.2.2).
template <>
struct field_value<std::chrono::seconds> {
    static std::expected<std::chrono::seconds, field_error> parse(std::string_view text) noexcept {
        constexpr std::uint64_t most = std::uint64_t{1} << 31U;
        const auto count = field_value<std::uint64_t>::parse(text);
        if (!count && count.error() == field_error::malformed) {
            return std::unexpected(field_error::malformed);
        }
        return std::chrono::seconds(count && *count < most ? *count : most);
    }
};

/// A date, in any of the three forms (RFC 9110, 5.6.7).
template <>
struct field_value<std::chrono::sys_seconds> {
    static std::expected<std::chrono::sys_seconds, field_error> parse(
        std::string_view text) noexcept {
        const auto time = parse_date(text);
        if (!time) { return std::unexpected(field_error::malformed); }
        return *time;
    }
};

}  // namespace heph::http
