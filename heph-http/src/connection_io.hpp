#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/net/chunk.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

namespace heph::http::detail {

/// Why nothing was received or sent.
enum class io_failure : std::uint8_t { timed_out, stopping, lost };

/// A connection's socket with its one deadline.
///
/// The timer is armed once and then left alone while the deadline only moves away: when it fires
/// early it is armed again for what is left. So a request costs no change of the timing wheel.
class connection_io {
public:
    explicit connection_io(rt::net::tcp_stream stream) noexcept : stream_(std::move(stream)) {}

    [[nodiscard]] rt::net::tcp_stream& stream() noexcept { return stream_; }

    /// Gives the worker's clock.
    [[nodiscard]] static std::uint64_t now_ms() { return rt::detail::worker_now_ms(); }

    /// Lets what is waited for next time out `after` from now.
    void set_deadline(std::chrono::milliseconds after);

    /// Waits for the next bytes. An orderly stop ends the wait when `heeds_stop`.
    class [[nodiscard]] receive_future {
    public:
        using value_type = std::expected<rt::net::chunk, io_failure>;
        receive_future(connection_io& io, bool heeds_stop) noexcept
            : io_(&io), next_(io.stream_.next()), heeds_stop_(heeds_stop) {}
        polled<value_type> poll(const waker& waker);

    private:
        connection_io* io_;
        rt::net::next_chunk_future next_;
        bool heeds_stop_;
    };
    receive_future receive(bool heeds_stop) noexcept { return {*this, heeds_stop}; }

    /// Sends all bytes of a buffer and gives it back.
    class [[nodiscard]] send_future {
    public:
        using value_type = std::expected<rt::buffer, io_failure>;
        send_future(connection_io& io, rt::buffer bytes) noexcept
            : io_(&io), sending_(io.stream_.send_all(std::move(bytes))) {}
        polled<value_type> poll(const waker& waker);

    private:
        connection_io* io_;
        rt::net::send_future sending_;
    };
    send_future send(rt::buffer bytes) noexcept { return {*this, std::move(bytes)}; }

private:
    bool deadline_passed(const waker& waker);

    rt::net::tcp_stream stream_;
    rt::timer timer_{rt::clock::duration::zero()};
    rt::stopping stopping_;
    std::uint64_t deadline_ms_ = 0;
    std::uint64_t armed_ms_ = 0;  // When the timer fires, at the latest.
};

}  // namespace heph::http::detail
