#pragma once

// TCP: listeners and streams.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <system_error>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/detail/operation.hpp>
#include <heph/rt/net/chunk.hpp>
#include <heph/rt/net/endpoint.hpp>

namespace heph::rt::net {

class tcp_stream;

/// Which directions of a stream to shut down.
enum class shutdown_how { receive, send, both };

/// Owns a socket's descriptor; when destroyed on a worker, the worker closes it soon.
class socket_handle {
public:
    socket_handle() noexcept = default;
    explicit socket_handle(int descriptor) noexcept : descriptor_(descriptor) {}
    socket_handle(socket_handle&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)) {}
    socket_handle& operator=(socket_handle&& other) noexcept {
        socket_handle old(std::move(*this));
        descriptor_ = std::exchange(other.descriptor_, -1);
        return *this;
    }
    ~socket_handle();

    [[nodiscard]] int get() const noexcept { return descriptor_; }
    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    /// Gives the descriptor up; the caller closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

private:
    int descriptor_ = -1;
};

}  // namespace heph::rt::net

namespace heph::rt::detail {

/// A socket and the multishot operation on it, which ends before the socket is closed.
class watched_socket {
public:
    watched_socket() noexcept = default;
    explicit watched_socket(net::socket_handle socket) noexcept : handle(std::move(socket)) {}
    watched_socket(watched_socket&&) noexcept = default;
    watched_socket& operator=(watched_socket&& other) noexcept {
        watched_socket old(std::move(*this));
        handle = std::move(other.handle);
        multishot = std::move(other.multishot);
        return *this;
    }
    ~watched_socket() {
        if (multishot.started()) { multishot.drop_and_close(handle.release()); }
    }

    net::socket_handle handle;
    operation multishot;
};

}  // namespace heph::rt::detail

namespace heph::rt::net {

/// Receives once, into a buffer's spare room. Gives the buffer with the bytes appended; at the end
/// of the stream its size has not grown.
/// *Cancellation*: bytes that the kernel already took are lost: use `next()` to race a deadline.
class [[nodiscard]] recv_future {
public:
    using value_type = std::expected<buffer, std::error_code>;
    recv_future(tcp_stream& stream, buffer into) noexcept
        : stream_(&stream), buffer_(std::move(into)) {}
    polled<value_type> poll(const waker& waker);

private:
    tcp_stream* stream_;
    buffer buffer_;
    detail::operation operation_;
};

/// Sends a buffer's bytes, once or until all are sent. Gives the buffer back.
/// *Cancellation*: a part may have been sent.
class [[nodiscard]] send_future {
public:
    using value_type = std::expected<buffer, std::error_code>;
    send_future(tcp_stream& stream, buffer bytes) noexcept
        : stream_(&stream), buffer_(std::move(bytes)) {}
    polled<value_type> poll(const waker& waker);

private:
    tcp_stream* stream_;
    buffer buffer_;
    std::size_t sent_ = 0;
    detail::operation operation_;
};

/// Waits for the next bytes of a stream. Borrows the stream; see `tcp_stream::next`.
class [[nodiscard]] next_chunk_future {
public:
    using value_type = std::expected<chunk, std::error_code>;
    explicit next_chunk_future(tcp_stream& stream) noexcept : stream_(&stream) {}
    polled<value_type> poll(const waker& waker);

private:
    tcp_stream* stream_;
};

/// Connects to an address.
class [[nodiscard]] connect_future {
public:
    using value_type = std::expected<tcp_stream, std::error_code>;
    explicit connect_future(endpoint to) noexcept : to_(to) {}
    polled<value_type> poll(const waker& waker);

private:
    endpoint to_;
    socket_handle socket_;
    detail::operation operation_;
};

/// A TCP connection.
///
/// One receive and one send may be under way at a time, each from any task of the same worker.
/// Destroying it cancels what is under way and closes the connection.
///
/// *Errors*: the system's codes (`connection_refused`, `connection_reset`, `broken_pipe`, …),
/// `errc::closed`, `errc::no_worker`, `errc::wrong_worker`.
/// *Thread safety*: unsafe. It may be moved to another worker before its first `next()`.
class [[nodiscard]] tcp_stream {
public:
    tcp_stream() noexcept = default;
    explicit tcp_stream(socket_handle socket) noexcept : socket_(std::move(socket)) {}

    /// Connects to `to`. *Cancellation*: the attempt is given up.
    static connect_future connect(endpoint to) noexcept { return connect_future(to); }

    /// Receives once into the buffer's spare room (`errc::invalid_argument` when it has none).
    /// Excludes `next()`: `errc::conflicting_operation` once that was used.
    recv_future recv(buffer into) noexcept { return recv_future(*this, std::move(into)); }

    /// Waits for the next bytes, received by one multishot operation into the worker's provided
    /// buffers. An empty chunk is the end of the stream, given each time from then on.
    ///
    /// *Cancellation*: loses nothing: what arrives stays in the stream's queue. At about 64 KiB
    /// that nobody took, receiving pauses.
    next_chunk_future next() noexcept { return next_chunk_future(*this); }

    /// Sends all of the buffer's bytes.
    send_future send_all(buffer bytes) noexcept { return send_future(*this, std::move(bytes)); }

    /// Ends one direction, or both. Does not wait.
    std::error_code shutdown(shutdown_how how) noexcept;

    /// Turns Nagle's algorithm off (true) or on; off for accepted and connected streams.
    std::error_code set_no_delay(bool enabled) noexcept;
    /// Turns TCP keep-alive probes on or off.
    std::error_code set_keep_alive(bool enabled) noexcept;
    /// Makes closing send a reset at once instead of what is left in the send queue.
    std::error_code set_reset_on_close(bool enabled) noexcept;

    [[nodiscard]] std::expected<endpoint, std::error_code> local_endpoint() const;
    [[nodiscard]] std::expected<endpoint, std::error_code> peer_endpoint() const;
    [[nodiscard]] bool is_open() const noexcept { return socket_.handle.is_open(); }
    [[nodiscard]] int descriptor() const noexcept { return socket_.handle.get(); }

private:
    friend class next_chunk_future;
    friend class recv_future;

    detail::watched_socket socket_;
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
/// *Thread safety*: unsafe. It may be moved to another worker before its first `accept()`.
class [[nodiscard]] tcp_listener {
public:
    /// Binds and listens; port 0 takes any free one. Does not wait.
    /// *Errors*: `address_in_use`, `permission_denied`, `address_not_available`, ….
    static std::expected<tcp_listener, std::error_code> bind(const endpoint& local,
                                                             const listen_options& options = {});

    /// Waits for the next connection, taken by one multishot operation.
    ///
    /// *Errors*: `too_many_files_open` and the like are given once each; back off (a timer), then
    /// call it again. *Cancellation*: loses nothing.
    accept_future accept() noexcept { return accept_future(*this); }

    [[nodiscard]] std::expected<endpoint, std::error_code> local_endpoint() const;
    [[nodiscard]] int descriptor() const noexcept { return socket_.handle.get(); }

private:
    friend class accept_future;
    explicit tcp_listener(socket_handle socket) noexcept : socket_(std::move(socket)) {}

    detail::watched_socket socket_;
};

}  // namespace heph::rt::net
