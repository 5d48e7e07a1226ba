#pragma once

#include <heph/inbox/future.hpp>
#include <heph/rt/detail/pin.hpp>

namespace heph::rt {

namespace detail {
class worker_core;

/// Links a waiting `stopping()` into its worker's list.
struct stop_node {
    stop_node() noexcept = default;
    stop_node(const stop_node&) = delete;
    stop_node& operator=(const stop_node&) = delete;
    ~stop_node() { unlink(); }

    void unlink() noexcept;

    stop_node* next = nullptr;
    stop_node* previous = nullptr;
    worker_core* owner = nullptr;
    heph::waker waker;
    pin holder;
};
}  // namespace detail

/// Completes when the runtime was asked to stop; at once when it was asked before.
///
///     auto first = co_await heph::either(heph::rt::stopping(), std::move(work));
///
/// *Errors*: polling throws `std::system_error` with `errc::no_worker` outside of a worker.
/// *Cancellation*: destroying it, O(1).
class [[nodiscard]] stopping {
public:
    using value_type = void;

    stopping() noexcept = default;
    stopping(stopping&&) noexcept {}

    polled<void> poll(const waker& waker);

private:
    detail::stop_node node_;
};

/// Tells whether the runtime of the calling worker was asked to stop; false outside of a worker.
[[nodiscard]] bool stop_requested() noexcept;

}  // namespace heph::rt
