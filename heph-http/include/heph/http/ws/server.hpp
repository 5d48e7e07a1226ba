#pragma once

// WebSocket connections to a server.
//
//     heph::task<> echo(heph::http::ws::socket& socket) {
//         while (auto message = co_await socket.receive()) {
//             const bool sent = co_await socket.send(std::move(*message));
//             if (!sent) { break; }
//         }
//     }
//
//     router.get("/echo", [](heph::http::request& request) {
//         return heph::http::ws::accept(request, echo);
//     });

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/request.hpp>
#include <heph/http/response.hpp>
#include <heph/http/ws/handshake.hpp>
#include <heph/http/ws/socket.hpp>

namespace heph::http::ws {

/// How handshakes are answered, and what comes of them.
struct accept_options {
    socket_options socket = {};
    /// Names of subprotocols, best first; the first one that the client offers is taken.
    std::vector<std::string> subprotocols = {};
    /// Whether and how messages are compressed, when the client offers that. Each connection then
    /// takes up to 300 KiB more memory; and secrets should not be compressed together with what an
    /// attacker chooses.
    std::optional<deflate_options> deflate = {};
    /// Tells whether a page of this origin may connect. A browser sends the user's cookies with the
    /// handshake, whatever page asks for it: without a check, any page could act for the user.
    /// The default takes pages of the same host and port, and programs, which send no `Origin`.
    std::function<bool(const request& asked, std::string_view origin)> allows_origin = {};
};

/// Uses a connection. When it returns, or throws, the connection is closed in order, with `normal`,
/// or `internal_error`.
/// *Lifetime*: it may not keep the socket. The request is gone by then: copy what is needed of it.
using session_function = std::function<task<>(socket& connected)>;

/// Answers a handshake (RFC 6455, 4.2): with 101, after which `session` runs, as a part of the
/// connection's process, to its end. What is no handshake is answered with 426 and what would be
/// one, 400, or 403 for a page of another origin.
///
/// A coroutine lambda with captures is safe here: the response owns it while it runs.
[[nodiscard]] response accept(const request& asked, session_function session,
                              accept_options options = {});

}  // namespace heph::http::ws
