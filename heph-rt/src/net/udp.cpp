#include <heph/rt/net/udp.hpp>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <type_traits>

#include <heph/rt/error.hpp>

#include "address.hpp"
#include "message_call.hpp"
#include "socket_calls.hpp"
#include "sockets.hpp"

namespace heph::rt::net {

namespace {

using detail::io_call;
using detail::last_error;
using detail::receive_message;
using detail::receive_message_call;
using detail::send_message_call;
using detail::set_flag;
using detail::socket_address;

template <typename Bytes>
io_future<Bytes> send_message(int descriptor, Bytes bytes, const endpoint* to,
                              typename io_future<Bytes>::taker take) {
    if (descriptor < 0) { return io_future<Bytes>(make_error_code(errc::closed)); }
    auto call = std::make_unique<send_message_call>(descriptor, std::move(bytes));
    if (to != nullptr) {
        socket_address address{};
        call->address_bytes = detail::to_socket_address(*to, address);
        std::memcpy(&call->address, &address, sizeof(address));
    }
    return io_future<Bytes>(std::move(call), take);
}

template <typename Bytes>
std::expected<datagram<endpoint, Bytes>, std::error_code> take_datagram(io_call& call,
                                                                        std::int32_t result) {
    auto& received = static_cast<receive_message_call&>(call);
    auto arrived = detail::to_message<Bytes>(received, result);
    socket_address from{};
    std::memcpy(&from, &received.address, sizeof(from));
    return datagram<endpoint, Bytes>(std::move(arrived), detail::from_socket_address(from));
}

template <typename Value>
std::error_code set_option(int descriptor, int level, int name, const Value& value) noexcept {
    return detail::calls::setsockopt(descriptor, level, name, &value, sizeof(value)) == 0
               ? std::error_code()
               : last_error();
}

// Gives the family that a socket was made for.
int family_of(int descriptor) noexcept {
    int family = AF_UNSPEC;
    socklen_t bytes = sizeof(family);
    return detail::calls::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &bytes) == 0
               ? family
               : AF_UNSPEC;
}

std::error_code change_membership(int descriptor, const endpoint& group, unsigned interface,
                                  bool join) noexcept {
    if (group.is_v6()) {
        ipv6_mreq asked{};
        std::memcpy(&asked.ipv6mr_multiaddr, group.address().data(),
                    sizeof(asked.ipv6mr_multiaddr));
        asked.ipv6mr_interface = interface;
        return set_option(descriptor, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP,
                          asked);
    }
    ip_mreqn asked{};
    std::memcpy(&asked.imr_multiaddr, group.address().data(), sizeof(asked.imr_multiaddr));
    asked.imr_ifindex = static_cast<int>(interface);
    return set_option(descriptor, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, asked);
}

}  // namespace

std::expected<unsigned, std::error_code> interface_index(const std::string& name) {
    const unsigned index = ::if_nametoindex(name.c_str());
    if (index == 0) { return std::unexpected(last_error()); }
    return index;
}

std::expected<udp_socket, std::error_code> udp_socket::bind(const endpoint& local,
                                                            const udp_options& options) {
    const int family = local.is_v6() ? AF_INET6 : AF_INET;
    udp_socket made(descriptor_handle(detail::calls::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    if (!made.is_open()) { return std::unexpected(last_error()); }
    const int descriptor = made.descriptor();
    std::error_code failed;
    if (options.reuse_address) { failed = set_flag(descriptor, SOL_SOCKET, SO_REUSEADDR, true); }
    if (!failed && options.reuse_port) {
        failed = set_flag(descriptor, SOL_SOCKET, SO_REUSEPORT, true);
    }
    if (!failed && local.is_v6()) {
        failed = set_flag(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, options.only_v6);
    }
    socket_address address{};
    const unsigned bytes = detail::to_socket_address(local, address);
    if (!failed && detail::calls::bind(descriptor, &address.any, bytes) != 0) {
        failed = last_error();
    }
    if (failed) { return std::unexpected(failed); }
    return made;
}

std::error_code udp_socket::connect(const endpoint& peer) noexcept {
    socket_address address{};
    const unsigned bytes = detail::to_socket_address(peer, address);
    return detail::calls::connect(descriptor(), &address.any, bytes) == 0 ? std::error_code()
                                                                          : last_error();
}

io_future<buffer> udp_socket::send_to(buffer bytes, const endpoint& to) const {
    return send_message(descriptor(), std::move(bytes), &to, &detail::take_sent<buffer>);
}

io_future<buffer> udp_socket::send(buffer bytes) const {
    return send_message(descriptor(), std::move(bytes), nullptr, &detail::take_sent<buffer>);
}

io_future<std::vector<buffer>> udp_socket::send_vectored_to(std::vector<buffer> bytes,
                                                            const endpoint& to) const {
    return send_message(descriptor(), std::move(bytes), &to,
                        &detail::take_sent<std::vector<buffer>>);
}

io_future<std::vector<buffer>> udp_socket::send_vectored(std::vector<buffer> bytes) const {
    return send_message(descriptor(), std::move(bytes), nullptr,
                        &detail::take_sent<std::vector<buffer>>);
}

io_future<datagram<endpoint>> udp_socket::recv_from(buffer into) const {
    return receive_message<datagram<endpoint>>(descriptor(), std::move(into), true,
                                               &take_datagram<buffer>);
}

io_future<message<>> udp_socket::recv(buffer into) const {
    return receive_message<message<>>(descriptor(), std::move(into), false,
                                      &detail::take_message<buffer>);
}

io_future<datagram<endpoint, std::vector<buffer>>> udp_socket::recv_vectored_from(
    std::vector<buffer> into) const {
    return receive_message<datagram<endpoint, std::vector<buffer>>>(
        descriptor(), std::move(into), true, &take_datagram<std::vector<buffer>>);
}

io_future<message<std::vector<buffer>>> udp_socket::recv_vectored(std::vector<buffer> into) const {
    return receive_message<message<std::vector<buffer>>>(
        descriptor(), std::move(into), false, &detail::take_message<std::vector<buffer>>);
}

static detail::pool_receiving receive_into_pool(int descriptor, const buffer_pool& pool,
                                                bool many) {
    if (descriptor < 0) { return detail::pool_receiving(make_error_code(errc::closed)); }
    return detail::pool_receiving(pool, descriptor, detail::pool_source::datagrams, many);
}

pool_recv_future<datagram<endpoint>> udp_socket::recv_from(const buffer_pool& pool) const {
    return pool_recv_future<datagram<endpoint>>(receive_into_pool(descriptor(), pool, false));
}

pool_receiver<datagram<endpoint>> udp_socket::recv_many_from(const buffer_pool& pool) const {
    return pool_receiver<datagram<endpoint>>(receive_into_pool(descriptor(), pool, true));
}

std::error_code udp_socket::join_group(const endpoint& group, unsigned interface) noexcept {
    return change_membership(descriptor(), group, interface, true);
}

std::error_code udp_socket::leave_group(const endpoint& group, unsigned interface) noexcept {
    return change_membership(descriptor(), group, interface, false);
}

std::error_code udp_socket::set_multicast_interface(unsigned interface) noexcept {
    const int index = static_cast<int>(interface);
    if (family_of(descriptor()) == AF_INET6) {
        return set_option(descriptor(), IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
    }
    ip_mreqn asked{};
    asked.imr_ifindex = index;
    return set_option(descriptor(), IPPROTO_IP, IP_MULTICAST_IF, asked);
}

std::error_code udp_socket::set_multicast_hops(int hops) noexcept {
    return family_of(descriptor()) == AF_INET6
               ? set_option(descriptor(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops)
               : set_option(descriptor(), IPPROTO_IP, IP_MULTICAST_TTL, hops);
}

std::error_code udp_socket::set_multicast_loop(bool enabled) noexcept {
    const int value = enabled ? 1 : 0;
    return family_of(descriptor()) == AF_INET6
               ? set_option(descriptor(), IPPROTO_IPV6, IPV6_MULTICAST_LOOP, value)
               : set_option(descriptor(), IPPROTO_IP, IP_MULTICAST_LOOP, value);
}

std::expected<endpoint, std::error_code> udp_socket::local_endpoint() const {
    return detail::ask_endpoint(descriptor(), detail::calls::getsockname);
}

std::expected<endpoint, std::error_code> udp_socket::peer_endpoint() const {
    return detail::ask_endpoint(descriptor(), detail::calls::getpeername);
}

}  // namespace heph::rt::net
