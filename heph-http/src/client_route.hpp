#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <system_error>

#include <heph/core/task.hpp>
#include <heph/http/client.hpp>
#include <heph/http/proxy.hpp>
#include <heph/http/url.hpp>
#include <heph/rt/net/unix.hpp>

#include "connection_io.hpp"
#include "peer_stream.hpp"

namespace heph::http::detail {

/// How a URL is reached: directly, by a proxy that passes requests on, through a tunnel, or over a
/// Unix socket.
/// *Lifetime*: the options and the request outlive it, unchanged.
class client_route {
public:
    client_route(const client_options& options, const client_request& request,
                 const url& to) noexcept;

    /// Gives the proxy that passes requests on; null when the origin itself, or a tunnel to it,
    /// gets them.
    [[nodiscard]] const proxy* relay() const noexcept { return tunnels_ ? nullptr : through_; }
    /// Gives how much is to be sent at once.
    [[nodiscard]] std::size_t block_bytes_max() const noexcept {
        return socket_ != nullptr ? unix_send_bytes_max : send_bytes_max;
    }
    /// Gives what connections are kept by: a tunnel and a proxy's own connection differ, and so do
    /// Unix sockets.
    [[nodiscard]] std::string key(const url& to) const;

    /// Connects to where requests to the URL are sent, and shakes hands where it is to be secure.
    /// *Errors*: those of `client`. *Lifetime*: the arguments, and the route, outlive it.
    [[nodiscard]] task<std::expected<peer_stream, std::error_code>> connect(
        const client_options& options, const url& to) const;

private:
    const rt::net::unix_address* socket_;  // Null when none is used.
    const proxy* through_;                 // Null when none is used.
    bool tunnels_;                         // What a proxy must not look at, or would not pass on.
};

}  // namespace heph::http::detail
