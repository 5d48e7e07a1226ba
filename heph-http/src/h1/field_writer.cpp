#include "field_writer.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <heph/http/headers.hpp>

#include "../chars.hpp"

namespace heph::http::h1 {

namespace {

bool is_set_by_writer(std::string_view name) noexcept {
    switch (name.size()) {
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

bool may_be_sent(std::string_view name, std::string_view trimmed) noexcept {
    const char* const end = trimmed.data() + trimmed.size();
    return is_token(name) && detail::find_line_end(trimmed.data(), end) == end &&
           !is_set_by_writer(name);
}

bool append_field(std::string& out, std::string_view name, std::string_view value) {
    // White space around a value is no part of it (RFC 9110, 5.5).
    const std::string_view trimmed = detail::trim(value);
    if (!may_be_sent(name, trimmed)) { return false; }
    out.append(name);
    out.append(": ");
    out.append(trimmed);
    out.append("\r\n");
    return true;
}

bool may_be_trailer(std::string_view name) noexcept {
    constexpr std::array<std::string_view, 41> others{"Age",
                                                      "Authorization",
                                                      "Cache-Control",
                                                      "Connection",
                                                      "Content-Encoding",
                                                      "Content-Length",
                                                      "Content-Range",
                                                      "Content-Type",
                                                      "Cookie",
                                                      "Date",
                                                      "Expect",
                                                      "Expires",
                                                      "Forwarded",
                                                      "Host",
                                                      "If-Match",
                                                      "If-Modified-Since",
                                                      "If-None-Match",
                                                      "If-Range",
                                                      "If-Unmodified-Since",
                                                      "Keep-Alive",
                                                      "Location",
                                                      "Max-Forwards",
                                                      "Pragma",
                                                      "Proxy-Authenticate",
                                                      "Proxy-Authorization",
                                                      "Proxy-Connection",
                                                      "Range",
                                                      "Retry-After",
                                                      "Set-Cookie",
                                                      "TE",
                                                      "Trailer",
                                                      "Transfer-Encoding",
                                                      "Upgrade",
                                                      "Vary",
                                                      "Via",
                                                      "WWW-Authenticate",
                                                      "Warning",
                                                      "X-Forwarded-For",
                                                      "X-Forwarded-Host",
                                                      "X-Forwarded-Proto",
                                                      "X-Real-IP"};
    return std::ranges::none_of(
        others, [name](std::string_view other) { return equal_ignoring_case(name, other); });
}

bool append_trailer(std::string& out, std::string_view name, std::string_view value) {
    return may_be_trailer(name) && append_field(out, name, value);
}

void append_last_chunk(std::string& out, std::string_view trailers) {
    out.append("0\r\n");
    out.append(trailers);
    out.append("\r\n");
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
