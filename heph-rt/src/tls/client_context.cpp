#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <list>
#include <mutex>
#include <utility>

#include <heph/rt/tls/config.hpp>

#include "certificate_state.hpp"
#include "engine_state.hpp"
#include "ssl_context.hpp"

namespace heph::rt::tls {

namespace {

constexpr std::size_t host_bytes_max = 253;

bool is_address(const std::string& host) {
    std::array<unsigned char, 16> parsed{};
    return ::inet_pton(AF_INET, host.c_str(), parsed.data()) == 1 ||
           ::inet_pton(AF_INET6, host.c_str(), parsed.data()) == 1;
}

bool is_host_name(std::string_view host) {
    return !host.empty() && host.size() <= host_bytes_max && host.front() != '.' &&
           std::ranges::all_of(host, [](char c) {
               return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' ||
                      c == '_';
           });
}

}  // namespace

struct client_context::state {
    ssl_context_ptr ssl;
    std::optional<trust_store> authorities;
    std::optional<certificate> own;
    bool accept_any = false;
    std::size_t unread_bytes_max = 0;
    std::size_t sessions_max = 0;
    kernel_offload offload = kernel_offload::off;

    // What was handed out by servers, newest first; each is used once (RFC 8446, C.4).
    struct remembered {
        std::string host;
        session_ptr session;
    };
    std::mutex mutex;
    std::list<remembered> sessions;

    // A connection's way back to its context and host, freed with the connection.
    struct origin {
        std::weak_ptr<state> context;
        std::string host;
    };
    static void free_origin(void* /*connection*/, void* kept, CRYPTO_EX_DATA* /*data*/,
                            int /*index*/, long /*number*/, void* /*argument*/) {
        delete static_cast<origin*>(kept);
    }
    static int origin_index() {
        static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_origin);
        return index;
    }

    static int remember(SSL* connection, SSL_SESSION* session) {
        const auto* from = static_cast<const origin*>(SSL_get_ex_data(connection, origin_index()));
        const auto self = from != nullptr ? from->context.lock() : nullptr;
        if (!self || SSL_SESSION_is_resumable(session) != 1) { return 0; }
        try {
            const std::lock_guard lock(self->mutex);
            self->sessions.push_front({from->host, nullptr});
            self->sessions.front().session.reset(session);
            if (self->sessions.size() > self->sessions_max) { self->sessions.pop_back(); }
        } catch (const std::bad_alloc&) { return 0; }
        return 1;  // The session is ours now.
    }

    session_ptr recall(const std::string& host) {
        const std::lock_guard lock(mutex);
        const auto found = std::ranges::find(sessions, host, &remembered::host);
        if (found == sessions.end()) { return nullptr; }
        session_ptr session = std::move(found->session);
        sessions.erase(found);
        return session;
    }

    [[nodiscard]] bool set_up(const client_config& config, const std::string& protocols) const;
    [[nodiscard]] bool set_host(SSL* connection, const std::string& host) const;
};

bool client_context::state::set_up(const client_config& config,
                                   const std::string& protocols) const {
    SSL_CTX* context = ssl.get();
    if (context == nullptr) { return false; }
    SSL_CTX_set_verify(context, config.accept_any_certificate ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       nullptr);
    SSL_CTX_set1_cert_store(context, authorities->inner().store.get());
    if (own) {
        const certificate::state& inner = own->inner();
        if (SSL_CTX_use_cert_and_key(context, inner.leaf.get(), inner.key.get(),
                                     inner.intermediates.get(), 1) != 1) {
            return false;
        }
    }
    if (sessions_max != 0) {
        SSL_CTX_set_session_cache_mode(context,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
        SSL_CTX_sess_set_new_cb(context, remember);
    } else {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    }
    // It gives 0 when it succeeds.
    return protocols.empty() ||
           SSL_CTX_set_alpn_protos(context,
                                   reinterpret_cast<const unsigned char*>(protocols.data()),
                                   static_cast<unsigned>(protocols.size())) == 0;
}

bool client_context::state::set_host(SSL* connection, const std::string& host) const {
    // An address is not sent as a name (RFC 6066, section 3), and is looked for among addresses.
    if (is_address(host)) {
        X509_VERIFY_PARAM* checks = SSL_get0_param(connection);
        return X509_VERIFY_PARAM_set1_ip_asc(checks, host.c_str()) == 1;
    }
    SSL_set_hostflags(connection, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(connection, host.c_str()) == 1 &&
           SSL_set_tlsext_host_name(connection, host.c_str()) == 1;
}

std::expected<client_context, error> client_context::make(const client_config& config) {
    auto protocols = write_protocols(config.protocols);
    if (!protocols) { return std::unexpected(protocols.error()); }
    auto made = std::make_shared<state>();
    made->authorities = config.authorities;
    if (!made->authorities) {
        auto trusted = trust_store::system();
        if (!trusted) { return std::unexpected(trusted.error()); }
        made->authorities = std::move(*trusted);
    }
    made->own = config.own;
    made->accept_any = config.accept_any_certificate;
    made->unread_bytes_max = config.unread_bytes_max;
    made->sessions_max = config.sessions_max;
    made->offload = config.offload;
    made->ssl = make_ssl_context(config.version_min);
    if (!made->set_up(config, *protocols)) {
        return std::unexpected(plain_error(errc::internal, take_reason_text()));
    }
    engine::state::follow_keys(made->ssl.get(), config.offload);
    return client_context(std::move(made));
}

std::expected<engine, std::error_code> client_context::connect(std::string_view host) const {
    std::string name(host);
    if (name.size() > 1 && name.ends_with('.')) { name.pop_back(); }
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!is_host_name(name) && !is_address(name)) {
        return std::unexpected(make_error_code(errc::bad_host_name));
    }
    ERR_clear_error();
    ssl_ptr made(SSL_new(state_->ssl.get()));
    if (!made || !state_->set_host(made.get(), name)) {
        ERR_clear_error();
        return std::unexpected(make_error_code(errc::internal));
    }
    if (state_->sessions_max != 0) {
        auto from = std::make_unique<state::origin>(state_, name);
        if (SSL_set_ex_data(made.get(), state::origin_index(), from.get()) == 1) {
            (void)from.release();
        }
        const session_ptr known = state_->recall(name);
        if (known) { (void)SSL_set_session(made.get(), known.get()); }
    }
    engine_traits traits;
    traits.is_client = true;
    traits.unread_bytes_max = state_->unread_bytes_max;
    traits.offload = state_->offload;
    traits.handshake_bytes_max = certified_handshake_bytes_max;
    return engine::state::make(std::move(made), state_, traits);
}

}  // namespace heph::rt::tls
