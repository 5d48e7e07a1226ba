#pragma once

#include <string>
#include <system_error>

#include <heph/core/task.hpp>
#include <heph/http/client.hpp>
#include <heph/http/proxy.hpp>
#include <heph/rt/net/tcp.hpp>

namespace heph::http::detail {

/// Asks a proxy for a tunnel to a host (RFC 9110, 9.3.6), and waits until it is there. What is sent
/// from then on reaches the host.
///
/// *Errors*: `proxy_authentication_required` (407), `proxy_refused`, `connection_lost`, what is
/// wrong with the answer's head, or too large of it. *Lifetime*: the arguments outlive it.
task<std::error_code> open_tunnel(rt::net::tcp_stream& over, const proxy& through, const url& to,
                                  const client_options& options);

}  // namespace heph::http::detail
