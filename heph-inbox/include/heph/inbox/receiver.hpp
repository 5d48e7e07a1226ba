#pragma once

// The side of a channel that messages come out of.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/inbox/channel_id.hpp>
#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/detail/parker.hpp>
#include <heph/inbox/errors.hpp>
#include <heph/inbox/fwd.hpp>
#include <heph/inbox/join_future.hpp>
#include <heph/inbox/sender.hpp>

namespace heph::inbox {

namespace detail {

/// What waiting for a message comes to.
/// Kept as two bits, one for each of the latter.
enum class readiness : std::uint8_t { message = 0, nothing_yet = 1, disconnected = 2 };

template <typename T, typename Layout>
class receive_future_base;
template <typename T, typename Layout>
class message_watch;

}  // namespace detail

/// Receives the messages of all senders of a channel. When it goes, and no manager is there to make
/// a new one, the messages that are left are destroyed and the senders learn of it.
///
/// Of its futures (`recv`, `recv_many`, `peek`) one at a time may be waiting; when there are more,
/// only the waker that was polled with last is woken, whichever of the others end meanwhile. A
/// moved-from receiver may only be destroyed or assigned to.
///
/// *Thread safety*: distinct objects: safe. Shared objects: unsafe.
template <typename T, typename Layout>
class receiver {
public:
    receiver(receiver&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)), place_(other.place_) {}
    receiver& operator=(receiver&& other) noexcept {
        receiver old(std::move(*this));
        state_ = std::exchange(other.state_, nullptr);
        place_ = other.place_;
        return *this;
    }
    ~receiver() {
        if (state_ != nullptr) { leave(); }
    }

    /// Takes the next message, if there is one.
    /// *Errors*: `empty`, also while the sender of the next message is half-way through its send;
    /// `disconnected` once everything was received and no sender is left.
    [[nodiscard]] std::expected<T, recv_error> try_recv() noexcept {
        // Copies, since the compiler has to assume that the originals are written meanwhile.
        detail::channel_state<T, Layout>& state = *state_;
        const detail::cursor place = place_;
        if (!state.has_message(place)) [[unlikely]] { return try_recv_late(); }
        if constexpr (fits_register) {
            return std::expected<T, recv_error>(std::in_place, take_small(state, place));
        } else {
            return take<std::expected<T, recv_error>>(state, place, std::in_place);
        }
    }

    /// Takes what is there, at most as many as `out` has room for, and assigns it to the elements
    /// of `out`, first come first. Gives how many.
    [[nodiscard]] std::size_t try_recv_many(std::span<T> out) noexcept {
        static_assert(std::is_nothrow_move_assignable_v<T>,
                      "to receive into a span, a message's move assignment must be noexcept");
        std::size_t count = 0;
        for (; count < out.size() && state_->has_message(place_); ++count) {
            out[count] = std::move(state_->next(place_));
            state_->release(place_);
        }
        if (count != 0) { state_->tell_senders(place_); }
        return count;
    }

    /// Takes what is there, at most `limit` messages, and appends it to `out`. Gives how many.
    /// *Errors*: `std::bad_alloc` when `out` cannot grow; what was received until then is in it,
    /// and what was not is still in the channel.
    std::size_t try_recv_many(std::vector<T>& out, std::size_t limit) {
        std::size_t count = 0;
        struct tell_senders {  // Also when `out` cannot grow.
            receiver& self;
            std::size_t& count;
            ~tell_senders() {
                if (count != 0) { self.state_->tell_senders(self.place_); }
            }
        } const tell{*this, count};
        for (; count < limit && state_->has_message(place_); ++count) {
            out.push_back(std::move(state_->next(place_)));
            state_->release(place_);
        }
        return count;
    }

    /// Shows the next message, which stays in the channel. It may be changed.
    /// *Errors*: as `try_recv`.
    /// *Lifetime*: the pointer is good until the message is received.
    [[nodiscard]] std::expected<T*, recv_error> try_peek() noexcept {
        if (!state_->has_message(place_)) {
            if (!is_over()) { return std::unexpected(recv_error::empty); }
            if (!state_->has_message(place_)) { return std::unexpected(recv_error::disconnected); }
        }
        return std::addressof(state_->next(place_));
    }

    /// Shows the message that comes `ahead` messages after the next one, or null when it is not
    /// there yet. `try_peek_at(0)` is the next one. Otherwise as `try_peek`.
    [[nodiscard]] T* try_peek_at(std::size_t ahead) noexcept { return state_->peek(place_, ahead); }

    /// Takes the next message once there is one: `std::optional<T>`, empty when everything was
    /// received and no sender is left.
    [[nodiscard]] recv_future<T, Layout> recv() noexcept;

    /// Waits for a message, then appends all that is there to `out`, at most `limit`. Gives how
    /// many; 0 when everything was received and no sender is left. *Requires*: `limit` is not 0.
    [[nodiscard]] recv_many_future<T, Layout> recv_many(std::vector<T>& out,
                                                        std::size_t limit) noexcept;

    /// Waits for a message, then assigns all that is there to the elements of `out`, as many as it
    /// has room for. Gives how many; 0 when everything was received and no sender is left.
    /// *Requires*: `out` is not empty.
    [[nodiscard]] recv_span_future<T, Layout> recv_many(std::span<T> out) noexcept;

    /// Shows the next message once there is one, as `try_peek`: a pointer, null when everything was
    /// received and no sender is left.
    [[nodiscard]] peek_future<T, Layout> peek() noexcept;

    /// Takes like `recv`, and blocks the thread meanwhile.
    [[nodiscard]] std::optional<T> recv_blocking();

    /// Takes like `recv_blocking`, but waits no longer than until `deadline`.
    /// *Errors*: `empty` when no message came in time; `disconnected` as `try_recv`.
    template <typename Clock, typename Duration>
    [[nodiscard]] std::expected<T, recv_error> recv_blocking(
        const std::chrono::time_point<Clock, Duration>& deadline);

    /// Takes like `recv_many`, and blocks the thread until there is a message.
    [[nodiscard]] std::size_t recv_many_blocking(std::span<T> out);

    /// Takes like `recv_many_blocking`, but waits no longer than until `deadline`. Gives 0, too,
    /// when no message came in time.
    template <typename Clock, typename Duration>
    [[nodiscard]] std::size_t recv_many_blocking(
        std::span<T> out, const std::chrono::time_point<Clock, Duration>& deadline);

    /// Is ready when no sender is left. What they sent may still be there.
    [[nodiscard]] auto join() noexcept {
        return basic_join_future<environment>(*state_, side::senders);
    }

    /// Tells whether there is a sender.
    [[nodiscard]] bool is_connected() const noexcept { return state_->has_senders(); }

    /// Makes a sender, also when none was left.
    [[nodiscard]] sender<T, Layout> new_sender() const noexcept {
        state_->add_sender();
        return sender<T, Layout>(*state_);
    }

    /// Tells how many messages the channel holds at most.
    [[nodiscard]] std::size_t capacity() const noexcept { return state_->capacity(); }

    [[nodiscard]] channel_id id() const noexcept { return channel_id(state_); }

private:
    friend class manager<T, Layout>;
    friend struct detail::access;
    friend class detail::receive_future_base<T, Layout>;
    friend class detail::message_watch<T, Layout>;
    friend class recv_future<T, Layout>;
    friend class recv_many_future<T, Layout>;
    friend class recv_span_future<T, Layout>;
    friend class peek_future<T, Layout>;
    using environment = typename Layout::environment;

    // Takes over a receiver that was counted already.
    receiver(detail::channel_state<T, Layout>& state, std::uint64_t position) noexcept
        : state_(&state), place_(state.cursor_from(position)) {}

    // Tells whether no sender is left. The question is cheap as long as there are some.
    [[nodiscard]] bool is_over() const noexcept {
        return state_->senders_may_be_gone(place_) && !state_->has_senders();
    }

    static constexpr bool fits_register =
        std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(void*);

    // Says why there is no message, unless one has come meanwhile. Apart from the fast path, which
    // is part of its caller.
    [[nodiscard, gnu::noinline]] std::expected<T, recv_error> try_recv_late() noexcept {
        place_.end_run();
        if (!is_over()) { return std::unexpected(recv_error::empty); }
        // The last sender may have sent just before it went.
        if (!state_->has_message(place_)) { return std::unexpected(recv_error::disconnected); }
        return take<std::expected<T, recv_error>>(*state_, place_, std::in_place);
    }

    // Gives the next message in a `Result`. A function by itself, so that g++ builds the result in
    // its place: copying it there costs as much as all the rest. `state` and `place` are copies of
    // the members, since the compiler has to assume that the message is written over those.
    template <typename Result, typename... InPlace>
    [[nodiscard]] Result take(detail::channel_state<T, Layout>& state, detail::cursor place,
                              InPlace... in_place) noexcept {
        state.fetch_ahead(place);
        Result taken(in_place..., std::move(state.next(place)));
        release(state, place);
        return taken;
    }

    // Gives the next message, which fits into a register.
    [[nodiscard, gnu::always_inline]] T take_small(detail::channel_state<T, Layout>& state,
                                                   detail::cursor place) noexcept {
        state.fetch_ahead(place);
        T taken(std::move(state.next(place)));
        release(state, place);
        return taken;
    }

    [[gnu::always_inline]] void release(detail::channel_state<T, Layout>& state,
                                        detail::cursor place) noexcept {
        const bool must_look = state.release_and_watch(place);
        place_.position_and_run = place.position_and_run;
        if (must_look) [[unlikely]] { state.look_for_waiting_senders(place_); }
    }

    // Leaves the waker, of which a reference was added, for `owner`, if no more than a few steps
    // are needed. Tells whether it did; only then it took over that reference.
    [[nodiscard, gnu::always_inline]] bool try_wait(const waker& who, const void* owner) noexcept {
        place_.end_run();
        return state_->try_park(place_.position(), who, owner);
    }

    // Leaves the waker for `owner`, when there still is no message.
    [[nodiscard]] detail::readiness wait_ready(const waker& who, const void* owner) noexcept {
        place_.end_run();
        if (state_->park_receiver(place_.position(), who, owner)) {
            return wait_for_half_sent(who);
        }
        return has_waited();
    }

    // Tells what there is to wait for, once the waker was left.
    [[nodiscard]] detail::readiness has_waited() const noexcept {
        if (state_->has_senders()) { return detail::readiness::nothing_yet; }
        // The last sender may have sent just before it went.
        return state_->has_message(place_) ? detail::readiness::message
                                           : detail::readiness::disconnected;
    }

    // Shows the message that comes `ahead` messages after the next one. Leaves the waker when it is
    // not there yet, on nobody's behalf. *Requires*: those before it are there.
    [[nodiscard]] T* peek_or_wait(std::size_t ahead, const waker& who) noexcept {
        if (ahead >= capacity()) { return nullptr; }  // None comes before one was received.
        if (T* there = state_->peek(place_, ahead)) { return there; }
        const std::uint64_t position = place_.position() + ahead * detail::channel_core::step;
        if (!state_->park_receiver(position, who, nullptr)) { return nullptr; }
        // Invariant 5, or the last sender is about to say that it has gone.
        for (detail::backoff<environment> waiting; !waiting.exhausted(); waiting.wait()) {
            if (T* there = state_->peek(place_, ahead)) { return there; }
        }
        who.wake();
        return nullptr;
    }

    // Invariant 5: a sender is half-way through sending this very message.
    [[gnu::noinline]] detail::readiness wait_for_half_sent(const waker& who) noexcept {
        for (detail::backoff<environment> waiting; !waiting.exhausted(); waiting.wait()) {
            if (state_->has_message(place_)) { return detail::readiness::message; }
        }
        who.wake();
        return detail::readiness::nothing_yet;
    }

    [[gnu::noinline]] void stop_waiting(const void* owner) noexcept {
        state_->forget_wait_of(owner);
    }

    void leave() noexcept {
        state_->forget_receiver();
        if (state_->receiver_is_alone()) {
            state_->close_alone(place_.position());
            return;
        }
        state_->save_position(place_.position());
        if (state_->drop_receiver()) { state_->close(place_.position()); }
    }

    detail::channel_state<T, Layout>* state_;
    detail::cursor place_;
};

}  // namespace heph::inbox

#include <heph/inbox/receive_futures.hpp>
