#pragma once

#include <optional>
#include <string>
#include <vector>

namespace heph::http {

/// What the certificate says that a peer has proved to own.
struct peer_identity {
    std::string subject;             ///< As RFC 2253 has it, `CN=alice,O=Example` for one.
    std::vector<std::string> names;  ///< Alternative names: DNS names, URIs and mail addresses.
    std::string fingerprint;         ///< SHA-256 of the certificate, in 64 hexadecimal digits.
};

/// What the handshake of a secured connection has settled.
struct secure_session {
    std::string version;      ///< `TLSv1.3` for one.
    std::string cipher;       ///< `TLS_AES_256_GCM_SHA384` for one.
    std::string protocol;     ///< What is spoken (ALPN), `http/1.1`; empty where nothing was said.
    std::string server_name;  ///< Whom the client asked for (SNI); empty where it named nobody.
    /// The client's certificate, which was verified when the server's configuration says so;
    /// nothing when it showed none.
    std::optional<peer_identity> peer;
};

}  // namespace heph::http
