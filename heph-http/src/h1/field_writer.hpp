#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace heph::http::h1 {

/// Appends a number.
void append_number(std::string& out, std::uint64_t value, int base = 10);

/// Tells whether a field may be sent: whether its line, of a value without white space around it,
/// leaves the message whole, and it is none that only the writer itself may set.
[[nodiscard]] bool may_be_sent(std::string_view name, std::string_view trimmed) noexcept;

/// Appends a field line. Gives false, and appends nothing, when the line would break the message,
/// or the field is one that only the writer itself may set: by hand it could only contradict the
/// framing.
[[nodiscard]] bool append_field(std::string& out, std::string_view name, std::string_view value);

/// Tells whether a field may stand behind a body: not what frames, routes, or modifies the message,
/// authenticates it, or says how it is read (RFC 9110, 6.5.1).
[[nodiscard]] bool may_be_trailer(std::string_view name) noexcept;

/// Appends a line of a trailer section. Gives false, and appends nothing, as `append_field` does,
/// and for a field that may not stand there.
[[nodiscard]] bool append_trailer(std::string& out, std::string_view name, std::string_view value);

/// Appends a piece of a body as a chunk. An empty one, which would end the body, is left out.
void append_chunk(std::string& out, std::string_view piece);

/// Append what goes before and behind a chunk of `size` bytes, which is not 0.
void begin_chunk(std::string& out, std::uint64_t size);
void end_chunk(std::string& out);

/// Appends what ends a chunked body, with the lines of its trailer section.
void append_last_chunk(std::string& out, std::string_view trailers);

}  // namespace heph::http::h1
