#include <string>

#include <heph/http/error.hpp>

namespace heph::http {

namespace {

struct description {
    http::status status;
    std::string_view message;
};

description describe(error value) noexcept {
    switch (value) {
        case error::bad_request_line:
            return {status::bad_request, "The request line is not METHOD SP target SP HTTP/1.1."};
        case error::unknown_method:
            return {status::not_implemented, "The request method is not known here."};
        case error::bad_target:
            return {status::bad_request,
                    "The request target is not valid, or not allowed with this method."};
        case error::bad_percent_encoding:
            return {status::bad_request, "The request target has broken percent-encoding."};
        case error::target_too_long:
            return {status::uri_too_long, "The request line is longer than is taken here."};
        case error::unsupported_version:
            return {status::http_version_not_supported,
                    "Only HTTP/1.0 and HTTP/1.1 are spoken here."};
        case error::tls_on_plain_port:
            return {status::bad_request, "This port speaks plain HTTP, not TLS."};
        case error::plain_on_tls_port:
            return {status::bad_request, "This port speaks TLS, not plain HTTP: use https://."};
        case error::bad_status_line:
            return {status::bad_gateway, "The status line is not HTTP/1.1 SP code SP reason."};
        case error::too_many_interim_responses:
            return {status::bad_gateway, "There are more interim responses than make sense."};
        case error::bad_line_ending:
            return {status::bad_request,
                    "A line has a control character, or does not end in CR LF."};
        case error::bad_header_name:
            return {status::bad_request, "A header line is not a name, a colon and a value."};
        case error::space_before_colon:
            return {status::bad_request,
                    "There is white space between a header's name and its colon."};
        case error::folded_header:
            return {status::bad_request,
                    "A header line begins with white space: folded headers are not taken."};
        case error::bad_header_value:
            return {status::bad_request, "A header value has a control character."};
        case error::head_too_large:
            return {status::request_header_fields_too_large,
                    "The header section is larger than is taken here."};
        case error::too_many_headers:
            return {status::request_header_fields_too_large,
                    "There are more header fields than are taken here."};
        case error::missing_host:
            return {status::bad_request, "An HTTP/1.1 request needs a Host header."};
        case error::repeated_host:
            return {status::bad_request, "There is more than one Host header."};
        case error::bad_host:
            return {status::bad_request,
                    "The Host header or the target's authority is not a valid host and port."};
        case error::unknown_expectation:
            return {status::expectation_failed,
                    "The only expectation that is known here is 100-continue."};
        case error::bad_content_length:
            return {status::bad_request, "The Content-Length is not one decimal number."};
        case error::repeated_content_length:
            return {status::bad_request, "There is more than one Content-Length header."};
        case error::length_and_transfer_encoding:
            return {status::bad_request,
                    "There are both a Content-Length and a Transfer-Encoding."};
        case error::bad_transfer_encoding:
            return {status::bad_request,
                    "The Transfer-Encoding is malformed, or does not end in chunked."};
        case error::unknown_transfer_encoding:
            return {status::not_implemented,
                    "The only transfer coding that is known here is chunked."};
        case error::transfer_encoding_in_http_1_0:
            return {status::bad_request, "HTTP/1.0 has no Transfer-Encoding."};
        case error::bad_chunk: return {status::bad_request, "The chunked body is malformed."};
        case error::chunk_extension_too_long:
            return {status::bad_request, "A chunk extension is longer than is taken here."};
        case error::trailers_too_large:
            return {status::request_header_fields_too_large,
                    "The trailer section is larger than is taken here."};
        case error::body_too_large:
            return {status::content_too_large, "The body is larger than is taken here."};
        case error::too_many_fields:
            return {status::content_too_large,
                    "There are more fields in the form than are taken here."};
        case error::bad_multipart:
            return {status::bad_request, "The form is not multipart/form-data as RFC 7578 has it."};
        case error::unknown_content_encoding:
            return {status::unsupported_media_type,
                    "The Content-Encoding names a coding that is not known here, or too many."};
        case error::bad_content_encoding:
            return {status::bad_request,
                    "The body is broken, cut off, or not what its Content-Encoding says."};
        case error::decompression_bomb:
            return {status::content_too_large,
                    "The body is compressed further than honest content is."};
        case error::head_timed_out:
            return {status::request_timeout, "The request's head took too long to arrive."};
        case error::body_timed_out:
            return {status::request_timeout, "The request's body arrives too slowly."};
        case error::connection_lost:
            return {status::bad_request, "The connection ended in the middle of a message."};
        case error::too_many_connections:
            return {status::service_unavailable,
                    "The server has as many connections as it takes; try again later."};
        case error::too_many_connections_of_address:
            return {status::service_unavailable,
                    "There are as many connections from this address as the server takes; try "
                    "again later."};
        case error::too_many_requests_at_once:
            return {status::service_unavailable,
                    "The server answers as many requests as it can at a time; try again later."};
        case error::handler_failed:
            return {status::internal_server_error, "The server failed to answer this request."};
        case error::bad_outgoing_request:
            return {status::internal_server_error,
                    "The request could not be sent: a header or the target would break it, or the "
                    "body is not as long as was said."};
        case error::unsupported_scheme:
            return {status::bad_gateway,
                    "This client speaks plain http only: it was set up without TLS."};
        case error::unknown_host:
            return {status::bad_gateway, "There is no address for this host."};
        case error::proxy_authentication_required:
            return {status::bad_gateway,
                    "The proxy wants other credentials than this client has for it."};
        case error::proxy_refused:
            return {status::bad_gateway, "The proxy does not open a tunnel to this host."};
        case error::bad_response:
            return {status::internal_server_error, "The server's answer could not be sent."};
        case error::bad_handshake:
            return {status::bad_gateway,
                    "The server did not switch to WebSocket as RFC 6455 has it."};
        case error::unasked_upgrade:
            return {status::bad_gateway,
                    "The server switched to another protocol, which it was not asked for."};
        case error::bad_socks_answer:
            return {status::bad_gateway, "The proxy's answer is not SOCKS 5 as RFC 1928 has it."};
        case error::socks_failed:
            return {status::bad_gateway,
                    "The SOCKS proxy failed to connect to the host, and does not say why."};
        case error::socks_not_allowed:
            return {status::bad_gateway,
                    "The SOCKS proxy's rules do not allow a connection to the host."};
        case error::socks_network_unreachable:
            return {status::bad_gateway, "The SOCKS proxy cannot reach the host's network."};
        case error::socks_host_unreachable:
            return {status::bad_gateway,
                    "The SOCKS proxy cannot reach the host, or finds no address for it."};
        case error::socks_connection_refused:
            return {status::bad_gateway, "The host refused the SOCKS proxy's connection."};
        case error::socks_ttl_expired:
            return {
                status::bad_gateway,
                "The SOCKS proxy's connection to the host did not arrive in time (TTL expired)."};
        case error::socks_command_unsupported:
            return {status::bad_gateway, "The SOCKS proxy does not know the command CONNECT."};
        case error::socks_address_unsupported:
            return {status::bad_gateway,
                    "The SOCKS proxy does not take this type of address: try socks5h:// for names, "
                    "or socks5://."};
        case error::no_free_connection:
            return {status::service_unavailable,
                    "All connections to this server were in use for as long as this client waits "
                    "for one: there are more requests at once than they carry, or answers are held "
                    "and not read to their ends."};
    }
    return {status::internal_server_error, "An error that has no description."};
}

class category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "heph.http"; }
    [[nodiscard]] std::string message(int value) const override {
        return std::string(describe(static_cast<error>(value)).message);
    }
};

}  // namespace

status status_of(error value) noexcept { return describe(value).status; }

bool should_close(error value) noexcept {
    return value != error::too_many_requests_at_once && value != error::handler_failed &&
           value != error::bad_response && value != error::too_many_fields &&
           value != error::bad_multipart && value != error::unknown_content_encoding &&
           value != error::bad_content_encoding && value != error::decompression_bomb;
}

std::string_view message(error value) noexcept { return describe(value).message; }

const std::error_category& error_category() noexcept {
    static const category instance;
    return instance;
}

std::error_code make_error_code(error value) noexcept {
    return {static_cast<int>(value), error_category()};
}

}  // namespace heph::http
