#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/rt/tls/engine.hpp>

namespace heph::rt::tls {

namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::size_t identity_bytes_max = 128;
constexpr std::size_t record_bytes_max = 5 + 16 * 1024 + 256;  // RFC 8446 section 5.2.
// An honest handshake of ours has well under 1 KiB a side.
constexpr std::size_t handshake_bytes_max = 16 * 1024;
constexpr std::string_view key_label = "heph-rt tls 1.3 psk, version 1";

template <auto Free>
struct freed_by {
    template <typename T>
    void operator()(T* object) const noexcept {
        Free(object);
    }
};
using ssl_context_ptr = std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>>;
using ssl_ptr = std::unique_ptr<SSL, freed_by<SSL_free>>;
using session_ptr = std::unique_ptr<SSL_SESSION, freed_by<SSL_SESSION_free>>;
using bio_ptr = std::unique_ptr<BIO, freed_by<BIO_free>>;
using pkey_context_ptr = std::unique_ptr<EVP_PKEY_CTX, freed_by<EVP_PKEY_CTX_free>>;

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

// Translates OpenSSL's reason for an error during the handshake. Alerts of the peer have the
// reasons from SSL_AD_REASON_OFFSET on.
errc handshake_error(int reason) noexcept {
    switch (reason) {
        case SSL_R_BINDER_DOES_NOT_VERIFY:
        case SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER:  // What OpenSSL answers to a wrong binder, and
        case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:      // what RFC 8446 section 4.2.11 asks for.
            return errc::wrong_secret;
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_VERSION_TOO_LOW:
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_WRONG_SSL_VERSION:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return errc::protocol_version;
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        case SSL_R_NO_CERTIFICATE_SET:
        case SSL_R_NO_CERTIFICATE_ASSIGNED:
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        case SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_PSK_IDENTITY:
        case SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_REQUIRED: return errc::no_common_secret;
        default: return errc::handshake_failed;
    }
}

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

struct engine::state {
    std::shared_ptr<const context::state> shared;  // Outlives `ssl`, which points into it.
    ssl_ptr ssl;
    BIO* input = nullptr;  // Both belong to `ssl`.
    BIO* output = nullptr;
    std::size_t fed_bytes = 0;  // Counted until the handshake is done.
    bool checked_first_bytes = false;
    std::array<unsigned char, 2> first_bytes{};
    bool done = false;
    bool peer_closed = false;
    bool write_closed = false;
    std::optional<errc> failure;  // The first error, which every later call gives again.
    std::string detail;

    static std::expected<engine, std::error_code> make(std::shared_ptr<const context::state> shared,
                                                       bool is_client);

    std::unexpected<std::error_code> fail(errc why) {
        if (!failure) { failure = why; }
        return std::unexpected(make_error_code(*failure));
    }

    // Takes the reason from OpenSSL's queue for this thread, and empties the queue.
    int take_reason() {
        const unsigned long code = ERR_peek_error();
        const char* reason = ERR_reason_error_string(code);
        if (reason != nullptr) { detail = reason; }
        ERR_clear_error();
        return ERR_GET_REASON(code);
    }

    [[nodiscard]] std::size_t unread() const noexcept { return BIO_ctrl_pending(input); }
    std::expected<void, std::error_code> check_first_bytes(std::span<const std::byte> fed);
    std::expected<void, std::error_code> handshake();
};

std::expected<engine, std::error_code> engine::state::make(
    std::shared_ptr<const context::state> shared, bool is_client) {
    ERR_clear_error();
    auto made = std::make_unique<state>();
    made->shared = std::move(shared);
    made->ssl.reset(SSL_new(made->shared->ssl.get()));
    bio_ptr input(BIO_new(BIO_s_mem()));
    bio_ptr output(BIO_new(BIO_s_mem()));
    if (!made->ssl || !input || !output) {
        return std::unexpected(make_error_code(errc::internal));
    }
    // An empty memory BIO means "not yet", not "the end".
    BIO_set_mem_eof_return(input.get(), -1);
    BIO_set_mem_eof_return(output.get(), -1);
    made->input = input.release();
    made->output = output.release();
    SSL_set_bio(made->ssl.get(), made->input, made->output);
    // OpenSSL keeps a plain pointer and gives it back to the callbacks, which only read.
    SSL_set_app_data(made->ssl.get(), const_cast<context::state*>(made->shared.get()));
    if (is_client) {
        // A server has no certificate to show anyway, and asks for none.
        SSL_set_verify(made->ssl.get(), SSL_VERIFY_PEER, refuse_certificate);
        SSL_set_connect_state(made->ssl.get());
        if (auto started = made->handshake(); !started) { return std::unexpected(started.error()); }
    } else {
        SSL_set_accept_state(made->ssl.get());
    }
    return engine(std::move(made));
}

// A record starts with its type (handshake 22 or alert 21 at first) and a legacy version 3.x
// (RFC 8446 section 5.1). Looking for ourselves gives a better answer than OpenSSL's.
std::expected<void, std::error_code> engine::state::check_first_bytes(
    std::span<const std::byte> fed) {
    std::size_t known = fed_bytes;
    for (const std::byte byte : fed) {
        if (known == first_bytes.size()) { break; }
        first_bytes[known++] = std::to_integer<unsigned char>(byte);
    }
    const bool good_type = first_bytes[0] == 22 || first_bytes[0] == 21;
    if (good_type && known < first_bytes.size()) { return {}; }
    checked_first_bytes = true;
    if (good_type && first_bytes[1] == 3) { return {}; }
    const bool text = std::isprint(first_bytes[0]) != 0 &&
                      (known < first_bytes.size() || std::isprint(first_bytes[1]) != 0);
    return fail(text ? errc::plain_text_peer : errc::not_tls);
}

std::expected<void, std::error_code> engine::state::handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl.get());
    if (fed_bytes - unread() > handshake_bytes_max) { return fail(errc::handshake_too_large); }
    if (result == 1) {
        // Without the secret no handshake gets here; this would be a hole in our set-up.
        if (SSL_session_reused(ssl.get()) != 1) { return fail(errc::no_common_secret); }
        done = true;
        return {};
    }
    switch (SSL_get_error(ssl.get(), result)) {
        case SSL_ERROR_WANT_READ: return {};
        case SSL_ERROR_SSL: return fail(handshake_error(take_reason()));
        case SSL_ERROR_ZERO_RETURN: return fail(errc::handshake_failed);
        default: (void)take_reason(); return fail(errc::internal);
    }
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
    return engine::state::make(state_, true);
}

std::expected<engine, std::error_code> context::server() const {
    return engine::state::make(state_, false);
}

engine::engine(std::unique_ptr<state> made) noexcept : state_(std::move(made)) {}
engine::engine(engine&&) noexcept = default;
engine& engine::operator=(engine&&) noexcept = default;
engine::~engine() = default;

std::expected<void, std::error_code> engine::feed(std::span<const std::byte> input) {
    state& self = *state_;
    if (self.failure) { return self.fail(*self.failure); }
    if (input.empty()) { return {}; }
    const std::size_t unread = self.unread();
    // Up to a record may be a part of one, which no reading gets rid of.
    if (unread > record_bytes_max && unread + input.size() > self.shared->unread_bytes_max) {
        return std::unexpected(make_error_code(errc::unread_input));
    }
    if (!self.checked_first_bytes) {
        if (auto checked = self.check_first_bytes(input); !checked) { return checked; }
    }
    ERR_clear_error();
    std::size_t written = 0;
    if (BIO_write_ex(self.input, input.data(), input.size(), &written) != 1 ||
        written != input.size()) {
        (void)self.take_reason();
        return self.fail(errc::internal);
    }
    if (self.done) { return {}; }
    self.fed_bytes += input.size();
    return self.handshake();
}

std::expected<void, std::error_code> engine::feed_end() {
    if (state_->failure) { return state_->fail(*state_->failure); }
    if (state_->peer_closed) { return {}; }
    return state_->fail(errc::truncated);
}

std::expected<std::size_t, std::error_code> engine::read(std::span<std::byte> out) {
    state& self = *state_;
    if (self.failure) { return self.fail(*self.failure); }
    if (!self.done || self.peer_closed || out.empty()) { return 0; }
    ERR_clear_error();
    std::size_t total = 0;
    while (total < out.size()) {
        std::size_t got = 0;
        const int result =
            SSL_read_ex(self.ssl.get(), out.data() + total, out.size() - total, &got);
        if (result == 1) {
            total += got;
            continue;
        }
        const int error = SSL_get_error(self.ssl.get(), result);
        if (error == SSL_ERROR_WANT_READ) { break; }
        if (error == SSL_ERROR_ZERO_RETURN) {
            self.peer_closed = true;
            break;
        }
        (void)self.take_reason();
        // What was good before the bad record is given first; the next call tells of the error.
        auto failed = self.fail(errc::bad_record);
        if (total != 0) { break; }
        return failed;
    }
    return total;
}

std::expected<void, std::error_code> engine::write(std::span<const std::byte> data) {
    state& self = *state_;
    if (self.failure) { return self.fail(*self.failure); }
    if (!self.done) { return std::unexpected(make_error_code(errc::handshake_pending)); }
    if (self.write_closed) { return std::unexpected(make_error_code(errc::closed)); }
    if (data.empty()) { return {}; }
    ERR_clear_error();
    std::size_t written = 0;
    if (SSL_write_ex(self.ssl.get(), data.data(), data.size(), &written) != 1 ||
        written != data.size()) {
        (void)self.take_reason();
        return self.fail(errc::internal);
    }
    return {};
}

void engine::close_notify() {
    state& self = *state_;
    if (self.failure || !self.done || self.write_closed) { return; }
    self.write_closed = true;
    ERR_clear_error();
    // 0 is the usual answer: sent, and the peer's own is not there yet.
    if (SSL_shutdown(self.ssl.get()) < 0) { (void)self.take_reason(); }
}

std::size_t engine::output_size() const noexcept { return BIO_ctrl_pending(state_->output); }

buffer engine::take_output() {
    buffer out;
    take_output(out);
    return out;
}

void engine::take_output(buffer& out) {
    const std::size_t size = output_size();
    if (size == 0) { return; }
    if (out.spare() < size) { out.reserve(std::max(out.size() + size, out.capacity() * 2)); }
    std::size_t got = 0;
    const int result = BIO_read_ex(state_->output, out.spare_bytes().data(), size, &got);
    HEPH_ASSERT(result == 1 && got == size);
    (void)result;
    out.commit(got);
}

bool engine::handshake_done() const noexcept { return state_->done; }
bool engine::peer_closed() const noexcept { return state_->peer_closed; }
bool engine::failed() const noexcept { return state_->failure.has_value(); }
std::string_view engine::detail() const noexcept { return state_->detail; }

}  // namespace heph::rt::tls
