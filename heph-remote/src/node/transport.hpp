#pragma once

// What carries a connection: TCP, or a Unix socket.

#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#include <heph/core/task.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/unix.hpp>

namespace heph::remote::detail {

/// Says where a node is reached: `127.0.0.1:9001`, `[::1]:9001`, `unix:/run/a.sock`, or
/// `unix:@name` for an abstract name.
class node_address {
public:
    using value = std::variant<rt::net::endpoint, rt::net::unix_address>;
    explicit node_address(value where) noexcept : where_(std::move(where)) {}

    [[nodiscard]] static std::expected<node_address, std::error_code> parse(std::string_view text);
    /// Writes it as `parse` reads it.
    [[nodiscard]] std::string to_string() const;
    [[nodiscard]] const value& where() const noexcept { return where_; }
    /// Tells whether it names one place to connect to.
    [[nodiscard]] bool is_dialable() const noexcept;
    /// Tells whether it means all addresses of the machine.
    [[nodiscard]] bool is_any() const;
    bool operator==(const node_address&) const noexcept = default;

private:
    value where_;
};

/// Is a connection of either kind.
class any_stream {
public:
    explicit any_stream(rt::net::tcp_stream stream) noexcept : stream_(std::move(stream)) {}
    explicit any_stream(rt::net::unix_stream stream) noexcept : stream_(std::move(stream)) {}

    [[nodiscard]] rt::net::byte_stream* operator->() noexcept {
        return std::visit([](auto& each) -> rt::net::byte_stream* { return &each; }, stream_);
    }
    /// Says who is at the other end, for a log: an address, or a process.
    [[nodiscard]] std::string peer() const;

private:
    std::variant<rt::net::tcp_stream, rt::net::unix_stream> stream_;
};

using stream_result = std::expected<any_stream, std::error_code>;

/// Connects. *Cancellation*: the attempt is given up.
[[nodiscard]] task<stream_result> connect_to(node_address to);

/// Accepts connections of either kind. The file of a Unix socket goes with it.
class any_listener {
public:
    /// Binds and listens; takes over the file of a Unix socket at which nobody listens.
    [[nodiscard]] static std::expected<any_listener, std::error_code> bind(
        const node_address& local);
    any_listener(any_listener&& other) noexcept
        : listener_(std::move(other.listener_)), file_(std::exchange(other.file_, {})) {}
    any_listener& operator=(any_listener&&) = delete;
    ~any_listener();

    /// Gives the address with its real port.
    [[nodiscard]] std::expected<node_address, std::error_code> local() const;
    /// *Cancellation*: loses nothing. *Lifetime*: borrows the listener.
    [[nodiscard]] task<stream_result> accept();

private:
    using either_kind = std::variant<rt::net::tcp_listener, rt::net::unix_listener>;
    any_listener(either_kind listener, std::string file) noexcept
        : listener_(std::move(listener)), file_(std::move(file)) {}

    either_kind listener_;
    std::string file_;  // Empty: none.
};

}  // namespace heph::remote::detail
