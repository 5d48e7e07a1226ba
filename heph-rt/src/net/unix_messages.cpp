#include <heph/rt/net/unix_messages.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include <heph/rt/error.hpp>

#include "in_use.hpp"
#include "message_call.hpp"
#include "socket_calls.hpp"
#include "sockets.hpp"
#include "unix_names.hpp"

namespace heph::rt::detail {

net::datagram<net::unix_address> arrival_to(
    std::type_identity<net::datagram<net::unix_address>> /*kind*/, pool_arrival arrived) {
    sockaddr_un from{};
    const std::size_t bytes = std::min(arrived.unix_from.size(), sizeof(from));
    std::memcpy(&from, arrived.unix_from.data(), bytes);
    return {net::message<>(std::move(arrived.bytes), arrived.size, arrived.truncated),
            from_sockaddr(from, bytes)};
}

}  // namespace heph::rt::detail

namespace heph::rt::net {

namespace {

using detail::io_call;
using detail::last_error;
using detail::receive_message;
using detail::receive_message_call;
using detail::send_message_call;

template <typename Socket>
std::expected<std::pair<Socket, Socket>, std::error_code> make_pair_of(int type) {
    std::array<int, 2> made{};
    if (detail::calls::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, made.data()) != 0) {
        return std::unexpected(last_error());
    }
    return std::pair(Socket(descriptor_handle(made[0])), Socket(descriptor_handle(made[1])));
}

std::expected<datagram<unix_address>, std::error_code> take_datagram(io_call& call,
                                                                     std::int32_t result) {
    auto& received = static_cast<receive_message_call&>(call);
    auto arrived = detail::to_message<buffer>(received, result);
    sockaddr_un from{};
    std::memcpy(&from, &received.address, sizeof(from));
    return datagram<unix_address>(std::move(arrived),
                                  detail::from_sockaddr(from, received.address_bytes));
}

}  // namespace

io_future<buffer> unix_messages::send(buffer bytes) const {
    return send_with_descriptors(std::move(bytes), {});
}

io_future<std::vector<buffer>> unix_messages::send_vectored(std::vector<buffer> bytes) const {
    using result = io_future<std::vector<buffer>>;
    if (!is_open()) { return result(make_error_code(errc::closed)); }
    return result(std::make_unique<send_message_call>(descriptor(), std::move(bytes)),
                  &detail::take_sent<std::vector<buffer>>);
}

io_future<message<>> unix_messages::recv(buffer into) const {
    return receive_message<message<>>(descriptor(), std::move(into), false,
                                      &detail::take_message<buffer>);
}

io_future<message<std::vector<buffer>>> unix_messages::recv_vectored(
    std::vector<buffer> into) const {
    return receive_message<message<std::vector<buffer>>>(
        descriptor(), std::move(into), false, &detail::take_message<std::vector<buffer>>);
}

static detail::pool_receiving receive_into_pool(int descriptor, const buffer_pool& pool,
                                                detail::pool_source source, bool many) {
    if (descriptor < 0) { return detail::pool_receiving(make_error_code(errc::closed)); }
    return detail::pool_receiving(pool, descriptor, source, many);
}

pool_recv_future<message<>> unix_messages::recv(const buffer_pool& pool) const {
    return pool_recv_future<message<>>(
        receive_into_pool(descriptor(), pool, detail::pool_source::messages, false));
}

pool_receiver<message<>> unix_messages::recv_many(const buffer_pool& pool) const {
    return pool_receiver<message<>>(
        receive_into_pool(descriptor(), pool, detail::pool_source::messages, true));
}

io_future<buffer> unix_messages::send_with_descriptors(
    buffer bytes, std::vector<descriptor_handle> descriptors) const {
    return detail::send_with_descriptors(descriptor(), std::move(bytes), std::move(descriptors),
                                         false);
}

io_future<message_with_descriptors> unix_messages::recv_with_descriptors(buffer into,
                                                                         std::size_t most) const {
    return detail::recv_with_descriptors(descriptor(), std::move(into), most, MSG_TRUNC);
}

std::expected<unix_address, std::error_code> unix_messages::local_address() const {
    return detail::ask_unix_address(descriptor(), detail::calls::getsockname);
}

std::expected<unix_address, std::error_code> unix_messages::peer_address() const {
    return detail::ask_unix_address(descriptor(), detail::calls::getpeername);
}

// Datagrams.

std::expected<unix_datagram, std::error_code> unix_datagram::bind(const unix_address& local,
                                                                  bool replace_stale) {
    if (local.is_unnamed()) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    auto made = unbound();
    if (!made) { return made; }
    const auto failed = detail::bind_to(made->descriptor(), SOCK_DGRAM, local, replace_stale,
                                        detail::killed_process_wait);
    if (failed) { return std::unexpected(failed); }
    return made;
}

std::expected<unix_datagram, std::error_code> unix_datagram::unbound() {
    unix_datagram made(
        descriptor_handle(detail::calls::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    if (!made.is_open()) { return std::unexpected(last_error()); }
    return made;
}

std::expected<std::pair<unix_datagram, unix_datagram>, std::error_code> unix_datagram::pair() {
    return make_pair_of<unix_datagram>(SOCK_DGRAM);
}

std::error_code unix_datagram::connect(const unix_address& peer) noexcept {
    sockaddr_un address{};
    const unsigned bytes = detail::to_sockaddr(peer, address);
    return detail::calls::connect(descriptor(), reinterpret_cast<const sockaddr*>(&address),
                                  bytes) == 0
               ? std::error_code()
               : last_error();
}

io_future<buffer> unix_datagram::send_to(buffer bytes, const unix_address& to) const {
    if (!is_open()) { return io_future<buffer>(make_error_code(errc::closed)); }
    if (to.is_unnamed()) {
        return io_future<buffer>(std::make_error_code(std::errc::invalid_argument));
    }
    auto call = std::make_unique<send_message_call>(descriptor(), std::move(bytes));
    sockaddr_un address{};
    call->retry_when_full();
    call->address_bytes = detail::to_sockaddr(to, address);
    std::memcpy(&call->address, &address, sizeof(address));
    return io_future<buffer>(std::move(call), &detail::take_sent<buffer>);
}

io_future<datagram<unix_address>> unix_datagram::recv_from(buffer into) const {
    return receive_message<datagram<unix_address>>(descriptor(), std::move(into), true,
                                                   &take_datagram);
}

pool_recv_future<datagram<unix_address>> unix_datagram::recv_from(const buffer_pool& pool) const {
    return pool_recv_future<datagram<unix_address>>(
        receive_into_pool(descriptor(), pool, detail::pool_source::unix_datagrams, false));
}

pool_receiver<datagram<unix_address>> unix_datagram::recv_many_from(const buffer_pool& pool) const {
    return pool_receiver<datagram<unix_address>>(
        receive_into_pool(descriptor(), pool, detail::pool_source::unix_datagrams, true));
}

// Records.

polled<unix_seqpacket_connect_future::value_type> unix_seqpacket_connect_future::poll(
    const waker& waker) {
    if (to_.is_unnamed()) {
        return value_type(std::unexpect, std::make_error_code(std::errc::invalid_argument));
    }
    sockaddr_un address{};
    const unsigned bytes = detail::to_sockaddr(to_, address);
    return detail::to_stream<unix_seqpacket>(detail::poll_connect(
        state_, SOCK_SEQPACKET, reinterpret_cast<const sockaddr&>(address), bytes, waker));
}

std::expected<std::pair<unix_seqpacket, unix_seqpacket>, std::error_code> unix_seqpacket::pair() {
    return make_pair_of<unix_seqpacket>(SOCK_SEQPACKET);
}

io_future<buffer> unix_seqpacket::send(buffer bytes) const {
    if (is_open() && bytes.empty()) {
        return io_future<buffer>(std::make_error_code(std::errc::invalid_argument));
    }
    return unix_messages::send(std::move(bytes));
}

io_future<std::vector<buffer>> unix_seqpacket::send_vectored(std::vector<buffer> bytes) const {
    if (is_open() && std::ranges::all_of(bytes, &buffer::empty)) {
        return io_future<std::vector<buffer>>(std::make_error_code(std::errc::invalid_argument));
    }
    return unix_messages::send_vectored(std::move(bytes));
}

io_future<buffer> unix_seqpacket::send_with_descriptors(
    buffer bytes, std::vector<descriptor_handle> descriptors) const {
    if (is_open() && bytes.empty()) {
        return io_future<buffer>(std::make_error_code(std::errc::invalid_argument));
    }
    return unix_messages::send_with_descriptors(std::move(bytes), std::move(descriptors));
}

std::error_code unix_seqpacket::shutdown(shutdown_how how) noexcept {
    return detail::shut_down(descriptor(), how);
}

std::expected<peer_credentials, std::error_code> unix_seqpacket::credentials() const {
    return detail::ask_credentials(descriptor());
}

polled<unix_seqpacket_accept_future::value_type> unix_seqpacket_accept_future::poll(
    const waker& waker) {
    return detail::to_stream<unix_seqpacket>(detail::poll_accept(listener_->socket_, waker));
}

std::expected<unix_seqpacket_listener, std::error_code> unix_seqpacket_listener::bind(
    const unix_address& local, const unix_listen_options& options) {
    auto socket = detail::listen_at(SOCK_SEQPACKET, local, options);
    if (!socket) { return std::unexpected(socket.error()); }
    return unix_seqpacket_listener(std::move(socket->socket), std::move(socket->file));
}

void unix_seqpacket_listener::keep_file() const noexcept {
    if (file_) { file_->keep(); }
}

std::expected<unix_address, std::error_code> unix_seqpacket_listener::local_address() const {
    return detail::ask_unix_address(descriptor(), detail::calls::getsockname);
}

}  // namespace heph::rt::net
