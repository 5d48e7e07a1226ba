#include <string>

#include <heph/rt/tls/error.hpp>

namespace heph::rt::tls {

namespace {

const char* message_of(errc error) noexcept {
    switch (error) {
        case errc::secret_too_short:
            return "the secret is shorter than 16 bytes: make one with "
                   "'head -c 32 /dev/urandom | base64'";
        case errc::secret_too_long:
            return "the secret is longer than 4096 bytes: is this the right file?";
        case errc::secret_exposed:
            return "the secret's file can be read or written by others: 'chmod 600' it";
        case errc::secret_not_a_file: return "the secret must come from a regular file";
        case errc::bad_identity: return "the identity of the secret must have 1 to 128 bytes";
        case errc::wrong_secret: return "the peer has another secret: give both sides the same one";
        case errc::no_common_secret:
            return "the peer offers no secret that is known here: both sides need the same secret "
                   "under the same identity";
        case errc::plain_text_peer:
            return "the peer sent plain text where TLS is expected: is it meant for another port?";
        case errc::not_tls:
            return "the peer sent bytes that are not TLS: is it meant for another port?";
        case errc::protocol_version:
            return "the peer does not speak TLS 1.3, and nothing older is accepted";
        case errc::handshake_failed: return "the TLS handshake failed";
        case errc::handshake_too_large:
            return "the peer's TLS handshake is too long to be an honest one";
        case errc::bad_record:
            return "a TLS record was damaged, forged or out of order: connect again";
        case errc::truncated:
            return "the connection was cut before the peer announced its end: connect again";
        case errc::unread_input:
            return "too much received data lies unread: read it before feeding more";
        case errc::handshake_pending:
            return "the TLS handshake is not done: feed the peer's bytes before writing";
        case errc::closed: return "this side announced its end before: nothing more can be written";
        case errc::internal: return "OpenSSL failed, out of memory perhaps";
    }
    return "unknown TLS error";
}

class tls_category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "heph.rt.tls"; }
    [[nodiscard]] std::string message(int value) const override {
        return message_of(static_cast<errc>(value));
    }
};

}  // namespace

const std::error_category& error_category() noexcept {
    static const tls_category category;
    return category;
}

std::error_code make_error_code(errc error) noexcept {
    return {static_cast<int>(error), error_category()};
}

}  // namespace heph::rt::tls
