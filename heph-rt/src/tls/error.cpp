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
            return "the peer speaks no version of TLS that is accepted here: has it been updated?";
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
        case errc::certificate_expired:
            return "the peer's certificate has expired: it has to be renewed (is the clock right?)";
        case errc::certificate_not_yet_valid:
            return "the peer's certificate is not valid yet: is the clock right?";
        case errc::unknown_authority:
            return "no authority that is trusted here vouches for the peer's certificate: trust "
                   "its authority, or have the peer send the whole chain";
        case errc::host_mismatch:
            return "the peer's certificate is for another name than the one asked for";
        case errc::bad_certificate: return "the peer's certificate is not acceptable";
        case errc::no_peer_certificate:
            return "the peer has to show a certificate, and showed none";
        case errc::certificate_required:
            return "the peer asks for a certificate: configure one for this side";
        case errc::certificate_refused:
            return "the peer does not accept this side's certificate: does it trust its authority?";
        case errc::no_shared_protocol:
            return "the two sides have no application protocol in common (ALPN)";
        case errc::no_shared_cipher: return "the two sides have no cipher in common";
        case errc::bad_certificate_file:
            return "this holds no certificates in PEM form (\"-----BEGIN CERTIFICATE-----\")";
        case errc::bad_key_file:
            return "this holds no private key in PEM form, or its password is wrong";
        case errc::key_mismatch: return "the private key is not that of the certificate";
        case errc::no_certificate: return "a TLS server needs a certificate";
        case errc::no_client_authority:
            return "a server that asks for certificates needs the authorities that it trusts";
        case errc::bad_protocol_name:
            return "the name of an application protocol must have 1 to 255 bytes";
        case errc::bad_host_name: return "this is neither the name nor the address of a host";
        case errc::certificate_revoked:
            return "the authority of the peer's certificate has taken it back";
        case errc::revocation_unknown:
            return "no valid list tells whether the peer's certificate was taken back: read the "
                   "lists of all its authorities again";
        case errc::bad_revocation_file:
            return "this has no lists of revoked certificates in PEM form, or a damaged one";
        case errc::key_update_refused:
            return "the peer wants new keys, and this kernel cannot change those it sends with: "
                   "use kernel_offload::automatic, or Linux 6.14";
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
