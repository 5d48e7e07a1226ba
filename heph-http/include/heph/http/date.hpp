#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <string_view>

namespace heph::http {

/// The length of `Sun, 06 Nov 1994 08:49:37 GMT`.
inline constexpr std::size_t date_bytes = 29;

/// Writes a time as an IMF-fixdate (RFC 9110, 5.6.7). *Requires*: the year has four digits.
[[nodiscard]] std::array<char, date_bytes> format_date(std::chrono::sys_seconds time) noexcept;

/// Gives the current time as an IMF-fixdate, written at most once a second in each thread.
/// *Lifetime*: valid until this thread's next call.
[[nodiscard]] std::string_view current_date() noexcept;

}  // namespace heph::http
