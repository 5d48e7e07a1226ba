#pragma once

// Contexts with certificates, for tests.

#include <string>
#include <utility>

#include <heph/rt/tls/config.hpp>

#include "rt_tls/authority.hpp"
#include "rt_tls/pipe.hpp"

namespace heph_tests {

inline tls::certificate to_certificate(const issued& pem) {
    auto made = tls::certificate::from_pem(pem.certificate, pem.key);
    if (!made) { FAIL(made.error().message()); }
    return std::move(*made);
}

inline tls::trust_store trusting(const authority& who) {
    auto made = tls::trust_store::from_pem(who.certificate());
    if (!made) { FAIL(made.error().message()); }
    return std::move(*made);
}

inline tls::server_context make_server_context(const tls::server_config& config) {
    auto made = tls::server_context::make(config);
    if (!made) { FAIL(made.error().message()); }
    return std::move(*made);
}

inline tls::client_context make_client_context(const tls::client_config& config) {
    auto made = tls::client_context::make(config);
    if (!made) { FAIL(made.error().message()); }
    return std::move(*made);
}

inline tls::client_config trust_in(const authority& who) {
    tls::client_config config;
    config.authorities = trusting(who);
    return config;
}

/// Two engines after a handshake, and what came of it.
struct attempt {
    tls::engine client;
    tls::engine server;
    shuttled errors;

    attempt(const tls::client_context& from, const tls::server_context& to, std::string_view host)
        : client(std::move(from.connect(host).value())), server(std::move(to.accept().value())) {
        errors = shuttle(client, server);
    }
    [[nodiscard]] bool done() const {
        return client.handshake_done() && server.handshake_done() && !errors.client &&
               !errors.server;
    }
    /// Sends a text each way, and tells whether both came.
    bool talk() {
        if (!client.write(bytes_of("from the client")) ||
            !server.write(bytes_of("from the server"))) {
            return false;
        }
        (void)shuttle(client, server);
        return read_all(server) == "from the client" && read_all(client) == "from the server";
    }
};

}  // namespace heph_tests
