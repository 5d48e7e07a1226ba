#pragma once

// What may name a note.

#include <cstddef>
#include <string_view>

namespace notes {

inline constexpr std::size_t id_bytes_max = 256;

/// Tells why `id`, after percent-decoding, cannot name a note; nullptr when it can.
///
/// An id has 1 to 256 bytes of UTF-8 without control characters and line separators, so that a list
/// of ids with one a line is never ambiguous. `.` and `..` are refused too: browsers and proxies
/// take these path segments away, however they are encoded.
[[nodiscard]] const char* why_bad_id(std::string_view id) noexcept;

/// Tells whether `text` is well-formed UTF-8 (RFC 3629).
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

}  // namespace notes
