#pragma once

// Sends that wait for room.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <utility>

#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/errors.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/fwd.hpp>

namespace heph::inbox {

namespace detail {

/// What a poll of a send comes to.
enum class send_step : std::uint8_t { waits, sent, disconnected };

}  // namespace detail

/// Sends a message once there is room for it. Made by `sender::send`.
///
/// Waiting sends are served in the order in which they were first polled. The first of them takes
/// the room when it is polled, and keeps its place until then: one that was polled and is neither
/// polled again nor dropped keeps everyone behind it waiting, and `try_send` says `full`, also when
/// the channel is empty. So do not do anything else that takes time while it is kept: drop it, or
/// `cancel` it, which gives the message back.
///
/// *Errors*: the message comes back when the receiver is gone.
/// *Cancellation*: a dropped send was not sent; its message is destroyed, its place goes to the
/// next one.
/// *Lifetime*: the sender must outlive it.
template <typename T, typename Layout>
class [[nodiscard]] send_future {
    // The message is there in the first two, the node in the second one.
    enum class stage : std::uint8_t { unsent, waiting, done };

public:
    using value_type = std::expected<void, send_error<T>>;

    /// Moves a future that was not polled yet.
    send_future(send_future&& other) noexcept : state_(other.state_), stage_(other.stage_) {
        HEPH_ASSERT(stage_ != stage::waiting);
        if (stage_ == stage::unsent) {
            std::construct_at(std::addressof(message_), std::move(other.message_));
        }
    }
    send_future& operator=(send_future&&) = delete;
    ~send_future() {
        if (stage_ == stage::waiting) [[unlikely]] { stop_waiting(); }
        if (stage_ == stage::unsent) { std::destroy_at(std::addressof(message_)); }
    }

    /// Sends, or takes or keeps a place in the queue.
    polled<value_type> poll(const waker& who) noexcept {
        switch (step(who)) {
            case detail::send_step::waits: return pending;
            case detail::send_step::sent: return polled<value_type>(std::in_place);
            case detail::send_step::disconnected: break;
        }
        return polled<value_type>(std::in_place, std::unexpect, send_failure::disconnected, take());
    }

    /// Gives up, and gives the message back. *Requires*: the future gave no value yet.
    [[nodiscard]] T cancel() && noexcept {
        if (stage_ == stage::waiting) { stop_waiting(); }
        return take();
    }

private:
    friend class sender<T, Layout>;
    friend struct detail::access;

    send_future(detail::channel_state<T, Layout>& state, T&& message) noexcept
        : state_(&state), message_(std::move(message)) {}

    // Polls. After `disconnected` the message is still there.
    [[gnu::always_inline]] detail::send_step step(const waker& who) noexcept {
        HEPH_ASSERT(stage_ != stage::done);
        if (stage_ == stage::unsent) [[likely]] {
            const detail::claim claimed = state_->try_claim();
            if (claimed.result == detail::claim_result::claimed) [[likely]] {
                put(claimed);
                return detail::send_step::sent;
            }
            if (claimed.result == detail::claim_result::closed) {
                return detail::send_step::disconnected;
            }
        }
        return wait(who);
    }

    [[gnu::noinline]] detail::send_step wait(const waker& who) noexcept {
        if (stage_ == stage::unsent) {
            std::construct_at(&node_);
            stage_ = stage::waiting;
        }
        const detail::claim claimed = state_->claim_or_wait(node_, who);
        if (claimed.result == detail::claim_result::full) { return detail::send_step::waits; }
        std::destroy_at(&node_);
        stage_ = stage::unsent;
        if (claimed.result == detail::claim_result::closed) {
            return detail::send_step::disconnected;
        }
        put(claimed);
        return detail::send_step::sent;
    }

    // Also when the message was given back.
    [[nodiscard]] bool is_sent() const noexcept { return stage_ == stage::done; }

    [[gnu::noinline]] void stop_waiting() noexcept {
        state_->forget_waiting_sender(node_);
        std::destroy_at(&node_);
        stage_ = stage::unsent;
    }

    void put(const detail::claim& claimed) noexcept {
        state_->put(claimed, std::move(message_));
        std::destroy_at(std::addressof(message_));
        stage_ = stage::done;
    }

    T take() noexcept {
        T taken(std::move(message_));
        std::destroy_at(std::addressof(message_));
        stage_ = stage::done;
        return taken;
    }

    // The node last: a send that finds room does not touch it.
    detail::channel_state<T, Layout>* state_;
    stage stage_ = stage::unsent;
    union {
        T message_;
    };
    union {
        detail::wait_node node_;
    };
};

/// Sends a span of messages, in order, as there is room for them. Made by `sender::send_many`.
///
/// It keeps its place until the last one is sent: no other send of this channel comes in between,
/// but those that were waiting before. It gives how many were sent: all, or fewer when the
/// receiver is gone.
///
/// *Cancellation*: `sent` tells how many messages went; the others stay in the span.
/// *Lifetime*: the sender and the span must outlive it.
template <typename T, typename Layout>
class [[nodiscard]] send_many_future {
public:
    using value_type = std::size_t;

    /// Moves a future that was not polled yet.
    send_many_future(send_many_future&& other) noexcept
        : state_(other.state_), messages_(other.messages_), sent_(other.sent_) {
        HEPH_ASSERT(!other.waited_);
    }
    send_many_future& operator=(send_many_future&&) = delete;
    ~send_many_future() {
        if (waited_) { state_->forget_waiting_sender(node_); }
    }

    /// Sends what there is room for, and takes or keeps a place in the queue for the rest.
    polled<value_type> poll(const waker& who) noexcept {
        while (sent_ < messages_.size()) {
            detail::claim claimed{detail::claim_result::full, false, 0, 0};
            if (!waited_) {
                // Only if all fit: the rest could not keep its place.
                claimed = state_->try_claim_many(left(), left());
            }
            if (claimed.result == detail::claim_result::full) {
                waited_ = true;
                claimed = state_->claim_or_wait(node_, who, left());
                if (claimed.result == detail::claim_result::full) { return pending; }
            }
            if (claimed.result == detail::claim_result::closed) {
                waited_ = false;
                break;
            }
            if (claimed.count == left()) { waited_ = false; }
            T* next = messages_.data() + sent_;
            sent_ += claimed.count;
            state_->put_many(claimed, [&next]() noexcept -> T&& { return std::move(*next++); });
        }
        return sent_;
    }

    /// Tells how many messages were sent until now.
    [[nodiscard]] std::size_t sent() const noexcept { return sent_; }

    /// Gives up, and gives the number of messages that were sent.
    std::size_t cancel() && noexcept {
        if (std::exchange(waited_, false)) { state_->forget_waiting_sender(node_); }
        return sent_;
    }

private:
    friend class sender<T, Layout>;

    send_many_future(detail::channel_state<T, Layout>& state, std::span<T> messages) noexcept
        : state_(&state), messages_(messages) {}

    [[nodiscard]] std::size_t left() const noexcept { return messages_.size() - sent_; }

    detail::channel_state<T, Layout>* state_;
    std::span<T> messages_;
    std::size_t sent_ = 0;
    detail::wait_node node_;
    bool waited_ = false;  // Whether `node_` may be in the queue.
};

}  // namespace heph::inbox
