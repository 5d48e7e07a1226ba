#pragma once

// What streams over sockets have in common, whatever their addresses are.

#include <cstddef>
#include <expected>
#include <system_error>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/detail/operation.hpp>
#include <heph/rt/net/chunk.hpp>

namespace heph::rt::net {

class byte_stream;

/// Which directions of a stream to shut down.
enum class shutdown_how { receive, send, both };

/// Owns a socket's descriptor; when destroyed on a worker, the worker closes it soon.
class socket_handle {
public:
    socket_handle() noexcept = default;
    explicit socket_handle(int descriptor) noexcept : descriptor_(descriptor) {}
    socket_handle(socket_handle&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)) {}
    socket_handle& operator=(socket_handle&& other) noexcept {
        socket_handle old(std::move(*this));
        descriptor_ = std::exchange(other.descriptor_, -1);
        return *this;
    }
    ~socket_handle();

    [[nodiscard]] int get() const noexcept { return descriptor_; }
    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    /// Gives the descriptor up; the caller closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

private:
    int descriptor_ = -1;
};

}  // namespace heph::rt::net

namespace heph::rt::detail {

/// A socket and the multishot operation on it, which ends before the socket is closed.
class watched_socket {
public:
    watched_socket() noexcept = default;
    explicit watched_socket(net::socket_handle socket, bool tells_all = false) noexcept
        : handle(std::move(socket)), short_is_all(tells_all) {}
    watched_socket(watched_socket&&) noexcept = default;
    watched_socket& operator=(watched_socket&& other) noexcept {
        watched_socket old(std::move(*this));
        handle = std::move(other.handle);
        short_is_all = other.short_is_all;
        multishot = std::move(other.multishot);
        return *this;
    }
    ~watched_socket() {
        if (multishot.started()) { multishot.drop_and_close(handle.release()); }
    }

    net::socket_handle handle;
    bool short_is_all = false;  // A receive that fills no buffer took all that was there.
    operation multishot;
};

/// What connecting needs from poll to poll.
struct connecting {
    net::socket_handle socket;
    operation attempt;
};

}  // namespace heph::rt::detail

namespace heph::rt::net {

/// Receives once, into a buffer's spare room. Gives the buffer with the bytes appended; at the end
/// of the stream its size has not grown.
/// *Cancellation*: bytes that the kernel already took are lost: use `next()` to race a deadline.
class [[nodiscard]] recv_future {
public:
    using value_type = std::expected<buffer, std::error_code>;
    recv_future(byte_stream& stream, buffer into) noexcept
        : stream_(&stream), buffer_(std::move(into)) {}
    polled<value_type> poll(const waker& waker);

private:
    byte_stream* stream_;
    buffer buffer_;
    detail::operation operation_;
};

/// Sends a buffer's bytes, once or until all are sent. Gives the buffer back.
/// *Cancellation*: a part may have been sent.
class [[nodiscard]] send_future {
public:
    using value_type = std::expected<buffer, std::error_code>;
    send_future(byte_stream& stream, buffer bytes) noexcept
        : stream_(&stream), buffer_(std::move(bytes)) {}
    polled<value_type> poll(const waker& waker);

private:
    byte_stream* stream_;
    buffer buffer_;
    std::size_t sent_ = 0;
    detail::operation operation_;
};

/// Waits for the next bytes of a stream. Borrows the stream; see `byte_stream::next`.
class [[nodiscard]] next_chunk_future {
public:
    using value_type = std::expected<chunk, std::error_code>;
    explicit next_chunk_future(byte_stream& stream) noexcept : stream_(&stream) {}
    polled<value_type> poll(const waker& waker);

private:
    byte_stream* stream_;
};

/// A connection over which bytes flow both ways, in order.
///
/// One receive and one send may be under way at a time, each from any task of the same worker.
/// Destroying it cancels what is under way and closes the connection.
///
/// *Errors*: the system's codes (`connection_reset`, `broken_pipe`, …), `errc::closed`,
/// `errc::no_worker`, `errc::wrong_worker`.
/// *Thread safety*: unsafe. It may be moved to another worker before its first `next()`.
class [[nodiscard]] byte_stream {
public:
    /// Receives once into the buffer's spare room (`errc::invalid_argument` when it has none).
    /// Excludes `next()`: `errc::conflicting_operation` once that was used.
    recv_future recv(buffer into) noexcept { return recv_future(*this, std::move(into)); }

    /// Waits for the next bytes, received by one multishot operation into the worker's provided
    /// buffers. An empty chunk is the end of the stream, given each time from then on.
    ///
    /// *Cancellation*: loses nothing: what arrives stays in the stream's queue. At about 64 KiB
    /// that nobody took, receiving pauses.
    next_chunk_future next() noexcept { return next_chunk_future(*this); }

    /// Sends all of the buffer's bytes.
    send_future send_all(buffer bytes) noexcept { return send_future(*this, std::move(bytes)); }

    /// Ends one direction, or both. Does not wait.
    std::error_code shutdown(shutdown_how how) noexcept;

    [[nodiscard]] bool is_open() const noexcept { return socket_.handle.is_open(); }
    [[nodiscard]] int descriptor() const noexcept { return socket_.handle.get(); }

protected:
    byte_stream() noexcept = default;
    explicit byte_stream(detail::watched_socket socket) noexcept : socket_(std::move(socket)) {}
    byte_stream(byte_stream&&) noexcept = default;
    byte_stream& operator=(byte_stream&&) noexcept = default;
    ~byte_stream() = default;

private:
    friend class next_chunk_future;
    friend class recv_future;

    detail::watched_socket socket_;
};

}  // namespace heph::rt::net
