#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <heph/rt/tls/engine.hpp>

#include "engine_state.hpp"
#include "openssl.hpp"

namespace heph::rt::tls {

namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::size_t identity_bytes_max = 128;
// An honest handshake of ours has well under 1 KiB a side.
constexpr std::size_t handshake_bytes_max = 16 * 1024;
constexpr std::string_view key_label = "heph-rt tls 1.3 psk, version 1";

// The key that both ends make of the secret, whatever its length.
struct derived_key {
    std::array<unsigned char, key_bytes> bytes{};
    derived_key() = default;
    derived_key(const derived_key&) = delete;
    derived_key& operator=(const derived_key&) = delete;
    ~derived_key() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
};

const unsigned char* as_octets(std::string_view text) noexcept {
    return reinterpret_cast<const unsigned char*>(text.data());
}

bool derive(std::span<const std::byte> secret, std::string_view identity, derived_key& key) {
    const pkey_context_ptr kdf(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr));
    std::size_t size = key.bytes.size();
    return kdf && EVP_PKEY_derive_init(kdf.get()) == 1 &&
           EVP_PKEY_CTX_set_hkdf_md(kdf.get(), EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set1_hkdf_salt(kdf.get(), as_octets(identity),
                                       static_cast<int>(identity.size())) == 1 &&
           EVP_PKEY_CTX_set1_hkdf_key(kdf.get(),
                                      reinterpret_cast<const unsigned char*>(secret.data()),
                                      static_cast<int>(secret.size())) == 1 &&
           EVP_PKEY_CTX_add1_hkdf_info(kdf.get(), as_octets(key_label),
                                       static_cast<int>(key_label.size())) == 1 &&
           EVP_PKEY_derive(kdf.get(), key.bytes.data(), &size) == 1 && size == key.bytes.size();
}

// Nobody is let in by a certificate, however valid.
int refuse_certificate(int /*verified*/, X509_STORE_CTX* /*store*/) { return 0; }

}  // namespace

struct context::state {
    std::string identity;
    std::size_t unread_bytes_max = 0;
    derived_key key;
    ssl_context_ptr ssl;

    // Makes the session that stands for the key, in the form of one to be resumed.
    [[nodiscard]] SSL_SESSION* make_session(SSL* connection) const {
        constexpr std::array<unsigned char, 2> aes_128_gcm_sha256 = {0x13, 0x01};
        const SSL_CIPHER* cipher = SSL_CIPHER_find(connection, aes_128_gcm_sha256.data());
        session_ptr session(SSL_SESSION_new());
        if (cipher == nullptr || !session ||
            SSL_SESSION_set1_master_key(session.get(), key.bytes.data(), key.bytes.size()) != 1 ||
            SSL_SESSION_set_cipher(session.get(), cipher) != 1 ||
            SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION) != 1) {
            return nullptr;
        }
        return session.release();
    }

    static const state& of(SSL* connection) {
        return *static_cast<const state*>(SSL_get_app_data(connection));
    }

    static int use_session(SSL* connection, const EVP_MD* digest, const unsigned char** identity,
                           std::size_t* identity_size, SSL_SESSION** session) {
        const state& self = of(connection);
        *session = nullptr;
        // After a retry request the digest is settled, and it has to be the key's.
        if (digest != nullptr && !EVP_MD_is_a(digest, "SHA256")) { return 1; }
        *identity = as_octets(self.identity);
        *identity_size = self.identity.size();
        *session = self.make_session(connection);
        return *session != nullptr ? 1 : 0;
    }

    static int find_session(SSL* connection, const unsigned char* identity, std::size_t size,
                            SSL_SESSION** session) {
        const state& self = of(connection);
        const std::string_view asked(reinterpret_cast<const char*>(identity), size);
        *session = nullptr;
        if (asked != self.identity) { return 1; }
        *session = self.make_session(connection);
        return *session != nullptr ? 1 : 0;
    }

    static std::expected<engine, std::error_code> make_engine(
        const std::shared_ptr<const state>& self, bool is_client);

    [[nodiscard]] bool set_up() {
        ssl.reset(SSL_CTX_new(TLS_method()));
        if (!ssl) { return false; }
        SSL_CTX* made = ssl.get();
        SSL_CTX_set_psk_use_session_callback(made, use_session);
        SSL_CTX_set_psk_find_session_callback(made, find_session);
        SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(made, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_clear_options(made, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
        return SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set_max_proto_version(made, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set_ciphersuites(made, "TLS_AES_128_GCM_SHA256") == 1 &&
               SSL_CTX_set1_groups_list(made, "X25519:P-256") == 1 &&
               SSL_CTX_set_num_tickets(made, 0) == 1 && SSL_CTX_set_max_early_data(made, 0) == 1 &&
               SSL_CTX_set_recv_max_early_data(made, 0) == 1;
    }
};

std::expected<engine, std::error_code> context::state::make_engine(
    const std::shared_ptr<const state>& self, bool is_client) {
    ERR_clear_error();
    ssl_ptr made(SSL_new(self->ssl.get()));
    if (!made) { return std::unexpected(make_error_code(errc::internal)); }
    // OpenSSL keeps a plain pointer and gives it back to the callbacks, which only read.
    SSL_set_app_data(made.get(), const_cast<state*>(self.get()));
    // A server has no certificate to show anyway, and asks for none.
    if (is_client) { SSL_set_verify(made.get(), SSL_VERIFY_PEER, refuse_certificate); }
    engine_traits traits;
    traits.is_client = is_client;
    traits.by_secret = true;
    traits.unread_bytes_max = self->unread_bytes_max;
    traits.handshake_bytes_max = handshake_bytes_max;
    return engine::state::make(std::move(made), self, traits);
}

std::expected<context, std::error_code> context::make(const psk_config& config) {
    if (config.identity.empty() || config.identity.size() > identity_bytes_max) {
        return std::unexpected(make_error_code(errc::bad_identity));
    }
    ERR_clear_error();
    auto made = std::make_shared<state>();
    made->identity = config.identity;
    made->unread_bytes_max = std::max(config.unread_bytes_max, record_bytes_max);
    if (!derive(config.shared_secret.bytes(), made->identity, made->key) || !made->set_up()) {
        ERR_clear_error();
        return std::unexpected(make_error_code(errc::internal));
    }
    return context(std::move(made));
}

std::expected<engine, std::error_code> context::client() const {
    return state::make_engine(state_, true);
}

std::expected<engine, std::error_code> context::server() const {
    return state::make_engine(state_, false);
}

}  // namespace heph::rt::tls
