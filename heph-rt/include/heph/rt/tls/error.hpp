#pragma once

// What can go wrong between two ends of a secured connection.

#include <system_error>

namespace heph::rt::tls {

/// Names the failures of a secured connection. Each one's message says what to do about it.
enum class errc {
    /// The secret has fewer than `secret::bytes_min` bytes.
    secret_too_short = 1,
    /// The secret has more than `secret::bytes_max` bytes.
    secret_too_long,
    /// The secret's file may be read or written by others than its owner.
    secret_exposed,
    /// The secret's file is not a regular file.
    secret_not_a_file,
    /// The identity is empty or longer than 128 bytes.
    bad_identity,
    /// The two sides do not have the same secret.
    wrong_secret,
    /// The peer names another secret, or authenticates by something else than a shared secret.
    no_common_secret,
    /// The peer sent readable text, such as an HTTP request, where TLS was expected.
    plain_text_peer,
    /// The peer sent bytes that are not TLS.
    not_tls,
    /// The peer speaks no version of TLS that is accepted here.
    protocol_version,
    /// The handshake failed for another reason; `engine::detail()` has OpenSSL's word for it.
    handshake_failed,
    /// The peer's handshake is longer than any honest one.
    handshake_too_large,
    /// A record was changed on its way, is out of order, or breaks the protocol.
    bad_record,
    /// The stream ended without the peer's word that this is the end.
    truncated,
    /// More input was fed than may lie unread: call `read` first.
    unread_input,
    /// Data was written before the handshake was done.
    handshake_pending,
    /// The writing side was closed before.
    closed,
    /// OpenSSL could not do what must always work, such as getting memory.
    internal,
    /// The peer's certificate, or one that it depends on, has expired.
    certificate_expired,
    /// The peer's certificate is not valid yet.
    certificate_not_yet_valid,
    /// Nobody who is trusted here vouches for the peer's certificate.
    unknown_authority,
    /// The peer's certificate is for other names than the one asked for.
    host_mismatch,
    /// The peer's certificate is not acceptable for another reason, such as a weak key.
    bad_certificate,
    /// The peer has to show a certificate, and showed none.
    no_peer_certificate,
    /// The peer asks for a certificate, and this side has none.
    certificate_required,
    /// The peer did not accept this side's certificate.
    certificate_refused,
    /// The two sides have no protocol in common (ALPN).
    no_shared_protocol,
    /// The two sides have no cipher in common.
    no_shared_cipher,
    /// What should be certificates in PEM form is none.
    bad_certificate_file,
    /// What should be a private key in PEM form is none, or its password is wrong.
    bad_key_file,
    /// The private key is not that of the certificate.
    key_mismatch,
    /// A server has no certificate to show.
    no_certificate,
    /// A server asks for certificates, and trusts no authority for them.
    no_client_authority,
    /// The name of a protocol (ALPN) has no bytes or more than 255.
    bad_protocol_name,
    /// What should be the name or address of a host is none.
    bad_host_name,
    /// The authority of the peer's certificate has taken it back.
    certificate_revoked,
    /// There is no list, or no valid one, that tells whether the peer's certificate was taken back.
    revocation_unknown,
    /// What should be lists of revoked certificates in PEM form is none.
    bad_revocation_file,
    /// The peer wants other keys than those that the kernel has, which cannot change them.
    key_update_refused,
};

/// Gives the category of `errc`, named "heph.rt.tls".
[[nodiscard]] const std::error_category& error_category() noexcept;

/// Makes an error code of an `errc`.
[[nodiscard]] std::error_code make_error_code(errc error) noexcept;

}  // namespace heph::rt::tls

template <>
struct std::is_error_code_enum<heph::rt::tls::errc> : std::true_type {};
