#pragma once

// What a node needs of the program that it runs in: somebody to run its tasks, time, and
// connections. heph-rt's worker is one environment, an executor of Boost.Asio another one.
//
// Threads
//     The tasks that `spawn` was given are polled by one thread at a time, one after the other,
//     each of which sees what the one before it left: by one worker, or by one strand. Streams,
//     listeners and connects are used by them only. `now` and `timer_at` are used by everyone who
//     may await what a `remote_ref` gives; each environment's header says who that is.
//
// Cancellation
//     Everything that is awaited is cancelled by being destroyed, at any time, by the thread that
//     polls it. `stream::next` and `listener::accept` borrow a queue and lose nothing; a send that
//     is dropped may have sent a part; a connect that is dropped leaves no connection behind.
//
// The end
//     A task that ended is gone. An environment that ends before them drops the tasks that are
//     left, in any order; the node's own parts hold for that (`hub::run`). It refers to no node, so
//     that nodes, streams and listeners may keep it.

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>
#include <heph/remote/deadline.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/net/chunk.hpp>
#include <heph/rt/net/resolve.hpp>
#include <heph/rt/net/stream.hpp>

#include "address.hpp"

namespace heph::remote::detail {

/// A connection over which bytes flow both ways, in order. Destroying it closes the connection.
///
/// One task may wait for bytes while another one sends.
class stream {
public:
    using chunk_result = std::expected<rt::net::chunk, std::error_code>;

    stream() = default;
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;
    virtual ~stream() = default;

    /// Polls for the next bytes; an empty chunk is the end, given each time from then on.
    virtual polled<chunk_result> poll_next(const waker& waker) = 0;
    /// Sends as much as there is room for now, without waiting, and gives how much that was; 0 also
    /// where it can only be sent by `send_all`. *Requires*: nothing is being sent.
    virtual std::expected<std::size_t, std::error_code> try_send(
        std::span<const std::byte> /*bytes*/) noexcept {
        return 0;
    }
    /// Sends all bytes, and gives what went wrong.
    [[nodiscard]] virtual task<std::error_code> send_all(rt::buffer bytes) = 0;
    /// Sends all bytes of several buffers, in order; where it can, without copying them together.
    [[nodiscard]] virtual task<std::error_code> send_pieces(std::vector<rt::buffer> pieces) {
        rt::buffer bytes;
        std::size_t size = 0;
        for (const rt::buffer& each : pieces) { size += each.size(); }
        bytes.reserve(size);
        for (const rt::buffer& each : pieces) { bytes.append(each.bytes()); }
        return send_all(std::move(bytes));
    }
    /// Ends one direction, or both. Does not wait.
    virtual void shutdown(rt::net::shutdown_how how) noexcept = 0;
    /// Says who is at the other end, for a log: an address, or a process.
    [[nodiscard]] virtual std::string peer() const = 0;
    /// Says whose connections are counted together: those of an address, whatever its port is, or
    /// of a user of this machine.
    [[nodiscard]] virtual std::string source() const {
        const std::string address = peer();
        return address.substr(0, address.rfind(':'));
    }

    /// Waits for the next bytes. Borrows the stream.
    class [[nodiscard]] next_future {
    public:
        using value_type = chunk_result;
        explicit next_future(stream& of) noexcept : of_(&of) {}
        polled<chunk_result> poll(const waker& waker) { return of_->poll_next(waker); }

    private:
        stream* of_;
    };
    next_future next() noexcept { return next_future(*this); }
};
using stream_pointer = std::unique_ptr<stream>;

/// Names a user of this machine, as the `source` of a Unix socket.
[[nodiscard]] inline std::string unix_source(std::uint32_t user) {
    return "unix:user " + std::to_string(user);
}
using stream_result = std::expected<stream_pointer, std::error_code>;

/// Where a node may be at several places, the next one is tried after as much silence at one.
inline constexpr std::chrono::seconds silence_to_try_next(1);

/// Accepts connections. Destroying it ends that, and removes the file of a Unix socket.
class listener {
public:
    listener() = default;
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;
    virtual ~listener() = default;

    /// Gives the address with its real port.
    [[nodiscard]] virtual std::expected<node_address, std::error_code> local() const = 0;
    /// Waits for the next connection. Borrows the listener.
    /// *Errors*: each is given once; what is short is then to be waited for, and asked again.
    [[nodiscard]] virtual task<stream_result> accept() = 0;
};
using listener_pointer = std::unique_ptr<listener>;
using listen_result = std::expected<listener_pointer, std::error_code>;

class environment {
public:
    environment() = default;
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;
    virtual ~environment() = default;

    /// Runs a task to its end. It is first polled after this returns.
    /// *Requires*: called by a task that it runs, or by whoever starts the node, where that is said
    /// to be allowed.
    virtual void spawn(task<> running) = 0;

    /// Gives the time. *Thread safety*: safe.
    [[nodiscard]] virtual steady_time now() const = 0;
    /// Makes a timer, which is ready at a point in time or soon after it, never before. It may
    /// outlive the environment. *Thread safety*: safe.
    [[nodiscard]] virtual task<> timer_at(steady_time when) = 0;
    /// Says when a deadline is over, that somebody begins to wait for. *Thread safety*: safe.
    [[nodiscard]] virtual steady_time end_of(const deadline& until) const { return until.at(); }
    /// Is ready once the program is about to end. Never ready where nobody says so.
    [[nodiscard]] virtual task<> stopping() = 0;
    /// Gives bits by which nodes differ; no secret depends on them.
    [[nodiscard]] virtual std::uint32_t random() = 0;

    /// *Requires*: no name of a host; see `connect_by`.
    [[nodiscard]] virtual task<stream_result> connect(node_address to) = 0;
    /// Looks a host up. *Errors*: the system's, such as that there is none; of what has no network,
    /// `not_supported`.
    [[nodiscard]] virtual task<rt::net::resolved> resolve(host_name of) = 0;
    /// Connects to the first one of several addresses that answers.
    [[nodiscard]] virtual task<stream_result> connect_any(std::vector<rt::net::endpoint> to) = 0;
    /// Binds and listens, without waiting.
    /// *Errors*: `address_in_use`, `permission_denied`, ….
    [[nodiscard]] virtual listen_result listen(const node_address& local) = 0;
};

}  // namespace heph::remote::detail
