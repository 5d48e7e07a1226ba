#pragma once

#include <cstdint>
#include <string>
#include <system_error>

#include <heph/core/task.hpp>
#include <heph/http/client.hpp>
#include <heph/http/proxy.hpp>

#include "peer_stream.hpp"

namespace heph::http::detail {

/// Asks a proxy for a tunnel to a host (RFC 9110, 9.3.6), and waits until it is there. What is sent
/// from then on reaches the host.
///
/// *Errors*: `proxy_authentication_required` (407), `proxy_refused`, `connection_lost`, what is
/// wrong with the answer's head, or too large of it. *Lifetime*: the arguments outlive it.
task<std::error_code> open_tunnel(peer_stream& over, const proxy& through, const url& to,
                                  const client_options& options);

/// Asks a SOCKS 5 proxy for a connection to a host, and waits until it is there.
///
/// *Errors*: those of `socks5_client`, `connection_lost`. *Lifetime*: the arguments outlive it.
task<std::error_code> open_socks_tunnel(peer_stream& over, const proxy& through,
                                        const std::string& host, std::uint16_t port);

}  // namespace heph::http::detail
