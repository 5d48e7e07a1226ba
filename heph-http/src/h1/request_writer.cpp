#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include <heph/http/h1/request_writer.hpp>

#include "field_writer.hpp"

namespace heph::http::h1 {

namespace {

// Whatever is visible: the request line is cut at blanks, and ended by control characters.
bool is_target(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

// These have a meaning for a body, so that its absence is told (RFC 9110, 8.6).
bool expects_content(method method) noexcept {
    return method == method::post || method == method::put || method == method::patch;
}

// Tells whether a field says something that does not hold for this request, or stands there
// already.
bool is_pointless(std::string_view name, const client_request& request, bool chunked) {
    // `Trailer` announces what has a place behind chunks only.
    if (equal_ignoring_case(name, "trailer")) { return !chunked; }
    // RFC 9110, 10.1.1: nothing would follow the 100.
    if (equal_ignoring_case(name, "expect")) {
        return !request.is_streamed() && request.body().empty();
    }
    // RFC 9110, 13.1.5.
    if (equal_ignoring_case(name, "if-range")) { return !request.headers().contains("Range"); }
    return equal_ignoring_case(name, "host");
}

bool append_fields(std::string& out, const client_request& request, std::string_view target,
                   std::string_view host, std::string_view proxy_authorization) {
    const bool chunked = request.is_streamed() && !request.stream_length();
    // First, as RFC 9110, 7.2, has it, so that a server may look no further.
    // A whole URL names the host as well, and must not name another one (RFC 9112, 3.2.2).
    const bool is_whole = !target.starts_with('/') && target != "*";
    const auto own = is_whole ? std::nullopt : request.headers().get("Host");
    if (request.headers().count("Host") > 1) { return false; }
    if (!append_field(out, "Host", own.value_or(host))) { return false; }
    if (!proxy_authorization.empty() &&
        !append_field(out, "Proxy-Authorization", proxy_authorization)) {
        return false;
    }
    return std::ranges::all_of(request.headers(), [&](const header& field) {
        return is_pointless(field.name, request, chunked) ||
               append_field(out, field.name, field.value);
    });
}

}  // namespace

std::expected<void, error> request_writer::write(std::string& out, const client_request& request,
                                                 std::string_view target, std::string_view host,
                                                 std::string_view proxy_authorization,
                                                 std::size_t body_bytes_max) {
    const std::size_t before = out.size();
    framing_ = framing::none;
    left_out_ = 0;
    // RFC 9110, 9.3.8 and 10.1.4.
    const bool traces_content = request.method() == method::trace && request.has_body();
    const std::string_view method = request.method_name();
    if (!is_token(method) || method.size() > method_bytes_max || !is_target(target) ||
        traces_content || request.headers().has_token("TE", "chunked")) {
        return std::unexpected(error::bad_outgoing_request);
    }
    out.append(method);
    out.push_back(' ');
    out.append(target);
    out.append(" HTTP/1.1\r\n");
    if (!append_fields(out, request, target, host, proxy_authorization)) {
        out.resize(before);
        return std::unexpected(error::bad_outgoing_request);
    }
    // Who sends these has to name them here as well (RFC 9110, 7.8 and 10.1.4).
    const bool upgrades = request.headers().contains("Upgrade");
    const bool takes_codings = request.headers().contains("TE");
    if (upgrades) {
        out.append(takes_codings ? "Connection: upgrade, TE\r\n" : "Connection: upgrade\r\n");
    }
    if (takes_codings && !upgrades) { out.append("Connection: TE\r\n"); }
    const bool has_length = !request.is_streamed() || request.stream_length();
    left_ = request.is_streamed() ? request.stream_length().value_or(0) : request.body().size();
    if (!has_length) {
        out.append("Transfer-Encoding: chunked\r\n");
    } else if (request.has_body() || expects_content(request.method())) {
        out.append("Content-Length: ");
        append_number(out, left_);
        out.append("\r\n");
    }
    out.append("\r\n");
    if (request.is_streamed()) {
        framing_ = has_length ? framing::length : framing::chunked;
    } else {
        const std::string_view now = request.body().substr(0, body_bytes_max);
        out.append(now);
        left_out_ = request.body().size() - now.size();
    }
    return {};
}

std::expected<void, error> request_writer::write_piece(std::string& out, std::string_view piece) {
    if (framing_ == framing::none) { return {}; }
    if (framing_ == framing::chunked) {
        append_chunk(out, piece);
        return {};
    }
    if (piece.size() > left_) { framing_ = framing::broken; }
    // It stays broken: what fits in later would stand in the place of what did not.
    if (framing_ == framing::broken) { return std::unexpected(error::bad_outgoing_request); }
    left_ -= piece.size();
    out.append(piece);
    return {};
}

std::expected<void, error> request_writer::write_end(std::string& out, std::string_view trailers) {
    const framing ended = std::exchange(framing_, framing::none);
    if (ended == framing::chunked) { append_last_chunk(out, trailers); }
    const bool cut_short = ended == framing::length && left_ != 0;
    if (cut_short || ended == framing::broken) {
        return std::unexpected(error::bad_outgoing_request);
    }
    return {};
}

std::expected<void, error> request_writer::add_trailer(std::string& lines, std::string_view name,
                                                       std::string_view value) {
    if (append_trailer(lines, name, value)) { return {}; }
    return std::unexpected(error::bad_outgoing_request);
}

}  // namespace heph::http::h1
