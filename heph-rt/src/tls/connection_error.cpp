// What OpenSSL's reasons for the end of a connection mean for its user.

#include "engine_state.hpp"

namespace heph::rt::tls {

namespace {

// Alerts that a peer sends have these reasons.
constexpr int alert(int description) noexcept { return SSL_AD_REASON_OFFSET + description; }

errc secret_error(int reason, errc otherwise) noexcept {
    switch (reason) {
        case SSL_R_BINDER_DOES_NOT_VERIFY:
        case alert(SSL_AD_ILLEGAL_PARAMETER):  // What OpenSSL answers to a wrong binder, and
        case alert(SSL_AD_DECRYPT_ERROR):      // what RFC 8446 section 4.2.11 asks for.
            return errc::wrong_secret;
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        case SSL_R_NO_CERTIFICATE_SET:
        case SSL_R_NO_CERTIFICATE_ASSIGNED:
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
        case alert(SSL_AD_HANDSHAKE_FAILURE):
        case alert(SSL_AD_UNKNOWN_PSK_IDENTITY):
        case alert(SSL_AD_CERTIFICATE_REQUIRED): return errc::no_common_secret;
        default: return otherwise;
    }
}

errc verify_error(long result) noexcept {
    switch (result) {
        case X509_V_ERR_CERT_HAS_EXPIRED: return errc::certificate_expired;
        case X509_V_ERR_CERT_NOT_YET_VALID: return errc::certificate_not_yet_valid;
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH: return errc::host_mismatch;
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_CERT_UNTRUSTED: return errc::unknown_authority;
        case X509_V_ERR_CERT_REVOKED: return errc::certificate_revoked;
        case X509_V_ERR_UNABLE_TO_GET_CRL:
        case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
        case X509_V_ERR_CRL_SIGNATURE_FAILURE:
        case X509_V_ERR_CRL_NOT_YET_VALID:
        case X509_V_ERR_CRL_HAS_EXPIRED:
        case X509_V_ERR_DIFFERENT_CRL_SCOPE:
        case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN: return errc::revocation_unknown;
        default: return errc::bad_certificate;
    }
}

errc certificate_error(int reason, long verified, errc otherwise) noexcept {
    switch (reason) {
        case SSL_R_CERTIFICATE_VERIFY_FAILED: return verify_error(verified);
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return errc::no_peer_certificate;
        case SSL_R_EE_KEY_TOO_SMALL:
        case SSL_R_CA_KEY_TOO_SMALL:
        case SSL_R_CA_MD_TOO_WEAK: return errc::bad_certificate;
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        case SSL_R_NO_SUITABLE_GROUPS:
        case SSL_R_NO_SUITABLE_KEY_SHARE: return errc::no_shared_cipher;
        case SSL_R_NO_APPLICATION_PROTOCOL:
        case alert(SSL_AD_NO_APPLICATION_PROTOCOL): return errc::no_shared_protocol;
        case alert(SSL_AD_CERTIFICATE_REQUIRED): return errc::certificate_required;
        case alert(SSL_AD_BAD_CERTIFICATE):
        case alert(SSL_AD_UNSUPPORTED_CERTIFICATE):
        case alert(SSL_AD_CERTIFICATE_REVOKED):
        case alert(SSL_AD_CERTIFICATE_EXPIRED):
        case alert(SSL_AD_CERTIFICATE_UNKNOWN):
        case alert(SSL_AD_ACCESS_DENIED):
        case alert(SSL_AD_UNKNOWN_CA): return errc::certificate_refused;
        default: return otherwise;
    }
}

}  // namespace

errc engine::state::error_of(int reason, errc otherwise) const noexcept {
    // Later it is one record that is wrong, whatever OpenSSL calls it.
    switch (done ? 0 : reason) {
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_VERSION_TOO_LOW:
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_WRONG_SSL_VERSION:
        case alert(SSL_AD_PROTOCOL_VERSION): return errc::protocol_version;
        default: break;
    }
    if (traits.by_secret) { return done ? otherwise : secret_error(reason, otherwise); }
    return certificate_error(reason, SSL_get_verify_result(ssl.get()), otherwise);
}

}  // namespace heph::rt::tls
