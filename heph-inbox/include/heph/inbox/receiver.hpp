#pragma once

// The side of a channel that messages come out of.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <heph/inbox/channel_id.hpp>
#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/detail/parker.hpp>
#include <heph/inbox/errors.hpp>
#include <heph/inbox/join_future.hpp>
#include <heph/inbox/sender.hpp>

namespace heph::inbox {

template <typename T>
class recv_future;
template <typename T>
class recv_many_future;
template <typename T>
class peek_future;

namespace detail {

/// What waiting for a message comes to.
enum class readiness : std::uint8_t { message, nothing_yet, disconnected };

}  // namespace detail

/// Receives the messages of all senders of a channel. When it goes, and no manager is there to make
/// a new one, the messages that are left are destroyed and the senders learn of it.
///
/// Of its futures (`recv`, `recv_many`, `peek`) one at a time may be waiting; when there are more,
/// only the one that was polled last is woken. A moved-from receiver may only be destroyed or
/// assigned to.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
template <typename T>
class receiver {
public:
    receiver(receiver&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)), position_(other.position_) {}
    receiver& operator=(receiver&& other) noexcept {
        receiver old(std::move(*this));
        state_ = std::exchange(other.state_, nullptr);
        position_ = other.position_;
        return *this;
    }
    ~receiver() {
        if (state_ != nullptr) { leave(); }
    }

    /// Takes the next message, if there is one.
    /// *Errors*: `empty`, also while the sender of the next message is half-way through its send;
    /// `disconnected` once everything was received and no sender is left.
    [[nodiscard]] std::expected<T, recv_error> try_recv() noexcept {
        if (!has_message()) [[unlikely]] {
            if (state_->has_senders()) { return std::unexpected(recv_error::empty); }
            // The last sender may have sent just before it went.
            if (!has_message()) { return std::unexpected(recv_error::disconnected); }
        }
        return take<std::expected<T, recv_error>>(std::in_place);
    }

    /// Takes what is there, at most as many as `out` has room for, and assigns it to the elements
    /// of `out`, first come first. Gives how many.
    [[nodiscard]] std::size_t try_recv_many(std::span<T> out) noexcept {
        static_assert(std::is_nothrow_move_assignable_v<T>,
                      "to receive into a span, a message's move assignment must be noexcept");
        std::size_t count = 0;
        for (; count < out.size() && has_message(); ++count) {
            out[count] = std::move(state_->at(position_));
            release();
        }
        if (count != 0) { state_->wake_waiting_sender(); }
        return count;
    }

    /// Takes what is there, at most `limit` messages, and appends it to `out`. Gives how many.
    /// *Errors*: `std::bad_alloc` when `out` cannot grow; what was received until then is in it.
    std::size_t try_recv_many(std::vector<T>& out, std::size_t limit) {
        std::size_t count = 0;
        struct tell_senders {  // Also when `out` cannot grow.
            receiver& self;
            std::size_t& count;
            ~tell_senders() {
                if (count != 0) { self.state_->wake_waiting_sender(); }
            }
        } const tell{*this, count};
        for (; count < limit && has_message(); ++count) {
            out.push_back(std::move(state_->at(position_)));
            release();
        }
        return count;
    }

    /// Shows the next message, which stays in the channel. It may be changed.
    /// *Errors*: as `try_recv`.
    /// *Lifetime*: the pointer is good until the message is received.
    [[nodiscard]] std::expected<T*, recv_error> try_peek() noexcept {
        if (!has_message()) {
            if (state_->has_senders()) { return std::unexpected(recv_error::empty); }
            if (!has_message()) { return std::unexpected(recv_error::disconnected); }
        }
        return &state_->at(position_);
    }

    /// Takes the next message once there is one: `std::optional<T>`, empty when everything was
    /// received and no sender is left.
    [[nodiscard]] recv_future<T> recv() noexcept;

    /// Waits for a message, then appends all that is there to `out`, at most `limit`. Gives how
    /// many; 0 when everything was received and no sender is left. *Requires*: `limit` is not 0.
    [[nodiscard]] recv_many_future<T> recv_many(std::vector<T>& out, std::size_t limit) noexcept;

    /// Shows the next message once there is one, as `try_peek`: a pointer, null when everything was
    /// received and no sender is left.
    [[nodiscard]] peek_future<T> peek() noexcept;

    /// Takes like `recv`, and blocks the thread meanwhile.
    [[nodiscard]] std::optional<T> recv_blocking();

    /// Takes like `recv_blocking`, but waits no longer than until `deadline`.
    /// *Errors*: `empty` when no message came in time; `disconnected` as `try_recv`.
    template <typename Clock, typename Duration>
    [[nodiscard]] std::expected<T, recv_error> recv_blocking(
        const std::chrono::time_point<Clock, Duration>& deadline);

    /// Is ready when no sender is left. What they sent may still be there.
    [[nodiscard]] join_future join() noexcept { return join_future(*state_, side::senders); }

    /// Tells whether there is a sender.
    [[nodiscard]] bool is_connected() const noexcept { return state_->has_senders(); }

    /// Makes a sender, also when none was left.
    [[nodiscard]] sender<T> new_sender() const noexcept {
        state_->add_sender();
        return sender<T>(*state_);
    }

    /// Tells how many messages the channel holds at most.
    [[nodiscard]] std::size_t capacity() const noexcept { return state_->capacity(); }

    [[nodiscard]] channel_id id() const noexcept { return channel_id(state_); }

private:
    friend class manager<T>;
    friend struct detail::access;
    friend class recv_future<T>;
    friend class recv_many_future<T>;
    friend class peek_future<T>;

    // Takes over a receiver that was counted already.
    receiver(detail::channel_state<T>& state, std::uint64_t position) noexcept
        : state_(&state), position_(position) {}

    [[nodiscard]] bool has_message() const noexcept { return state_->is_published(position_); }

    // Ends the life of the message that was moved from, and gives its room to the senders.
    void release() noexcept {
        state_->destroy(position_);
        state_->release_slot(position_);
        ++position_;
    }

    // Gives the next message in a `Result`. A function by itself, so that g++ builds the result in
    // its place: copying it there costs as much as all the rest.
    template <typename Result, typename... InPlace>
    [[nodiscard]] Result take(InPlace... in_place) noexcept {
        Result taken(in_place..., std::move(state_->at(position_)));
        release();
        state_->wake_waiting_sender();
        return taken;
    }

    [[nodiscard]] detail::readiness poll_ready(const waker& who) noexcept {
        if (has_message()) { return detail::readiness::message; }
        if (state_->park_receiver(position_, who)) {
            // Invariant 5: a sender is half-way through sending this very message.
            for (detail::backoff waiting; !waiting.exhausted(); waiting.wait()) {
                if (has_message()) { return detail::readiness::message; }
            }
            who.wake();
            return detail::readiness::nothing_yet;
        }
        if (state_->has_senders()) { return detail::readiness::nothing_yet; }
        // The last sender may have sent just before it went.
        return has_message() ? detail::readiness::message : detail::readiness::disconnected;
    }

    void leave() noexcept {
        state_->forget_receiver();
        state_->save_position(position_);
        if (state_->drop_receiver()) {
            state_->close(position_);
            if (state_->drop_hold()) { state_->free(); }
        }
    }

    detail::channel_state<T>* state_;
    std::uint64_t position_;  // Of the next message.
};

}  // namespace heph::inbox

#include <heph/inbox/receive_futures.hpp>
