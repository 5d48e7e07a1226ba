#include "ssl_context.hpp"

namespace heph::rt::tls {

ssl_context_ptr make_ssl_context(version version_min) {
    ERR_clear_error();
    ssl_context_ptr made(SSL_CTX_new(TLS_method()));
    if (!made) { return made; }
    SSL_CTX* context = made.get();
    SSL_CTX_set_security_level(context, 2);  // At least 112 bits: RSA of 2,048, SHA-256.
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    const int least = version_min == version::tls_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    const bool good = SSL_CTX_set_min_proto_version(context, least) == 1 &&
                      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
                      SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
                      SSL_CTX_set_ciphersuites(context,
                                               "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                               "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
                      SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1 &&
                      SSL_CTX_set_max_early_data(context, 0) == 1 &&
                      SSL_CTX_set_recv_max_early_data(context, 0) == 1;
    if (!good) { made.reset(); }
    return made;
}

std::expected<std::string, error> write_protocols(const std::vector<std::string>& names) {
    std::string wire;
    for (const std::string& name : names) {
        if (name.empty() || name.size() > 255) {
            return std::unexpected(plain_error(errc::bad_protocol_name));
        }
        wire += static_cast<char>(name.size());
        wire += name;
    }
    return wire;
}

}  // namespace heph::rt::tls
