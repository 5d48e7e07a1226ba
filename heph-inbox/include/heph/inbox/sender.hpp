#pragma once

// The side of a channel that messages go into.

#include <chrono>
#include <cstddef>
#include <expected>
#include <utility>

#include <heph/inbox/channel_id.hpp>
#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/detail/parker.hpp>
#include <heph/inbox/errors.hpp>
#include <heph/inbox/join_future.hpp>
#include <heph/inbox/observer.hpp>
#include <heph/inbox/send_future.hpp>

namespace heph::inbox {

template <typename T>
class receiver;
template <typename T>
class manager;

namespace detail {
struct access;
}

/// Sends messages to a receiver. Copies send to the same one.
///
/// What one sender object sends arrives in the order in which it was sent, also when some of the
/// sends had to wait. A moved-from sender may only be destroyed or assigned to.
///
/// *Thread safety*: distinct objects: safe. Shared objects: safe for everything but assignment.
template <typename T>
class sender {
public:
    sender(const sender& other) noexcept : state_(other.state_) {
        if (state_ != nullptr) { state_->copy_sender(); }
    }
    sender(sender&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    sender& operator=(sender other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~sender() {
        if (state_ != nullptr && state_->drop_sender()) { state_->free(); }
    }

    /// Sends now, or not at all.
    /// *Errors*: the message comes back when there is no room, when others already wait for room,
    /// and when the receiver is gone.
    [[nodiscard]] std::expected<void, send_error<T>> try_send(T message) const noexcept {
        detail::claim claimed{detail::claim_result::full, false, 0};
        if (!state_->senders_wait()) [[likely]] {
            claimed = state_->try_claim();
        } else if (state_->closed()) {
            claimed.result = detail::claim_result::closed;
        }
        if (claimed.result == detail::claim_result::claimed) [[likely]] {
            state_->put(claimed, std::move(message));
            return {};
        }
        return std::expected<void, send_error<T>>(std::unexpect,
                                                  claimed.result == detail::claim_result::full
                                                      ? send_failure::full
                                                      : send_failure::disconnected,
                                                  std::move(message));
    }

    /// Builds a message from `args`, and sends it like `try_send`.
    template <typename... Args>
    [[nodiscard]] std::expected<void, send_error<T>> try_emplace(Args&&... args) const {
        return try_send(T(std::forward<Args>(args)...));
    }

    /// Sends when there is room, after those who wait already. See `send_future`.
    [[nodiscard]] send_future<T> send(T message) const noexcept {
        static_assert(detail::check_awaited_type<T>());
        return send_future<T>(*state_, std::move(message));
    }

    /// Builds a message from `args`, and sends it like `send`. Within a `co_await`, g++ 12 destroys
    /// some temporaries twice; a message built here is none.
    template <typename... Args>
    [[nodiscard]] send_future<T> emplace(Args&&... args) const {
        return send(T(std::forward<Args>(args)...));
    }

    /// Sends like `send`, and blocks the thread meanwhile.
    /// *Errors*: the message comes back when the receiver is gone.
    [[nodiscard]] std::expected<void, send_error<T>> send_blocking(T message) const {
        send_future<T> sending(*state_, std::move(message));
        return detail::wait_for(sending).value();
    }

    /// Sends like `send_blocking`, but not after `deadline`.
    /// *Errors*: the message comes back, as `full`, when there was no room in time.
    template <typename Clock, typename Duration>
    [[nodiscard]] std::expected<void, send_error<T>> send_blocking(
        T message, const std::chrono::time_point<Clock, Duration>& deadline) const {
        send_future<T> sending(*state_, std::move(message));
        auto polled = detail::wait_until(sending, deadline);
        if (polled.is_ready()) { return std::move(polled).value(); }
        return std::expected<void, send_error<T>>(std::unexpect, send_failure::full,
                                                  std::move(sending).cancel());
    }

    /// Is ready when the receiver, and the manager that could make a new one, are gone.
    [[nodiscard]] join_future join() const noexcept { return join_future(*state_, side::receiver); }

    /// Makes an observer, which sees the receiving side go without being a sender itself.
    [[nodiscard]] observer observe() const noexcept { return observer::of(*state_); }

    /// Tells whether a message may still be received: there is a receiver, or a manager.
    [[nodiscard]] bool is_connected() const noexcept { return !state_->closed(); }

    /// Tells how many messages the channel holds at most.
    [[nodiscard]] std::size_t capacity() const noexcept { return state_->capacity(); }

    [[nodiscard]] bool same_channel(const sender& other) const noexcept {
        return state_ == other.state_;
    }
    [[nodiscard]] bool sends_to(const receiver<T>& other) const noexcept {
        return id() == other.id();
    }
    [[nodiscard]] channel_id id() const noexcept { return channel_id(state_); }

private:
    friend class receiver<T>;
    friend class manager<T>;
    friend struct detail::access;

    sender() noexcept : state_(nullptr) {}  // As if it was moved from.

    // Takes over a sender that was counted already.
    explicit sender(detail::channel_state<T>& state) noexcept : state_(&state) {}

    detail::channel_state<T>* state_;
};

}  // namespace heph::inbox
