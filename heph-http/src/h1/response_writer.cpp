#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <heph/http/date.hpp>
#include <heph/http/h1/response_writer.hpp>

#include "../chars.hpp"
#include "field_writer.hpp"
#include "text_cursor.hpp"

namespace heph::http::h1 {

namespace {

// The line of a status has a reason of at most so many bytes.
constexpr std::size_t status_line_bytes_max = 64;
// What the writer adds by itself: a date, the framing, and lines about the connection.
constexpr std::size_t own_lines_bytes_max = 192;

void put_status_line(text_cursor& to, status status) noexcept {
    // One copy for what nearly every response begins with.
    if (status == status::ok) {
        to.put("HTTP/1.1 200 OK\r\n");
        return;
    }
    to.put("HTTP/1.1 ");
    to.put_number(static_cast<std::uint64_t>(code(status)));
    to.put(" ");
    to.put(reason(status));
    to.put("\r\n");
}

// What the headers of a handler have, of which the writer has to know.
struct found_headers {
    std::size_t bytes = 0;  // Of all lines.
    bool date = false;
    bool upgrade = false;
};

// Announces what has a place behind chunks only.
bool is_left_out(std::string_view name, bool chunked) noexcept {
    return !chunked && name.size() == 7 && equal_ignoring_case(name, "trailer");
}

// Gives nothing when there is one that cannot be sent.
std::optional<found_headers> check_headers(const headers& headers, bool chunked) noexcept {
    found_headers found;
    for (const header field : headers) {
        if (is_left_out(field.name, chunked)) { continue; }
        // White space around a value is no part of it (RFC 9110, 5.5).
        const std::string_view value = detail::trim(field.value);
        if (!may_be_sent(field.name, value)) { return std::nullopt; }
        found.bytes += field.name.size() + value.size() + 4;
        if (field.name.size() == 4) {
            found.date = found.date || equal_ignoring_case(field.name, "date");
        } else if (field.name.size() == 7) {
            found.upgrade = found.upgrade || equal_ignoring_case(field.name, "upgrade");
        }
    }
    return found;
}

void put_headers(text_cursor& to, const headers& headers, bool chunked) noexcept {
    for (const header field : headers) {
        if (is_left_out(field.name, chunked)) { continue; }
        to.put(field.name);
        to.put(": ");
        to.put(detail::trim(field.value));
        to.put("\r\n");
    }
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
    framing_ = framing::none;
    left_out_ = 0;
    body_written_ = 0;
    if (!is_sendable(response, method, version)) { return std::unexpected(error::bad_response); }
    // A 205 has no content, and yet a framing that says so (RFC 9110, 15.3.6).
    const bool resets = status == status::reset_content;
    const bool streamed = response.is_streamed() && !resets;
    const bool bodiless = is_bodiless(status);
    const bool open = streamed && !response.stream_length() && !bodiless;
    const bool chunked = open && version == version::http_1_1;
    const std::optional<found_headers> found = check_headers(response.headers(), chunked);
    if (!found) { return std::unexpected(error::bad_response); }

    // What follows a 101 is no HTTP, and ends by itself.
    keeps_alive_ = response.is_upgrade() || (keep_alive && !response.closes_connection());
    const bool has_body = !bodiless && !resets && method != method::head;
    if (open && !chunked) { keeps_alive_ = keeps_alive_ && !has_body; }
    const bool has_length = !bodiless && !open;
    if (has_length) {
        left_ = streamed ? *response.stream_length() : resets ? 0 : response.body().size();
    }

    const std::size_t before = out.size();
    out.resize(before + status_line_bytes_max + found->bytes + own_lines_bytes_max);
    text_cursor to(out.data() + before);
    put_status_line(to, status);
    put_headers(to, response.headers(), chunked);
    if (!found->date) {
        to.put("Date: ");
        to.put(current_date());
        to.put("\r\n");
    }
    if (chunked) {
        to.put("Transfer-Encoding: chunked\r\n");
    } else if (has_length) {
        to.put("Content-Length: ");
        to.put_number(left_);
        to.put("\r\n");
    }
    // Who sends `Upgrade` has to name it here as well (RFC 9110, 7.8).
    if (found->upgrade) { to.put("Connection: upgrade\r\n"); }
    if (!keeps_alive_) {
        to.put("Connection: close\r\n");
    } else if (version == version::http_1_0) {
        to.put("Connection: keep-alive\r\n");
    }
    to.put("\r\n");
    out.resize(static_cast<std::size_t>(to.at() - out.data()));
    if (has_body && streamed) {
        framing_ = has_length ? framing::length : chunked ? framing::chunked : framing::until_close;
    } else if (has_body) {
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
    // 100 and 101 say something about the connection: they are the server's own.
    const bool is_interim = code(status) >= 102 && code(status) <= 199;
    const auto found = is_interim ? check_headers(fields, false) : std::nullopt;
    if (!found || found->upgrade) { return std::unexpected(error::bad_response); }
    if (version != version::http_1_1) { return {}; }
    const std::size_t before = out.size();
    out.resize(before + status_line_bytes_max + found->bytes + 2);
    text_cursor to(out.data() + before);
    put_status_line(to, status);
    put_headers(to, fields, false);
    to.put("\r\n");
    out.resize(static_cast<std::size_t>(to.at() - out.data()));
    return {};
}

}  // namespace heph::http::h1
