#include <heph/rt/net/tcp.hpp>

#include <utility>

#include <heph/rt/net/unix.hpp>

#include "address.hpp"
#include "sockets.hpp"

namespace heph::rt::net {

tcp_stream::tcp_stream(unix_stream&& other) noexcept : byte_stream(std::move(other)) {}

polled<connect_future::value_type> connect_future::poll(const waker& waker) {
    detail::socket_address address{};
    const unsigned bytes = detail::to_socket_address(to_, address);
    auto made = detail::to_stream<tcp_stream>(
        detail::poll_connect(state_, SOCK_STREAM, address.any, bytes, waker));
    if (!made.is_ready()) { return pending; }
    value_type connected = std::move(made).value();
    if (!connected) { return connected; }
    if (const auto failed = connected->set_no_delay(true)) {
        return value_type(std::unexpect, failed);
    }
    return connected;
}

polled<accept_future::value_type> accept_future::poll(const waker& waker) {
    return detail::to_stream<tcp_stream>(detail::poll_accept(listener_->socket_, waker));
}

std::optional<socket_handle> tcp_listener::take_accepted() noexcept {
    return detail::take_accepted(socket_);
}

polled<void> tcp_listener::poll_stop_accepting(const waker& waker) {
    return detail::poll_stop_accepting(socket_, waker);
}

}  // namespace heph::rt::net
