#pragma once

// Many values, one after the other: an actor's messages, the items of an answer.
//
//     heph::task<> copy(heph::rt::local_context<line> ctx, heph::actor_ref<line> to) {
//         auto lines = ctx.messages();
//         co_await heph::for_each(lines, [&](line next) { (void)to.try_send(std::move(next)); });
//     }

#include <concepts>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/receive_futures.hpp>
#include <heph/inbox/receiver.hpp>

namespace heph {

namespace detail {

template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <typename F>
concept optional_future = future<F> && is_optional<future_value_t<F>>;

}  // namespace detail

/// Describes what gives values one after the other: `next()` makes a future of a
/// `std::optional<T>`, which is empty when there are no more. One `next` at a time is waited for;
/// dropping it loses nothing. It borrows the stream.
template <typename S>
concept stream = requires(S& values) {
    { values.next() } -> detail::optional_future;
};

/// Names what a stream gives.
template <stream S>
using stream_value_t = typename future_value_t<decltype(std::declval<S&>().next())>::value_type;

/// Gives the messages of an actor as a stream. Made by `context::messages`.
/// *Lifetime*: borrows the context.
template <typename M>
class message_stream {
public:
    explicit message_stream(inbox::receiver<M>& inbox) noexcept : inbox_(&inbox) {}

    /// Waits for the next message, as `context::receive`.
    [[nodiscard]] inbox::recv_future<M> next() noexcept { return inbox_->recv(); }

private:
    inbox::receiver<M>* inbox_;
};

/// Calls a function with each value of a stream, until there are no more. See `for_each`.
template <stream S, typename F>
class [[nodiscard]] for_each_future {
    using next_future = decltype(std::declval<S&>().next());

public:
    using value_type = void;
    /// The stream is another's: it counts as what a pointer leads to.
    static constexpr bool is_sendable = sendable<S*> && sendable<F>;

    for_each_future(S& values, F function) : values_(&values), function_(std::move(function)) {}
    /// Moves a future that was not polled yet.
    for_each_future(for_each_future&& other) noexcept(std::is_nothrow_move_constructible_v<F>)
        : values_(other.values_), function_(std::move(other.function_)) {}
    for_each_future& operator=(for_each_future&&) = delete;
    ~for_each_future() = default;

    polled<void> poll(const waker& waker) {
        // As many as a receiver has at once would keep others from running: let them in between.
        for (int left = burst; left != 0; --left) {
            if (!next_) { next_.emplace(maker(*values_)); }
            auto value = next_->poll(waker);
            if (!value.is_ready()) { return pending; }
            next_.reset();
            if (!value.value()) { return ready; }
            if constexpr (std::same_as<call_result, bool>) {
                if (!std::invoke(function_, *std::move(value.value()))) { return ready; }
            } else {
                std::invoke(function_, *std::move(value.value()));
            }
        }
        waker.wake();
        return pending;
    }

private:
    using call_result = std::invoke_result_t<F&, stream_value_t<S>>;
    static constexpr int burst = 64;

    // Lets `emplace` build the future in its place, though it may not move.
    struct maker {
        explicit maker(S& from) noexcept : values(&from) {}
        operator next_future() const {
            return values->next();
        }  // NOLINT(google-explicit-constructor)
        S* values;
    };

    S* values_;
    F function_;
    std::optional<next_future> next_;
};

/// Calls `function` with each value of a stream until there are no more, or until it returns false
/// if it returns a `bool`. It is called, not awaited: to await something for each value, write a
/// loop, `while (auto value = co_await values.next())`.
///
/// *Errors*: an exception of the function or the stream leaves `poll`. *Cancellation*: no value is
/// lost. *Lifetime*: borrows the stream.
template <stream S, typename F>
    requires std::invocable<F&, stream_value_t<S>>
[[nodiscard]] for_each_future<S, F> for_each(S& values, F function) {
    return for_each_future<S, F>(values, std::move(function));
}

}  // namespace heph
