#include <heph/rt/net/endpoint.hpp>

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include <heph/rt/error.hpp>

#include "address.hpp"

namespace heph::rt::net {

namespace {

// Reads a whole text as a decimal number without sign or blanks.
template <typename Number>
bool read_number(std::string_view text, Number& number) noexcept {
    if (text.empty() || text.front() == '-' || text.front() == '+') { return false; }
    const char* end = text.data() + text.size();
    const auto [stopped, failed] = std::from_chars(text.data(), end, number);
    return failed == std::errc() && stopped == end;
}

// Reads a scope: a number, or the name of an interface of this host.
bool read_scope(const std::string& text, std::uint32_t& scope) noexcept {
    if (read_number(std::string_view(text), scope)) { return true; }
    scope = ::if_nametoindex(text.c_str());
    return scope != 0;
}

}  // namespace

std::expected<endpoint, std::error_code> endpoint::parse(std::string_view text) {
    const auto bad = std::unexpected(make_error_code(errc::bad_address));
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) { return bad; }
    endpoint parsed;
    if (!read_number(text.substr(colon + 1), parsed.port_)) { return bad; }
    std::string host(text.substr(0, colon));
    if (host.find('\0') != std::string::npos) { return bad; }  // The rest would not be looked at.
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
        if (const std::size_t percent = host.find('%'); percent != std::string::npos) {
            if (!read_scope(host.substr(percent + 1), parsed.scope_)) { return bad; }
            host.resize(percent);
        }
        parsed.v6_ = true;
        if (::inet_pton(AF_INET6, host.c_str(), parsed.address_.data()) != 1) { return bad; }
        return parsed;
    }
    if (::inet_pton(AF_INET, host.c_str(), parsed.address_.data()) != 1) { return bad; }
    return parsed;
}

endpoint endpoint::loopback(std::uint16_t port) noexcept { return v4({127, 0, 0, 1}, port); }

endpoint endpoint::v4(std::array<std::uint8_t, 4> address, std::uint16_t port) noexcept {
    endpoint made;
    std::copy(address.begin(), address.end(), made.address_.begin());
    made.port_ = port;
    return made;
}

endpoint endpoint::v6(std::array<std::uint8_t, 16> address, std::uint16_t port,
                      std::uint32_t scope) noexcept {
    endpoint made;
    made.address_ = address;
    made.port_ = port;
    made.scope_ = scope;
    made.v6_ = true;
    return made;
}

std::string endpoint::address_string() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(v6_ ? AF_INET6 : AF_INET, address_.data(), text.data(), text.size());
    std::string written(text.data());
    if (v6_ && scope_ != 0) { written += '%' + std::to_string(scope_); }
    return written;
}

std::string endpoint::to_string() const {
    const std::string port = ':' + std::to_string(port_);
    return v6_ ? '[' + address_string() + ']' + port : address_string() + port;
}

}  // namespace heph::rt::net

namespace heph::rt::detail {

unsigned to_socket_address(const net::endpoint& from, socket_address& to) noexcept {
    if (from.is_v6()) {
        to.v6 = {};
        to.v6.sin6_family = AF_INET6;
        to.v6.sin6_port = htons(from.port());
        to.v6.sin6_scope_id = from.scope();
        std::memcpy(&to.v6.sin6_addr, from.address().data(), sizeof(to.v6.sin6_addr));
        return sizeof(to.v6);
    }
    to.v4 = {};
    to.v4.sin_family = AF_INET;
    to.v4.sin_port = htons(from.port());
    std::memcpy(&to.v4.sin_addr, from.address().data(), sizeof(to.v4.sin_addr));
    return sizeof(to.v4);
}

net::endpoint from_socket_address(const socket_address& from) noexcept {
    if (from.any.sa_family == AF_INET6) {
        std::array<std::uint8_t, 16> address{};
        std::memcpy(address.data(), &from.v6.sin6_addr, address.size());
        return net::endpoint::v6(address, ntohs(from.v6.sin6_port), from.v6.sin6_scope_id);
    }
    std::array<std::uint8_t, 4> address{};
    std::memcpy(address.data(), &from.v4.sin_addr, address.size());
    return net::endpoint::v4(address, ntohs(from.v4.sin_port));
}

}  // namespace heph::rt::detail
