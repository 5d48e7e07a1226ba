#pragma once

// Awaiting within a task what is no future: the awaitables of other coroutine libraries.
//
//     auto rows = co_await heph::from_foreign(database.query("select 1"));
//
// A future can be dropped at any time; a foreign awaitable cannot: once it was told whom to resume,
// somebody, perhaps on another thread, will. So the task never awaits it itself. A small coroutine
// of its own, the shim, owns the awaitable, awaits it, and sends what comes of it through a
// one-shot channel to the future that the task awaits.
//
// States of the future
//     made     --first poll-->          started: the shim runs, on the polling thread
//     made     --dropped-->             gone; the awaitable was never begun
//     started  --result is sent-->      ready, and woken, on whatever thread resumed the shim
//     started  --shim is destroyed-->   ready: poll throws `operation_abandoned`
//     started  --dropped-->             gone; `cancel` is called. The shim goes on until it is
//                                       resumed, then discards the result, and ends
//
// Invariants
//     1. What the awaitable refers to is owned by the awaitable, or by the function that makes it:
//        both live in the shim. Nothing in there refers to the task.
//     2. The awaitable is gone before the result is sent: who gets the result may reuse what the
//        awaitable referred to.
//     3. The foreign library resumes the shim only; the task is woken, and polled by its own
//        executor.

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/core/detail/frame_pool.hpp>
#include <heph/core/detail/outcome.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/oneshot.hpp>

namespace heph {

namespace detail {

template <typename A>
concept awaiter = requires(A& a) {
    { a.await_ready() } -> std::convertible_to<bool>;
    a.await_resume();
};

template <typename A>
concept has_member_co_await = requires(A&& a) { std::forward<A>(a).operator co_await(); };
template <typename A>
concept has_free_co_await = requires(A&& a) { operator co_await(std::forward<A>(a)); };

template <typename A>
decltype(auto) get_awaiter(A&& awaitable) {
    if constexpr (has_member_co_await<A>) {
        return std::forward<A>(awaitable).operator co_await();
    } else if constexpr (has_free_co_await<A>) {
        return operator co_await(std::forward<A>(awaitable));
    } else {
        return std::forward<A>(awaitable);
    }
}

template <typename A>
concept awaitable =
    has_member_co_await<A> || has_free_co_await<A> || awaiter<std::remove_reference_t<A>>;

template <typename A>
using await_result_t = std::decay_t<decltype(get_awaiter(std::declval<A>()).await_resume())>;

template <typename F>
concept makes_awaitable = std::invocable<F> && awaitable<std::invoke_result_t<F>>;

/// Finds what is awaited in the end: the source itself, or what it makes.
template <typename Source>
struct foreign_awaited : std::invoke_result<Source&> {};
template <awaitable Source>
struct foreign_awaited<Source> : std::type_identity<Source> {};

/// Is a coroutine that owns itself once it was started.
class foreign_shim {
public:
    struct promise_type {
        foreign_shim get_return_object() noexcept {
            return foreign_shim(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        static constexpr std::suspend_always initial_suspend() noexcept { return {}; }
        static constexpr std::suspend_never final_suspend() noexcept { return {}; }
        static constexpr void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
        static void* operator new(std::size_t size) { return allocate_frame(size); }
        static void operator delete(void* frame, std::size_t size) noexcept {
            free_frame(frame, size);
        }
    };

    explicit foreign_shim(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
    foreign_shim(foreign_shim&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    foreign_shim& operator=(foreign_shim&&) = delete;
    ~foreign_shim() {
        if (handle_) { handle_.destroy(); }
    }

    [[nodiscard]] bool is_started() const noexcept { return !handle_; }
    /// Runs it until it suspends for the first time; from then on nobody owns it.
    void start() { std::exchange(handle_, nullptr).resume(); }

private:
    std::coroutine_handle<promise_type> handle_;
};

template <typename T, typename Source>
foreign_shim run_foreign(Source source, inbox::oneshot_sender<outcome<T>> reply) {
    outcome<T> result;
    // Names for everything: g++ 12 mistreats some temporaries of expressions with `co_await`, and
    // moves an awaiter that is given by an rvalue reference.
    try {
        std::optional<Source> kept(std::move(source));  // Invariant 2: it ends with this block.
        if constexpr (awaitable<Source>) {
            auto&& waiting = get_awaiter(std::move(*kept));
            if constexpr (std::is_void_v<T>) {
                co_await waiting;
                result.set_value();
            } else {
                auto&& got = co_await waiting;
                result.set_value(std::forward<decltype(got)>(got));
            }
        } else {
            auto&& made = std::invoke(*kept);
            auto&& waiting = get_awaiter(std::forward<decltype(made)>(made));
            if constexpr (std::is_void_v<T>) {
                co_await waiting;
                result.set_value();
            } else {
                auto&& got = co_await waiting;
                result.set_value(std::forward<decltype(got)>(got));
            }
        }
    } catch (...) { result.set_exception(std::current_exception()); }
    // What comes back, nobody waits for any more.
    (void)std::move(reply).try_send(std::move(result));
}

}  // namespace detail

/// Waits for what a foreign awaitable gives. See `from_foreign`.
template <typename Source, typename Cancel>
class [[nodiscard]] foreign_future {
    using awaited_type = typename detail::foreign_awaited<Source>::type;

public:
    using value_type = detail::await_result_t<awaited_type>;
    static constexpr bool is_sendable = sendable<Source> && sendable<Cancel>;

    foreign_future(Source source, Cancel cancel)
        : foreign_future(std::move(source), std::move(cancel),
                         inbox::oneshot<detail::outcome<value_type>>()) {}
    foreign_future(foreign_future&&) = default;
    foreign_future& operator=(foreign_future&&) = delete;
    ~foreign_future() {
        if (shim_.is_started() && reply_.may_come()) { cancel_(); }
    }

    polled<value_type> poll(const waker& waker) {
        if (!shim_.is_started()) { shim_.start(); }
        return reply_.poll(waker);
    }

private:
    using outcome_type = detail::outcome<value_type>;
    using receiver_type = inbox::oneshot_receiver<outcome_type>;

    foreign_future(Source&& source, Cancel&& cancel,
                   std::pair<inbox::oneshot_sender<outcome_type>, receiver_type> channel)
        : cancel_(std::move(cancel)),
          shim_(
              detail::run_foreign<value_type, Source>(std::move(source), std::move(channel.first))),
          reply_(std::move(channel.second)) {}

    [[no_unique_address]] Cancel cancel_;
    detail::foreign_shim shim_;
    detail::awaited_outcome<value_type> reply_;
};

/// Makes a future of the awaitable of another coroutine library, or of a function that makes one.
///
///     auto rows = co_await heph::from_foreign(database.query("select 1"));
///
///     auto reading = heph::from_foreign([file, buffer] { return file->read(*buffer); });
///     auto bytes = co_await std::move(reading);
///
/// Anything with the standard protocol will do: `await_ready`, `await_suspend` of each kind,
/// `await_resume`, or an `operator co_await`. It begins with the first poll, and may be resumed by
/// any thread. What it gives is decayed: a reference becomes a copy.
///
/// The second form is for awaitables that cannot be moved, and for those that refer to something:
/// the function is kept, with all it captures, until the awaitable has ended.
///
/// `cancel` is called, by whoever drops the future, when the operation has begun and not ended yet;
/// it may just be ending. It should make it end soon: cancel a token, close a socket. It must not
/// throw: it is `noexcept`. Without one, the operation goes on, and its result is discarded.
///
/// *Errors*: whatever the awaitable throws; `operation_abandoned` when the other library destroys
/// the coroutine that waits instead of resuming it.
/// *Cancellation*: see above. *Lifetime*: the awaitable may outlive the task: let it own what it
/// uses. Hence it is taken by value: move it here.
template <typename Source, typename Cancel = detail::no_cancel>
    requires(!std::is_lvalue_reference_v<Source> &&
             (detail::awaitable<Source> || detail::makes_awaitable<Source&>) &&
             std::is_nothrow_invocable_v<Cancel&>)
[[nodiscard]] foreign_future<Source, Cancel> from_foreign(Source&& source,
                                                          Cancel cancel = Cancel()) {
    return foreign_future<Source, Cancel>(std::forward<Source>(source), std::move(cancel));
}

}  // namespace heph
