#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace heph::http {

/// The length of `Sun, 06 Nov 1994 08:49:37 GMT`.
inline constexpr std::size_t date_bytes = 29;

/// Writes a time as an IMF-fixdate (RFC 9110, 5.6.7). *Requires*: the year has four digits.
[[nodiscard]] std::array<char, date_bytes> format_date(std::chrono::sys_seconds time) noexcept;

/// Reads a time in any of the three forms that a recipient has to take (RFC 9110, 5.6.7):
/// `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`, `Sun Nov  6 08:49:37 1994`.
///
/// A year of two digits is the one closest to `now` that is not more than 50 years after it. The
/// name of the day has to be one, but is not compared with the date. A leap second is taken as the
/// second after it.
[[nodiscard]] std::optional<std::chrono::sys_seconds> parse_date(
    std::string_view text, std::chrono::sys_seconds now) noexcept;

/// Reads a time as above, as seen from the current time.
[[nodiscard]] std::optional<std::chrono::sys_seconds> parse_date(std::string_view text) noexcept;

/// Gives the current time as an IMF-fixdate, written at most once a second in each thread.
/// *Lifetime*: valid until this thread's next call.
[[nodiscard]] std::string_view current_date() noexcept;

}  // namespace heph::http
