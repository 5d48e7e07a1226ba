#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <heph/rt/tls/config.hpp>

#include "certificate_state.hpp"
#include "engine_state.hpp"
#include "ssl_context.hpp"

namespace heph::rt::tls {

namespace {

// Sessions of a server of ours can be resumed there only (RFC 5246, session_id_context of OpenSSL).
constexpr std::string_view session_context = "heph-rt tls";
constexpr long session_seconds_max = 2 * 60 * 60;

}  // namespace

// One configuration. Each connection keeps the one it began with.
struct server_context::state {
    ssl_context_ptr ssl;
    std::vector<certificate> certificates;
    std::unordered_multimap<std::string, std::size_t> by_name;
    std::string protocols;
    std::size_t unread_bytes_max = 0;
    kernel_offload offload = kernel_offload::off;

    static std::expected<std::shared_ptr<const state>, error> make(const server_config& config);
    bool set_up_certificates(const server_config& config);
    bool set_up_clients(const server_config& config) const;

    [[nodiscard]] static bool use(SSL* connection, const certificate& own) {
        const certificate::state& inner = own.inner();
        return SSL_use_cert_and_key(connection, inner.leaf.get(), inner.key.get(),
                                    inner.intermediates.get(), 1) == 1;
    }

    // Puts the certificates for the name that the client asks for in the place of the default.
    static int choose_certificate(SSL* connection, void* argument) {
        const auto& self = *static_cast<const state*>(argument);
        const char* asked = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
        if (asked == nullptr) { return 1; }
        try {
            std::string name(asked);
            std::ranges::transform(name, name.begin(), [](char c) {
                return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
            });
            auto [at, end] = self.by_name.equal_range(name);
            if (at == end) {
                const std::size_t dot = name.find('.');
                if (dot == std::string::npos) { return 1; }
                std::tie(at, end) = self.by_name.equal_range('*' + name.substr(dot));
            }
            if (at == end) { return 1; }
            SSL_certs_clear(connection);
            for (; at != end; ++at) {
                if (!use(connection, self.certificates[at->second])) { return 0; }
            }
        } catch (const std::bad_alloc&) { return 0; }
        return 1;
    }

    static int choose_protocol(SSL* /*connection*/, const unsigned char** chosen,
                               unsigned char* chosen_size, const unsigned char* offered,
                               unsigned offered_size, void* argument) {
        const std::string& ours = static_cast<const state*>(argument)->protocols;
        unsigned char* found = nullptr;
        const int result = SSL_select_next_proto(
            &found, chosen_size, reinterpret_cast<const unsigned char*>(ours.data()),
            static_cast<unsigned>(ours.size()), offered, offered_size);
        if (result != OPENSSL_NPN_NEGOTIATED) { return SSL_TLSEXT_ERR_ALERT_FATAL; }
        *chosen = found;
        return SSL_TLSEXT_ERR_OK;
    }
};

bool server_context::state::set_up_certificates(const server_config& config) {
    certificates = config.certificates;
    for (std::size_t i = 0; i < certificates.size(); ++i) {
        for (const std::string& name : certificates[i].names()) { by_name.emplace(name, i); }
    }
    // Those that share the first one's names serve who asks for no name, too: by key type.
    for (const certificate& own : certificates) {
        if (own.names() != certificates.front().names()) { continue; }
        const certificate::state& inner = own.inner();
        if (SSL_CTX_use_cert_and_key(ssl.get(), inner.leaf.get(), inner.key.get(),
                                     inner.intermediates.get(), 1) != 1) {
            return false;
        }
    }
    if (certificates.size() > 1) { SSL_CTX_set_cert_cb(ssl.get(), choose_certificate, this); }
    return true;
}

bool server_context::state::set_up_clients(const server_config& config) const {
    if (config.clients == client_certificates::ignored) { return true; }
    int mode = SSL_VERIFY_PEER;
    if (config.clients == client_certificates::required) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(ssl.get(), mode, nullptr);
    X509_STORE* store = config.client_authorities->inner().store.get();
    if (SSL_CTX_set1_verify_cert_store(ssl.get(), store) != 1) { return false; }
    // Clients with several certificates choose by the names of the authorities.
    const store_lock locked(X509_STORE_lock(store) == 1 ? store : nullptr);
    STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
        X509* authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        if (authority != nullptr && SSL_CTX_add_client_CA(ssl.get(), authority) != 1) {
            return false;
        }
    }
    return true;
}

std::expected<std::shared_ptr<const server_context::state>, error> server_context::state::make(
    const server_config& config) {
    if (config.certificates.empty()) { return std::unexpected(plain_error(errc::no_certificate)); }
    if (config.clients != client_certificates::ignored && !config.client_authorities) {
        return std::unexpected(plain_error(errc::no_client_authority));
    }
    auto protocols = write_protocols(config.protocols);
    if (!protocols) { return std::unexpected(protocols.error()); }
    auto made = std::make_shared<state>();
    made->protocols = std::move(*protocols);
    made->unread_bytes_max = config.unread_bytes_max;
    made->offload = config.offload;
    made->ssl = make_ssl_context(config.version_min);
    SSL_CTX* context = made->ssl.get();
    if (context == nullptr || !made->set_up_certificates(config) || !made->set_up_clients(config)) {
        return std::unexpected(plain_error(errc::internal, take_reason_text()));
    }
    if (!made->protocols.empty()) {
        SSL_CTX_set_alpn_select_cb(context, choose_protocol, made.get());
    }
    engine::state::follow_keys(context, config.offload);
    // Tickets hold what a session needs, so that no client costs memory once it is gone.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, session_seconds_max);
    bool good = SSL_CTX_set_session_id_context(
                    context, reinterpret_cast<const unsigned char*>(session_context.data()),
                    static_cast<unsigned>(session_context.size())) == 1;
    if (!config.tickets) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        good = good && SSL_CTX_set_num_tickets(context, 0) == 1;
    }
    if (!good) { return std::unexpected(plain_error(errc::internal, take_reason_text())); }
    return made;
}

// What copies of a context share.
struct server_context::current {
    std::mutex mutex;
    std::shared_ptr<const state> config;

    std::shared_ptr<const state> get() {
        const std::lock_guard lock(mutex);
        return config;
    }
};

std::expected<server_context, error> server_context::make(const server_config& config) {
    auto made = state::make(config);
    if (!made) { return std::unexpected(made.error()); }
    auto shared = std::make_shared<current>();
    shared->config = std::move(*made);
    return server_context(std::move(shared));
}

std::expected<void, error> server_context::reload(const server_config& config) {
    auto made = state::make(config);
    if (!made) { return std::unexpected(made.error()); }
    std::shared_ptr<const state> old = std::move(*made);  // Freed without the lock.
    const std::lock_guard lock(current_->mutex);
    std::swap(current_->config, old);
    return {};
}

std::expected<engine, std::error_code> server_context::accept() const {
    std::shared_ptr<const state> config = current_->get();
    ERR_clear_error();
    ssl_ptr made(SSL_new(config->ssl.get()));
    if (!made) { return std::unexpected(make_error_code(errc::internal)); }
    engine_traits traits;
    traits.unread_bytes_max = config->unread_bytes_max;
    traits.offload = config->offload;
    traits.handshake_bytes_max = certified_handshake_bytes_max;
    return engine::state::make(std::move(made), std::move(config), traits);
}

}  // namespace heph::rt::tls
