#pragma once

// WebSocket connections to other servers.
//
//     auto connected = co_await heph::http::ws::connect(client, "ws://127.0.0.1:8080/echo");
//     if (!connected) { … connected.error().message() … }
//     const bool sent = co_await connected->send_text("Hello");
//     auto answer = co_await connected->receive();

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/client.hpp>
#include <heph/http/headers.hpp>
#include <heph/http/ws/handshake.hpp>
#include <heph/http/ws/socket.hpp>

namespace heph::http::ws {

/// What is asked for in a handshake.
struct connect_options {
    socket_options socket = {};
    /// Names of subprotocols to offer, best first. `socket::subprotocol` tells which was taken.
    std::vector<std::string> subprotocols = {};
    /// Whether compression is offered.
    std::optional<deflate_options> deflate = {};
    /// More header fields, such as `Origin` and `Authorization`.
    headers fields = {};
};

/// Connects to `ws://…` or `wss://…`, and completes when the handshake is done. The connection is
/// one of the client's, which counts among `client_options::connections_per_origin_max` until the
/// server has switched; connecting and the answer have the client's limits in time. The socket may
/// outlive the client.
///
/// *Errors*: what `client::send` gives; `error::bad_handshake` when the server does not switch to
/// WebSocket as it should.
/// *Cancellation*: dropping it closes the connection.
task<std::expected<socket, std::error_code>> connect(client through, std::string_view url,
                                                     connect_options options = {});

}  // namespace heph::http::ws
