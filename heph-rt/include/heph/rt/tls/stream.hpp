#pragma once

// TLS over a connection: an engine, driven over any byte stream.
//
//     auto stream = co_await tls::accept(std::move(tcp), server_context);
//     auto stream = co_await tls::connect(std::move(tcp), client_context, "example.org");
//     auto chunk = co_await stream->next();
//     auto sent = co_await stream->send_all(std::move(bytes));
//     auto whole = co_await stream->send_file(file, 0, size);
//     auto ended = co_await stream->shutdown();
//
// A handshake takes as long as the peer likes: put a `deadline` around it.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/stream.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/tls/config.hpp>
#include <heph/rt/tls/engine.hpp>

namespace heph::rt::tls {

namespace detail {

/// Drives an engine over a byte stream.
///
/// Invariants
///     1. Encrypted bytes leave in the order in which the engine made them, and are sent to their
///        end even when the future that had them made is gone: whatever is polled next goes on.
///     2. `sending_` is polled by one side at a time: by a sender while there is one, else by
///        whoever receives. One that only calls `poll_send` may be anywhere between two polls, so
///        that a receiver may come first: then `writer_` is woken when that is done, or given up.
///     3. The handshake is driven by whoever polls last, `driver_`, as the connection below wakes
///        only that one. All that wait for it are in `shaking_`. They are woken when it is done,
///        and when what it has to send is sent; all but the driver also when somebody gives up, as
///        that may have been the driver.
///     4. Once the kernel has the keys, `kernel_` is there. What the engine puts out is sent in the
///        kernel's records then, and behind it what the engine wants to be sent of other kinds;
///        nothing of it while the kernel sends a file, so that keys never change under one.
class session {
public:
    explicit session(engine secured) noexcept;
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    virtual ~session();

    [[nodiscard]] virtual net::byte_stream& transport() noexcept = 0;
    [[nodiscard]] tls::engine& secured() noexcept { return engine_; }

    using done = std::expected<void, std::error_code>;
    polled<done> poll_handshake(const waker& waker);
    polled<std::expected<buffer, std::error_code>> poll_recv(buffer& into, const waker& waker);
    polled<std::expected<net::chunk, std::error_code>> poll_next(const waker& waker);
    /// Encrypts what of `bytes` lies behind `taken`, bit by bit, and sends it.
    polled<done> poll_send(const buffer& bytes, std::size_t& taken, const waker& waker);
    polled<done> poll_shutdown(const waker& waker);
    /// Sends what the engine has made.
    polled<done> poll_flush(const waker& waker);

    /// Gives the kernel the keys to send with, for a file of so many bytes: if that is worth it,
    /// the configuration lets it, the kernel takes them and nothing waits to be sent. Tells whether
    /// it has them.
    [[nodiscard]] bool offload_for(std::uint64_t file_bytes) noexcept;
    [[nodiscard]] bool is_offloaded() const noexcept { return kernel_ != nullptr; }
    /// Has the kernel send a part of a file, as `net::send_file` does; goes on with the one that is
    /// under way. *Requires*: `is_offloaded()`. *Lifetime*: the file is there until this gave
    /// something, or `drop_file` was called.
    polled<std::expected<std::uint64_t, std::error_code>> poll_send_file(const fs::file& from,
                                                                         std::uint64_t offset,
                                                                         std::uint64_t count,
                                                                         const waker& waker);
    /// Gives up the file that is being sent, if there is one.
    void drop_file() noexcept;

    /// Has others drive the handshake: who did may be gone.
    void leave_handshake() noexcept {
        if (!shaking_.empty()) { wake_others(); }
        wake_writer(flusher_);
    }
    void set_sender(bool active) noexcept { has_sender_ = active; }

protected:
    /// Cancels what is being sent, before the connection is closed.
    void drop_sending() noexcept;

private:
    struct kernel_part;
    [[nodiscard]] bool has_unsent() const noexcept;
    [[nodiscard]] bool is_sending() const noexcept;
    [[nodiscard]] bool begin_sending();
    [[nodiscard]] bool begin_control();
    polled<std::expected<buffer, std::error_code>> poll_sending(const waker& waker);
    polled<done> drive_handshake(const waker& waker);
    void wake_shaking() noexcept;
    void wake_others() noexcept;
    void wait_as_writer(const waker& who);
    void wake_writer(const waker& unless) noexcept;
    polled<done> poll_fill(const waker& waker);
    polled<done> poll_readable(const waker& waker);

    tls::engine engine_;
    std::optional<net::send_future> sending_;
    std::unique_ptr<kernel_part> kernel_;
    buffer spare_;
    buffer scratch_;
    std::vector<waker> shaking_;
    waker driver_;
    waker writer_;   // Who waits in `poll_send` or `poll_send_file`.
    waker flusher_;  // Who polled `sending_` last, while it is not sent.
    std::error_code send_failure_;
    bool has_sender_ = false;
    bool ended_ = false;
};

template <std::derived_from<net::byte_stream> Transport>
class session_over final : public session {
public:
    session_over(Transport transport, engine secured) noexcept
        : session(std::move(secured)), transport_(std::move(transport)) {}
    ~session_over() override { drop_sending(); }
    [[nodiscard]] Transport& transport() noexcept override { return transport_; }

private:
    Transport transport_;
};

}  // namespace detail

namespace detail {

/// A future's way to its session, which it leaves when it is dropped.
class session_user {
public:
    explicit session_user(session& used) noexcept : session_(&used) {}
    session_user(session_user&& other) noexcept
        : session_(other.session_), polled_(std::exchange(other.polled_, false)) {}
    session_user& operator=(session_user&&) = delete;
    ~session_user() {
        if (polled_) { session_->leave_handshake(); }
    }
    /// Polls the session by `step`. Once that gave something, the session is not touched again.
    template <typename Step>
    auto poll(Step step) {
        polled_ = true;
        auto result = step(*session_);
        if (result.is_ready()) { polled_ = false; }
        return result;
    }

private:
    session* session_;
    bool polled_ = false;
};

}  // namespace detail

/// Waits until both sides have proved what they must. Borrows the stream.
class [[nodiscard]] handshake_future {
public:
    using value_type = std::expected<void, std::error_code>;
    explicit handshake_future(detail::session& session) noexcept : session_(session) {}
    polled<value_type> poll(const waker& waker) {
        return session_.poll([&](detail::session& used) { return used.poll_handshake(waker); });
    }

private:
    detail::session_user session_;
};

/// Receives into a buffer's spare room. Borrows the stream; see `basic_stream::recv`.
class [[nodiscard]] recv_future {
public:
    using value_type = std::expected<buffer, std::error_code>;
    recv_future(detail::session& session, buffer into) noexcept
        : session_(session), buffer_(std::move(into)) {}
    polled<value_type> poll(const waker& waker) {
        return session_.poll([&](detail::session& used) { return used.poll_recv(buffer_, waker); });
    }

private:
    detail::session_user session_;
    buffer buffer_;
};

/// Waits for the next bytes. Borrows the stream; see `basic_stream::next`.
class [[nodiscard]] next_future {
public:
    using value_type = std::expected<net::chunk, std::error_code>;
    explicit next_future(detail::session& session) noexcept : session_(session) {}
    polled<value_type> poll(const waker& waker) {
        return session_.poll([&](detail::session& used) { return used.poll_next(waker); });
    }

private:
    detail::session_user session_;
};

/// Sends a buffer's bytes. Borrows the stream; see `basic_stream::send_all`.
class [[nodiscard]] send_future {
public:
    using value_type = std::expected<buffer, std::error_code>;
    send_future(detail::session& session, buffer bytes) noexcept
        : session_(&session), buffer_(std::move(bytes)) {}
    send_future(send_future&& other) noexcept
        : session_(other.session_),
          buffer_(std::move(other.buffer_)),
          taken_(other.taken_),
          active_(std::exchange(other.active_, false)) {}
    send_future& operator=(send_future&&) = delete;
    ~send_future() {
        if (!active_) { return; }
        session_->set_sender(false);
        session_->leave_handshake();
    }
    polled<value_type> poll(const waker& waker);

private:
    detail::session* session_;
    buffer buffer_;
    std::size_t taken_ = 0;
    bool active_ = false;
};

/// Announces the end. Borrows the stream; see `basic_stream::shutdown`.
class [[nodiscard]] shutdown_future {
public:
    using value_type = std::expected<void, std::error_code>;
    explicit shutdown_future(detail::session& session) noexcept : session_(&session) {}
    shutdown_future(shutdown_future&& other) noexcept
        : session_(other.session_), active_(std::exchange(other.active_, false)) {}
    shutdown_future& operator=(shutdown_future&&) = delete;
    ~shutdown_future() {
        if (!active_) { return; }
        session_->set_sender(false);
        session_->leave_handshake();
    }
    polled<value_type> poll(const waker& waker);

private:
    detail::session* session_;
    bool active_ = false;
};

namespace detail {

/// Sends a part of a file over a session. *Lifetime*: session and file outlive it.
task<std::expected<std::uint64_t, std::error_code>> send_file(session* over, const fs::file* from,
                                                              std::uint64_t offset,
                                                              std::uint64_t count);

}  // namespace detail

/// A secured connection over which bytes flow both ways, in order.
///
/// One receive and one send may be under way at a time, each from any task of the same worker. All
/// of them shake hands first when that was not done. Destroying it closes the connection without
/// telling the peer that this is the end, which the peer has to take for an attack: call `shutdown`
/// when all was sent.
///
/// *Errors*: `tls::errc`, and those of the connection.
/// *Thread safety*: unsafe. It may be moved to another worker before its first use.
/// *Lifetime*: its futures that gave nothing yet must be gone before it is, also those that were
/// given up by a `deadline`.
template <std::derived_from<net::byte_stream> Transport>
class [[nodiscard]] basic_stream {
public:
    /// Puts an engine over a connection. *Errors*: throws `std::bad_alloc`.
    basic_stream(Transport transport, engine secured)
        : session_(std::make_unique<detail::session_over<Transport>>(std::move(transport),
                                                                     std::move(secured))) {}

    /// Waits until the handshake is done; at once when it is. When it fails, the peer is told why.
    /// *Cancellation*: loses nothing: the next call goes on.
    handshake_future handshake() noexcept { return handshake_future(*session_); }

    /// Receives into the buffer's spare room (`std::errc::invalid_argument` when it has none) and
    /// gives it back; when it has not grown, the peer announced the end.
    /// *Errors*: `truncated` when the connection ended without that: what came may be not all.
    /// *Cancellation*: loses nothing but the buffer.
    recv_future recv(buffer into) noexcept { return recv_future(*session_, std::move(into)); }

    /// Waits for the next bytes. An empty chunk is the announced end, given each time from then on.
    /// *Errors*: as `recv`. *Cancellation*: loses nothing.
    next_future next() noexcept { return next_future(*session_); }

    /// Sends all of the buffer's bytes, and gives the buffer back.
    /// *Cancellation*: a part may be sent; the stream can be used on, and what was encrypted leaves
    /// with what is done next.
    send_future send_all(buffer bytes) noexcept { return send_future(*session_, std::move(bytes)); }

    /// Sends `count` bytes of a file from `offset` on, or what there is of them. Gives how many
    /// were sent: fewer than asked for if the file ends before.
    ///
    /// The kernel encrypts them straight from its page cache where it has TLS, see
    /// `kernel_offload`; else they are read piece by piece. *Errors*: those of reading the file and
    /// of sending, as of `net::send_file`. *Cancellation*: a part may have been sent, and on a
    /// thread more may follow for a moment: what is left to do then is to close. *Lifetime*: stream
    /// and file outlive the task.
    task<std::expected<std::uint64_t, std::error_code>> send_file(const fs::file& file,
                                                                  std::uint64_t offset,
                                                                  std::uint64_t count) {
        return detail::send_file(session_.get(), &file, offset, count);
    }
    /// Tells whether the kernel encrypts what is sent from now on.
    [[nodiscard]] bool is_offloaded() const noexcept { return session_->is_offloaded(); }

    /// Announces that nothing more will be sent (`close_notify`), sends that, and ends the sending
    /// direction of the connection. The peer's data may still be received.
    shutdown_future shutdown() noexcept { return shutdown_future(*session_); }

    /// Is the step of which sending is made, for who keeps the bytes itself: encrypts and sends
    /// what of `bytes` lies behind the first `taken`, and counts there what was encrypted.
    polled<std::expected<void, std::error_code>> poll_send(const buffer& bytes, std::size_t& taken,
                                                           const waker& waker) {
        return session_->poll_send(bytes, taken, waker);
    }

    /// Has the kernel encrypt what is sent from now on, as `send_file` does by itself, if it can
    /// and may, a file of so many bytes is worth it, and nothing is being sent. Tells whether it
    /// does.
    [[nodiscard]] bool offload_for(std::uint64_t file_bytes) noexcept {
        return session_->offload_for(file_bytes);
    }
    /// Is the step of which sending files is made where `is_offloaded()`: sends what there is of
    /// `count` bytes from `offset` on, and gives how many. Goes on with the file that is being
    /// sent, until it gave something or `drop_file` was called, which is how to give it up.
    polled<std::expected<std::uint64_t, std::error_code>> poll_send_file(const fs::file& file,
                                                                         std::uint64_t offset,
                                                                         std::uint64_t count,
                                                                         const waker& waker) {
        return session_->poll_send_file(file, offset, count, waker);
    }
    void drop_file() noexcept { session_->drop_file(); }

    /// Gives the engine, which knows the peer, the protocol and the cipher.
    [[nodiscard]] const tls::engine& secured() const noexcept { return session_->secured(); }
    /// Gives the connection below, for its addresses and options.
    [[nodiscard]] Transport& transport() noexcept { return session_->transport(); }
    /// Gives the connection below up, as after a handshake that failed because the peer speaks
    /// something else. *Requires*: no operation is under way; the stream is not used again.
    [[nodiscard]] Transport release() noexcept { return std::move(session_->transport()); }

private:
    std::unique_ptr<detail::session_over<Transport>> session_;
};

/// TLS over TCP.
using stream = basic_stream<net::tcp_stream>;

/// Shakes hands as a server, and gives the secured connection.
/// *Errors*: those of the handshake, and of the connection. *Cancellation*: closes the connection.
template <std::derived_from<net::byte_stream> Transport>
task<std::expected<basic_stream<Transport>, std::error_code>> accept(Transport transport,
                                                                     server_context context) {
    using result = std::expected<basic_stream<Transport>, std::error_code>;
    auto secured = context.accept();
    if (!secured) { co_return result(std::unexpect, secured.error()); }
    basic_stream<Transport> made(std::move(transport), std::move(*secured));
    const auto done = co_await made.handshake();
    if (!done) { co_return result(std::unexpect, done.error()); }
    co_return result(std::move(made));
}

/// Shakes hands as a client with the host of this name or address, and gives the secured
/// connection. *Errors*: as `accept`, and `bad_host_name`. *Cancellation*: closes the connection.
template <std::derived_from<net::byte_stream> Transport>
task<std::expected<basic_stream<Transport>, std::error_code>> connect(Transport transport,
                                                                      client_context context,
                                                                      std::string host) {
    using result = std::expected<basic_stream<Transport>, std::error_code>;
    auto secured = context.connect(host);
    if (!secured) { co_return result(std::unexpect, secured.error()); }
    basic_stream<Transport> made(std::move(transport), std::move(*secured));
    const auto done = co_await made.handshake();
    if (!done) { co_return result(std::unexpect, done.error()); }
    co_return result(std::move(made));
}

}  // namespace heph::rt::tls
