#pragma once

// Awaiting within a task what calls back when it is done.
//
//     auto reading = heph::from_callback<void(int, std::size_t)>(
//         [file, buffer](auto done) { file->read_async(*buffer, std::move(done)); });
//     auto [error, bytes] = co_await std::move(reading);
//
// States
//     made     --first poll-->                      started: the function is called, and keeps
//     `done` made     --dropped-->                         gone; nothing was begun started
//     --done(values...)-->                 ready, and woken, on whatever thread called it started
//     --every copy of done is destroyed--> ready: poll throws `operation_abandoned` started
//     --dropped-->                         gone; `cancel` is called. `done` has no effect
//
// The function lives, with all it captures, until the last copy of `done` is gone: what the
// operation uses (buffers, sockets) belongs into its captures, not into the task, which may be
// dropped while the operation goes on.

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <heph/core/detail/outcome.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/oneshot.hpp>

namespace heph {

namespace detail {

/// What a future gives for a call with these arguments.
template <typename... Args>
struct callback_value : std::type_identity<std::tuple<std::decay_t<Args>...>> {};
template <typename Arg>
struct callback_value<Arg> : std::type_identity<std::decay_t<Arg>> {};
template <>
struct callback_value<> : std::type_identity<void> {};

template <typename T>
class callback_state {
public:
    using sender_type = inbox::oneshot_sender<outcome<T>>;

    explicit callback_state(sender_type reply) : reply_(std::move(reply)) {}
    callback_state(const callback_state&) = delete;
    callback_state& operator=(const callback_state&) = delete;
    virtual ~callback_state() = default;

    template <typename... Args>
    bool complete(Args&&... args) {
        if (!reply_) { return false; }
        outcome<T> result;
        result.set_value(std::forward<Args>(args)...);
        sender_type reply = *std::exchange(reply_, std::nullopt);
        return std::move(reply).try_send(std::move(result)).has_value();
    }

private:
    std::optional<sender_type> reply_;
};

template <typename T, typename Initiate>
class initiated_callback final : public callback_state<T> {
public:
    initiated_callback(typename callback_state<T>::sender_type reply, Initiate&& initiate)
        : callback_state<T>(std::move(reply)), initiate_(std::move(initiate)) {}
    Initiate& initiate() noexcept { return initiate_; }

private:
    Initiate initiate_;
};

}  // namespace detail

/// Completes an operation: what `from_callback` gives to its function. Called with the values; only
/// the first call counts. Gives false when nobody waits for it (any more).
///
/// *Thread safety*: distinct objects: safe, but only one may be called. Copies are for interfaces
/// that want a `std::function`.
template <typename... Args>
class completion {
    using value_type = typename detail::callback_value<Args...>::type;

public:
    explicit completion(std::shared_ptr<detail::callback_state<value_type>> state) noexcept
        : state_(std::move(state)) {}

    bool operator()(Args... args) const { return state_->complete(std::forward<Args>(args)...); }

private:
    std::shared_ptr<detail::callback_state<value_type>> state_;
};

/// Waits until an operation calls back. See `from_callback`.
template <typename Signature, typename Initiate, typename Cancel>
class callback_future;

template <typename... Args, typename Initiate, typename Cancel>
class [[nodiscard]] callback_future<void(Args...), Initiate, Cancel> {
public:
    using value_type = typename detail::callback_value<Args...>::type;
    static constexpr bool is_sendable = sendable<Initiate> && sendable<Cancel>;

    callback_future(Initiate initiate, Cancel cancel)
        : initiate_(std::move(initiate)), cancel_(std::move(cancel)) {}
    callback_future(callback_future&&) = default;
    callback_future& operator=(callback_future&&) = delete;
    ~callback_future() {
        if (reply_.may_come()) { cancel_(); }
    }

    polled<value_type> poll(const waker& waker) {
        if (initiate_) { start(); }
        return reply_.poll(waker);
    }

private:
    using outcome_type = detail::outcome<value_type>;

    void start() {
        auto [sender, receiver] = inbox::oneshot<outcome_type>();
        auto state = std::make_shared<detail::initiated_callback<value_type, Initiate>>(
            std::move(sender), *std::exchange(initiate_, std::nullopt));
        reply_.begin(std::move(receiver));
        Initiate& initiate = state->initiate();
        // The one reference to the state that is left may go before the call has returned.
        const std::shared_ptr<void> alive = state;
        std::invoke(initiate, completion<Args...>(std::move(state)));
    }

    std::optional<Initiate> initiate_;
    [[no_unique_address]] Cancel cancel_;
    detail::awaited_outcome<value_type> reply_;
};

/// Makes a future of an operation that calls back.
///
/// `initiate(done)` is called at the first poll. It begins the operation, and sees to it that
/// `done(values...)`, with the arguments of `Signature`, is called once, by any thread, be it
/// before it returns. The future gives nothing, the value, or a `std::tuple` of several.
///
/// `cancel` is called, by whoever drops the future, when the operation has begun and not called
/// back yet; it may just be about to. It must be `noexcept`. Without one, the operation goes on,
/// and what it calls back with is discarded.
///
/// *Errors*: an exception of `initiate` leaves the first poll; `operation_abandoned` when `done` is
/// destroyed without a call. *Cancellation*, *Lifetime*: see above: capture by value.
template <typename Signature, typename Initiate, typename Cancel = detail::no_cancel>
    requires std::is_nothrow_invocable_v<Cancel&>
[[nodiscard]] callback_future<Signature, Initiate, Cancel> from_callback(Initiate initiate,
                                                                         Cancel cancel = Cancel()) {
    return callback_future<Signature, Initiate, Cancel>(std::move(initiate), std::move(cancel));
}

}  // namespace heph
