#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/net/chunk.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/stopping.hpp>

#include "peer_stream.hpp"
#include "send_patience.hpp"

namespace heph::http::detail {

/// So much is handed to the kernel at once.
inline constexpr std::size_t send_bytes_max = 256 * 1024;
/// And so much over a Unix socket, of which nobody can tell how much of it the peer has taken: it
/// has to take all of it within the pause that it may make.
inline constexpr std::size_t unix_send_bytes_max = 32 * 1024;

/// Why nothing was received or sent.
enum class io_failure : std::uint8_t { timed_out, stopping, lost };

/// What a wait for bytes ended with: some, the peer's end, or what `io_failure` says.
enum class arrival : std::uint8_t { bytes, end, timed_out, stopping, lost };

/// What sending needs, and a connection that waits for a request does not.
struct send_side {
    std::optional<peer_stream::send_future> sending;  // Refers to the stream.
    rt::buffer spare;                                 // The memory of what was sent, empty.
    send_patience patience;
    bool begun = false;  // Quietly, and not looked at since.
};

/// A connection's socket, with a deadline for each direction.
///
/// Receiving and sending go on by themselves: a wait for either may be dropped, and taken up again,
/// without losing or repeating a byte. They may be waited for at the same time, by one task.
class connection_io {
public:
    explicit connection_io(rt::net::tcp_stream stream, bool over_unix = false) noexcept
        : stream_(std::move(stream)), over_unix_(over_unix) {}
    connection_io(const connection_io&) = delete;
    connection_io& operator=(const connection_io&) = delete;

    /// Gives the socket, for its addresses and options.
    [[nodiscard]] rt::net::tcp_stream& socket() noexcept { return stream_.socket(); }
    /// Gives the connection, to secure it, and to end what is sent.
    [[nodiscard]] peer_stream& stream() noexcept { return stream_; }

    /// Lets a connection send; null: no more.
    /// *Lifetime*: the side outlives its use; this outlives what it sends.
    void send_by(send_side* side) noexcept { send_ = side; }

    /// Gives the worker's clock.
    [[nodiscard]] static std::uint64_t now_ms() { return rt::detail::worker_now_ms(); }

    /// Lets what is received next be waited for until `after` from now.
    void set_receive_deadline(std::chrono::milliseconds after) { receive_patience_.set(after); }
    /// Tells how long it still may be; less than nothing once it is too late.
    [[nodiscard]] std::chrono::milliseconds receive_time_left() const {
        return receive_patience_.left();
    }

    /// Waits for the next bytes. An orderly stop ends the wait when `heeds_stop`.
    class [[nodiscard]] receive_future {
    public:
        using value_type = std::expected<rt::net::chunk, io_failure>;
        receive_future(connection_io& io, bool heeds_stop) noexcept
            : io_(&io), next_(io.stream_.next()), heeds_stop_(heeds_stop) {}
        polled<value_type> poll(const waker& waker);

    private:
        connection_io* io_;
        peer_stream::next_future next_;
        bool heeds_stop_;
    };
    receive_future receive(bool heeds_stop) noexcept { return {*this, heeds_stop}; }

    /// Does as `receive`, and hands bytes to `owner.take_received`. Its future and its result are
    /// small, as there is one of them for as long as a connection is idle. What is sent quietly
    /// meanwhile is watched: it tells `owner.note_sent` when that is gone, and is `lost` if it
    /// fails. *Lifetime*: the owner outlives the future.
    template <typename Owner>
    class [[nodiscard]] receive_for_future {
    public:
        using value_type = arrival;
        receive_for_future(connection_io& io, Owner& owner, bool heeds_stop) noexcept
            : io_(&io), owner_(&owner), heeds_stop_(heeds_stop) {}
        polled<arrival> poll(const waker& waker) {
            if (io_->sending()) {
                const auto sent = io_->poll_quiet(waker);
                if (sent.is_ready() && !sent.value()) { return arrival::lost; }
            }
            // It keeps nothing between two polls: what is received is kept by the stream.
            auto received = io_->stream_.next().poll(waker);
            if (received.is_ready()) {
                auto& outcome = received.value();
                if (!outcome) { return arrival::lost; }
                if (outcome->empty()) { return arrival::end; }
                owner_->take_received(std::move(*outcome));
                return arrival::bytes;
            }
            if (const auto ended = io_->wait_ended(heeds_stop_, waker)) {
                return arrival_of(*ended);
            }
            if (!io_->sending()) { owner_->note_sent(); }
            return pending;
        }

    private:
        connection_io* io_;
        Owner* owner_;
        bool heeds_stop_;
    };
    template <typename Owner>
    receive_for_future<Owner> receive_for(Owner& owner, bool heeds_stop) noexcept {
        return {*this, owner, heeds_stop};
    }

    /// Waits for the end of a step such as a handshake, within a deadline.
    /// *Errors*: the step's, `std::errc::timed_out`; `operation_canceled` by an orderly stop.
    template <future Step>
    class [[nodiscard]] bounded_future {
    public:
        using value_type = std::expected<typename Step::value_type, std::error_code>;
        bounded_future(connection_io& io, Step step, bool heeds_stop) noexcept
            : io_(&io), step_(std::move(step)), heeds_stop_(heeds_stop) {}
        polled<value_type> poll(const waker& waker) {
            auto taken = step_.poll(waker);
            if (taken.is_ready()) { return value_type(std::move(taken).value()); }
            if (heeds_stop_ && io_->stopping_.poll(waker).is_ready()) {
                return value_type(std::unexpect,
                                  std::make_error_code(std::errc::operation_canceled));
            }
            if (io_->receive_patience_.passed(io_->alarm_, waker)) {
                return value_type(std::unexpect, std::make_error_code(std::errc::timed_out));
            }
            return pending;
        }

    private:
        connection_io* io_;
        Step step_;
        bool heeds_stop_;
    };
    /// Within `set_receive_deadline`.
    template <future Step>
    bounded_future<Step> bounded(Step step, bool heeds_stop) noexcept {
        return {*this, std::move(step), heeds_stop};
    }
    /// For a step that sends. *Requires*: `send_by` gave a side; not `sending()`.
    template <future Step>
    patient_future<Step> bounded_send(Step step, send_bounds limit) {
        send_->patience.begin(limit);
        return {send_->patience, alarm_, socket().descriptor(), std::move(step)};
    }

    /// Gives how much is to be sent at once.
    [[nodiscard]] std::size_t block_bytes_max() const noexcept {
        return over_unix_ ? unix_send_bytes_max : send_bytes_max;
    }
    /// Begins to send bytes to a peer that may take them as slowly as `limit` says.
    /// *Requires*: `send_by` gave a side; not `sending()`.
    void send(rt::buffer&& bytes, send_bounds limit);
    /// Begins to send as `send` does, for who waits for nothing but the next bytes from then on:
    /// nobody is woken when they are gone. `receive_for` finds out when something else wakes it,
    /// and watches a peer that does not take them. Gives whether they are gone already.
    [[nodiscard]] bool send_quietly(rt::buffer&& bytes, send_bounds limit);
    /// Takes the outcome of what is being sent, if there is one; has nobody woken for it. Gives
    /// whether nothing is being sent any more.
    [[nodiscard]] bool collect_sent() { return take_sent(waker()).is_ready(); }
    [[nodiscard]] bool sending() const noexcept {
        return send_ != nullptr && send_->sending.has_value();
    }
    [[nodiscard]] bool send_failed() const noexcept { return send_failed_; }
    /// Tells how many bytes it was given to send since its beginning.
    [[nodiscard]] std::uint64_t handed() const noexcept { return handed_; }
    /// Tells how many of these the kernel has taken: where a send was cut, as far as that can be
    /// found out.
    [[nodiscard]] std::uint64_t taken() noexcept;
    /// Counts bytes that are sent without `send`, and those of them that were.
    void count_handed(std::uint64_t bytes) noexcept { handed_ += bytes; }
    void count_taken(std::uint64_t bytes) noexcept { taken_ += bytes; }
    /// Sends nothing any more: what was sent last is cut.
    void give_up_sending() noexcept { send_failed_ = true; }
    /// Gives an empty buffer with the memory of an earlier one that was sent.
    /// *Requires*: `send_by` gave a side.
    [[nodiscard]] rt::buffer take_spare() noexcept { return std::move(send_->spare); }
    /// Frees that memory when it is more than `bytes_max`.
    void trim_spare(std::size_t bytes_max) noexcept {
        if (send_->spare.capacity() > bytes_max) { send_->spare = rt::buffer(); }
    }

    /// Waits until nothing is being sent any more; gives false when sending has failed.
    class [[nodiscard]] sent_future {
    public:
        using value_type = bool;
        explicit sent_future(connection_io& io) noexcept : io_(&io) {}
        polled<bool> poll(const waker& waker) { return io_->poll_sent(waker); }

    private:
        connection_io* io_;
    };
    sent_future sent() noexcept { return sent_future(*this); }

private:
    static arrival arrival_of(io_failure failure) noexcept;
    std::optional<io_failure> wait_ended(bool heeds_stop, const waker& waker);
    polled<bool> take_sent(const waker& waker);
    polled<bool> poll_sent(const waker& waker);
    polled<bool> poll_quiet(const waker& waker);
    void fail_sending() noexcept;

    peer_stream stream_;
    send_side* send_ = nullptr;
    alarm alarm_;  // For both directions, as one task waits for them.
    patience receive_patience_;
    std::uint64_t handed_ = 0;
    std::uint64_t taken_ = 0;
    rt::stopping stopping_;
    bool send_failed_ = false;
    bool over_unix_;
};

}  // namespace heph::http::detail
