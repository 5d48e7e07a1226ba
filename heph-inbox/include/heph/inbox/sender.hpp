#pragma once

// The side of a channel that messages go into.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <expected>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>

#include <heph/inbox/channel_id.hpp>
#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/detail/parker.hpp>
#include <heph/inbox/errors.hpp>
#include <heph/inbox/fwd.hpp>
#include <heph/inbox/join_future.hpp>
#include <heph/inbox/observer.hpp>
#include <heph/inbox/send_future.hpp>

namespace heph::inbox {

/// Describes a range of what messages can be made of, without exceptions, by moving from its
/// elements.
///
/// A view that makes its elements when they are asked for does so in the middle of the send: what
/// it calls must not throw, or else the program ends, and holds up the receiver for as long as it
/// takes. Where that matters, make the elements first (`std::ranges::to<std::vector>`).
template <typename R, typename T>
concept message_range =
    std::ranges::forward_range<R> &&
    std::is_nothrow_constructible_v<T, std::ranges::range_rvalue_reference_t<R>>;

/// Sends messages to a receiver. Copies send to the same one.
///
/// What one sender object sends arrives in the order in which it was sent, also when some of the
/// sends had to wait. A moved-from sender may only be destroyed or assigned to.
///
/// *Thread safety*: distinct objects: safe. Shared objects: safe for everything but assignment.
template <typename T, typename Layout>
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
    [[nodiscard]] std::expected<void, send_error<T>> try_send(T&& message) const noexcept {
        return try_send_from(std::move(message));
    }
    /// Sends a copy, likewise.
    [[nodiscard]] std::expected<void, send_error<T>> try_send(const T& message) const
        noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        if constexpr (std::is_nothrow_copy_constructible_v<T>) {
            return try_send_from(message);
        } else {
            return try_send_from(T(message));
        }
    }

    /// Builds a message from `args`, and sends it like `try_send`.
    template <typename... Args>
        requires std::constructible_from<T, Args...>  // One argument would be cast, otherwise.
    [[nodiscard]] std::expected<void, send_error<T>> try_emplace(Args&&... args) const {
        return try_send_from(T(std::forward<Args>(args)...));
    }

    /// Sends as many of the messages as there is room for, from the first one on, and gives how
    /// many. These were moved from; the others stay as they are. The receiver sees all of them at
    /// once, one behind the other, and is woken once.
    /// *Errors*: `full` when there is no room for the first one, or others wait for room already;
    /// `disconnected` when the receiver is gone.
    template <message_range<T> R>
    [[nodiscard]] std::expected<std::size_t, send_failure> try_send_many(
        R&& messages) const noexcept {
        const auto count = static_cast<std::size_t>(std::ranges::distance(messages));
        return try_send_between(messages, count == 0 ? 0 : 1, count);
    }

    /// Sends all of the messages, or none of them. Otherwise as `try_send_many`.
    /// *Errors*: `full` when there is no room for all of them; more than the capacity never fit.
    template <message_range<T> R>
    [[nodiscard]] std::expected<void, send_failure> try_send_all(R&& messages) const noexcept {
        const auto count = static_cast<std::size_t>(std::ranges::distance(messages));
        const auto sent = try_send_between(messages, count, count);
        if (!sent) { return std::unexpected(sent.error()); }
        return {};
    }

    /// Sends when there is room, after those who wait already. See `send_future`. Once it was
    /// polled, go on polling it, or drop it: while it waits, it has its place in the queue, and
    /// nobody behind it sends.
    [[nodiscard]] send_future<T, Layout> send(T message) const noexcept {
        static_assert(detail::check_awaited_type<T>());
        return send_future<T, Layout>(*state_, std::move(message));
    }

    /// Builds a message from `args`, and sends it like `send`. Within a `co_await`, g++ 12 destroys
    /// some temporaries twice; a message built here is none.
    template <typename... Args>
        requires std::constructible_from<T, Args...>
    [[nodiscard]] send_future<T, Layout> emplace(Args&&... args) const {
        return send(T(std::forward<Args>(args)...));
    }

    /// Sends all of the messages, as there is room for them, and moves from those that it sends.
    /// See `send_many_future`.
    [[nodiscard]] send_many_future<T, Layout> send_many(std::span<T> messages) const noexcept {
        return send_many_future<T, Layout>(*state_, messages);
    }

    /// Sends like `send`, and blocks the thread meanwhile.
    /// *Errors*: the message comes back when the receiver is gone.
    [[nodiscard]] std::expected<void, send_error<T>> send_blocking(T message) const {
        send_future<T, Layout> sending(*state_, std::move(message));
        return detail::wait_for<environment>(sending).value();
    }

    /// Sends like `send_blocking`, but not after `deadline`.
    /// *Errors*: the message comes back, as `full`, when there was no room in time.
    template <typename Clock, typename Duration>
    [[nodiscard]] std::expected<void, send_error<T>> send_blocking(
        T message, const std::chrono::time_point<Clock, Duration>& deadline) const {
        send_future<T, Layout> sending(*state_, std::move(message));
        auto polled = detail::wait_until<environment>(sending, deadline);
        if (polled.is_ready()) { return std::move(polled).value(); }
        return std::expected<void, send_error<T>>(std::unexpect, send_failure::full,
                                                  std::move(sending).cancel());
    }

    /// Sends like `send_many`, and blocks the thread meanwhile. Gives how many were sent: all, or
    /// fewer when the receiver is gone.
    [[nodiscard]] std::size_t send_many_blocking(std::span<T> messages) const {
        send_many_future<T, Layout> sending(*state_, messages);
        return detail::wait_for<environment>(sending).value();
    }

    /// Sends like `send_many_blocking`, but not after `deadline`. Gives how many were sent.
    template <typename Clock, typename Duration>
    [[nodiscard]] std::size_t send_many_blocking(
        std::span<T> messages, const std::chrono::time_point<Clock, Duration>& deadline) const {
        send_many_future<T, Layout> sending(*state_, messages);
        (void)detail::wait_until<environment>(sending, deadline);
        return std::move(sending).cancel();
    }

    /// Is ready when the receiver, and the manager that could make a new one, are gone.
    [[nodiscard]] auto join() const noexcept {
        return basic_join_future<environment>(*state_, side::receiver);
    }

    /// Makes an observer, which sees the receiving side go without being a sender itself.
    [[nodiscard]] observer observe() const noexcept { return observer::of(*state_); }

    /// Tells whether a message may still be received: there is a receiver, or a manager.
    [[nodiscard]] bool is_connected() const noexcept { return !state_->closed(); }

    /// Tells how many messages the channel holds at most.
    [[nodiscard]] std::size_t capacity() const noexcept { return state_->capacity(); }

    [[nodiscard]] bool same_channel(const sender& other) const noexcept {
        return state_ == other.state_;
    }
    [[nodiscard]] bool sends_to(const receiver<T, Layout>& other) const noexcept {
        return id() == other.id();
    }
    [[nodiscard]] channel_id id() const noexcept { return channel_id(state_); }

private:
    friend class receiver<T, Layout>;
    friend class manager<T, Layout>;
    friend struct detail::access;
    using environment = typename Layout::environment;

    sender() noexcept : state_(nullptr) {}  // As if it was moved from.

    // Takes over a sender that was counted already.
    explicit sender(detail::channel_state<T, Layout>& state) noexcept : state_(&state) {}

    // The message is built in its slot from what it was made of: moving it twice costs as much as
    // all the rest when it is large.
    template <typename From>
    [[nodiscard]] std::expected<void, send_error<T>> try_send_from(From&& message) const noexcept {
        const detail::claim claimed = state_->try_claim();
        if (claimed.result == detail::claim_result::claimed) [[likely]] {
            state_->put(claimed, std::forward<From>(message));
            return {};
        }
        return std::expected<void, send_error<T>>(std::unexpect, failure(claimed.result),
                                                  std::forward<From>(message));
    }

    template <typename R>
    [[nodiscard]] std::expected<std::size_t, send_failure> try_send_between(
        R&& messages, std::size_t least, std::size_t most) const noexcept {
        if (state_->closed()) { return std::unexpected(send_failure::disconnected); }
        if (most == 0) { return 0; }
        const detail::claim claimed = state_->try_claim_many(least, most);
        if (claimed.result != detail::claim_result::claimed) {
            return std::unexpected(failure(claimed.result));
        }
        auto next = std::ranges::begin(messages);
        state_->put_many(claimed, [&next]() noexcept -> decltype(auto) {
            // Gives the element, and goes on to the next one afterwards.
            struct go_on {
                decltype(next)& at;
                ~go_on() { ++at; }
            } const then{next};
            return std::ranges::iter_move(next);
        });
        return claimed.count;
    }

    static constexpr send_failure failure(detail::claim_result why) noexcept {
        return why == detail::claim_result::full ? send_failure::full : send_failure::disconnected;
    }

    detail::channel_state<T, Layout>* state_;
};

}  // namespace heph::inbox
