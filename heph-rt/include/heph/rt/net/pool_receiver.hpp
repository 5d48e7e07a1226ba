#pragma once

// Receiving into the buffers of a pool.

#include <expected>
#include <system_error>
#include <type_traits>
#include <utility>

#include <heph/inbox/future.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/detail/pool_receiving.hpp>
#include <heph/rt/net/datagram.hpp>
#include <heph/rt/net/endpoint.hpp>

namespace heph::rt::detail {

// What came as what was asked for; Unix sockets have one more.
[[nodiscard]] inline buffer arrival_to(std::type_identity<buffer> /*kind*/,
                                       pool_arrival arrived) noexcept {
    return std::move(arrived.bytes);
}
[[nodiscard]] inline net::message<> arrival_to(std::type_identity<net::message<>> /*kind*/,
                                               pool_arrival arrived) noexcept {
    return {std::move(arrived.bytes), arrived.size, arrived.truncated};
}
[[nodiscard]] inline net::datagram<net::endpoint> arrival_to(
    std::type_identity<net::datagram<net::endpoint>> /*kind*/, pool_arrival arrived) noexcept {
    return {net::message<>(std::move(arrived.bytes), arrived.size, arrived.truncated),
            arrived.from};
}

/// Gives what a poll gave as the `T` that was asked for: a buffer, a message, or a datagram.
template <typename T>
[[nodiscard]] polled<std::expected<T, std::error_code>> arrival_as(
    polled<pool_receiving::outcome> received) {
    using value_type = std::expected<T, std::error_code>;
    if (!received.is_ready()) { return pending; }
    auto arrived = std::move(received).value();
    if (!arrived) { return value_type(std::unexpect, arrived.error()); }
    return value_type(std::in_place, arrival_to(std::type_identity<T>(), std::move(*arrived)));
}

}  // namespace heph::rt::detail

namespace heph::rt::net {

/// Receives once, into a buffer of a pool: `T` is a `buffer`, which is empty at the end of a
/// stream, a `message<>`, or a `datagram` with its sender's address. *Errors*: those of receiving;
/// `no_buffer_space` of a pool that fails when it is exhausted. *Cancellation*: what just came may
/// be lost; a `pool_receiver` loses nothing.
template <typename T>
class [[nodiscard]] pool_recv_future {
public:
    using value_type = std::expected<T, std::error_code>;
    explicit pool_recv_future(detail::pool_receiving receiving) noexcept
        : receiving_(std::move(receiving)) {}

    polled<value_type> poll(const waker& waker) {
        return detail::arrival_as<T>(receiving_.poll(waker));
    }

private:
    detail::pool_receiving receiving_;
};

/// Receives again and again into the buffers of a pool, by one multishot operation: what comes is
/// taken before it is asked for, up to 16 buffers, or half of the pool. Of a pipe one is.
///
/// *Errors*: as `pool_recv_future`; it goes on with the next one.
/// *Thread safety*: unsafe; belongs to the worker that it is first used on.
/// *Lifetime*: the socket outlives it, and is not received from otherwise while it is there.
/// Destroyed, it gives back what came and was not taken: that is lost.
template <typename T>
class [[nodiscard]] pool_receiver {
public:
    explicit pool_receiver(detail::pool_receiving receiving) noexcept
        : receiving_(std::move(receiving)) {}

    /// Waits for what is next. Borrows the receiver.
    class [[nodiscard]] next_future {
    public:
        using value_type = std::expected<T, std::error_code>;
        explicit next_future(detail::pool_receiving& receiving) noexcept : receiving_(&receiving) {}

        polled<value_type> poll(const waker& waker) {
            return detail::arrival_as<T>(receiving_->poll(waker));
        }

    private:
        detail::pool_receiving* receiving_;
    };

    /// Waits for what is next: an empty buffer is the end of a stream, given each time.
    /// *Cancellation*: loses nothing, so that it may race a deadline.
    next_future next() noexcept { return next_future(receiving_); }

private:
    detail::pool_receiving receiving_;
};

}  // namespace heph::rt::net
