#pragma once

// The opening handshake of WebSocket (RFC 6455, 4), as far as it is about header fields.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <heph/http/headers.hpp>
#include <heph/http/request_head.hpp>
#include <heph/http/ws/protocol.hpp>

namespace heph::http::ws {

/// Says why a request is no handshake, with the status that answers it.
enum class handshake_error : std::uint8_t {
    not_asked_for,       ///< No `Upgrade: websocket` in a GET of HTTP/1.1: 426.
    wrong_version,       ///< `Sec-WebSocket-Version` is not 13: 426.
    bad_key,             ///< `Sec-WebSocket-Key` is not 16 bytes in base64: 400.
    has_body,            ///< A handshake has no body: 400.
    origin_not_allowed,  ///< A page of another origin: 403.
};

/// Gives what a server answers to a key: `Sec-WebSocket-Accept`.
[[nodiscard]] std::string accept_key(std::string_view key);

/// Checks a request (RFC 6455, 4.2.1) and gives its key.
[[nodiscard]] std::expected<std::string_view, handshake_error> read_handshake(
    const request_head& head);

/// Tells whether a request comes from a page of the site that it asks, or from no page at all:
/// `Origin` is missing, or names the host and port of the request.
[[nodiscard]] bool is_same_origin(const request_head& head);

/// Gives the first of our subprotocols that the client offers.
[[nodiscard]] std::optional<std::string_view> choose_subprotocol(
    const headers& offered, const std::vector<std::string>& ours);

/// How a side wants permessage-deflate.
struct deflate_options {
    bool server_no_context_takeover = false;  ///< Saves the server up to 256 KiB a connection.
    bool client_no_context_takeover = false;  ///< Saves the server up to 32 KiB a connection.
    int server_max_window_bits = 15;          ///< 9 to 15: less takes less memory.
    int client_max_window_bits = 15;
};

/// What became of `Sec-WebSocket-Extensions`.
struct deflate_agreement {
    deflate_parameters parameters;
    std::string field;  ///< What the answer says.
};

/// Takes the first offer of permessage-deflate that can be met (RFC 7692, 7.1); nothing when there
/// is none.
[[nodiscard]] std::optional<deflate_agreement> agree_on_deflate(const headers& offered,
                                                                const deflate_options& ours);

/// Gives what a client offers.
[[nodiscard]] std::string deflate_offer(const deflate_options& ours);

/// Reads what a server answered to `deflate_offer(ours)`. *Errors*: false: it says something that
/// was not offered, and the connection has to fail. Nothing is agreed on when the field is missing.
[[nodiscard]] std::expected<std::optional<deflate_parameters>, bool> read_deflate_answer(
    const headers& answered, const deflate_options& ours);

}  // namespace heph::http::ws
