#pragma once

// What the futures of all kinds of sockets have in common.

#include <sys/socket.h>

#include <cerrno>
#include <expected>
#include <optional>
#include <system_error>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/net/stream.hpp>

#include "../system_call.hpp"
#include "../worker_core.hpp"

namespace heph::rt::detail {

/// Tells whether an operation is completed; else keeps the waker.
[[nodiscard]] inline bool is_completed(slot& operation, const waker& waker) noexcept {
    if (operation.state == slot_state::completed) { return true; }
    operation.waker = waker;
    return false;
}

/// Sets an option that is on or off.
[[nodiscard]] std::error_code set_flag(int descriptor, int level, int option,
                                       bool enabled) noexcept;

/// Tells whether a socket listens for connections of a kind: `AF_UNIX`, or `AF_INET` for both
/// versions of IP.
[[nodiscard]] bool is_listening(int descriptor, int family) noexcept;

using new_socket = std::expected<net::socket_handle, std::error_code>;

/// Makes a stream of a socket, once there is one.
template <typename Stream>
[[nodiscard]] polled<std::expected<Stream, std::error_code>> to_stream(polled<new_socket> made) {
    using outcome = std::expected<Stream, std::error_code>;
    if (!made.is_ready()) { return pending; }
    new_socket socket = std::move(made).value();
    if (!socket) { return outcome(std::unexpect, socket.error()); }
    return outcome(std::in_place, std::move(*socket));
}

/// Ends one direction of a connection, or both.
[[nodiscard]] std::error_code shut_down(int descriptor, net::shutdown_how how) noexcept;

/// Asks `getsockname` or `getpeername` of a socket of TCP or UDP.
[[nodiscard]] std::expected<net::endpoint, std::error_code> ask_endpoint(
    int descriptor, int (*query)(int, sockaddr*, socklen_t*)) noexcept;

/// Polls for the next connection of a listener.
[[nodiscard]] polled<new_socket> poll_accept(watched_socket& listener, const waker& waker);

/// Takes a connection that was accepted already, and asks for no others.
[[nodiscard]] std::optional<net::socket_handle> take_accepted(watched_socket& listener) noexcept;

/// Polls until the kernel accepts no more for a listener: what it accepted until then can be taken.
[[nodiscard]] polled<void> poll_stop_accepting(watched_socket& listener, const waker& waker);

/// Polls a connection attempt to an address of `bytes` bytes.
[[nodiscard]] polled<new_socket> poll_connect(connecting& state, int type, const sockaddr& to,
                                              unsigned bytes, const waker& waker);

}  // namespace heph::rt::detail
