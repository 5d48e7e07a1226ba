#pragma once

// Where nodes are reached.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/net/unix.hpp>

namespace heph::remote::detail {

/// Names a place in a memory network.
class memory_name {
public:
    explicit memory_name(std::string name) noexcept : name_(std::move(name)) {}
    [[nodiscard]] const std::string& text() const noexcept { return name_; }
    bool operator==(const memory_name&) const noexcept = default;

private:
    std::string name_;
};

/// Names a host and a port of it. The host is looked up for each connection, as it may move.
class host_name {
public:
    /// Gives nothing for what is no name of a host (RFC 1123, section 2.1; `_` is taken as well, as
    /// names of services have it), or ends in a number, as an address that is none does.
    [[nodiscard]] static std::optional<host_name> make(std::string_view host, std::uint16_t port);

    /// Is in lower case.
    [[nodiscard]] const std::string& host() const noexcept { return host_; }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    /// Tells whether it is this machine's own one (RFC 6761, section 6.3).
    [[nodiscard]] bool is_localhost() const noexcept;
    bool operator==(const host_name&) const noexcept = default;

private:
    host_name(std::string host, std::uint16_t port) noexcept
        : host_(std::move(host)), port_(port) {}

    std::string host_;
    std::uint16_t port_;
};

/// Says where a node is reached: `127.0.0.1:9001`, `[::1]:9001`, `db.example.org:9001`,
/// `unix:/run/a.sock`, or `unix:@name` for an abstract name; `memory:a` in a memory network.
class node_address {
public:
    using value = std::variant<rt::net::endpoint, rt::net::unix_address, memory_name, host_name>;
    explicit node_address(value where) noexcept : where_(std::move(where)) {}

    [[nodiscard]] static std::expected<node_address, std::error_code> parse(std::string_view text);
    /// Writes it as `parse` reads it.
    [[nodiscard]] std::string to_string() const;
    [[nodiscard]] const value& where() const noexcept { return where_; }
    /// Tells whether it names one place to connect to.
    [[nodiscard]] bool is_dialable() const noexcept;
    /// Tells whether one can listen at it: what a host's name stands for may be several addresses,
    /// and change.
    [[nodiscard]] bool is_bindable() const noexcept {
        return !std::holds_alternative<host_name>(where_);
    }
    /// Tells whether it means all addresses of the machine.
    [[nodiscard]] bool is_any() const;
    [[nodiscard]] bool is_unix() const noexcept {
        return std::holds_alternative<rt::net::unix_address>(where_);
    }
    /// Tells whether it leads nowhere else than to the machine of who uses it: a Unix socket, TCP's
    /// loopback, a memory network.
    [[nodiscard]] bool is_local() const noexcept;
    /// Tells whether both are of one host, as far as they say: the port does not matter, nor which
    /// socket of the machine it is. A Unix socket and an address of TCP are not, nor is a name one
    /// of its addresses.
    [[nodiscard]] bool is_same_host(const node_address& other) const noexcept;
    bool operator==(const node_address&) const noexcept = default;

private:
    value where_;
};

}  // namespace heph::remote::detail
