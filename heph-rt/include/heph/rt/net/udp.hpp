#pragma once

// UDP: datagrams over IPv4 and IPv6, to one or to many.

#include <cstdint>
#include <expected>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/rt/buffer.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/net/datagram.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/net/pool_receiver.hpp>

namespace heph::rt::net {

/// How to bind a UDP socket.
struct udp_options {
    bool reuse_address = false;  ///< Lets several sockets have the port, as for multicast.
    bool reuse_port = false;     ///< Shares the port's datagrams out, one socket for each worker.
    bool only_v6 = false;        ///< An IPv6 socket then has no part in IPv4.
};

/// Gives the index of a network interface, such as that of `eth0`.
/// *Errors*: `no_such_device` and the like.
[[nodiscard]] std::expected<unsigned, std::error_code> interface_index(const std::string& name);

/// Sends and receives datagrams, each whole or not at all.
///
/// Any number of sends and receives may be under way at a time. A datagram may be lost on its way,
/// arrive twice or in another order; nobody is told.
///
/// *Errors*: the system's codes: `message_size` (too long), `permission_denied` (broadcast without
/// the option), `connection_refused` (of a connected socket: nobody listens there, told by a later
/// operation), …; `errc::closed`.
/// *Cancellation* of futures: a receive may lose one datagram that had just arrived.
/// *Thread safety*: unsafe; may be used on any worker, on one at a time.
/// *Lifetime*: it outlives its futures.
class [[nodiscard]] udp_socket {
public:
    /// Makes a closed one.
    udp_socket() noexcept = default;
    /// Takes over a UDP socket.
    explicit udp_socket(descriptor_handle socket) noexcept : socket_(std::move(socket)) {}

    /// Makes a socket that is bound to an address; port 0 takes any free one. Does not wait.
    /// *Errors*: `address_in_use`, `permission_denied`, `address_not_available`, ….
    [[nodiscard]] static std::expected<udp_socket, std::error_code> bind(
        const endpoint& local, const udp_options& options = {});

    /// Sends to, and receives from, nobody but `peer` from now on. Does not wait.
    std::error_code connect(const endpoint& peer) noexcept;

    /// Sends one datagram. Gives the buffer back.
    io_future<buffer> send_to(buffer bytes, const endpoint& to) const;
    /// Sends one datagram to the peer of a connected socket. Gives the buffer back.
    io_future<buffer> send(buffer bytes) const;
    /// Sends one datagram out of several buffers, and gives them back.
    io_future<std::vector<buffer>> send_vectored_to(std::vector<buffer> bytes,
                                                    const endpoint& to) const;
    io_future<std::vector<buffer>> send_vectored(std::vector<buffer> bytes) const;

    /// Receives one datagram into the buffer's spare room.
    io_future<datagram<endpoint>> recv_from(buffer into) const;
    /// Receives one datagram, whoever sent it.
    io_future<message<>> recv(buffer into) const;
    /// Receives one datagram into a buffer of a pool, of which 44 bytes are for what is known of
    /// it. *Errors*: `invalid_argument` for a pool of smaller ones, besides those of the future.
    pool_recv_future<datagram<endpoint>> recv_from(const buffer_pool& pool) const;
    /// Receives datagrams again and again, into the buffers of a pool; as `recv_from` otherwise.
    /// What comes while the pool is exhausted waits in the socket's queue.
    pool_receiver<datagram<endpoint>> recv_many_from(const buffer_pool& pool) const;
    /// Receives one datagram into the spare room of several buffers, one after the other.
    io_future<datagram<endpoint, std::vector<buffer>>> recv_vectored_from(
        std::vector<buffer> into) const;
    io_future<message<std::vector<buffer>>> recv_vectored(std::vector<buffer> into) const;

    // Multicast; the port of `group` is not looked at. Interface 0 leaves the choice to the system.
    std::error_code join_group(const endpoint& group, unsigned interface = 0) noexcept;
    std::error_code leave_group(const endpoint& group, unsigned interface = 0) noexcept;
    /// Chooses the interface by which multicast leaves.
    std::error_code set_multicast_interface(unsigned interface) noexcept;
    /// Says how many hops multicast goes; 1 (this network) by default.
    std::error_code set_multicast_hops(int hops) noexcept;
    /// Says whether multicast that is sent comes back to this machine; it does by default.
    std::error_code set_multicast_loop(bool enabled) noexcept;

    [[nodiscard]] std::expected<endpoint, std::error_code> local_endpoint() const;
    [[nodiscard]] std::expected<endpoint, std::error_code> peer_endpoint() const;
    /// Moves the socket into the table of direct descriptors of this worker's io_uring, to which it
    /// then belongs, and back. See `byte_stream::make_direct`.
    std::error_code make_direct() noexcept { return socket_.make_direct(); }
    std::error_code make_ordinary() noexcept { return socket_.make_ordinary(); }
    [[nodiscard]] bool is_direct() const noexcept { return rt::is_direct(descriptor()); }

    [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
    /// Gives the descriptor, or what stands for a direct one, which no system call takes.
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

private:
    descriptor_handle socket_;
};

}  // namespace heph::rt::net
