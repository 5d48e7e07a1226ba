#pragma once

// The words of WebSocket (RFC 6455).

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

namespace heph::http::ws {

/// Names the sides of a connection: a client masks what it sends, a server does not.
enum class role : std::uint8_t { client, server };

/// Names the kinds of frames (RFC 6455, 5.2).
enum class opcode : std::uint8_t {
    continuation = 0,
    text = 1,
    binary = 2,
    close = 8,
    ping = 9,
    pong = 10,
};

/// Names the kinds of messages.
enum class message_kind : std::uint8_t {
    text,    ///< UTF-8.
    binary,  ///< Any bytes.
};

/// Says why a connection ends (RFC 6455, 7.4.1, and the registry behind it). 3000 to 4999 are the
/// applications' own.
enum class close_code : std::uint16_t {
    normal = 1000,
    going_away = 1001,
    protocol_error = 1002,
    unsupported_data = 1003,
    no_status = 1005,  ///< Never sent: the peer gave no code.
    abnormal = 1006,   ///< Never sent: the connection ended without a close frame.
    invalid_payload = 1007,
    policy_violation = 1008,
    message_too_big = 1009,
    mandatory_extension = 1010,
    internal_error = 1011,
    service_restart = 1012,
    try_again_later = 1013,
    bad_gateway = 1014,
};

/// Tells whether a close frame may carry this code.
[[nodiscard]] constexpr bool is_sendable(close_code code) noexcept {
    const auto number = static_cast<unsigned>(code);
    return (number >= 1000 && number <= 1003) || (number >= 1007 && number <= 1014) ||
           (number >= 3000 && number <= 4999);
}

/// A message, whole.
class message {
public:
    message() noexcept = default;
    message(message_kind kind, std::string payload) noexcept
        : payload_(std::move(payload)), kind_(kind) {}

    /// Makes a message of text, in UTF-8.
    static message text(std::string payload) noexcept {
        return {message_kind::text, std::move(payload)};
    }
    /// Makes a message of any bytes.
    static message binary(std::string payload) noexcept {
        return {message_kind::binary, std::move(payload)};
    }

    [[nodiscard]] message_kind kind() const noexcept { return kind_; }
    [[nodiscard]] bool is_text() const noexcept { return kind_ == message_kind::text; }
    [[nodiscard]] const std::string& payload() const& noexcept { return payload_; }
    [[nodiscard]] std::string&& payload() && noexcept { return std::move(payload_); }

    bool operator==(const message&) const = default;

private:
    std::string payload_;
    message_kind kind_ = message_kind::text;
};

/// What a peer may send. Sizes are in bytes.
struct limits {
    /// Payload of one frame: 1009 beyond it. Frames take no memory of their own, so that there is
    /// no need for a limit beside the message's.
    std::size_t frame_bytes_max = std::numeric_limits<std::size_t>::max();
    /// Payload of all of a message's frames together, as it is given, that is decompressed: 1009.
    std::size_t message_bytes_max = 1024 * 1024;
};

/// What both sides agreed on for permessage-deflate (RFC 7692, 7.1).
struct deflate_parameters {
    bool server_no_context_takeover = false;  ///< The server forgets what it sent before.
    bool client_no_context_takeover = false;
    int server_max_window_bits = 15;  ///< 9 to 15: how far back the server refers.
    int client_max_window_bits = 15;
};

}  // namespace heph::http::ws
