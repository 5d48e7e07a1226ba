#pragma once

// A send that waits for room.

#include <expected>
#include <optional>
#include <utility>

#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/errors.hpp>
#include <heph/inbox/future.hpp>

namespace heph::inbox {

template <typename T>
class sender;

/// Sends a message once there is room for it. Made by `sender::send`.
///
/// Waiting sends are served in the order in which they were first polled.
///
/// *Errors*: the message comes back when the receiver is gone.
/// *Cancellation*: a dropped send was not sent; its message is destroyed, its place goes to the
/// next one.
/// *Lifetime*: the sender must outlive it.
template <typename T>
class [[nodiscard]] send_future {
public:
    using value_type = std::expected<void, send_error<T>>;

    /// Moves a future that was not polled yet.
    send_future(send_future&& other) noexcept
        : state_(other.state_), message_(std::move(other.message_)) {
        HEPH_ASSERT(!other.waited_);
    }
    send_future& operator=(send_future&&) = delete;
    ~send_future() {
        if (waited_) { state_->forget_waiting_sender(node_); }
    }

    /// Sends, or takes or keeps a place in the queue.
    polled<value_type> poll(const waker& who) noexcept {
        HEPH_ASSERT(message_.has_value());
        detail::claim claimed{detail::claim_result::full, false, 0};
        if (!waited_ && !state_->senders_wait()) { claimed = state_->try_claim(); }
        if (claimed.result == detail::claim_result::full) {
            waited_ = true;
            claimed = state_->claim_or_wait(node_, who);
            if (claimed.result == detail::claim_result::full) { return pending; }
            waited_ = false;
        }
        if (claimed.result == detail::claim_result::closed) {
            return polled<value_type>(std::in_place, std::unexpect, send_failure::disconnected,
                                      take());
        }
        state_->put(claimed, *std::move(message_));
        message_.reset();
        return polled<value_type>(std::in_place);
    }

    /// Gives up, and gives the message back. *Requires*: the future gave no value yet.
    [[nodiscard]] T cancel() && noexcept {
        if (std::exchange(waited_, false)) { state_->forget_waiting_sender(node_); }
        return take();
    }

private:
    friend class sender<T>;

    send_future(detail::channel_state<T>& state, T&& message) noexcept
        : state_(&state), message_(std::move(message)) {}

    T take() noexcept {
        T taken = *std::move(message_);
        message_.reset();
        return taken;
    }

    detail::channel_state<T>* state_;
    std::optional<T> message_;
    detail::wait_node node_;
    bool waited_ = false;  // Whether `node_` may be in the queue.
};

}  // namespace heph::inbox
