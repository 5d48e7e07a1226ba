#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <heph/core/task.hpp>
#include <heph/http/upgrade.hpp>
#include <heph/http/ws/decoder.hpp>
#include <heph/http/ws/encoder.hpp>
#include <heph/http/ws/socket.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

namespace heph::http::ws::detail {

/// A WebSocket connection from its handshake to its end.
///
///     open     --close() or the runtime stops--> closing   (our close frame is queued)
///     open     --the peer's close frame-->       draining  (ours is queued as well)
///     open     --the peer breaks a rule-->       draining  (a close frame says which)
///     closing  --the peer's close frame-->       draining
///     draining --all is sent-->                  over      (a client waits for the server's end)
///     any      --lost, or too slow-->            over
///
/// Invariants
///     1. Whole frames go into `out_`, in the order in which they were made, and nothing leaves by
///        another way: a wait that is dropped never cuts a frame, or the compression's context.
///     2. `out_` is bounded: messages wait while it holds `out_bytes_max`, and nothing that could
///        ask for an answer is read meanwhile.
///     3. Behind a close frame nothing is sent.
///     4. Whoever polls moves the writing on; the read and the write belong to the session.
/// It does not move. *Lifetime*: the stream outlives it.
class session {
public:
    session(upgraded_stream& stream, role side, const socket_options& options,
            std::optional<deflate_parameters> deflate);
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    /// Waits for a message; none will come once it is over.
    polled<std::optional<message>> poll_receive(const waker& waker);
    /// Sends what is queued.
    void poll_write(const waker& waker);

    /// Queues a message. *Requires*: `is_open()` and `has_room()`.
    void queue(message_kind kind, std::string_view payload);
    [[nodiscard]] bool has_room() const noexcept { return out_.size() < out_bytes_max; }
    /// Count the bytes that were queued so far, and those that the kernel has taken.
    [[nodiscard]] std::uint64_t queued() const noexcept {
        return sent_ + in_flight_.size() + out_.size();
    }
    [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }

    /// Begins the closing handshake, unless it has begun.
    void begin_close(close_code code, std::string_view reason);

    [[nodiscard]] bool is_open() const noexcept { return state_ == state::open; }
    [[nodiscard]] bool is_over() const noexcept { return state_ == state::over; }
    [[nodiscard]] const ws::ending& end() const noexcept { return ending_; }

private:
    enum class state : std::uint8_t { open, closing, draining, over };

    static constexpr std::size_t out_bytes_max = 64 * 1024;

    std::optional<message> take(const event& found);
    void take_close(const event& found);
    void drain(const waker& waker);
    bool poll_read(const waker& waker);
    void watch_time(const waker& waker);
    void look_again();
    void finish(state next);
    void end(std::error_code why) noexcept;
    [[nodiscard]] bool has_output() const noexcept { return writing_ || !out_.empty(); }

    using read_result = std::expected<std::string_view, std::error_code>;
    using write_result = std::expected<void, std::error_code>;

    upgraded_stream* stream_;
    std::chrono::milliseconds ping_interval_;
    std::chrono::milliseconds pong_timeout_;
    std::chrono::milliseconds close_timeout_;
    decoder decoder_;
    encoder encoder_;
    std::string out_;        // Frames that are not being sent yet.
    std::string in_flight_;  // What `writing_` refers to.
    std::optional<task<write_result>> writing_;
    std::optional<task<read_result>> reading_;
    std::string_view input_;  // What is left of the last read.
    std::uint64_t sent_ = 0;
    ws::ending ending_;
    rt::clock::time_point heard_at_;  // When something last came.
    rt::timer timer_;                 // For the next ping, its answer, or the end of closing.
    rt::stopping stopping_;
    int looks_ = 0;  // For what came in time, since the time is over.
    role side_;
    state state_ = state::open;
    bool pinged_ = false;  // Nothing has come since the last ping.
};

}  // namespace heph::http::ws::detail
