#pragma once

// What an actor has: its inbox, and access to what runs it.

#include <chrono>
#include <cstddef>
#include <expected>
#include <utility>
#include <vector>

#include <heph/core/actor_ref.hpp>
#include <heph/core/stream.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/channel.hpp>

namespace heph {

/// Is the message type of an actor that takes none: it cannot be made.
struct no_message {
    no_message() = delete;
};

/// Is the runtime access of an actor that needs none.
struct no_runtime {};

/// Says why there is no message right now: `empty`, or `disconnected` for good.
using receive_error = inbox::recv_error;

/// Waits for a message until a timer is ready. Made by `context::receive` with a deadline.
///
/// *Cancellation*: no message is lost. *Lifetime*: borrows the context.
template <typename M, timer_future Timer>
class [[nodiscard]] receive_until_future {
public:
    using value_type = std::expected<M, receive_error>;

    receive_until_future(inbox::recv_future<M> receiving, Timer watching)
        : receiving_(std::move(receiving)), timer_(std::move(watching)) {}

    polled<value_type> poll(const waker& waker) noexcept(detail::polls_noexcept<Timer>) {
        auto received = receiving_.poll(waker);
        if (received.is_ready()) {
            if (!received.value()) {
                return polled<value_type>(std::in_place, std::unexpect,
                                          receive_error::disconnected);
            }
            return polled<value_type>(std::in_place, *std::move(received.value()));
        }
        if (timer_.poll(waker).is_ready()) {
            return polled<value_type>(std::in_place, std::unexpect, receive_error::empty);
        }
        return pending;
    }

private:
    inbox::recv_future<M> receiving_;
    Timer timer_;
};

/// Gives an actor its messages, and access to the runtime it runs in. An actor is a function that
/// takes one by value as its first parameter.
///
///     heph::task<> greeter(heph::rt::local_context<std::string> ctx, std::string greeting) {
///         while (auto name = co_await ctx.receive()) {
///             spdlog::info("{} {}", greeting, *name);
///         }
///     }
///
/// Of what waits for messages (`receive`, `receive_many`, `peek`) one at a time may be waiting.
///
/// *Thread safety*: unsafe; used by its actor only. *Lifetime*: it belongs into the actor: the one
/// of the actor before a restart must be gone before the next one is made.
template <typename M, typename RT = no_runtime>
class context {
public:
    using message_type = M;
    using runtime_type = RT;

    context(inbox::receiver<M> inbox, RT runtime) noexcept
        : inbox_(std::move(inbox)), runtime_(std::move(runtime)) {}

    /// Waits for the next message. Gives `std::optional<M>`; nothing when every reference is gone
    /// and the inbox is empty, so that none will ever come.
    /// *Cancellation*: no message is lost. *Lifetime*: borrows the context.
    [[nodiscard]] auto receive() noexcept { return inbox_.recv(); }

    /// Waits for the next message until a deadline that has a timer: `deadline_in`, for one. Gives
    /// `std::expected<M, receive_error>`. A message that is there when the time comes is received.
    /// *Errors*: `empty` when no message came in time; `disconnected` when none will ever come.
    /// *Cancellation*: no message is lost. *Lifetime*: borrows the context.
    template <timer_future Timer>
    [[nodiscard]] receive_until_future<M, Timer> receive(bound_deadline<Timer> until) {
        return receive_until_future<M, Timer>(inbox_.recv(), std::move(until).timer());
    }
    /// Does so by the runtime's timers: `co_await ctx.receive(heph::deadline_in(1s))`.
    [[nodiscard]] auto receive(deadline until)
        requires timed_runtime<RT>
    {
        return receive(bind_deadline(runtime_, until));
    }

    /// Gives the next message, if there is one.
    [[nodiscard]] std::expected<M, receive_error> try_receive() { return inbox_.try_recv(); }

    /// Waits for a message, then appends all that are there to `out`, at most `limit`. Gives how
    /// many; 0 when none will ever come. *Requires*: `limit` is not 0.
    /// *Cancellation*: no message is lost. *Lifetime*: borrows the context and `out`.
    [[nodiscard]] auto receive_many(std::vector<M>& out, std::size_t limit) noexcept {
        return inbox_.recv_many(out, limit);
    }

    /// Waits for the next message and shows it: a pointer, null when none will ever come. It stays
    /// in the inbox, and may be changed. *Lifetime*: borrows the context; the pointer is good until
    /// a message is received.
    [[nodiscard]] auto peek() noexcept { return inbox_.peek(); }

    /// Shows the next message, if there is one.
    [[nodiscard]] std::expected<M*, receive_error> try_peek() noexcept { return inbox_.try_peek(); }

    /// Gives the messages as a `stream`, for functions that take any. *Lifetime*: borrows the
    /// context.
    [[nodiscard]] message_stream<M> messages() noexcept { return message_stream<M>(inbox_); }

    /// Makes a deadline that the runtime's timers watch over, that long from now. It is also a
    /// future: `co_await ctx.deadline_in(1s)` waits a second.
    template <typename Rep, typename Period>
    [[nodiscard]] auto deadline_in(std::chrono::duration<Rep, Period> after)
        requires timed_runtime<RT>
    {
        return bind_deadline(runtime_, heph::deadline_in(after));
    }
    /// Makes one at a point in time.
    [[nodiscard]] auto deadline_at(steady_time when)
        requires timed_runtime<RT>
    {
        return bind_deadline(runtime_, heph::deadline_at(when));
    }

    /// Gives access to the runtime.
    [[nodiscard]] RT& runtime() noexcept { return runtime_; }
    [[nodiscard]] const RT& runtime() const noexcept { return runtime_; }

    /// Makes a reference to this actor. While the actor itself holds it, there may always be
    /// another message: `receive` waits for ever instead of giving nothing.
    [[nodiscard]] actor_ref<M> self() { return actor_ref<M>(inbox_.new_sender()); }

    /// Tells whether anyone can still send a message.
    [[nodiscard]] bool is_connected() const noexcept { return inbox_.is_connected(); }

    /// Tells how many messages the inbox holds at most.
    [[nodiscard]] std::size_t inbox_size() const noexcept { return inbox_.capacity(); }

private:
    inbox::receiver<M> inbox_;
    [[no_unique_address]] RT runtime_;
};

}  // namespace heph
