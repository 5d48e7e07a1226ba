#include "address.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

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

}  // namespace

std::expected<node_address, std::error_code> node_address::parse(std::string_view text) {
    if (text.starts_with(memory_prefix)) {
        const std::string_view name = text.substr(memory_prefix.size());
        if (name.empty()) {
            return std::unexpected(std::make_error_code(std::errc::invalid_argument));
        }
        return node_address(memory_name(std::string(name)));
    }
    if (!text.starts_with(unix_prefix)) { return address_of(rt::net::endpoint::parse(text)); }
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
    return std::string(unix_prefix) + std::get<rt::net::unix_address>(where_).to_string();
}

bool node_address::is_dialable() const noexcept {
    const auto* at = std::get_if<rt::net::endpoint>(&where_);
    return at == nullptr || at->port() != 0;
}

bool node_address::is_any() const {
    const std::string text = to_string();
    return text.starts_with("0.0.0.0:") || text.starts_with("[::]:");
}

bool node_address::is_local() const noexcept {
    const auto* at = std::get_if<rt::net::endpoint>(&where_);
    return at == nullptr || is_loopback(*at);
}

bool node_address::is_same_host(const node_address& other) const noexcept {
    if (where_.index() != other.where_.index()) { return false; }
    const auto* own = std::get_if<rt::net::endpoint>(&where_);
    if (own == nullptr) { return true; }
    const auto& its = std::get<rt::net::endpoint>(other.where_);
    // What listens at 127.0.0.2 connects from 127.0.0.1.
    if (is_loopback(*own)) { return is_loopback(its); }
    return host_bytes(*own) == host_bytes(its) && own->scope() == its.scope();
}

}  // namespace heph::remote::detail
