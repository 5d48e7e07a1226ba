#pragma once

// Unix sockets that keep messages apart: datagrams, and connections with records (seqpacket).

#include <cstddef>
#include <expected>
#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/net/datagram.hpp>
#include <heph/rt/net/pool_receiver.hpp>
#include <heph/rt/net/unix.hpp>

namespace heph::rt::detail {

/// Gives what came with its sender.
[[nodiscard]] net::datagram<net::unix_address> arrival_to(
    std::type_identity<net::datagram<net::unix_address>> kind, pool_arrival arrived);

}  // namespace heph::rt::detail

namespace heph::rt::net {

/// What both kinds have in common. Any number of sends and receives may be under way at a time.
///
/// *Errors*: the system's codes: `message_size` (longer than the send buffer), `broken_pipe`,
/// `connection_reset`, `not_connected`, …; `errc::closed`.
/// *Cancellation* of futures: a receive may lose one message that had just arrived.
/// *Thread safety*: unsafe; may be used on any worker, on one at a time.
/// *Lifetime*: it outlives its futures.
class [[nodiscard]] unix_messages {
public:
    /// Sends a message to the peer. Waits while that one's queue is full. Gives the buffer back.
    io_future<buffer> send(buffer bytes) const;
    /// Sends one message out of several buffers, and gives them back.
    io_future<std::vector<buffer>> send_vectored(std::vector<buffer> bytes) const;
    /// Receives a message into the buffer's spare room.
    io_future<message<>> recv(buffer into) const;
    /// Receives a message into the spare room of several buffers, one after the other.
    io_future<message<std::vector<buffer>>> recv_vectored(std::vector<buffer> into) const;
    /// Receives a message into a buffer of a pool, of which 16 bytes are for what is known of it.
    /// Descriptors that come with it are closed. *Errors*: `invalid_argument` for a pool of smaller
    /// ones, besides those of the future.
    pool_recv_future<message<>> recv(const buffer_pool& pool) const;
    /// Receives messages again and again, into the buffers of a pool; as `recv` otherwise.
    pool_receiver<message<>> recv_many(const buffer_pool& pool) const;

    /// Sends a message and copies of descriptors; see `unix_stream::send_with_descriptors`.
    io_future<buffer> send_with_descriptors(buffer bytes,
                                            std::vector<descriptor_handle> descriptors) const;
    /// Receives a message and at most `most` descriptors.
    io_future<message_with_descriptors> recv_with_descriptors(buffer into, std::size_t most) const;

    [[nodiscard]] std::expected<unix_address, std::error_code> local_address() const;
    [[nodiscard]] std::expected<unix_address, std::error_code> peer_address() const;
    [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

protected:
    unix_messages() noexcept = default;
    explicit unix_messages(descriptor_handle socket) noexcept : socket_(std::move(socket)) {}
    unix_messages(unix_messages&&) noexcept = default;
    unix_messages& operator=(unix_messages&&) noexcept = default;
    ~unix_messages() = default;

private:
    descriptor_handle socket_;
};

/// Sends and receives datagrams on one machine: whole, in order, none lost.
class [[nodiscard]] unix_datagram : public unix_messages {
public:
    /// Makes a closed one.
    unix_datagram() noexcept = default;
    /// Takes over a socket.
    explicit unix_datagram(descriptor_handle socket) noexcept : unix_messages(std::move(socket)) {}

    /// Makes a socket with an address, to which others send. Does not wait. The file of a path
    /// stays when the socket goes; `replace_stale` takes over one at which nobody is any more, as
    /// `unix_listen_options` has it.
    [[nodiscard]] static std::expected<unix_datagram, std::error_code> bind(
        const unix_address& local, bool replace_stale = false);
    /// Makes a socket without an address, which nobody can answer.
    [[nodiscard]] static std::expected<unix_datagram, std::error_code> unbound();
    /// Makes two that are connected to each other.
    [[nodiscard]] static std::expected<std::pair<unix_datagram, unix_datagram>, std::error_code>
    pair();

    /// Sends to, and receives from, nobody but `peer` from now on. Does not wait.
    std::error_code connect(const unix_address& peer) noexcept;

    /// Sends a datagram. Waits while the receiver's queue is full.
    io_future<buffer> send_to(buffer bytes, const unix_address& to) const;
    /// Receives a datagram, and tells who sent it.
    io_future<datagram<unix_address>> recv_from(buffer into) const;
    /// Receives a datagram into a buffer of a pool, of which 126 bytes are for what is known of it.
    pool_recv_future<datagram<unix_address>> recv_from(const buffer_pool& pool) const;
    /// Receives datagrams again and again, into the buffers of a pool.
    pool_receiver<datagram<unix_address>> recv_many_from(const buffer_pool& pool) const;
};

class unix_seqpacket;

/// Connects to a seqpacket socket.
class [[nodiscard]] unix_seqpacket_connect_future {
public:
    using value_type = std::expected<unix_seqpacket, std::error_code>;
    explicit unix_seqpacket_connect_future(unix_address to) noexcept : to_(std::move(to)) {}
    polled<value_type> poll(const waker& waker);

private:
    unix_address to_;
    detail::connecting state_;
};

/// A connection that keeps records apart, in order. A record of no bytes is the end: the peer sends
/// no more; so none may be sent (`invalid_argument`).
class [[nodiscard]] unix_seqpacket : public unix_messages {
public:
    unix_seqpacket() noexcept = default;
    /// Takes over a connected socket.
    explicit unix_seqpacket(descriptor_handle socket) noexcept : unix_messages(std::move(socket)) {}

    /// Connects to `to`; waits while the listener's backlog is full.
    static unix_seqpacket_connect_future connect(unix_address to) noexcept {
        return unix_seqpacket_connect_future(std::move(to));
    }
    /// Makes two that are connected to each other.
    [[nodiscard]] static std::expected<std::pair<unix_seqpacket, unix_seqpacket>, std::error_code>
    pair();

    io_future<buffer> send(buffer bytes) const;
    io_future<std::vector<buffer>> send_vectored(std::vector<buffer> bytes) const;
    io_future<buffer> send_with_descriptors(buffer bytes,
                                            std::vector<descriptor_handle> descriptors) const;

    /// Ends one direction, or both. Does not wait.
    std::error_code shutdown(shutdown_how how) noexcept;
    [[nodiscard]] std::expected<peer_credentials, std::error_code> credentials() const;
};

/// Waits for the next connection of a seqpacket listener. Borrows the listener.
class [[nodiscard]] unix_seqpacket_accept_future {
public:
    using value_type = std::expected<unix_seqpacket, std::error_code>;
    explicit unix_seqpacket_accept_future(class unix_seqpacket_listener& listener) noexcept
        : listener_(&listener) {}
    polled<value_type> poll(const waker& waker);

private:
    unix_seqpacket_listener* listener_;
};

/// Accepts seqpacket connections; used like `unix_listener`.
class [[nodiscard]] unix_seqpacket_listener {
public:
    /// Binds and listens. Does not wait.
    static std::expected<unix_seqpacket_listener, std::error_code> bind(
        const unix_address& local, const unix_listen_options& options = {});

    /// Waits for the next connection. *Errors*, *Cancellation*: see `unix_listener::accept`.
    unix_seqpacket_accept_future accept() noexcept { return unix_seqpacket_accept_future(*this); }

    /// Leaves the file of its path there when it goes; see `unix_listener::keep_file`.
    void keep_file() const noexcept;

    [[nodiscard]] std::expected<unix_address, std::error_code> local_address() const;
    [[nodiscard]] int descriptor() const noexcept { return socket_.handle.get(); }

private:
    friend class unix_seqpacket_accept_future;
    unix_seqpacket_listener(socket_handle socket,
                            std::shared_ptr<detail::socket_file> file) noexcept
        : socket_(std::move(socket)), file_(std::move(file)) {}

    detail::watched_socket socket_;
    std::shared_ptr<detail::socket_file> file_;  // Goes first: who looks finds the socket taken.
};

}  // namespace heph::rt::net
