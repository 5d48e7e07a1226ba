#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <system_error>
#include <utility>
#include <variant>

#include <heph/http/security.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/net/tcp.hpp>

namespace heph::http::detail {

/// A connection to a peer that is plain, or secured.
///
/// Its futures refer to it, or to its channel; it does not move while one is alive.
class peer_stream {
public:
    explicit peer_stream(rt::net::tcp_stream plain) noexcept : plain_(std::move(plain)) {}
    explicit peer_stream(std::unique_ptr<secure_channel> secured) noexcept
        : secured_(std::move(secured)) {}

    [[nodiscard]] bool is_secured() const noexcept { return secured_ != nullptr; }
    [[nodiscard]] rt::net::tcp_stream& socket() noexcept {
        return secured_ ? secured_->transport() : plain_;
    }
    [[nodiscard]] secure_channel* channel() noexcept { return secured_.get(); }

    /// Secures a plain connection. *Errors*: `security`'s; the connection is closed then.
    std::error_code secure(const server_security& security) {
        auto made = security.accept(std::move(plain_));
        if (!made) { return made.error(); }
        secured_ = std::move(*made);
        return {};
    }
    /// Gives a secured connection up, to secure it once more. *Requires*: `is_secured()`.
    [[nodiscard]] std::unique_ptr<secure_channel> release_channel() noexcept {
        return std::move(secured_);
    }
    /// Goes on in plain text, as what was received was no handshake.
    void give_security_up() noexcept {
        plain_ = std::move(secured_->transport());
        secured_.reset();
    }

    class [[nodiscard]] next_future {
    public:
        using value_type = std::expected<rt::net::chunk, std::error_code>;
        explicit next_future(peer_stream& stream) noexcept
            : secured_(stream.secured_.get()), plain_(stream.plain_.next()) {}
        polled<value_type> poll(const waker& waker) {
            return secured_ == nullptr ? plain_.poll(waker) : secured_->poll_next(waker);
        }

    private:
        secure_channel* secured_;
        rt::net::next_chunk_future plain_;
    };
    next_future next() noexcept { return next_future(*this); }

    class [[nodiscard]] send_future {
    public:
        using value_type = std::expected<rt::buffer, std::error_code>;
        send_future(peer_stream& stream, rt::buffer bytes) noexcept
            : how_(stream.secured_
                       ? state(std::in_place_type<secured>, stream.secured_.get(), std::move(bytes))
                       : state(std::in_place_type<rt::net::send_future>, stream.plain_,
                               std::move(bytes))) {}
        polled<value_type> poll(const waker& waker);
        /// Tells how many bytes a secured connection has taken.
        [[nodiscard]] std::size_t taken() const noexcept {
            const auto* const over = std::get_if<secured>(&how_);
            return over == nullptr ? 0 : over->taken;
        }

    private:
        struct secured {
            secured(secure_channel* over, rt::buffer all) noexcept
                : channel(over), bytes(std::move(all)) {}
            secure_channel* channel;
            rt::buffer bytes;
            std::size_t taken = 0;
        };
        using state = std::variant<rt::net::send_future, secured>;
        state how_;
    };
    send_future send_all(rt::buffer bytes) noexcept { return {*this, std::move(bytes)}; }

    /// Announces the end of what is sent, and ends that direction.
    class [[nodiscard]] shutdown_future {
    public:
        using value_type = std::error_code;
        explicit shutdown_future(peer_stream& stream) noexcept : stream_(&stream) {}
        polled<value_type> poll(const waker& waker);

    private:
        peer_stream* stream_;
    };
    shutdown_future shutdown() noexcept { return shutdown_future(*this); }

    /// Waits for the end of the handshake. *Requires*: `is_secured()`.
    class [[nodiscard]] handshake_future {
    public:
        using value_type = std::expected<void, std::error_code>;
        explicit handshake_future(peer_stream& stream) noexcept : channel_(stream.secured_.get()) {}
        polled<value_type> poll(const waker& waker) { return channel_->poll_handshake(waker); }

    private:
        secure_channel* channel_;
    };
    handshake_future handshake() noexcept { return handshake_future(*this); }

private:
    rt::net::tcp_stream plain_;  // Moved out once it is secured.
    std::unique_ptr<secure_channel> secured_;
};

inline polled<peer_stream::send_future::value_type> peer_stream::send_future::poll(
    const waker& waker) {
    if (auto* plain = std::get_if<rt::net::send_future>(&how_)) { return plain->poll(waker); }
    secured& over = std::get<secured>(how_);
    auto sent = over.channel->poll_send(over.bytes, over.taken, waker);
    if (!sent.is_ready()) { return pending; }
    if (!sent.value()) { return value_type(std::unexpect, sent.value().error()); }
    return value_type(std::move(over.bytes));
}

inline polled<std::error_code> peer_stream::shutdown_future::poll(const waker& waker) {
    if (!stream_->secured_) { return stream_->plain_.shutdown(rt::net::shutdown_how::send); }
    auto ended = stream_->secured_->poll_shutdown(waker);
    if (!ended.is_ready()) { return pending; }
    return ended.value() ? std::error_code() : ended.value().error();
}

}  // namespace heph::http::detail
