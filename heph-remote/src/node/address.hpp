#pragma once

// Where nodes are reached.

#include <expected>
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

/// Says where a node is reached: `127.0.0.1:9001`, `[::1]:9001`, `unix:/run/a.sock`, or
/// `unix:@name` for an abstract name; `memory:a` in a memory network.
class node_address {
public:
    using value = std::variant<rt::net::endpoint, rt::net::unix_address, memory_name>;
    explicit node_address(value where) noexcept : where_(std::move(where)) {}

    [[nodiscard]] static std::expected<node_address, std::error_code> parse(std::string_view text);
    /// Writes it as `parse` reads it.
    [[nodiscard]] std::string to_string() const;
    [[nodiscard]] const value& where() const noexcept { return where_; }
    /// Tells whether it names one place to connect to.
    [[nodiscard]] bool is_dialable() const noexcept;
    /// Tells whether it means all addresses of the machine.
    [[nodiscard]] bool is_any() const;
    [[nodiscard]] bool is_unix() const noexcept {
        return std::holds_alternative<rt::net::unix_address>(where_);
    }
    /// Tells whether it leads nowhere else than to the machine of who uses it: a Unix socket, TCP's
    /// loopback, a memory network.
    [[nodiscard]] bool is_local() const noexcept;
    /// Tells whether both are of one host, as far as they say: the port does not matter, nor which
    /// socket of the machine it is. A Unix socket and an address of TCP are not.
    [[nodiscard]] bool is_same_host(const node_address& other) const noexcept;
    bool operator==(const node_address&) const noexcept = default;

private:
    value where_;
};

}  // namespace heph::remote::detail
