#pragma once

// What streams over sockets have in common, whatever their addresses are.

#include <cstddef>
#include <expected>
#include <memory>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/detail/operation.hpp>
#include <heph/rt/io_future.hpp>
#include <heph/rt/limited.hpp>
#include <heph/rt/net/chunk.hpp>
#include <heph/rt/net/pool_receiver.hpp>

namespace heph::rt::net {

class byte_stream;

/// Which directions of a stream to shut down.
enum class shutdown_how { receive, send, both };

/// Owns a socket's descriptor.
using socket_handle = descriptor_handle;

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
        accepts_direct = other.accepts_direct;
        multishot = std::move(other.multishot);
        return *this;
    }
    ~watched_socket() {
        if (multishot.started()) { multishot.drop_and_close(handle.release()); }
    }

    net::socket_handle handle;
    bool short_is_all = false;    // A receive that fills no buffer took all that was there.
    bool accepts_direct = false;  // Connections become direct descriptors.
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

/// Holds what `send_some` was given, and tells how much of it was sent.
class partly_sent {
public:
    partly_sent(buffer given, std::size_t count) noexcept
        : bytes_(std::move(given)), count_(count) {}

    [[nodiscard]] buffer& bytes() noexcept { return bytes_; }
    [[nodiscard]] const buffer& bytes() const noexcept { return bytes_; }
    /// Gives how many bytes were sent, from the first on.
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

private:
    buffer bytes_;
    std::size_t count_;
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

    /// Waits for the next bytes: those of one multishot operation into the worker's provided
    /// buffers, or up to 64 KiB where more came than that queues. An empty chunk is the end, given
    /// each time.
    ///
    /// *Cancellation*: loses nothing: what arrives stays in the stream's queue. At about 64 KiB
    /// that nobody took, receiving pauses.
    next_chunk_future next() noexcept { return next_chunk_future(*this); }

    /// Sends all of the buffer's bytes.
    send_future send_all(buffer bytes) noexcept { return send_future(*this, std::move(bytes)); }

    /// Sends once, as much as there is room for now; waits while there is none.
    io_future<partly_sent> send_some(buffer bytes);

    /// Sends as much as there is room for now, from where the bytes are, without waiting: by a
    /// system call of its own, so that the bytes are on their way when it returns, and not only
    /// when the worker asks the kernel next. For little, where time counts: it costs that call, and
    /// no wait. Gives how many bytes were sent; 0 when there is no room. *Requires*: no other send
    /// is under way.
    [[nodiscard]] std::expected<std::size_t, std::error_code> try_send(
        std::span<const std::byte> bytes) noexcept;

    /// Receives once, at most as many bytes as the limit says; see `limit`.
    template <byte_container Bytes>
    io_future<Bytes> recv(limited<Bytes> into) {
        auto room = std::make_unique<detail::limited_room<Bytes>>(std::move(into));
        if (const auto refused = may_receive(room->spare().size())) {
            return io_future<Bytes>(refused);
        }
        return {detail::receive_into(descriptor(), std::move(room)), &detail::take_room<Bytes>};
    }
    /// Receives once, into a buffer of a pool, which is taken when bytes come. An empty buffer is
    /// the end of the stream. Excludes `next()`, as `recv` does.
    pool_recv_future<buffer> recv(const buffer_pool& pool);
    /// Receives again and again, into the buffers of a pool. Excludes `next()`, as `recv` does.
    pool_receiver<buffer> recv_many(const buffer_pool& pool);

    /// Receives exactly `count` bytes, at least one, into the buffer's spare room, and no more.
    /// *Errors*: `errc::unexpected_end` when the stream ends before; `errc::invalid_argument` for
    /// no bytes, or more than there is room for. *Cancellation*: what came is lost; see `recv`.
    io_future<buffer> recv_n(buffer into, std::size_t count);
    /// Receives once, into the spare room of several buffers, one after the other. At the end of
    /// the stream none of them has grown. *Cancellation*: see `recv`.
    io_future<std::vector<buffer>> recv_vectored(std::vector<buffer> into);
    /// Receives exactly `count` bytes, at least one, into the spare room of several buffers, one
    /// after the other. Errors and cancellation as those of `recv_n`.
    io_future<std::vector<buffer>> recv_n_vectored(std::vector<buffer> into, std::size_t count);
    /// Sends all bytes of several buffers, in order, and gives them back.
    io_future<std::vector<buffer>> send_all_vectored(std::vector<buffer> bytes);
    /// Sends all of the buffer's bytes, from where they are if the kernel can (io_uring, 6.0, TCP);
    /// else as `send_all` does. It completes only when the kernel is done with the bytes, which is
    /// when the peer has them: for large buffers, from about 32 KiB. Dropped, it keeps the buffer
    /// until then.
    io_future<buffer> send_all_zero_copy(buffer bytes);

    /// Ends one direction, or both. Does not wait.
    std::error_code shutdown(shutdown_how how) noexcept;

    /// Moves the socket into the table of direct descriptors of its worker's io_uring, which
    /// `setup::direct_descriptors` makes; it then has no descriptor of the process's, and belongs
    /// to this worker, also before the first `next()`. Where there is no table, or no room, it
    /// stays as it is: `is_direct` tells. A system call.
    /// *Requires*: no operation on it is under way. *Errors*: `errc::conflicting_operation` once
    /// `next()` was used; `errc::closed`, `errc::no_worker`, `errc::wrong_worker`.
    std::error_code make_direct() noexcept;
    /// Gives it a descriptor of the process's again, as for another worker or for calls of the
    /// program's own. What is under way goes on. Two system calls; none if it has one.
    /// *Errors*: `too_many_files_open`; `errc::closed`, `errc::no_worker`, `errc::wrong_worker`.
    std::error_code make_ordinary() noexcept;
    [[nodiscard]] bool is_direct() const noexcept { return rt::is_direct(descriptor()); }

    [[nodiscard]] bool is_open() const noexcept { return socket_.handle.is_open(); }
    /// Gives the descriptor, or what stands for a direct one, which no system call takes.
    [[nodiscard]] int descriptor() const noexcept { return socket_.handle.get(); }
    /// Tells whether `next()` was used: bytes are taken ahead since, and not to be received
    /// otherwise.
    [[nodiscard]] bool receives_ahead() const noexcept { return socket_.multishot.started(); }

protected:
    byte_stream() noexcept = default;
    explicit byte_stream(detail::watched_socket socket) noexcept : socket_(std::move(socket)) {}
    byte_stream(byte_stream&&) noexcept = default;
    byte_stream& operator=(byte_stream&&) noexcept = default;
    ~byte_stream() = default;

    /// Tells what speaks against a receive into so many bytes of room, other than by `next()`.
    [[nodiscard]] std::error_code may_receive(std::size_t room) const noexcept;

private:
    friend class next_chunk_future;
    friend class recv_future;

    detail::watched_socket socket_;
};

}  // namespace heph::rt::net
