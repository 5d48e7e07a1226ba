#pragma once

// Waiting for a future on a plain thread.

#include <type_traits>
#include <utility>

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

}  // namespace heph
