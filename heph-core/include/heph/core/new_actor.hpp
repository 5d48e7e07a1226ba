#pragma once

// How an actor is made, and made again.

#include <concepts>
#include <expected>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <heph/core/context.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

template <typename T>
class task;

namespace detail {

template <typename T>
inline constexpr bool is_expected = false;
template <typename T, typename E>
inline constexpr bool is_expected<std::expected<T, E>> = true;

template <typename T>
inline constexpr bool is_expected_void = false;
template <typename E>
inline constexpr bool is_expected_void<std::expected<void, E>> = true;

template <typename T>
inline constexpr bool is_tuple = false;
template <typename... Ts>
inline constexpr bool is_tuple<std::tuple<Ts...>> = true;

/// Finds the first parameter of a function, a function pointer, or an object with one `operator()`.
template <typename F>
struct first_parameter : first_parameter<decltype(&F::operator())> {};
template <typename R, typename First, typename... Rest>
struct first_parameter<R (*)(First, Rest...)> : std::type_identity<First> {};
template <typename R, typename First, typename... Rest>
struct first_parameter<R (*)(First, Rest...) noexcept> : std::type_identity<First> {};
template <typename R, typename C, typename First, typename... Rest>
struct first_parameter<R (C::*)(First, Rest...)> : std::type_identity<First> {};
template <typename R, typename C, typename First, typename... Rest>
struct first_parameter<R (C::*)(First, Rest...) const> : std::type_identity<First> {};
template <typename R, typename C, typename First, typename... Rest>
struct first_parameter<R (C::*)(First, Rest...) noexcept> : std::type_identity<First> {};
template <typename R, typename C, typename First, typename... Rest>
struct first_parameter<R (C::*)(First, Rest...) const noexcept> : std::type_identity<First> {};

template <typename... Ts>
struct types {};

/// Finds the parameters of such a one behind the first; `void` when it is generic.
template <typename F>
struct other_parameters : std::type_identity<void> {};
template <typename F>
    requires requires { &F::operator(); }
struct other_parameters<F> : other_parameters<decltype(&F::operator())> {};
template <typename R, typename First, typename... Rest>
struct other_parameters<R (*)(First, Rest...)> : std::type_identity<types<Rest...>> {};
template <typename R, typename First, typename... Rest>
struct other_parameters<R (*)(First, Rest...) noexcept> : std::type_identity<types<Rest...>> {};
template <typename R, typename C, typename First, typename... Rest>
struct other_parameters<R (C::*)(First, Rest...)> : std::type_identity<types<Rest...>> {};
template <typename R, typename C, typename First, typename... Rest>
struct other_parameters<R (C::*)(First, Rest...) const> : std::type_identity<types<Rest...>> {};
template <typename R, typename C, typename First, typename... Rest>
struct other_parameters<R (C::*)(First, Rest...) noexcept> : std::type_identity<types<Rest...>> {};
template <typename R, typename C, typename First, typename... Rest>
struct other_parameters<R (C::*)(First, Rest...) const noexcept>
    : std::type_identity<types<Rest...>> {};

template <typename T>
inline constexpr bool is_reference_wrapper = false;
template <typename T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;

/// Tells whether a coroutine with these parameters would refer to these arguments when they are
/// gone. One that is not const can only be bound to what an argument leads to.
template <typename Parameters, typename... Args>
inline constexpr bool dangles = false;
template <typename... Ps, typename... Args>
    requires(sizeof...(Ps) == sizeof...(Args))
inline constexpr bool dangles<types<Ps...>, Args...> =
    ((std::is_reference_v<Ps> && !is_reference_wrapper<std::remove_cvref_t<Args>> &&
      (std::is_rvalue_reference_v<Ps> || std::is_const_v<std::remove_reference_t<Ps>>)) ||
     ...);

template <typename T>
inline constexpr bool is_task = false;
template <typename T>
inline constexpr bool is_task<task<T>> = true;

/// Finds the message type of a context.
template <typename Context>
struct context_message {
    static_assert(!std::same_as<Context, Context>,
                  "an actor function's first parameter is a heph::context, by value");
};
template <typename M, typename RT>
struct context_message<context<M, RT>> : std::type_identity<M> {};

}  // namespace detail

/// Describes what an actor may be: a future that gives nothing, or `std::expected<void, E>`.
template <typename A>
concept actor = future<A> && std::move_constructible<A> &&
                (std::is_void_v<future_value_t<A>> || detail::is_expected_void<future_value_t<A>>);

namespace detail {

template <typename T>
struct made_actor : std::type_identity<T> {};
template <typename T, typename E>
struct made_actor<std::expected<T, E>> : std::type_identity<T> {};

}  // namespace detail

/// Makes actors: has a `message_type`, and `make(context, args...)`, which gives an `actor`, or
/// `std::expected` of one where making it can fail. It is called again at each restart.
template <typename N, typename RT, typename... Args>
concept new_actor = requires(N& maker, context<typename N::message_type, RT> ctx, Args... args) {
    typename N::message_type;
    requires actor<typename detail::made_actor<
        std::remove_cvref_t<decltype(maker.make(std::move(ctx), std::move(args)...))>>::type>;
};

/// Makes actors by calling a function. See `actor_fn`.
template <typename M, typename F>
class function_actor {
public:
    using message_type = M;

    explicit function_actor(F function) noexcept : function_(std::move(function)) {}

    template <typename RT, typename... Args>
        requires std::invocable<F&, context<M, RT>, Args...>
    auto make(context<M, RT> ctx, Args&&... args) {
        using result = std::invoke_result_t<F&, context<M, RT>, Args...>;
        using parameters = typename detail::other_parameters<F>::type;
        static_assert(!detail::is_task<result> || !detail::dangles<parameters, Args...>,
                      "an actor function takes its arguments by value: they are gone when its task "
                      "runs. To lead it to what outlives it, take a pointer, or give std::ref");
        return std::invoke(function_, std::move(ctx), std::forward<Args>(args)...);
    }

private:
    [[no_unique_address]] F function_;
};

/// Makes an actor of a function, a captureless lambda or an empty function object, whose first
/// parameter is a `context<M, RT>` by value, and which returns `task<>`, or
/// `task<std::expected<void, E>>`. Give the message type, `actor_fn<M>(f)`, when the function is
/// generic.
///
/// A lambda with captures is refused: its coroutine would use them after they are gone. Pass them
/// as arguments. So is one that takes arguments by reference, unless they are given by `std::ref`,
/// or `std::cref`, to what outlives the actor.
template <typename M = void, typename F>
[[nodiscard]] auto actor_fn(F function) noexcept {
    static_assert(std::is_pointer_v<F> || std::is_empty_v<F>,
                  "an actor function captures nothing: pass what it needs as arguments");
    if constexpr (std::is_void_v<M>) {
        using first = typename detail::first_parameter<F>::type;
        using message = typename detail::context_message<first>::type;
        return function_actor<message, F>(std::move(function));
    } else {
        return function_actor<M, F>(std::move(function));
    }
}

/// Makes actors with another `new_actor`, of which it maps the arguments. See `map_args`.
template <typename N, typename F>
class mapped_new_actor {
public:
    using message_type = typename N::message_type;
    static constexpr bool is_sendable = sendable<N> && sendable<F>;

    mapped_new_actor(N maker, F function)
        : maker_(std::move(maker)), function_(std::move(function)) {}

    template <typename RT, typename... Args>
        requires std::invocable<F&, Args...>
    auto make(context<message_type, RT> ctx, Args&&... args) {
        auto mapped = std::invoke(function_, std::forward<Args>(args)...);
        if constexpr (detail::is_tuple<decltype(mapped)>) {
            return std::apply(
                [&](auto&... each) { return maker_.make(std::move(ctx), std::move(each)...); },
                mapped);
        } else {
            return maker_.make(std::move(ctx), std::move(mapped));
        }
    }

private:
    [[no_unique_address]] N maker_;
    [[no_unique_address]] F function_;
};

/// Makes a `new_actor` that takes other arguments than `maker`: `function` is called with them, at
/// the start and at each restart, and gives the argument that `maker` takes, or a `std::tuple` of
/// several. So a supervisor can restart an actor with what it has, a path for one, though the actor
/// takes what comes of it.
///
///     auto from_path = heph::map_args(heph::actor_fn(reader), [](const std::string& path) {
///         return std::ifstream(path);
///     });
///
/// *Errors*: an exception of `function` is one of making the actor.
template <typename N, typename F>
[[nodiscard]] mapped_new_actor<N, F> map_args(N maker, F function) {
    return mapped_new_actor<N, F>(std::move(maker), std::move(function));
}

}  // namespace heph
