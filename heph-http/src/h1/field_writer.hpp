#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace heph::http::h1 {

/// Appends a number.
void append_number(std::string& out, std::uint64_t value, int base = 10);

/// Appends a field line. Gives false, and appends nothing, when the line would break the message,
/// or the field is one that only the writer itself may set: by hand it could only contradict the
/// framing.
[[nodiscard]] bool append_field(std::string& out, std::string_view name, std::string_view value);

/// Appends a piece of a body as a chunk. An empty one, which would end the body, is left out.
void append_chunk(std::string& out, std::string_view piece);

/// Append what goes before and behind a chunk of `size` bytes, which is not 0.
void begin_chunk(std::string& out, std::uint64_t size);
void end_chunk(std::string& out);

/// What ends a chunked body.
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

}  // namespace heph::http::h1
