#include <algorithm>
#include <cctype>
#include <new>
#include <utility>

#include <heph/rt/tls/engine.hpp>

#include "engine_state.hpp"

namespace heph::rt::tls {

namespace {

// Memory for output beyond this is not kept by an engine that has nothing to send.
constexpr std::size_t kept_bytes_max = 4 * 1024;

}  // namespace

int engine::state::take_reason() {
    const unsigned long code = ERR_peek_error();
    const char* reason = ERR_reason_error_string(code);
    if (reason != nullptr) { detail = reason; }
    const long verified = SSL_get_verify_result(ssl.get());
    if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK) {
        detail += ": ";
        detail += X509_verify_cert_error_string(verified);
    }
    ERR_clear_error();
    return ERR_GET_REASON(code);
}

std::expected<engine, std::error_code> engine::state::make(ssl_ptr ssl,
                                                           std::shared_ptr<const void> owner,
                                                           const engine_traits& traits) {
    auto made = std::make_unique<state>();
    made->owner = std::move(owner);
    made->ssl = std::move(ssl);
    made->traits = traits;
    made->traits.unread_bytes_max = std::max(traits.unread_bytes_max, record_bytes_max);
    BIO* bio = made->lines.make_bio();
    if (bio == nullptr) { return std::unexpected(make_error_code(errc::internal)); }
    SSL_set_bio(made->ssl.get(), bio, bio);
    if (traits.offload != kernel_offload::off) { made->follow_records(); }
    if (traits.is_client) {
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
    if (fed_bytes - lines.unread() > traits.handshake_bytes_max) {
        return fail(errc::handshake_too_large);
    }
    if (result == 1) {
        // Without the secret no handshake gets here; this would be a hole in our set-up.
        if (traits.by_secret && SSL_session_reused(ssl.get()) != 1) {
            return fail(errc::no_common_secret);
        }
        done = true;
        return {};
    }
    switch (SSL_get_error(ssl.get(), result)) {
        case SSL_ERROR_WANT_READ: return {};
        case SSL_ERROR_SSL: {
            const int reason = take_reason();
            return fail(error_of(reason, errc::handshake_failed));
        }
        case SSL_ERROR_ZERO_RETURN: return fail(errc::handshake_failed);
        default: (void)take_reason(); return fail(errc::internal);
    }
}

engine::engine(std::unique_ptr<state> made) noexcept : state_(std::move(made)) {}
engine::engine(engine&&) noexcept = default;
engine& engine::operator=(engine&&) noexcept = default;
engine::~engine() = default;

std::expected<void, std::error_code> engine::state::take(std::span<const std::byte> input,
                                                         bool in_place) {
    if (failure) { return fail(*failure); }
    if (input.empty()) { return {}; }
    const std::size_t unread = lines.unread();
    // Up to a record may be a part of one, which no reading gets rid of.
    if (unread > record_bytes_max && unread + input.size() > traits.unread_bytes_max) {
        return std::unexpected(make_error_code(errc::unread_input));
    }
    if (!checked_first_bytes) {
        if (auto checked = check_first_bytes(input); !checked) { return checked; }
    }
    try {
        // Of a handshake not everything is read now.
        in_place&& done ? lines.lend(input) : lines.feed(input);
    } catch (const std::bad_alloc&) { return fail(errc::internal); }
    if (done) { return {}; }
    fed_bytes += input.size();
    return handshake();
}

std::expected<void, std::error_code> engine::feed(std::span<const std::byte> input) {
    return state_->take(input, false);
}

std::expected<void, std::error_code> engine::feed_in_place(std::span<const std::byte> input) {
    return state_->take(input, true);
}

std::expected<void, std::error_code> engine::feed_end() {
    if (state_->failure) { return state_->fail(*state_->failure); }
    if (state_->peer_closed) { return {}; }
    return state_->fail(errc::truncated);
}

std::expected<std::size_t, std::error_code> engine::read(std::span<std::byte> out) {
    state& self = *state_;
    auto count = self.read(out);
    if (count && (*count != 0 || out.empty())) { return count; }
    // Who lent bytes has them back.
    try {
        self.lines.keep();
    } catch (const std::bad_alloc&) { return self.fail(errc::internal); }
    return count;
}

std::expected<std::size_t, std::error_code> engine::state::read(std::span<std::byte> out) {
    if (failure) { return fail(*failure); }
    if (!done || peer_closed || out.empty()) { return 0; }
    // Nothing is there of which OpenSSL does not know yet, and it has no whole record: to ask it
    // would cost as much as reading one.
    const auto is_exhausted = [this] { return lines.unread() == 0 && SSL_pending(ssl.get()) == 0; };
    if (is_exhausted()) { return 0; }
    ERR_clear_error();
    std::size_t total = 0;
    while (total < out.size() && !(total != 0 && is_exhausted())) {
        std::size_t got = 0;
        const int result = SSL_read_ex(ssl.get(), out.data() + total, out.size() - total, &got);
        if (result == 1) {
            total += got;
            continue;
        }
        const int error = SSL_get_error(ssl.get(), result);
        if (error == SSL_ERROR_WANT_READ) { break; }
        if (error == SSL_ERROR_ZERO_RETURN) {
            peer_closed = true;
            break;
        }
        const int reason = take_reason();
        // What was good before the bad record is given first; the next call tells of the error.
        auto failed = fail(error_of(reason, errc::bad_record));
        if (total != 0) { break; }
        return failed;
    }
    if (offloaded) { answer_key_update(); }
    return total;
}

std::expected<void, std::error_code> engine::write(std::span<const std::byte> data) {
    state& self = *state_;
    if (self.failure) { return self.fail(*self.failure); }
    if (!self.done) { return std::unexpected(make_error_code(errc::handshake_pending)); }
    if (self.write_closed) { return std::unexpected(make_error_code(errc::closed)); }
    if (data.empty()) { return {}; }
    if (self.offloaded) {
        try {
            self.lines.output().append(data);
        } catch (const std::bad_alloc&) { return self.fail(errc::internal); }
        return {};
    }
    self.lines.expect_output(data.size());
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

std::size_t engine::output_size() const noexcept { return state_->lines.output().size(); }

buffer engine::take_output() { return std::exchange(state_->lines.output(), buffer()); }

void engine::take_output(buffer& out) {
    buffer& pending = state_->lines.output();
    if (out.empty() && out.capacity() < pending.capacity()) {
        // Neither copies nor allocates: the memories change places.
        std::swap(out, pending);
        return;
    }
    out.append(std::as_const(pending).bytes());
    pending.clear();
    if (pending.capacity() > kept_bytes_max) { pending = buffer(); }
}

std::size_t engine::readable_bytes_max() const noexcept {
    if (!state_->done || state_->peer_closed || state_->failure) { return 0; }
    return state_->lines.unread() + static_cast<std::size_t>(SSL_pending(state_->ssl.get()));
}

bool engine::handshake_done() const noexcept { return state_->done; }
bool engine::peer_closed() const noexcept { return state_->peer_closed; }
bool engine::failed() const noexcept { return state_->failure.has_value(); }
std::string_view engine::detail() const noexcept { return state_->detail; }

std::string_view engine::protocol() const noexcept {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(state_->ssl.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
}

std::string_view engine::server_name() const noexcept {
    const char* name = SSL_get_servername(state_->ssl.get(), TLSEXT_NAMETYPE_host_name);
    return name != nullptr ? name : std::string_view();
}

std::string_view engine::version_name() const noexcept {
    return SSL_get_version(state_->ssl.get());
}

std::string_view engine::cipher_name() const noexcept {
    const SSL_CIPHER* cipher = SSL_get_current_cipher(state_->ssl.get());
    return state_->done && cipher != nullptr ? SSL_CIPHER_get_name(cipher) : std::string_view();
}

bool engine::is_resumed() const noexcept {
    return state_->done && SSL_session_reused(state_->ssl.get()) == 1;
}

}  // namespace heph::rt::tls
