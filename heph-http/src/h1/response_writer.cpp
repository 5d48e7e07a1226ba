#include <cstddef>
#include <utility>

#include <heph/http/date.hpp>
#include <heph/http/h1/response_writer.hpp>

#include "field_writer.hpp"

namespace heph::http::h1 {

namespace {

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

// What the headers of a handler have, of which the writer has to know.
struct found_headers {
    bool date = false;
    bool upgrade = false;
};

bool append_headers(std::string& out, const headers& headers, bool chunked, found_headers& found) {
    for (const header field : headers) {
        // It announces what has a place behind chunks only.
        if (!chunked && equal_ignoring_case(field.name, "trailer")) { continue; }
        if (!append_field(out, field.name, field.value)) { return false; }
        found.date = found.date || equal_ignoring_case(field.name, "date");
        found.upgrade = found.upgrade || equal_ignoring_case(field.name, "upgrade");
    }
    return true;
}

// Tells whether there is such a response to such a request here.
bool is_sendable(const response& response, method method, version version) noexcept {
    const status status = response.status();
    if (response.is_upgrade()) {
        return status == status::switching_protocols && version == version::http_1_1 &&
               method != method::connect;
    }
    if (code(status) < 200 || code(status) > 999) { return false; }
    // It would begin a tunnel, without a body and without an end (RFC 9110, 9.3.6).
    return method != method::connect || code(status) >= 300;
}

}  // namespace

std::expected<void, error> response_writer::write(std::string& out, const response& response,
                                                  method method, version version, bool keep_alive,
                                                  std::size_t body_bytes_max) {
    const status status = response.status();
    const std::size_t before = out.size();
    framing_ = framing::none;
    left_out_ = 0;
    body_written_ = 0;
    if (!is_sendable(response, method, version)) { return std::unexpected(error::bad_response); }
    // A 205 has no content, and yet a framing that says so (RFC 9110, 15.3.6).
    const bool resets = status == status::reset_content;
    const bool streamed = response.is_streamed() && !resets;
    const bool chunked = streamed && !response.stream_length() && !is_bodiless(status) &&
                         version == version::http_1_1;
    append_status_line(out, status);
    found_headers found;
    if (!append_headers(out, response.headers(), chunked, found)) {
        out.resize(before);
        return std::unexpected(error::bad_response);
    }
    if (!found.date) {
        out.append("Date: ");
        out.append(current_date());
        out.append("\r\n");
    }

    // What follows a 101 is no HTTP, and ends by itself.
    keeps_alive_ = response.is_upgrade() || (keep_alive && !response.closes_connection());
    const bool has_body = !is_bodiless(status) && !resets && method != method::head;
    if (streamed && !response.stream_length() && !is_bodiless(status)) {
        if (chunked) {
            out.append("Transfer-Encoding: chunked\r\n");
            framing_ = framing::chunked;
        } else {
            framing_ = framing::until_close;
            keeps_alive_ = keeps_alive_ && !has_body;
        }
    } else if (!is_bodiless(status)) {
        left_ = streamed ? *response.stream_length() : resets ? 0 : response.body().size();
        out.append("Content-Length: ");
        append_number(out, left_);
        out.append("\r\n");
        if (streamed) { framing_ = framing::length; }
    }
    // Who sends `Upgrade` has to name it here as well (RFC 9110, 7.8).
    if (found.upgrade) { out.append("Connection: upgrade\r\n"); }
    if (!keeps_alive_) {
        out.append("Connection: close\r\n");
    } else if (version == version::http_1_0) {
        out.append("Connection: keep-alive\r\n");
    }
    out.append("\r\n");
    if (!has_body) {
        framing_ = framing::none;
    } else if (!streamed) {
        const std::string_view now = response.body().substr(0, body_bytes_max);
        out.append(now);
        body_written_ = now.size();
        left_out_ = response.body().size() - now.size();
    }
    return {};
}

std::expected<void, error> response_writer::write_piece(std::string& out, std::string_view piece) {
    if (piece.empty() || framing_ == framing::none) { return {}; }
    const auto begun = begin_piece(out, piece.size());
    if (!begun) { return begun; }
    out.append(piece);
    end_piece(out);
    return {};
}

std::expected<void, error> response_writer::begin_piece(std::string& out, std::uint64_t size) {
    if (framing_ == framing::chunked) { begin_chunk(out, size); }
    if (framing_ == framing::length) {
        if (size > left_) { framing_ = framing::broken; }
        left_ -= size;
    }
    // It stays broken: what fits in later would stand in the place of what did not.
    if (framing_ == framing::broken) { return std::unexpected(error::bad_response); }
    return {};
}

void response_writer::end_piece(std::string& out) {
    if (framing_ == framing::chunked) { end_chunk(out); }
}

std::expected<void, error> response_writer::write_end(std::string& out, std::string_view trailers) {
    const framing ended = std::exchange(framing_, framing::none);
    if (ended == framing::chunked) { append_last_chunk(out, trailers); }
    const bool cut_short = ended == framing::length && left_ != 0;
    if (cut_short || ended == framing::broken) { return std::unexpected(error::bad_response); }
    return {};
}

std::expected<void, error> response_writer::add_trailer(std::string& lines, std::string_view name,
                                                        std::string_view value) {
    if (append_trailer(lines, name, value)) { return {}; }
    return std::unexpected(error::bad_response);
}

std::expected<void, error> response_writer::write_interim(std::string& out, status status,
                                                          const headers& fields, version version) {
    const std::size_t before = out.size();
    // 100 and 101 say something about the connection: they are the server's own.
    bool good = code(status) >= 102 && code(status) <= 199;
    found_headers found;
    if (good) {
        append_status_line(out, status);
        good = append_headers(out, fields, false, found) && !found.upgrade;
        out.append("\r\n");
    }
    if (!good || version != version::http_1_1) { out.resize(before); }
    if (!good) { return std::unexpected(error::bad_response); }
    return {};
}

}  // namespace heph::http::h1
