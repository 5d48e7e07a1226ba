#include "field_writer.hpp"

#include <array>
#include <charconv>

#include <heph/http/headers.hpp>

#include "../chars.hpp"

namespace heph::http::h1 {

namespace {

bool is_set_by_writer(std::string_view name) noexcept {
    switch (name.size()) {
        case 7: return equal_ignoring_case(name, "trailer");
        case 10:
            return equal_ignoring_case(name, "connection") ||
                   equal_ignoring_case(name, "keep-alive");
        case 14: return equal_ignoring_case(name, "content-length");
        case 17: return equal_ignoring_case(name, "transfer-encoding");
        default: return false;
    }
}

}  // namespace

void append_number(std::string& out, std::uint64_t value, int base) {
    std::array<char, 20> digits;
    const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), value, base);
    out.append(digits.data(), result.ptr);
}

bool append_field(std::string& out, std::string_view name, std::string_view value) {
    // White space around a value is no part of it (RFC 9110, 5.5).
    const std::string_view trimmed = detail::trim(value);
    if (!is_token(name) || !is_field_value(trimmed) || is_set_by_writer(name)) { return false; }
    out.append(name);
    out.append(": ");
    out.append(trimmed);
    out.append("\r\n");
    return true;
}

void append_chunk(std::string& out, std::string_view piece) {
    if (piece.empty()) { return; }
    begin_chunk(out, piece.size());
    out.append(piece);
    end_chunk(out);
}

void begin_chunk(std::string& out, std::uint64_t size) {
    append_number(out, size, 16);
    out.append("\r\n");
}

void end_chunk(std::string& out) { out.append("\r\n"); }

}  // namespace heph::http::h1
