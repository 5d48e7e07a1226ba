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
    /// The peer does not speak TLS 1.3.
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
};

/// Gives the category of `errc`, named "heph.rt.tls".
[[nodiscard]] const std::error_category& error_category() noexcept;

/// Makes an error code of an `errc`.
[[nodiscard]] std::error_code make_error_code(errc error) noexcept;

}  // namespace heph::rt::tls

template <>
struct std::is_error_code_enum<heph::rt::tls::errc> : std::true_type {};
