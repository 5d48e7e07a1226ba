#include <array>
#include <charconv>
#include <cstddef>
#include <utility>

#include <heph/http/date.hpp>
#include <heph/http/h1/response_writer.hpp>

#include "../chars.hpp"

namespace heph::http::h1 {

namespace {

void append_number(std::string& out, std::uint64_t value, int base = 10) {
    std::array<char, 20> digits;
    const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), value, base);
    out.append(digits.data(), result.ptr);
}

void append_status_line(std::string& out, status status) {
    // One copy for what nearly every response begins with.
    if (status == status::ok) {
        out.append("HTTP/1.1 200 OK\r\n");
        return;
    }
    out.append("HTTP/1.1 ");
    append_number(out, code(status));
    out.push_back(' ');
    out.append(reason(status));
    out.append("\r\n");
}

// What the writer sets itself; by hand it could only contradict the framing.
bool is_ours(std::string_view name) noexcept {
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

bool append_headers(std::string& out, const headers& headers, bool& has_date) {
    for (const header field : headers) {
        if (!is_token(field.name) || !is_field_value(field.value) || is_ours(field.name)) {
            return false;
        }
        has_date = has_date || equal_ignoring_case(field.name, "date");
        out.append(field.name);
        out.append(": ");
        out.append(field.value);
        out.append("\r\n");
    }
    return true;
}

}  // namespace

std::expected<void, error> response_writer::write(std::string& out, const response& response,
                                                  method method, version version, bool keep_alive) {
    const status status = response.status();
    if (code(status) < 200 || code(status) > 999) { return std::unexpected(error::bad_response); }

    const std::size_t before = out.size();
    bool has_date = false;
    append_status_line(out, status);
    if (!append_headers(out, response.headers(), has_date)) {
        out.resize(before);
        return std::unexpected(error::bad_response);
    }
    if (!has_date) {
        out.append("Date: ");
        out.append(current_date());
        out.append("\r\n");
    }

    framing_ = framing::none;
    keeps_alive_ = keep_alive && !response.closes_connection();
    const bool streamed = response.is_streamed();
    const bool has_body = !is_bodiless(status) && method != method::head;
    if (streamed && !response.stream_length() && !is_bodiless(status)) {
        if (version == version::http_1_1) {
            out.append("Transfer-Encoding: chunked\r\n");
            framing_ = framing::chunked;
        } else {
            framing_ = framing::until_close;
            keeps_alive_ = keeps_alive_ && !has_body;
        }
    } else if (!is_bodiless(status)) {
        left_ = streamed ? *response.stream_length() : response.body().size();
        out.append("Content-Length: ");
        append_number(out, left_);
        out.append("\r\n");
        if (streamed) { framing_ = framing::length; }
    }
    if (!keeps_alive_) {
        out.append("Connection: close\r\n");
    } else if (version == version::http_1_0) {
        out.append("Connection: keep-alive\r\n");
    }
    out.append("\r\n");
    if (!has_body) {
        framing_ = framing::none;
    } else if (!streamed) {
        out.append(response.body());
    }
    return {};
}

std::expected<void, error> response_writer::write_piece(std::string& out, std::string_view piece) {
    // An empty chunk would end the body.
    if (piece.empty() || framing_ == framing::none) { return {}; }
    if (framing_ == framing::chunked) {
        append_number(out, piece.size(), 16);
        out.append("\r\n");
        out.append(piece);
        out.append("\r\n");
        return {};
    }
    if (framing_ == framing::length) {
        if (piece.size() > left_) { return std::unexpected(error::bad_response); }
        left_ -= piece.size();
    }
    out.append(piece);
    return {};
}

std::expected<void, error> response_writer::write_end(std::string& out) {
    const framing ended = std::exchange(framing_, framing::none);
    if (ended == framing::chunked) { out.append("0\r\n\r\n"); }
    if (ended == framing::length && left_ != 0) { return std::unexpected(error::bad_response); }
    return {};
}

}  // namespace heph::http::h1
