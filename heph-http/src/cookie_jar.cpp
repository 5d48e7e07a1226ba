#include <heph/http/cookie_jar.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

#include "chars.hpp"
#include "cookie_prefix.hpp"

namespace heph::http {

namespace {

using std::chrono::sys_seconds;

constexpr std::size_t attribute_bytes_max = 1024;
constexpr std::chrono::seconds lifetime_max = std::chrono::days(400);

// A host with a dot at its end is the same host, its name written in full.
std::string_view without_last_dot(std::string_view host) noexcept {
    if (host.ends_with('.')) { host.remove_suffix(1); }
    return host;
}

bool is_address(std::string_view host) noexcept {
    if (host.find(':') != std::string_view::npos) { return true; }
    const std::size_t dot = host.rfind('.');
    const std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
    return !last.empty() && std::ranges::all_of(last, detail::is_digit);
}

// RFC 6265, 5.1.3.
bool domain_matches(std::string_view host, std::string_view domain) noexcept {
    if (host == domain) { return true; }
    return host.size() > domain.size() && host.ends_with(domain) &&
           host[host.size() - domain.size() - 1] == '.' && !is_address(host);
}

// RFC 6265, 5.1.4.
bool path_matches(std::string_view path, std::string_view of_cookie) noexcept {
    if (!path.starts_with(of_cookie)) { return false; }
    return path.size() == of_cookie.size() || of_cookie.ends_with('/') ||
           path[of_cookie.size()] == '/';
}

std::string_view path_of(const url& from) noexcept {
    return std::string_view(from.target).substr(0, from.target.find('?'));
}

std::string default_path(const url& from) {
    const std::string_view path = path_of(from);
    const std::size_t slash = path.rfind('/');
    if (!path.starts_with('/') || slash == 0) { return "/"; }
    return std::string(path.substr(0, slash));
}

// Reads up to `digits_max` digits off the front of a text; nothing when there is none, or more.
std::optional<int> take_number(std::string_view& text, std::size_t digits_max) noexcept {
    std::size_t count = 0;
    while (count < text.size() && detail::is_digit(text[count])) { ++count; }
    if (count == 0 || count > digits_max) { return {}; }
    int value = 0;
    (void)std::from_chars(text.data(), text.data() + count, value);
    text.remove_prefix(count);
    return value;
}

struct date_parts {
    std::optional<std::array<int, 3>> time;
    std::optional<int> day;
    std::optional<unsigned> month;
    std::optional<int> year;
};

// Any numbers that look like a time; whether they are one is seen at the end.
std::optional<std::array<int, 3>> read_time(std::string_view token) noexcept {
    std::array<int, 3> parts{};
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i > 0 && !token.starts_with(':')) { return {}; }
        if (i > 0) { token.remove_prefix(1); }
        const auto part = take_number(token, 2);
        if (!part) { return {}; }
        parts[i] = *part;
    }
    return parts;
}

std::optional<unsigned> read_month(std::string_view token) noexcept {
    constexpr std::array<std::string_view, 12> names{"jan", "feb", "mar", "apr", "may", "jun",
                                                     "jul", "aug", "sep", "oct", "nov", "dec"};
    for (unsigned i = 0; i < names.size(); ++i) {
        if (equal_ignoring_case(token.substr(0, 3), names[i])) { return i + 1; }
    }
    return {};
}

void take_date_token(std::string_view token, date_parts& into) noexcept {
    std::string_view rest = token;
    if (!into.time && (into.time = read_time(token))) { return; }
    if (!into.day && (into.day = take_number(rest, 2))) { return; }
    if (!into.month && (into.month = read_month(token))) { return; }
    rest = token;
    if (!into.year) {
        const auto year = take_number(rest, 4);
        if (year && token.size() - rest.size() >= 2) { into.year = *year; }
    }
}

// Dates as servers write them, which is in more than one way (RFC 6265, 5.1.1).
std::optional<sys_seconds> cookie_date(std::string_view text) noexcept {
    constexpr auto is_part = [](char c) {
        return detail::is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == ':' || static_cast<unsigned char>(c) >= 0x7f;
    };
    date_parts parts;
    while (!text.empty()) {
        std::size_t size = 0;
        while (size < text.size() && is_part(text[size])) { ++size; }
        if (size == 0) {
            text.remove_prefix(1);
            continue;
        }
        take_date_token(text.substr(0, size), parts);
        text.remove_prefix(size);
    }
    if (!parts.time || !parts.day || !parts.month || !parts.year) { return {}; }
    int year = *parts.year;
    if (year <= 69) { year += 2000; }
    if (year <= 99) { year += 1900; }
    const std::chrono::year_month_day date(std::chrono::year(year),
                                           std::chrono::month(*parts.month),
                                           std::chrono::day(static_cast<unsigned>(*parts.day)));
    const auto [hour, minute, second] = *parts.time;
    if (year < 1601 || !date.ok() || hour > 23 || minute > 59 || second > 59) { return {}; }
    return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
           std::chrono::seconds(second);
}

// RFC 6265, 5.2.2.
std::optional<sys_seconds> after(std::string_view text, sys_seconds now) noexcept {
    const bool negative = text.starts_with('-');
    const std::string_view digits = text.substr(negative ? 1 : 0);
    if (digits.empty() || !std::ranges::all_of(digits, detail::is_digit)) { return {}; }
    if (negative) { return sys_seconds::min(); }
    std::int64_t value = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (read.ec != std::errc() || value > lifetime_max.count()) { return now + lifetime_max; }
    return value == 0 ? sys_seconds::min() : now + std::chrono::seconds(value);
}

struct attributes {
    std::optional<sys_seconds> max_age;
    std::optional<sys_seconds> expires;
    std::string domain;
    std::string path;
    bool secure = false;
};

/// Tells whether a line may be kept: `Cookie` could not be sent with what it has otherwise
/// (RFC 6265bis, 5.6).
bool is_clean(std::string_view line) noexcept {
    return std::ranges::all_of(line, detail::is_text_char);
}

attributes read_attributes(std::string_view left, sys_seconds now) {
    attributes found;
    while (!left.empty()) {
        const std::string_view each = left.substr(0, left.find(';'));
        left = each.size() == left.size() ? std::string_view() : left.substr(each.size() + 1);
        const std::size_t equals = each.find('=');
        const std::string_view name = detail::trim(each.substr(0, equals));
        std::string_view value =
            equals == std::string_view::npos ? "" : detail::trim(each.substr(equals + 1));
        if (value.size() > attribute_bytes_max) { continue; }
        if (equal_ignoring_case(name, "expires")) {
            if (const auto date = cookie_date(value)) { found.expires = date; }
        } else if (equal_ignoring_case(name, "max-age")) {
            if (const auto time = after(value, now)) { found.max_age = time; }
        } else if (equal_ignoring_case(name, "domain")) {
            if (value.starts_with('.')) { value.remove_prefix(1); }
            found.domain = detail::lower_case(value);
        } else if (equal_ignoring_case(name, "path")) {
            found.path = value.starts_with('/') ? value : std::string_view();
        } else if (equal_ignoring_case(name, "secure")) {
            found.secure = true;
        }
    }
    return found;
}

}  // namespace

void cookie_jar::store(const url& from, const headers& answer, sys_seconds now) {
    for (const header each : answer) {
        if (equal_ignoring_case(each.name, "Set-Cookie")) { store_line(from, each.value, now); }
    }
}

void cookie_jar::store_line(const url& from, std::string_view line, sys_seconds now) {
    const std::string_view pair = line.substr(0, line.find(';'));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || !is_clean(line)) { return; }
    kept made;
    made.name = detail::trim(pair.substr(0, equals));
    made.value = detail::trim(pair.substr(equals + 1));
    if (made.name.empty() || made.name.size() + made.value.size() > limits_.cookie_bytes_max) {
        return;
    }
    const std::string_view rest =
        pair.size() == line.size() ? std::string_view() : line.substr(pair.size() + 1);
    const attributes said = read_attributes(rest, now);
    made.domain = detail::lower_case(without_last_dot(from.host));
    if (!said.domain.empty() && said.domain != made.domain) {
        // For all of a top-level domain, or for somebody else's (RFC 6265, 5.3, 5 and 6).
        if (said.domain.find('.') == std::string::npos || said.domain.ends_with('.')) { return; }
        if (!domain_matches(made.domain, said.domain)) { return; }
        made.domain = said.domain;
    }
    const bool may_be_wider =
        made.domain.find('.') != std::string::npos && !is_address(made.domain);
    made.host_only = said.domain.empty() || !may_be_wider;
    made.path = said.path.empty() ? default_path(from) : said.path;
    made.secure = said.secure;
    if (const auto until = said.max_age ? said.max_age : said.expires) {
        made.expires = std::min(*until, now + lifetime_max);
    }
    const bool of_host = detail::has_cookie_prefix(made.name, "__Host-");
    if (of_host && (!said.domain.empty() || said.path != "/")) { return; }
    if ((of_host || detail::has_cookie_prefix(made.name, "__Secure-")) && !made.secure) { return; }
    const bool is_plain = from.scheme != "https";
    std::erase_if(cookies_, [now](const kept& each) { return each.expires <= now; });
    if (is_plain && (made.secure || hides_secure(made))) { return; }
    put(std::move(made), now, is_plain);
}

// Plain http must not put another in the place of a secure cookie (RFC 6265bis, 5.7).
bool cookie_jar::hides_secure(const kept& made) const noexcept {
    return std::ranges::any_of(cookies_, [&made](const kept& each) {
        return each.secure && each.name == made.name &&
               (domain_matches(each.domain, made.domain) ||
                domain_matches(made.domain, each.domain)) &&
               path_matches(made.path, each.path);
    });
}

void cookie_jar::put(kept&& made, sys_seconds now, bool is_plain) {
    const auto same = std::ranges::find_if(cookies_, [&made](const kept& each) {
        return each.name == made.name && each.domain == made.domain && each.path == made.path &&
               each.host_only == made.host_only;
    });
    made.created = ++order_;
    made.used = order_;
    const bool removes = made.expires <= now;
    if (same != cookies_.end()) {
        made.created = same->created;
        if (removes) {
            cookies_.erase(same);
        } else {
            *same = std::move(made);
        }
    } else if (!removes && limits_.cookies_max > 0 && limits_.cookies_per_domain_max > 0) {
        if (make_room(made.domain, is_plain)) { cookies_.push_back(std::move(made)); }
    }
}

// Those without `Secure` go first, and what came over plain http drives no others out: whoever can
// answer for a host there could else end a session of its https side.
bool cookie_jar::make_room(const std::string& domain, bool is_plain) {
    const auto is_before = [](const kept& a, const kept& b) {
        return a.secure != b.secure ? b.secure : a.used < b.used;
    };
    const auto drop_one = [&](auto&& counts) {
        auto oldest = cookies_.end();
        for (auto at = cookies_.begin(); at != cookies_.end(); ++at) {
            if (counts(*at) && (oldest == cookies_.end() || is_before(*at, *oldest))) {
                oldest = at;
            }
        }
        if (oldest == cookies_.end() || (is_plain && oldest->secure)) { return false; }
        cookies_.erase(oldest);
        return true;
    };
    const auto of_domain = [&domain](const kept& each) { return each.domain == domain; };
    const auto count = static_cast<std::size_t>(std::ranges::count_if(cookies_, of_domain));
    if (count >= limits_.cookies_per_domain_max) { return drop_one(of_domain); }
    if (cookies_.size() >= limits_.cookies_max) {
        return drop_one([](const kept&) { return true; });
    }
    return true;
}

std::string cookie_jar::header_for(const url& to, sys_seconds now) {
    const std::string host = detail::lower_case(without_last_dot(to.host));
    const std::string_view path = path_of(to);
    std::vector<kept*> fit;
    for (kept& each : cookies_) {
        const bool here = each.host_only ? host == each.domain : domain_matches(host, each.domain);
        if (here && each.expires > now && path_matches(path, each.path) &&
            (!each.secure || to.scheme == "https")) {
            fit.push_back(&each);
        }
    }
    // The more special path first, then the older cookie (RFC 6265, 5.4).
    std::ranges::sort(fit, [](const kept* a, const kept* b) {
        if (a->path.size() != b->path.size()) { return a->path.size() > b->path.size(); }
        return a->created < b->created;
    });
    std::string made;
    for (kept* each : fit) {
        each->used = ++order_;
        if (!made.empty()) { made += "; "; }
        made += each->name + "=" + each->value;
    }
    return made;
}

}  // namespace heph::http
