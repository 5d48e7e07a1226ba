#pragma once

// https, in the component `heph::http-tls`.
//
//     auto own = heph::rt::tls::certificate::load("fullchain.pem", "key.pem");
//     auto context = heph::http::make_server_tls(heph::rt::tls::server_config(*own));
//     options.tls = heph::http::secured_by(*context);       // of a server
//
//     auto trusting = heph::http::make_client_tls();
//     client_options.tls = heph::http::secured_by(*trusting);
//
// A reload of the server's context (`rt::tls::server_context::reload`) is what later connections
// get; those that are there go on.

#include <expected>
#include <memory>

#include <heph/http/security.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/tls/config.hpp>

namespace heph::http {

/// Makes a server's context that speaks HTTP/1.1 (ALPN), unless the configuration names protocols.
/// *Errors*: as `rt::tls::server_context::make`.
[[nodiscard]] std::expected<rt::tls::server_context, rt::error> make_server_tls(
    rt::tls::server_config config);

/// Makes a client's context that speaks HTTP/1.1 (ALPN), unless the configuration names protocols.
/// Servers are verified against what the system trusts, unless the configuration says otherwise.
/// *Errors*: as `rt::tls::client_context::make`.
[[nodiscard]] std::expected<rt::tls::client_context, rt::error> make_client_tls(
    rt::tls::client_config config = {});

/// Secures a server's connections by a context, of which it keeps a copy.
[[nodiscard]] std::shared_ptr<const server_security> secured_by(rt::tls::server_context context);

/// Secures a client's connections by a context, of which it keeps a copy.
[[nodiscard]] std::shared_ptr<const client_security> secured_by(rt::tls::client_context context);

}  // namespace heph::http
