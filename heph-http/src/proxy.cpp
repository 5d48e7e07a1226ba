#include <heph/http/proxy.hpp>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include <heph/http/headers.hpp>
#include <heph/http/uri.hpp>

#include "base64.hpp"
#include "ip_network.hpp"

namespace heph::http {

namespace {

template <typename Number>
bool read_number(std::string_view text, Number& to) noexcept {
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), to);
    return failure == std::errc() && end == text.data() + text.size() && !text.empty();
}

/// Tells whether a host is a name, or below it.
bool is_within(std::string_view host, std::string_view name) noexcept {
    if (host.ends_with('.')) { host.remove_suffix(1); }
    if (host.size() < name.size()) { return false; }
    const std::size_t before = host.size() - name.size();
    return equal_ignoring_case(host.substr(before), name) &&
           (before == 0 || host[before - 1] == '.');
}

constexpr std::array<std::pair<std::string_view, proxy_kind>, 4> proxy_schemes{
    {{"http", proxy_kind::http},
     {"https", proxy_kind::https},
     {"socks5", proxy_kind::socks5},
     {"socks5h", proxy_kind::socks5h}}};

constexpr std::uint16_t default_proxy_port(proxy_kind kind) noexcept {
    switch (kind) {
        case proxy_kind::http: return 80;
        case proxy_kind::https: return 443;
        default: return 1080;
    }
}

bool is_visible(std::string_view text) noexcept {
    return std::ranges::none_of(text, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

}  // namespace

std::expected<proxy, error> proxy::parse(std::string_view text) {
    constexpr std::string_view separator = "://";
    proxy_kind kind = proxy_kind::http;
    if (const std::size_t at = text.find(separator); at != std::string_view::npos) {
        const auto* const scheme = std::ranges::find_if(proxy_schemes, [&](const auto& each) {
            return equal_ignoring_case(each.first, text.substr(0, at));
        });
        if (scheme == proxy_schemes.end()) { return std::unexpected(error::unsupported_scheme); }
        kind = scheme->second;
        text.remove_prefix(at + separator.size());
    }
    const std::string_view authority = text.substr(0, text.find_first_of("/?#"));
    if (text.size() > authority.size() + 1 ||
        (text.size() > authority.size() && text.back() != '/')) {
        return std::unexpected(error::bad_target);
    }
    const std::size_t at = authority.rfind('@');
    const bool has_user = at != std::string_view::npos;
    const std::string place(has_user ? authority.substr(at + 1) : authority);
    const auto where = url::parse("http://" + place);
    if (!where) { return std::unexpected(where.error()); }
    // Only a port that is not named depends on the scheme.
    const auto secure = url::parse("https://" + place);
    const bool names_port = secure && secure->port == where->port;
    proxy made(kind, where->host, names_port ? where->port : default_proxy_port(kind));
    if (!has_user) { return made; }
    const std::string_view who = authority.substr(0, at);
    const std::size_t colon = std::min(who.find(':'), who.size());
    const auto user = percent_decode(who.substr(0, colon));
    const auto password = percent_decode(who.substr(std::min(colon + 1, who.size())));
    if (!user || !password) { return std::unexpected(error::bad_target); }
    const auto told = made.authenticate(*user, *password);
    if (!told) { return std::unexpected(told.error()); }
    return made;
}

std::expected<void, error> proxy::authenticate(std::string_view user, std::string_view password) {
    if (is_socks()) {
        constexpr std::size_t bytes_max = 255;
        if (user.empty() || std::max(user.size(), password.size()) > bytes_max) {
            return std::unexpected(error::bad_target);
        }
        user_ = user;
        password_ = password;
        return {};
    }
    if (user.find(':') != std::string_view::npos || !is_visible(user) || !is_visible(password)) {
        return std::unexpected(error::bad_target);
    }
    std::string both(user);
    both.append(":").append(password);
    authorization_ = "Basic " + detail::encode_base64(both);
    return {};
}

std::optional<proxy_rules::exclusion> proxy_rules::read_exclusion(std::string_view text) {
    exclusion made;
    std::string_view host = text;
    if (text.find('/') != std::string_view::npos) {
        const auto network = detail::ip_network::parse(text);
        if (!network) { return {}; }
        made.network = network->base();
        made.bits = network->bits();
        return made;
    }
    const bool is_bare_v6 = !text.starts_with('[') && std::ranges::count(text, ':') > 1;
    const std::size_t colon = text.rfind(':');
    const bool has_port = !is_bare_v6 && colon != std::string_view::npos && !text.ends_with(']');
    if (has_port) {
        host = text.substr(0, colon);
        if (!read_number(text.substr(colon + 1), made.port) || made.port == 0) { return {}; }
    }
    if (host.starts_with('[') && host.ends_with(']')) { host = host.substr(1, host.size() - 2); }
    if (const auto one = detail::read_ip_address(std::string(host))) {
        made.network = *one;
        made.bits = 128;
        return made;
    }
    if (host.starts_with("*.")) { host.remove_prefix(1); }
    if (host.starts_with('.')) { host.remove_prefix(1); }
    if (host.ends_with('.')) { host.remove_suffix(1); }
    if (host.empty() || !is_host(host) || host.find(':') != std::string_view::npos) { return {}; }
    made.name = std::string(host);
    return made;
}

std::expected<void, error> proxy_rules::exclude(std::string_view list) {
    constexpr std::string_view separators = ", \t";
    while (!list.empty()) {
        const std::size_t end = std::min(list.find_first_of(separators), list.size());
        const std::string_view one = list.substr(0, end);
        list.remove_prefix(std::min(end + 1, list.size()));
        if (one.empty()) { continue; }
        if (one == "*") {
            excludes_all_ = true;
            continue;
        }
        auto read = read_exclusion(one);
        if (!read) { return std::unexpected(error::bad_host); }
        excluded_.push_back(std::move(*read));
    }
    return {};
}

std::expected<proxy_rules, error> proxy_rules::from_environment() {
    return from([](const char* name) -> std::optional<std::string> {
        const char* const value = std::getenv(name);
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    });
}

std::expected<proxy_rules, error> proxy_rules::from(const variables& environment) {
    const auto first_of = [&environment](std::initializer_list<const char*> names) {
        for (const char* name : names) {
            auto value = environment(name);
            if (value && !value->empty()) { return *value; }
        }
        return std::string();
    };
    proxy_rules made;
    const std::string http = first_of({"http_proxy", "all_proxy", "ALL_PROXY"});
    const std::string https = first_of({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"});
    for (const auto& [text, to] : {std::pair(&http, &made.http_), {&https, &made.https_}}) {
        if (text->empty()) { continue; }
        auto read = proxy::parse(*text);
        if (!read) { return std::unexpected(read.error()); }
        *to = std::move(*read);
    }
    const auto excluded = made.exclude(first_of({"no_proxy", "NO_PROXY"}));
    if (!excluded) { return std::unexpected(excluded.error()); }
    return made;
}

const proxy* proxy_rules::find(const url& to) const noexcept {
    const std::optional<proxy>& found = to.scheme == "https" ? https_ : http_;
    if (!found || excludes_all_) { return nullptr; }
    if (excluded_.empty()) { return &*found; }
    const auto numeric = detail::read_ip_address(to.host);
    const bool excluded = std::ranges::any_of(excluded_, [&](const exclusion& each) {
        if (each.port != 0 && each.port != to.port) { return false; }
        if (!each.name.empty()) { return !numeric && is_within(to.host, each.name); }
        return numeric && detail::ip_network(each.network, each.bits).has(*numeric);
    });
    return excluded ? nullptr : &*found;
}

}  // namespace heph::http
