#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <heph/rt/error.hpp>
#include <heph/rt/net/tcp.hpp>

#include "address.hpp"
#include "in_use.hpp"
#include "socket_calls.hpp"
#include "sockets.hpp"

namespace heph::rt::net {

namespace {

using detail::ask_endpoint;
using detail::last_error;
using detail::set_flag;

std::error_code prepare_to_listen(int descriptor, const endpoint& local,
                                  const listen_options& options) noexcept {
    std::error_code failed;
    if (options.reuse_address) { failed = set_flag(descriptor, SOL_SOCKET, SO_REUSEADDR, true); }
    if (!failed && options.reuse_port) {
        failed = set_flag(descriptor, SOL_SOCKET, SO_REUSEPORT, true);
    }
    if (!failed && local.is_v6()) {
        failed = set_flag(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, options.only_v6);
    }
    // Accepted connections inherit it.
    if (!failed) { failed = set_flag(descriptor, IPPROTO_TCP, TCP_NODELAY, true); }
    return failed;
}

std::expected<int, std::error_code> bind_socket(const endpoint& local,
                                                const listen_options& options) {
    const int family = local.is_v6() ? AF_INET6 : AF_INET;
    const int made = detail::calls::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0) { return std::unexpected(last_error()); }
    std::error_code failed = prepare_to_listen(made, local, options);
    detail::socket_address address{};
    const unsigned bytes = detail::to_socket_address(local, address);
    if (!failed && detail::calls::bind(made, &address.any, bytes) != 0) { failed = last_error(); }
    if (!failed) { return made; }
    detail::calls::close(made);
    return std::unexpected(failed);
}

// Binds as soon as whoever has the port lets go of it.
std::expected<int, std::error_code> bind_when_free(const endpoint& local,
                                                   const listen_options& options) {
    detail::bounded_pauses patience(options.in_use_wait.value_or(std::chrono::milliseconds(0)));
    for (;;) {
        auto bound = bind_socket(local, options);
        if (bound || bound.error() != std::errc::address_in_use || local.port() == 0 ||
            detail::this_thread_sockets != nullptr) {  // Of a simulation: none is killed.
            return bound;
        }
        detail::socket_address address{};
        const unsigned bytes = detail::to_socket_address(local, address);
        if (!patience.is_left() || detail::is_bound_here(address.any, bytes, SOCK_STREAM) ||
            !patience.pause()) {
            return bound;
        }
    }
}

}  // namespace

std::error_code tcp_stream::set_no_delay(bool enabled) noexcept {
    return set_flag(descriptor(), IPPROTO_TCP, TCP_NODELAY, enabled);
}

std::error_code tcp_stream::set_keep_alive(bool enabled) noexcept {
    return set_flag(descriptor(), SOL_SOCKET, SO_KEEPALIVE, enabled);
}

std::error_code tcp_stream::set_reset_on_close(bool enabled) noexcept {
    const linger option{enabled ? 1 : 0, 0};
    if (detail::calls::setsockopt(descriptor(), SOL_SOCKET, SO_LINGER, &option, sizeof(option)) !=
        0) {
        return last_error();
    }
    return {};
}

std::expected<endpoint, std::error_code> tcp_stream::local_endpoint() const {
    return ask_endpoint(descriptor(), detail::calls::getsockname);
}

std::expected<endpoint, std::error_code> tcp_stream::peer_endpoint() const {
    return ask_endpoint(descriptor(), detail::calls::getpeername);
}

std::expected<endpoint, std::error_code> tcp_listener::local_endpoint() const {
    return ask_endpoint(descriptor(), detail::calls::getsockname);
}

std::expected<tcp_listener, std::error_code> tcp_listener::bind(const endpoint& local,
                                                                const listen_options& options) {
    if (options.reuse_port && options.first && local.port() != 0) {
        listen_options alone = options;
        alone.reuse_port = false;
        const auto free_port = bind_when_free(local, alone);
        if (!free_port) { return std::unexpected(free_port.error()); }
        // Not as a socket_handle: a worker closes that later, and the port has to be free now.
        detail::calls::close(*free_port);
    }
    const auto bound = bind_when_free(local, options);
    if (!bound) { return std::unexpected(bound.error()); }
    socket_handle socket(*bound);
    if (detail::calls::listen(socket.get(), options.backlog) != 0) {
        return std::unexpected(last_error());
    }
    return tcp_listener(std::move(socket));
}

std::expected<tcp_listener, std::error_code> tcp_listener::duplicate() const {
    auto copy = rt::duplicate(descriptor());
    if (!copy) { return std::unexpected(copy.error()); }
    return tcp_listener(std::move(*copy));
}

std::expected<tcp_listener, std::error_code> tcp_listener::adopt(socket_handle socket) {
    if (!detail::is_listening(socket.get(), AF_INET)) {
        return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    // Accepted connections inherit it.
    if (const auto failed = set_flag(socket.get(), IPPROTO_TCP, TCP_NODELAY, true)) {
        return std::unexpected(failed);
    }
    return tcp_listener(std::move(socket));
}

}  // namespace heph::rt::net
