#include "chars.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include <heph/http/headers.hpp>
#include <heph/http/uri.hpp>
#include <heph/http/url.hpp>

namespace heph::http {

namespace {

std::uint16_t default_port(std::string_view scheme) noexcept {
    return scheme == "https" ? 443 : 80;
}

/// Gives the scheme that a reference begins with, in lower case; empty when it has none.
std::string scheme_of(std::string_view text) {
    const std::size_t colon = text.find_first_of(":/?#");
    if (colon == std::string_view::npos || text[colon] != ':' || colon == 0) { return {}; }
    const std::string_view scheme = text.substr(0, colon);
    const auto is_letter = [](char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; };
    if (!is_letter(scheme[0]) || !std::ranges::all_of(scheme, [&](char c) {
            return is_letter(c) || detail::is_digit(c) || c == '+' || c == '-' || c == '.';
        })) {
        return {};
    }
    return detail::lower_case(scheme);
}

/// Encodes what may not stand in a target; what is encoded already stays.
void append_encoded(std::string& to, std::string_view text, detail::char_class allowed) {
    constexpr std::string_view odd = "[]^{|}\"\\`";  // Taken by servers, and yet not in URIs.
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        const bool percent = c == '%' && detail::encoded_byte(text, at) < 0;
        if (detail::is_char(c, allowed) && odd.find(c) == std::string_view::npos && !percent) {
            to.push_back(c);
        } else {
            detail::append_percent_encoded(to, c);
        }
    }
}

/// Tells whether a segment is that many dots, any of them percent-encoded.
bool is_dots(std::string_view segment, std::size_t count) noexcept {
    std::size_t dots = 0;
    while (!segment.empty()) {
        if (segment.front() == '.') {
            segment.remove_prefix(1);
        } else if (equal_ignoring_case(segment.substr(0, 3), "%2e")) {
            segment.remove_prefix(3);
        } else {
            return false;
        }
        ++dots;
    }
    return dots == count;
}

/// Resolves the dot segments of a path that begins with a slash (RFC 3986, 5.2.4).
std::string without_dots(std::string_view path) {
    std::vector<std::string_view> kept;
    bool ends_in_slash = true;
    while (!path.empty()) {
        path.remove_prefix(1);
        const std::size_t slash = std::min(path.find('/'), path.size());
        const std::string_view segment = path.substr(0, slash);
        path.remove_prefix(slash);
        ends_in_slash = is_dots(segment, 1) || is_dots(segment, 2);
        if (is_dots(segment, 2)) {
            if (!kept.empty()) { kept.pop_back(); }
        } else if (!is_dots(segment, 1)) {
            kept.push_back(segment);
        }
    }
    std::string made;
    for (const std::string_view segment : kept) {
        made += '/';
        made += segment;
    }
    if (ends_in_slash || made.empty()) { made += '/'; }
    return made;
}

/// Makes a target of a path and a query, of which either may be empty.
std::string make_target(std::string_view path, std::optional<std::string_view> query) {
    std::string encoded;
    append_encoded(encoded, path, detail::path_char);
    std::string target = without_dots(encoded.empty() ? "/" : std::string_view(encoded));
    if (query) {
        target += '?';
        append_encoded(target, *query, detail::query_char);
    }
    return target;
}

/// Cuts a text at the first `mark`; nothing when there is none.
std::optional<std::string_view> cut_behind(std::string_view& text, char mark) noexcept {
    const std::size_t at = text.find(mark);
    if (at == std::string_view::npos) { return {}; }
    const std::string_view behind = text.substr(at + 1);
    text = text.substr(0, at);
    return behind;
}

/// Tells whether a name in lower case ends in a number, as an IPv4 address does and no domain.
bool ends_in_number(std::string_view name) noexcept {
    std::string_view last = name.substr(name.rfind('.') + 1);
    if (last.starts_with("0x")) {
        last.remove_prefix(2);
        return std::ranges::all_of(last, [](char c) { return detail::hex_digit(c) >= 0; });
    }
    return !last.empty() && std::ranges::all_of(last, detail::is_digit);
}

/// Reads a host that is no IPv6 address. Letters that are encoded without need are the same host
/// (RFC 3986, 6.2.2.2); what no host has otherwise could not be looked up, nor sent.
std::expected<std::string, error> read_name(std::string_view text) {
    const auto decoded = percent_decode(text);
    const auto is_legal = [](char c) { return detail::is_char(c, detail::host_char); };
    if (!decoded || !std::ranges::all_of(*decoded, is_legal)) {
        return std::unexpected(error::bad_host);
    }
    std::string name = detail::lower_case(*decoded);
    const bool full = name.ends_with('.');
    const std::string address = name.substr(0, name.size() - (full ? 1 : 0));
    if (!ends_in_number(address)) { return name; }
    // The system takes `0x7f.1` for 127.0.0.1, which whoever looks at the host would not know
    // (RFC 3986, 7.4).
    in_addr parsed{};
    if (inet_pton(AF_INET, address.c_str(), &parsed) != 1) {
        return std::unexpected(error::bad_host);
    }
    return address;
}

/// Writes an IPv6 address in the one way that RFC 5952 has. Gives nothing for what is none, such as
/// an address of a later version (`v1.x`): without its brackets it would pass for a name.
std::optional<std::string> normal_ipv6(std::string_view text) {
    const std::string given(text);
    in6_addr parsed{};
    std::array<char, INET6_ADDRSTRLEN> written{};
    if (inet_pton(AF_INET6, given.c_str(), &parsed) != 1 ||
        inet_ntop(AF_INET6, &parsed, written.data(), written.size()) == nullptr) {
        return {};
    }
    return std::string(written.data());
}

std::expected<void, error> read_authority(std::string_view text, url& to) {
    if (text.find('@') != std::string_view::npos) { return std::unexpected(error::bad_target); }
    if (!is_host(text)) { return std::unexpected(error::bad_host); }
    std::string_view host = text;
    std::string_view port;
    const std::size_t colon = text.rfind(':');
    const std::size_t bracket = text.rfind(']');
    if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
        host = text.substr(0, colon);
        port = text.substr(colon + 1);
    }
    if (host.empty()) { return std::unexpected(error::bad_host); }
    if (host.starts_with('[')) {
        auto address = normal_ipv6(host.substr(1, host.size() - 2));
        if (!address) { return std::unexpected(error::bad_host); }
        to.host = *std::move(address);
    } else {
        auto name = read_name(host);
        if (!name) { return std::unexpected(name.error()); }
        to.host = std::move(*name);
    }
    to.port = default_port(to.scheme);
    if (!port.empty()) {
        const auto [end, failure] =
            std::from_chars(port.data(), port.data() + port.size(), to.port);
        if (failure != std::errc() || to.port == 0) { return std::unexpected(error::bad_host); }
    }
    return {};
}

}  // namespace

std::expected<url, error> url::parse(std::string_view text) {
    url made;
    made.scheme = scheme_of(text);
    if (made.scheme != "http" && made.scheme != "https") {
        return std::unexpected(error::bad_target);
    }
    text.remove_prefix(made.scheme.size() + 1);
    if (!text.starts_with("//")) { return std::unexpected(error::bad_target); }
    return made.resolve(text);
}

std::expected<url, error> url::resolve(std::string_view reference) const {
    if (!scheme_of(reference).empty()) { return parse(reference); }
    (void)cut_behind(reference, '#');
    const auto query = cut_behind(reference, '?');
    url made = *this;
    if (reference.starts_with("//")) {
        reference.remove_prefix(2);
        const std::size_t slash = std::min(reference.find('/'), reference.size());
        const auto read = read_authority(reference.substr(0, slash), made);
        if (!read) { return std::unexpected(read.error()); }
        made.target = make_target(reference.substr(slash), query);
        return made;
    }
    if (reference.starts_with('/')) {
        made.target = make_target(reference, query);
        return made;
    }
    std::string_view base = target;
    const auto base_query = cut_behind(base, '?');
    if (reference.empty()) {
        made.target = make_target(base, query ? query : base_query);
        return made;
    }
    std::string path(base.substr(0, base.rfind('/') + 1));
    path += reference;
    made.target = make_target(path, query);
    return made;
}

std::string url::authority() const {
    const bool v6 = host.find(':') != std::string::npos;
    std::string text = v6 ? '[' + host + ']' : host;
    if (port != default_port(scheme)) { text += ':' + std::to_string(port); }
    return text;
}

std::string url::origin() const {
    const bool v6 = host.find(':') != std::string::npos;
    return scheme + "://" + (v6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

}  // namespace heph::http
