#pragma once

// Actors that are objects: their state is members, and a coroutine member function runs them.
//
//     class counter {
//     public:
//         explicit counter(int start) : total_(start) {}
//         heph::task<> operator()(heph::context<message> ctx) {
//             while (auto next = co_await ctx.receive()) { total_ += …; }
//         }
//     private:
//         int total_;
//     };
//
//     worker.spawn(heph::stop_supervisor(), heph::actor_object<counter>(), 5);    // counter(5)
//     worker.spawn(heph::stop_supervisor(), heph::actor_object(counter(5)));      // a copy of it
//     worker.spawn(heph::stop_supervisor(), heph::actor_object(&service::run), config);
//
// At each start, and restart, there is a new object. It lives until the actor is finished.

#include <concepts>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/core/context.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// Runs a member function of an object that it keeps. It may be moved before its first poll, at
/// which the function is called. Made by `actor_object`.
///
/// *Cancellation*: destroys the coroutine where it is suspended, then the object.
template <typename T, typename F, typename Context>
class [[nodiscard]] running_object {
    using running_type = std::invoke_result_t<F&, T&, Context>;

public:
    using value_type = future_value_t<running_type>;

    template <typename... Args>
    running_object(std::in_place_t, F function, Context ctx, Args&&... args)
        : function_(std::move(function)),
          object_(std::forward<Args>(args)...),
          context_(std::move(ctx)) {}
    /// Moves an actor that was not polled yet.
    running_object(running_object&& other) noexcept(std::is_nothrow_move_constructible_v<T>)
        : function_(std::move(other.function_)),
          object_(std::move(other.object_)),
          context_(std::move(other.context_)) {}
    running_object& operator=(running_object&&) = delete;
    ~running_object() = default;

    polled<value_type> poll(const waker& waker) {
        if (!running_) {
            Context ctx = *std::move(context_);
            context_.reset();
            running_.emplace(std::invoke(function_, object_, std::move(ctx)));
        }
        return running_->poll(waker);
    }

private:
    [[no_unique_address]] F function_;
    T object_;  // Outlives the coroutine, which uses it.
    std::optional<Context> context_;
    std::optional<running_type> running_;
};

/// Makes objects of `T` with the arguments of the actor, and runs a member function of theirs.
/// A `new_actor`. See `actor_object`.
template <typename M, typename T, typename F>
class object_actor {
public:
    using message_type = M;
    static constexpr bool is_sendable = sendable<T> && sendable<F>;

    explicit object_actor(F function) noexcept : function_(std::move(function)) {}

    template <typename RT, typename... Args>
        requires std::constructible_from<T, Args...> && std::invocable<F&, T&, context<M, RT>>
    auto make(context<M, RT> ctx, Args&&... args) {
        static_assert(std::move_constructible<T>,
                      "an actor object is moved to where it runs before it is used");
        return running_object<T, F, context<M, RT>>(std::in_place, function_, std::move(ctx),
                                                    std::forward<Args>(args)...);
    }

private:
    [[no_unique_address]] F function_;
};

/// Makes copies of an object, and runs them. A `new_actor`. See `actor_object`.
template <typename M, typename T, typename F>
class copied_object_actor {
public:
    using message_type = M;
    static constexpr bool is_sendable = sendable<T> && sendable<F>;

    copied_object_actor(T original, F function)
        : original_(std::move(original)), function_(std::move(function)) {}

    template <typename RT>
        requires std::invocable<F&, T&, context<M, RT>>
    auto make(context<M, RT> ctx) {
        return running_object<T, F, context<M, RT>>(std::in_place, function_, std::move(ctx),
                                                    std::as_const(original_));
    }

private:
    T original_;
    [[no_unique_address]] F function_;
};

namespace detail {

/// Calls an object itself.
struct call_object {
    template <typename T, typename Context>
        requires std::invocable<T&, Context>
    auto operator()(T& object, Context ctx) const {
        return object(std::move(ctx));
    }
};

/// Finds the message type: the one that is given, or that of the function's context.
template <typename M, typename F>
struct object_message : std::type_identity<M> {};
template <typename F>
struct object_message<void, F> : context_message<typename first_parameter<F>::type> {};

template <typename T>
struct member_class;
template <typename F, typename C>
struct member_class<F C::*> : std::type_identity<C> {};

}  // namespace detail

/// Makes actors of the objects `T(args...)`, with the arguments of the actor. Their call operator
/// runs them: it takes a `context<M, RT>` by value, and returns `task<>`, or
/// `task<std::expected<void, E>>`. Give the message type when it is a template.
///
/// *Errors*: an exception of the constructor is one of making the actor.
template <typename T, typename M = void>
[[nodiscard]] auto actor_object() noexcept {
    if constexpr (std::is_void_v<M>) {
        using message = typename detail::object_message<M, decltype(&T::operator())>::type;
        return object_actor<message, T, detail::call_object>(detail::call_object());
    } else {
        return object_actor<M, T, detail::call_object>(detail::call_object());
    }
}

/// Makes actors of copies of an object, whose call operator runs them.
template <typename M = void, typename T>
    requires(std::is_class_v<T> && std::copy_constructible<T>)
[[nodiscard]] auto actor_object(T original) {
    if constexpr (std::is_void_v<M>) {
        using message = typename detail::object_message<M, decltype(&T::operator())>::type;
        return copied_object_actor<message, T, detail::call_object>(std::move(original),
                                                                    detail::call_object());
    } else {
        return copied_object_actor<M, T, detail::call_object>(std::move(original),
                                                              detail::call_object());
    }
}

/// Makes actors of the objects that a member function belongs to, made with the arguments of the
/// actor; that function runs them.
template <typename Member>
    requires std::is_member_function_pointer_v<Member>
[[nodiscard]] auto actor_object(Member member) noexcept {
    using message = typename detail::object_message<void, Member>::type;
    using object = typename detail::member_class<Member>::type;
    return object_actor<message, object, Member>(member);
}

}  // namespace heph
