#pragma once

// Messages over a WebSocket connection (RFC 6455).
//
//     while (auto message = co_await socket.receive()) {
//         const bool sent = co_await socket.send(std::move(*message));
//         if (!sent) { break; }
//     }

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <heph/http/ws/encoder.hpp>
#include <heph/http/ws/protocol.hpp>
#include <heph/inbox/future.hpp>

namespace heph::http::ws {

namespace detail {
class session;
}

/// How a connection is used.
struct socket_options {
    /// What the peer may send.
    ws::limits limits = {};
    /// How messages are cut and compressed.
    encoder_options sending = {};
    /// How long the peer may be silent before it is sent a ping; 0 for never.
    std::chrono::milliseconds ping_interval{30'000};
    /// How long it may be silent after that, before the connection is given up.
    std::chrono::milliseconds pong_timeout{20'000};
    /// How long the closing handshake may take.
    std::chrono::milliseconds close_timeout{5'000};
};

/// Says how a connection ended.
class ending {
public:
    ending() noexcept = default;
    ending(close_code code, std::string reason, bool clean, std::error_code failure = {})
        : reason_(std::move(reason)), failure_(failure), code_(code), clean_(clean) {}

    /// Gives the peer's code, or ours where the peer broke a rule: `protocol_error`,
    /// `invalid_payload`, `message_too_big`; `abnormal` when the connection was lost.
    [[nodiscard]] close_code code() const noexcept { return code_; }
    [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
    /// Tells whether both sides have sent a close frame.
    [[nodiscard]] bool was_clean() const noexcept { return clean_; }
    /// Gives what broke the connection: `timed_out`, `http::error::connection_lost`, ….
    [[nodiscard]] std::error_code failure() const noexcept { return failure_; }

private:
    std::string reason_;
    std::error_code failure_;
    close_code code_ = close_code::no_status;
    bool clean_ = false;
};

/// Waits for the next message. Borrows the socket. See `socket::receive`.
class [[nodiscard]] receive_future {
public:
    using value_type = std::optional<message>;
    explicit receive_future(detail::session& from) noexcept : from_(&from) {}
    polled<value_type> poll(const waker& waker);

private:
    detail::session* from_;
};

/// Sends a message. Borrows the socket. See `socket::send`.
class [[nodiscard]] send_future {
public:
    using value_type = bool;
    send_future(detail::session& to, message bytes) noexcept
        : to_(&to), message_(std::move(bytes)) {}
    polled<bool> poll(const waker& waker);

private:
    detail::session* to_;
    message message_;
    std::uint64_t until_ = 0;  // 0 while it is not queued.
};

/// Closes a connection. Borrows the socket. See `socket::close`.
class [[nodiscard]] close_future {
public:
    using value_type = void;
    close_future(detail::session& closed, close_code code, std::string reason) noexcept
        : closed_(&closed), reason_(std::move(reason)), code_(code) {}
    polled<void> poll(const waker& waker);

private:
    detail::session* closed_;
    std::string reason_;
    close_code code_;
};

/// A WebSocket connection.
///
/// Messages go both ways at the same time: one task may wait for `receive` and `send` together, by
/// `either`, `select` or `join`. Pings are answered, and sent where the peer is silent, while
/// something is waited for: a session that lives long should always be receiving. A stop of the
/// runtime closes the connection with `going_away`.
///
/// *Thread safety*: unsafe: used on its worker, by one task. *Lifetime*: its futures refer to it.
class [[nodiscard]] socket {
public:
    socket(std::unique_ptr<detail::session> session, std::string subprotocol,
           std::shared_ptr<void> owner = {}) noexcept;
    socket(socket&&) noexcept;
    socket& operator=(socket&&) = delete;
    /// Ends the connection at once; without a close frame, unless `close` was awaited.
    ~socket();

    /// Waits for the next message; gives nothing when the connection has ended, whatever the cause,
    /// each time from then on. *Cancellation*: no message is lost.
    receive_future receive() noexcept { return receive_future(*session_); }

    /// Sends a message. Completes when the kernel has taken it: a slow peer slows the sender down.
    /// Gives false when the connection is closing or has ended, so that it was not sent, or maybe
    /// not. *Requires*: a text is UTF-8. *Cancellation*: nothing was sent, or the message is sent
    /// whole by whatever is awaited of this socket next.
    send_future send(message what) noexcept { return {*session_, std::move(what)}; }
    send_future send_text(std::string text) noexcept {
        return send(message::text(std::move(text)));
    }
    send_future send_binary(std::string bytes) noexcept {
        return send(message::binary(std::move(bytes)));
    }

    /// Queues a message, to be sent by whatever is awaited next, when less than 64 KiB are queued;
    /// gives false otherwise, or when the connection is not open. For those who would rather leave
    /// a message out than wait for a slow peer. *Requires*: a text is UTF-8.
    [[nodiscard]] bool try_send(message_kind kind, std::string_view payload);

    /// Ends the connection in order: sends a close frame behind what was sent, waits for the
    /// peer's, at most for `close_timeout`, and drops what comes before that.
    /// *Cancellation*: the close frame is sent nevertheless, by what is awaited next.
    close_future close(close_code code = close_code::normal, std::string reason = {}) noexcept {
        return {*session_, code, std::move(reason)};
    }

    /// Tells whether messages can still be sent.
    [[nodiscard]] bool is_open() const noexcept;
    /// Says how the connection ended. *Requires*: `receive` gave nothing, or `close` completed.
    [[nodiscard]] const ws::ending& end() const noexcept;
    /// Gives the subprotocol that both sides agreed on; empty when there is none.
    [[nodiscard]] const std::string& subprotocol() const noexcept { return subprotocol_; }

private:
    std::shared_ptr<void> owner_;  // Of what the session uses; destroyed behind it.
    std::unique_ptr<detail::session> session_;
    std::string subprotocol_;
};

}  // namespace heph::http::ws
