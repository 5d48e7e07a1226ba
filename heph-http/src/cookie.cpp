#include "chars.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <heph/http/cookie.hpp>
#include <heph/http/date.hpp>

#include "cookie_prefix.hpp"

namespace heph::http {

namespace {

constexpr std::chrono::sys_seconds first_date;
constexpr std::chrono::sys_seconds last_date =
    std::chrono::sys_days(std::chrono::year(9999) / 12 / 31) + std::chrono::hours(24) -
    std::chrono::seconds(1);

// cookie-octet of RFC 6265, 4.1.1.
bool is_value_char(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

bool is_path_char(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x7f && c != ';';
}

bool is_domain(std::string_view text) noexcept {
    if (text.starts_with('.')) { text.remove_prefix(1); }
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return detail::is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '-' || c == '.';
    });
}

std::optional<cookie_error> check(const set_cookie& cookie) {
    if (!is_token(cookie.name)) { return cookie_error::bad_name; }
    if (!std::ranges::all_of(cookie.value, is_value_char)) { return cookie_error::bad_value; }
    if (!cookie.path.empty() &&
        (cookie.path.front() != '/' || !std::ranges::all_of(cookie.path, is_path_char))) {
        return cookie_error::bad_path;
    }
    if (!cookie.domain.empty() && !is_domain(cookie.domain)) { return cookie_error::bad_domain; }
    const bool of_host = detail::has_cookie_prefix(cookie.name, "__Host-");
    if (of_host && (cookie.path != "/" || !cookie.domain.empty())) {
        return cookie_error::bad_prefix;
    }
    const bool needs_secure = of_host || detail::has_cookie_prefix(cookie.name, "__Secure-") ||
                              cookie.same_site == same_site::none || cookie.partitioned;
    if (needs_secure && !cookie.secure) { return cookie_error::insecure; }
    return {};
}

}  // namespace

std::optional<cookie> next_cookie(std::string_view& list) noexcept {
    while (!list.empty()) {
        const std::size_t end = list.find(';');
        const std::string_view pair = detail::trim(list.substr(0, end));
        list = end == std::string_view::npos ? std::string_view() : list.substr(end + 1);
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos) { continue; }
        const std::string_view name = detail::trim(pair.substr(0, equals));
        if (!is_token(name)) { continue; }
        return cookie{name, detail::trim(pair.substr(equals + 1))};
    }
    return {};
}

std::optional<std::string_view> find_cookie(const headers& request,
                                            std::string_view name) noexcept {
    for (const header each : request) {
        if (!equal_ignoring_case(each.name, "Cookie")) { continue; }
        std::string_view list = each.value;
        while (const auto found = next_cookie(list)) {
            if (found->name == name) { return found->value; }
        }
    }
    return {};
}

std::string_view to_string(cookie_error error) noexcept {
    switch (error) {
        case cookie_error::bad_name: return "the name of the cookie is no token";
        case cookie_error::bad_value:
            return "the value of the cookie has a character that no cookie may have; encode it";
        case cookie_error::bad_path:
            return "the path of the cookie has to begin with a slash, and has no semicolon";
        case cookie_error::bad_domain: return "the domain of the cookie is no host name";
        case cookie_error::insecure: return "browsers keep this cookie only when it is secure";
        case cookie_error::bad_prefix: break;
    }
    return "a cookie named __Host-... has the path / and no domain";
}

set_cookie set_cookie::removal(std::string name, std::string path, std::string domain) {
    set_cookie made;
    made.name = std::move(name);
    made.path = std::move(path);
    made.domain = std::move(domain);
    made.max_age = std::chrono::seconds(0);
    made.expires = std::chrono::sys_seconds();
    // A browser refuses to touch a secure cookie otherwise.
    made.secure = detail::has_cookie_prefix(made.name, "__Host-") ||
                  detail::has_cookie_prefix(made.name, "__Secure-");
    return made;
}

std::expected<std::string, cookie_error> set_cookie::to_string() const {
    if (const auto wrong = check(*this)) { return std::unexpected(*wrong); }
    std::string text = name + '=' + value;
    if (!path.empty()) { text += "; Path=" + path; }
    if (!domain.empty()) { text += "; Domain=" + domain; }
    if (max_age) {
        text += "; Max-Age=" + std::to_string(std::max<std::int64_t>(max_age->count(), 0));
    }
    if (expires) {
        // For "always", many take the last time that there is; a date has a year of four digits.
        const auto date = format_date(std::clamp(*expires, first_date, last_date));
        text += "; Expires=";
        text.append(date.data(), date.size());
    }
    if (secure) { text += "; Secure"; }
    if (http_only) { text += "; HttpOnly"; }
    switch (same_site) {
        case http::same_site::unset: break;
        case http::same_site::strict: text += "; SameSite=Strict"; break;
        case http::same_site::lax: text += "; SameSite=Lax"; break;
        case http::same_site::none: text += "; SameSite=None"; break;
    }
    if (partitioned) { text += "; Partitioned"; }
    return text;
}

}  // namespace heph::http
