#pragma once

// Waiting for a future on a plain thread.

#include <chrono>
#include <expected>
#include <type_traits>
#include <utility>

#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

namespace detail {

struct parking_lot;

/// Lets the calling thread sleep until it is woken. Late wakers keep its state alive.
class parker {
public:
    parker();
    parker(const parker&) = delete;
    parker& operator=(const parker&) = delete;
    ~parker();

    /// Makes a waker that ends the next `park`, or the one in progress.
    [[nodiscard]] heph::waker make_waker() const noexcept;
    /// Sleeps until a wake since the last `park`.
    void park() noexcept;
    /// Sleeps as `park`, but not longer than until a point in time. False when it was not woken.
    bool park_until(std::chrono::steady_clock::time_point until) noexcept;

private:
    parking_lot* lot_;
};

}  // namespace detail

/// Runs a future on the calling thread, sleeping while it is pending, and gives its value.
///
/// Not for use within an actor: it would block the worker that runs it.
/// *Errors*: an exception of the future leaves it.
template <typename F>
    requires future<std::remove_cvref_t<F>>
future_value_t<std::remove_cvref_t<F>> block_on(F&& running) {
    using future_type = std::remove_cvref_t<F>;
    F future = std::forward<F>(running);  // A reference when it was given as an lvalue.
    detail::parker parker;
    const waker waker = parker.make_waker();
    for (;;) {
        polled<future_value_t<future_type>> result = future.poll(waker);
        if (result.is_ready()) { return std::move(result).value(); }
        parker.park();
    }
}

/// Runs a future on the calling thread as `block_on` does, but no longer than until a deadline:
/// gives `std::expected<T, timed_out>`. A future that is ready when the time has come wins.
///
///     auto answer = heph::block_on(ref.rpc(1), heph::deadline_in(100ms));
///
/// *Cancellation*: a future given as a temporary or moved is destroyed when time is up; one given
/// as an lvalue may be run again. A poll that takes long is not interrupted.
template <typename F>
    requires future<std::remove_cvref_t<F>>
std::expected<future_value_t<std::remove_cvref_t<F>>, timed_out> block_on(F&& running,
                                                                          deadline until) {
    using value_type = future_value_t<std::remove_cvref_t<F>>;
    using result_type = std::expected<value_type, timed_out>;
    const steady_time end = until.at(std::chrono::steady_clock::now());
    F future = std::forward<F>(running);
    detail::parker parker;
    const waker waker = parker.make_waker();
    for (bool in_time = true;;) {
        polled<value_type> result = future.poll(waker);
        if (result.is_ready()) {
            if constexpr (std::is_void_v<value_type>) {
                return result_type();
            } else {
                return result_type(std::move(result).value());
            }
        }
        if (!in_time) { return result_type(std::unexpect); }
        in_time = parker.park_until(end);
    }
}

}  // namespace heph
