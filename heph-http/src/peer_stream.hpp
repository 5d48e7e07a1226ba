#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

#include <heph/http/security.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/net/send_file.hpp>
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
        send_future(peer_stream& stream, rt::buffer&& bytes) noexcept
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
            secured(secure_channel* over, rt::buffer&& all) noexcept
                : channel(over), bytes(std::move(all)) {}
            secure_channel* channel;
            rt::buffer bytes;
            std::size_t taken = 0;
        };
        using state = std::variant<rt::net::send_future, secured>;
        state how_;
    };
    send_future send_all(rt::buffer&& bytes) noexcept { return {*this, std::move(bytes)}; }

    /// Tells whether a file of so many bytes can be sent by `send_file`.
    [[nodiscard]] bool takes_file(std::uint64_t bytes) noexcept {
        return secured_ == nullptr || secured_->takes_file(bytes);
    }
    /// Sends a part of a file from the kernel's memory, as `rt::net::send_file` does.
    class [[nodiscard]] file_future {
    public:
        using value_type = std::expected<std::uint64_t, std::error_code>;
        file_future(peer_stream& stream, const rt::fs::file& from, std::uint64_t offset,
                    std::uint64_t count)
            : channel_(stream.secured_.get()), from_(&from), offset_(offset), count_(count) {
            if (channel_ == nullptr) {
                plain_.emplace(rt::net::send_file(stream.plain_, from, offset, count));
            }
        }
        file_future(file_future&& other) noexcept
            : channel_(other.channel_),
              from_(other.from_),
              offset_(other.offset_),
              count_(other.count_),
              plain_(std::move(other.plain_)),
              active_(std::exchange(other.active_, false)) {}
        file_future& operator=(file_future&&) = delete;
        ~file_future() {
            if (active_) { channel_->drop_file(); }
        }
        polled<value_type> poll(const waker& waker) {
            if (plain_) { return plain_->poll(waker); }
            auto sent = channel_->poll_send_file(*from_, offset_, count_, waker);
            active_ = !sent.is_ready();
            return sent;
        }

    private:
        secure_channel* channel_;
        const rt::fs::file* from_;
        std::uint64_t offset_;
        std::uint64_t count_;
        std::optional<rt::io_future<std::uint64_t>> plain_;
        bool active_ = false;
    };
    /// *Requires*: `takes_file`. *Lifetime*: stream and file outlive it.
    file_future send_file(const rt::fs::file& from, std::uint64_t offset, std::uint64_t count) {
        return {*this, from, offset, count};
    }

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
