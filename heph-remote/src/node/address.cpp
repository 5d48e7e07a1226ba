#include "address.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <ranges>

namespace heph::remote::detail {

namespace {

constexpr std::string_view unix_prefix = "unix:";
constexpr std::string_view memory_prefix = "memory:";

template <typename T>
std::expected<node_address, std::error_code> address_of(std::expected<T, std::error_code> parsed) {
    if (!parsed) { return std::unexpected(parsed.error()); }
    return node_address(node_address::value(std::move(*parsed)));
}

// The bytes of an address in their longest form; IPv4 as IPv6 maps it.
std::array<std::uint8_t, 16> host_bytes(const rt::net::endpoint& at) noexcept {
    if (at.is_v6()) { return at.address(); }
    std::array<std::uint8_t, 16> mapped{};
    mapped[10] = mapped[11] = 0xff;
    std::copy_n(at.address().begin(), 4, mapped.begin() + 12);
    return mapped;
}

bool is_loopback(const rt::net::endpoint& at) noexcept {
    static constexpr std::array<std::uint8_t, 16> v6{0, 0, 0, 0, 0, 0, 0, 0,
                                                     0, 0, 0, 0, 0, 0, 0, 1};
    static constexpr std::array<std::uint8_t, 13> v4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
    const auto bytes = host_bytes(at);
    return bytes == v6 || std::equal(v4.begin(), v4.end(), bytes.begin());
}

// What nodes take of each other's addresses, see `protocol::identity`.
constexpr std::size_t text_bytes_max = 255;
constexpr std::size_t host_bytes_max = 253;
constexpr std::size_t label_bytes_max = 63;

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_of_name(char c) noexcept {
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

bool is_good_label(std::string_view label) noexcept {
    return !label.empty() && label.size() <= label_bytes_max && !label.starts_with('-') &&
           !label.ends_with('-') && std::ranges::all_of(label, is_of_name);
}

std::optional<host_name> host_of(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || text.size() > text_bytes_max) { return std::nullopt; }
    const std::string_view digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, failed] = std::from_chars(digits.begin(), digits.end(), port);
    if (failed != std::errc() || end != digits.end()) { return std::nullopt; }
    return host_name::make(text.substr(0, colon), port);
}

}  // namespace

std::optional<host_name> host_name::make(std::string_view host, std::uint16_t port) {
    if (host.size() > host_bytes_max) { return std::nullopt; }
    std::string lower(host);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    std::string_view labels = lower;
    if (labels.ends_with('.')) { labels.remove_suffix(1); }  // The root of all names.
    const std::string_view last = labels.substr(labels.rfind('.') + 1);
    if (std::ranges::all_of(last, is_digit)) { return std::nullopt; }
    for (const auto& each : labels | std::views::split('.')) {
        if (!is_good_label(std::string_view(each.begin(), each.end()))) { return std::nullopt; }
    }
    return host_name(std::move(lower), port);
}

bool host_name::is_localhost() const noexcept {
    std::string_view name = host_;
    if (name.ends_with('.')) { name.remove_suffix(1); }
    return name == "localhost" || name.ends_with(".localhost");
}

std::expected<node_address, std::error_code> node_address::parse(std::string_view text) {
    if (text.starts_with(memory_prefix)) {
        const std::string_view name = text.substr(memory_prefix.size());
        if (name.empty()) {
            return std::unexpected(std::make_error_code(std::errc::invalid_argument));
        }
        return node_address(memory_name(std::string(name)));
    }
    if (!text.starts_with(unix_prefix)) {
        auto numeric = rt::net::endpoint::parse(text);
        if (numeric) { return address_of(std::move(numeric)); }
        if (auto named = host_of(text)) { return node_address(std::move(*named)); }
        return std::unexpected(numeric.error());
    }
    const std::string_view name = text.substr(unix_prefix.size());
    if (name.starts_with('@')) {
        return address_of(rt::net::unix_address::abstract(name.substr(1)));
    }
    return address_of(rt::net::unix_address::path(name));
}

std::string node_address::to_string() const {
    if (const auto* at = std::get_if<rt::net::endpoint>(&where_)) { return at->to_string(); }
    if (const auto* name = std::get_if<memory_name>(&where_)) {
        return std::string(memory_prefix) + name->text();
    }
    if (const auto* named = std::get_if<host_name>(&where_)) {
        return named->host() + ':' + std::to_string(named->port());
    }
    return std::string(unix_prefix) + std::get<rt::net::unix_address>(where_).to_string();
}

bool node_address::is_dialable() const noexcept {
    if (const auto* named = std::get_if<host_name>(&where_)) { return named->port() != 0; }
    const auto* at = std::get_if<rt::net::endpoint>(&where_);
    return at == nullptr || at->port() != 0;
}

bool node_address::is_any() const {
    const std::string text = to_string();
    return text.starts_with("0.0.0.0:") || text.starts_with("[::]:");
}

bool node_address::is_local() const noexcept {
    if (const auto* named = std::get_if<host_name>(&where_)) { return named->is_localhost(); }
    const auto* at = std::get_if<rt::net::endpoint>(&where_);
    return at == nullptr || is_loopback(*at);
}

bool node_address::is_same_host(const node_address& other) const noexcept {
    if (where_.index() != other.where_.index()) { return false; }
    if (const auto* named = std::get_if<host_name>(&where_)) {
        return named->host() == std::get<host_name>(other.where_).host();
    }
    const auto* own = std::get_if<rt::net::endpoint>(&where_);
    if (own == nullptr) { return true; }
    const auto& its = std::get<rt::net::endpoint>(other.where_);
    // What listens at 127.0.0.2 connects from 127.0.0.1.
    if (is_loopback(*own)) { return is_loopback(its); }
    return host_bytes(*own) == host_bytes(its) && own->scope() == its.scope();
}

}  // namespace heph::remote::detail
