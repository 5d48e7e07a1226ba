#include "chars.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <heph/http/headers.hpp>
#include <heph/http/uri.hpp>

namespace heph::http {

namespace {

// Tells whether a segment is `.` or `..`, with any of the dots percent-encoded.
bool is_dot_segment(std::string_view segment) noexcept {
    std::size_t dots = 0;
    for (std::size_t at = 0; at < segment.size(); ++dots) {
        if (segment[at] == '.') {
            at += 1;
        } else if (segment[at] == '%' && detail::encoded_byte(segment, at) == '.') {
            at += 3;
        } else {
            return false;
        }
    }
    return dots == 1 || dots == 2;
}

// Tells whether a path has a segment `.` or `..`.
bool has_dot_segment(std::string_view path) noexcept {
    std::size_t begin = 1;  // Behind the slash.
    for (;;) {
        const std::size_t end = path.find('/', begin);
        if (is_dot_segment(path.substr(begin, end - begin))) { return true; }
        if (end == std::string_view::npos) { return false; }
        begin = end + 1;
    }
}

// Takes a path and a query apart. Gives nothing when they are good.
std::optional<error> split_path(std::string_view text, target_parts& parts) noexcept {
    bool suspicious = false;
    std::size_t at = 0;
    for (; at < text.size() && detail::is_char(text[at], detail::path_char); ++at) {
        if (text[at] == '%') {
            // An encoded NUL would cut the name short for whoever takes it as a C string.
            if (detail::encoded_byte(text, at) <= 0) { return error::bad_percent_encoding; }
            suspicious = true;
        } else if (text[at] == '.') {
            suspicious = true;
        }
    }
    parts.path = text.substr(0, at);
    if (at != text.size()) {
        if (text[at] != '?') { return error::bad_target; }
        parts.query = text.substr(at + 1);
    }
    if (suspicious && has_dot_segment(parts.path)) { return error::bad_target; }
    const auto is_legal = [](char c) { return detail::is_char(c, detail::query_char); };
    if (!std::ranges::all_of(parts.query, is_legal)) { return error::bad_target; }
    return std::nullopt;
}

std::expected<target_parts, error> parse_absolute(method method, std::string_view target) noexcept {
    const std::size_t colon = target.find("://");
    if (colon == std::string_view::npos) { return std::unexpected(error::bad_target); }
    const std::string_view scheme = target.substr(0, colon);
    if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https")) {
        return std::unexpected(error::bad_target);
    }
    const std::string_view rest = target.substr(colon + 3);
    const std::size_t path = rest.find_first_of("/?");
    target_parts parts;
    parts.form = target_form::absolute;
    parts.authority = rest.substr(0, path);
    if (!is_host(parts.authority)) { return std::unexpected(error::bad_host); }
    if (path == std::string_view::npos) {
        // For OPTIONS alone, no path is not the root (RFC 9110, 4.2.3).
        if (method == method::options) { parts.form = target_form::asterisk; }
        return parts;
    }
    if (const auto fault = split_path(rest.substr(path), parts)) { return std::unexpected(*fault); }
    return parts;
}

// Digits, of which there may be none.
bool is_port(std::string_view text) noexcept {
    std::uint32_t port = 0;
    for (const char c : text) {
        if (!detail::is_digit(c)) { return false; }
        port = port * 10 + static_cast<std::uint32_t>(c - '0');
        if (port > 0xffff) { return false; }
    }
    return true;
}

bool is_ipv6_address(std::string_view text) noexcept {
    std::array<char, INET6_ADDRSTRLEN> terminated{};
    if (text.size() >= terminated.size() || text.contains('\0')) { return false; }
    std::ranges::copy(text, terminated.begin());
    in6_addr address{};
    return inet_pton(AF_INET6, terminated.data(), &address) == 1;
}

// An address of a version that is yet to come: `v1.text`.
bool is_future_address(std::string_view text) noexcept {
    if (!text.starts_with('v') && !text.starts_with('V')) { return false; }
    const std::size_t point = text.find('.');
    if (point == std::string_view::npos) { return false; }
    const std::string_view version = text.substr(1, point - 1);
    const std::string_view address = text.substr(point + 1);
    const auto is_hex = [](char c) { return detail::hex_digit(c) >= 0; };
    const auto is_legal = [](char c) { return c == ':' || detail::is_char(c, detail::host_char); };
    return !version.empty() && !address.empty() && std::ranges::all_of(version, is_hex) &&
           std::ranges::all_of(address, is_legal);
}

}  // namespace

bool is_host(std::string_view text) noexcept {
    if (text.starts_with('[')) {
        const std::size_t bracket = text.find(']');
        if (bracket == std::string_view::npos) { return false; }
        const std::string_view rest = text.substr(bracket + 1);
        const std::string_view address = text.substr(1, bracket - 1);
        return (is_ipv6_address(address) || is_future_address(address)) &&
               (rest.empty() || (rest.front() == ':' && is_port(rest.substr(1))));
    }
    std::size_t at = 0;
    for (; at < text.size() && text[at] != ':'; ++at) {
        if (detail::is_char(text[at], detail::host_char)) { continue; }
        if (text[at] != '%' || detail::encoded_byte(text, at) <= 0) { return false; }
    }
    return at != 0 && (at == text.size() || is_port(text.substr(at + 1)));
}

std::expected<target_parts, error> parse_target(method method, std::string_view target) noexcept {
    if (target.empty()) { return std::unexpected(error::bad_target); }
    target_parts parts;
    if (method == method::connect) {
        const std::size_t colon = target.rfind(':');
        if (!is_host(target) || colon == std::string_view::npos || target.back() == ']') {
            return std::unexpected(error::bad_target);
        }
        // A port has to be named, and 0 is none (RFC 9110, 9.3.6).
        if (target.find_first_not_of('0', colon + 1) == std::string_view::npos) {
            return std::unexpected(error::bad_target);
        }
        parts.form = target_form::authority;
        parts.authority = target;
        return parts;
    }
    if (target.front() == '/') {
        if (const auto fault = split_path(target, parts)) { return std::unexpected(*fault); }
        return parts;
    }
    if (target == "*") {
        if (method != method::options) { return std::unexpected(error::bad_target); }
        parts.form = target_form::asterisk;
        return parts;
    }
    return parse_absolute(method, target);
}

std::expected<std::string, error> percent_decode(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            decoded.push_back(text[at]);
            continue;
        }
        const int byte = detail::encoded_byte(text, at);
        if (byte < 0) { return std::unexpected(error::bad_percent_encoding); }
        decoded.push_back(static_cast<char>(byte));
        at += 2;
    }
    return decoded;
}

std::string percent_encode(std::string_view text) {
    std::string encoded;
    encoded.reserve(text.size());
    for (const char c : text) {
        if (detail::is_char(c, detail::unreserved_char)) {
            encoded.push_back(c);
        } else {
            detail::append_percent_encoded(encoded, c);
        }
    }
    return encoded;
}

}  // namespace heph::http
