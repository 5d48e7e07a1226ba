#pragma once

// TCP: listeners and streams.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <system_error>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/detail/operation.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/net/stream.hpp>

namespace heph::rt::detail {
template <typename Listener>
class stop_accepting;
}  // namespace heph::rt::detail

namespace heph::rt::net {

class tcp_stream;
class unix_stream;

/// Connects to an address.
class [[nodiscard]] connect_future {
public:
    using value_type = std::expected<tcp_stream, std::error_code>;
    explicit connect_future(endpoint to) noexcept : to_(to) {}
    polled<value_type> poll(const waker& waker);

private:
    endpoint to_;
    detail::connecting state_;
};

/// A TCP connection.
///
/// *Errors*: as `byte_stream`, and `connection_refused`, `timed_out`, ….
/// *Thread safety*: unsafe. It may be moved to another worker before its first `next()`.
class [[nodiscard]] tcp_stream : public byte_stream {
public:
    tcp_stream() noexcept = default;
    /// Takes over a connected socket.
    explicit tcp_stream(socket_handle socket) noexcept
        : byte_stream(detail::watched_socket(std::move(socket), true)) {}
    /// Takes over a connection over a Unix socket, for what takes TCP streams only, such as TLS.
    /// What only TCP has gives an error then: endpoints, `set_no_delay`.
    explicit tcp_stream(unix_stream&& other) noexcept;

    /// Connects to `to`. *Cancellation*: the attempt is given up.
    static connect_future connect(endpoint to) noexcept { return connect_future(to); }

    /// Turns Nagle's algorithm off (true) or on; off for accepted and connected streams.
    std::error_code set_no_delay(bool enabled) noexcept;
    /// Turns TCP keep-alive probes on or off.
    std::error_code set_keep_alive(bool enabled) noexcept;
    /// Makes closing send a reset at once instead of what is left in the send queue.
    std::error_code set_reset_on_close(bool enabled) noexcept;

    [[nodiscard]] std::expected<endpoint, std::error_code> local_endpoint() const;
    [[nodiscard]] std::expected<endpoint, std::error_code> peer_endpoint() const;
};

/// How to listen.
struct listen_options {
    int backlog = 1024;
    bool reuse_address = true;
    bool reuse_port = false;  ///< Lets several listeners share the port, one for each worker.
    /// With `reuse_port`: refuses a port at which somebody listens already, who would share it in
    /// silence. For the first of several listeners.
    bool first = false;
    bool only_v6 = false;  ///< An IPv6 listener then takes no IPv4 connections.
    /// How long to wait, and to block the thread, while another process has the port, before that
    /// is an error. The kernel closes the listeners of a killed process that used io_uring only
    /// some milliseconds after that has ended, and who starts the next server at once would be
    /// refused. By default a second for `listen_on`, and no time for `tcp_listener::bind`.
    std::optional<std::chrono::milliseconds> in_use_wait = {};
};

/// Waits for the next connection of a listener. Borrows the listener.
class [[nodiscard]] accept_future {
public:
    using value_type = std::expected<tcp_stream, std::error_code>;
    explicit accept_future(class tcp_listener& listener) noexcept : listener_(&listener) {}
    polled<value_type> poll(const waker& waker);

private:
    tcp_listener* listener_;
};

/// Accepts TCP connections.
///
/// Once asked for a connection, it takes up to 64 more ahead, which a dropped listener closes: take
/// them with `accept` before; servers do. Those that the kernel still has are for who else has the
/// socket.
/// *Thread safety*: unsafe. It may be moved to another worker before its first `accept()`.
class [[nodiscard]] tcp_listener {
public:
    /// Binds and listens; port 0 takes any free one. Does not wait, unless the options say so.
    /// *Errors*: `address_in_use`, `permission_denied`, `address_not_available`, ….
    static std::expected<tcp_listener, std::error_code> bind(const endpoint& local,
                                                             const listen_options& options = {});

    /// Takes over a socket that listens already, such as one that the service manager opened.
    /// *Errors*: `invalid_argument` when it is no TCP socket that listens; it is closed then.
    static std::expected<tcp_listener, std::error_code> adopt(socket_handle socket);

    /// Makes another listener of the same socket, for another worker.
    /// *Errors*: `too_many_files_open`.
    [[nodiscard]] std::expected<tcp_listener, std::error_code> duplicate() const;

    /// Waits for the next connection, taken by one multishot operation.
    ///
    /// *Errors*: `too_many_files_open` and the like are given once each; back off (a timer), then
    /// call it again. *Cancellation*: loses nothing.
    accept_future accept() noexcept { return accept_future(*this); }

    /// Has connections become direct descriptors, from the next `accept()` on, while more than
    /// 1,024 of them are free, or half of a smaller table, and ordinary ones otherwise. When more
    /// than that come at once, one of them may be lost: the kernel closes the one for which it
    /// finds no room. See `setup::direct_descriptors`.
    void accept_direct(bool on = true) noexcept { socket_.accepts_direct = on; }

    [[nodiscard]] std::expected<endpoint, std::error_code> local_endpoint() const;
    [[nodiscard]] int descriptor() const noexcept { return socket_.handle.get(); }

private:
    friend class accept_future;
    template <typename>
    friend class detail::stop_accepting;
    explicit tcp_listener(socket_handle socket) noexcept : socket_(std::move(socket)) {}
    // Takes a connection that was accepted already.
    std::optional<socket_handle> take_accepted() noexcept;
    // Waits until the kernel takes no more connections for it.
    polled<void> poll_stop_accepting(const waker& waker);

    detail::watched_socket socket_;
};

}  // namespace heph::rt::net
