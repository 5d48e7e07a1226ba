#pragma once

#include <cstdint>
#include <string_view>
#include <system_error>

#include <heph/http/status.hpp>

namespace heph::http {

/// Names everything that can go wrong with a message or its connection.
enum class error : std::uint8_t {
    // The request line.
    bad_request_line = 1,
    unknown_method,
    bad_target,
    bad_percent_encoding,
    target_too_long,
    unsupported_version,
    tls_on_plain_port,
    plain_on_tls_port,
    // The status line.
    bad_status_line,
    too_many_interim_responses,
    // The header section.
    bad_line_ending,
    bad_header_name,
    space_before_colon,
    folded_header,
    bad_header_value,
    head_too_large,
    too_many_headers,
    missing_host,
    repeated_host,
    bad_host,
    unknown_expectation,
    // Framing of the body.
    bad_content_length,
    repeated_content_length,
    length_and_transfer_encoding,
    bad_transfer_encoding,
    unknown_transfer_encoding,
    transfer_encoding_in_http_1_0,
    bad_chunk,
    chunk_extension_too_long,
    trailers_too_large,
    body_too_large,
    // What the body says.
    too_many_fields,
    bad_multipart,
    unknown_content_encoding,
    bad_content_encoding,
    decompression_bomb,
    // The connection.
    head_timed_out,
    body_timed_out,
    connection_lost,
    too_many_connections,
    too_many_connections_of_address,
    too_many_requests_at_once,
    // Our side.
    handler_failed,
    bad_outgoing_request,
    unsupported_scheme,
    unknown_host,
    proxy_authentication_required,
    proxy_refused,
    bad_response,
    bad_handshake,
    unasked_upgrade,
    // What a SOCKS proxy says.
    bad_socks_answer,
    socks_failed,
    socks_not_allowed,
    socks_network_unreachable,
    socks_host_unreachable,
    socks_connection_refused,
    socks_ttl_expired,
    socks_command_unsupported,
    socks_address_unsupported,
    // The client's own pool.
    no_free_connection,
};

/// Gives the status that answers the error.
[[nodiscard]] status status_of(error value) noexcept;

/// Tells whether the connection has to be closed after the answer, because where the next request
/// begins is not known for certain, or because the peer cannot be waited for.
[[nodiscard]] bool should_close(error value) noexcept;

/// Gives a sentence that says what is wrong, fit to be shown to the peer.
[[nodiscard]] std::string_view message(error value) noexcept;

/// Gives the category of `error` as `std::error_code`, named "heph.http".
[[nodiscard]] const std::error_category& error_category() noexcept;

/// Makes an error code of an `error`.
[[nodiscard]] std::error_code make_error_code(error value) noexcept;

}  // namespace heph::http

template <>
struct std::is_error_code_enum<heph::http::error> : std::true_type {};
