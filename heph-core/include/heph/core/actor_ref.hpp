#pragma once

// How to reach an actor.

#include <compare>
#include <concepts>
#include <cstdint>
#include <exception>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/detail/ref_target.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/send_error.hpp>
#include <heph/core/sendable.hpp>
#include <heph/core/stream_rpc.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/channel.hpp>

namespace heph {

/// Waits until a message is in an actor's inbox. Made by `actor_ref::send`.
///
/// *Cancellation*: the message is either sent by then, or destroyed. *Lifetime*: borrows the
/// reference.
template <typename M>
class [[nodiscard]] send_future {
    using direct_future =
        decltype(std::declval<const inbox::sender<M>&>().send(std::declval<M&&>()));
    using erased_future = detail::any_future<detail::send_result<M>>;

public:
    /// Nothing, or why it was not sent: never because the inbox is full.
    using value_type = std::expected<void, send_error<M>>;

    explicit send_future(const inbox::sender<M>& sender, M&& message) noexcept
        : holds_(held::direct), direct_(inbox::detail::access::send(sender, std::move(message))) {}
    explicit send_future(erased_future erased) noexcept
        : holds_(held::erased), erased_(std::move(erased)) {}
    /// Moves a future that was not polled yet.
    send_future(send_future&& other) noexcept : holds_(other.holds_) {
        HEPH_ASSERT(holds_ == held::direct || holds_ == held::erased);
        if (holds_ == held::direct) {
            std::construct_at(&direct_, std::move(other.direct_));
        } else {
            std::construct_at(&erased_, std::move(other.erased_));
        }
    }
    send_future& operator=(send_future&&) = delete;
    ~send_future() {
        if (holds_ == held::direct) [[likely]] {
            std::destroy_at(&direct_);
        } else {
            drop_indirect();
        }
    }

    polled<value_type> poll(const waker& waker) {
        if (holds_ != held::direct) [[unlikely]] { return erased_.poll(waker); }
        using step = inbox::detail::send_step;
        const step now = inbox::detail::access::step(direct_, waker);
        if (now == step::sent) [[likely]] { return polled<value_type>(std::in_place); }
        if (now == step::waits) { return pending; }
        return polled<value_type>(std::in_place, std::unexpect, send_failure::disconnected,
                                  inbox::detail::access::take(direct_));
    }

    /// Asks like `poll`, and leaves the value where it is until `take` gives it: who awaits the
    /// future needs no room for it.
    [[nodiscard]] bool ready_to_take(const waker& waker) noexcept {
        if (holds_ != held::direct) [[unlikely]] { return indirect_is_ready(waker); }
        return inbox::detail::access::step(direct_, waker) != inbox::detail::send_step::waits;
    }
    /// Gives the value. *Requires*: `ready_to_take` said so, and it was not given yet.
    [[nodiscard, gnu::always_inline]] value_type take() {
        if (holds_ != held::direct) [[unlikely]] { return take_indirect(); }
        if (inbox::detail::access::is_sent(direct_)) [[likely]] { return {}; }
        return value_type(std::unexpect, send_failure::disconnected,
                          inbox::detail::access::take(direct_));
    }

private:
    enum class held : std::uint8_t { direct, erased, result, exception };

    [[gnu::noinline]] bool indirect_is_ready(const waker& waker) noexcept {
        std::exception_ptr thrown;
        try {
            auto sent = erased_.poll(waker);
            if (!sent.is_ready()) { return false; }
            std::destroy_at(&erased_);
            std::construct_at(&result_, std::move(sent).value());
            holds_ = held::result;
            return true;
        } catch (...) { thrown = std::current_exception(); }
        std::destroy_at(&erased_);
        std::construct_at(&exception_, std::move(thrown));
        holds_ = held::exception;
        return true;
    }
    [[gnu::noinline]] value_type take_indirect() {
        if (holds_ == held::exception) { std::rethrow_exception(std::move(exception_)); }
        return std::move(result_);
    }
    [[gnu::noinline]] void drop_indirect() noexcept {
        if (holds_ == held::erased) { std::destroy_at(&erased_); }
        if (holds_ == held::result) { std::destroy_at(&result_); }
        if (holds_ == held::exception) { std::destroy_at(&exception_); }
    }

    // First, so that it is in the cache line of what is mostly held. And not a variant, which is
    // slower to move and to destroy.
    held holds_;
    union {
        direct_future direct_;
        erased_future erased_;
        value_type result_;  // Of an erased one, which may also have thrown instead.
        std::exception_ptr exception_;
    };
};

/// Waits until an actor is finished. Made by `actor_ref::join`. *Lifetime*: borrows the reference.
template <typename M>
class [[nodiscard]] join_ref_future {
    using direct_future = decltype(std::declval<const inbox::sender<M>&>().join());
    using erased_future = detail::any_future<void>;

public:
    using value_type = void;

    explicit join_ref_future(direct_future direct)
        : future_(std::in_place_index<0>, std::move(direct)) {}
    explicit join_ref_future(erased_future erased)
        : future_(std::in_place_index<1>, std::move(erased)) {}

    polled<void> poll(const waker& waker) {
        return std::visit([&waker](auto& future) { return future.poll(waker); }, future_);
    }

private:
    std::variant<direct_future, erased_future> future_;
};

/// Sends messages of type `M` to an actor: the only way to reach one.
///
/// A copy reaches the same actor. An actor runs on when its references are gone: once its inbox is
/// empty it is told that there are no more messages. Besides to an actor, a reference may lead to
/// a function, to nothing, or through a mapping to another reference; neither costs an allocation
/// per message.
///
/// *Thread safety*: distinct objects: safe, also when they reach the same actor. Shared objects:
/// safe, except to assign and to destroy. A reference that was moved from may only be assigned and
/// destroyed.
template <typename M>
class actor_ref {
public:
    using message_type = M;
    static constexpr bool is_sendable = sendable<M>;

    /// Makes a reference to whoever receives from the channel.
    explicit actor_ref(inbox::sender<M> sender) noexcept : sender_(std::move(sender)) {}

    /// Makes a reference to one who takes a variant, for one or some of its alternatives: so an
    /// actor's reference can be given to whoever sends it only some of its messages. This is `map`,
    /// and allocates once.
    template <typename Other>
        requires(!std::same_as<Other, M> &&
                 (detail::holds_once<Other, M> || detail::is_subset<M, Other>))
    actor_ref(const actor_ref<Other>& other)  // NOLINT(google-explicit-constructor)
        : actor_ref(other.template map<M>()) {}

    /// Makes a reference that calls `function` with each message, on the sender's thread. It may
    /// return nothing, or a `bool`: false refuses the message, which comes back when the function
    /// takes it by `const M&`.
    /// *Requires*: the function can be called from several threads at once, as `const`.
    template <typename F>
        requires std::invocable<const F&, M>
    [[nodiscard]] static actor_ref to_function(F function) {
        return actor_ref(
            std::make_shared<const detail::function_target<M, F>>(std::move(function)));
    }

    /// Makes a reference that drops every message, and is always connected.
    [[nodiscard]] static actor_ref to_nothing() {
        return to_function([](const M&) {});
    }

    /// Sends a message if there is room for it.
    /// *Errors*: the inbox is full, or the actor is finished; the message comes back.
    [[nodiscard]] std::expected<void, send_error<M>> try_send(M message) const {
        if (target_) { return target_->try_send(std::move(message)); }
        return detail::to_send_result<M>(sender_.try_send(std::move(message)));
    }

    /// Makes the message in place and sends it if there is room: `ref.try_emplace<ping>("x")`, or
    /// `ref.try_emplace("x")` when the message is no variant.
    template <typename Alternative = M, typename... Args>
    [[nodiscard]] std::expected<void, send_error<M>> try_emplace(Args&&... args) const {
        return try_send(make_message<Alternative>(std::forward<Args>(args)...));
    }

    /// Sends a message, waiting while the inbox is full.
    ///
    /// Within a coroutine built by g++ 12, give it a named variable that is moved, or a type with a
    /// constructor; or use `emplace`. A braced temporary would be destroyed twice.
    [[nodiscard]] send_future<M> send(M message) const {
        if (target_) [[unlikely]] { return send_to_target(std::move(message)); }
        return send_future<M>(sender_, std::move(message));
    }

    /// Makes the message in place and sends it, waiting while the inbox is full.
    template <typename Alternative = M, typename... Args>
    [[nodiscard]] send_future<M> emplace(Args&&... args) const {
        return send(make_message<Alternative>(std::forward<Args>(args)...));
    }

    /// Asks the actor, and waits for its answer: gives `std::expected<Res, rpc_error>`.
    ///
    /// Which `rpc<Req, Res>` it is follows from the request: the alternative of `M` (or `M` itself)
    /// with exactly this `Req`, else the only one that can be made from it. Where that is not
    /// unique, name it: `ref.rpc<get_total>()`.
    template <typename Call = void, typename... Args>
        requires(!detail::begins_with_deadline<Args...>)
    [[nodiscard]] auto rpc(Args&&... request) const {
        using call_type = typename detail::chosen_call<detail::rpc_calls, Call, M, Args...>::type;
        using response_type = typename call_type::response_type;
        auto [reply, receiver] = inbox::oneshot<detail::reply_t<response_type>>();
        return rpc_future<send_future<M>, response_type>(
            [&, &to = reply] {
                return emplace<call_type>(std::forward<Args>(request)..., std::move(to));
            },
            std::move(receiver));
    }

    /// Asks like that, and waits for the answer until a deadline that has a timer. When it passes,
    /// the call is given up, as if its future were dropped: a request that was not sent yet is
    /// not sent, and the actor can see that nobody waits any more.
    ///
    ///     auto total = co_await ref.rpc<get_total>(ctx.deadline_in(100ms));
    ///
    /// *Errors*: `timed_out`, besides those of a call without a deadline.
    template <typename Call = void, timer_future Timer, typename... Args>
    [[nodiscard]] auto rpc(bound_deadline<Timer> until, Args&&... request) const {
        auto call = rpc<Call>(std::forward<Args>(request)...);
        return rpc_until_future<decltype(call), Timer>(std::move(call), std::move(until).timer());
    }
    template <typename Call = void, typename... Args>
    void rpc(deadline, Args&&...) const {
        static_assert(!std::is_same_v<M, M>,
                      "a reference has no clock: give a deadline with a timer, as "
                      "ref.rpc(ctx.deadline_in(1s), …)");
    }

    /// Asks the actor for many values: sends the request, waiting for room, then gives
    /// `std::expected<reply_stream<Item, E>, rpc_error>`, from which they are received. The window
    /// is how many may be under way; 8 if none is given.
    ///
    ///     auto notes = co_await store.stream<list_notes>(heph::window(16), "a");
    ///
    /// Which `stream_rpc` it is follows from the request, or is named, as with `rpc`.
    template <typename Call = void, typename... Args>
    [[nodiscard]] auto stream(window ahead, Args&&... request) const {
        using call_type =
            typename detail::chosen_call<detail::stream_calls, Call, M, Args...>::type;
        using stream_type = detail::reply_stream_of<call_type>;
        auto [items, received] = inbox::channel<typename call_type::item_type>(ahead.items());
        auto [end, ended] =
            inbox::oneshot<detail::stream_outcome<typename call_type::error_type>>();
        return stream_future<send_future<M>, stream_type>(
            emplace<call_type>(std::forward<Args>(request)...,
                               typename call_type::reply_sender(std::move(items), std::move(end))),
            stream_type(std::move(received), std::move(ended)));
    }
    template <typename Call = void, typename... Args>
        requires(!detail::begins_with_window<Args...>)
    [[nodiscard]] auto stream(Args&&... request) const {
        return stream<Call>(window(8), std::forward<Args>(request)...);
    }

    /// Makes a reference for messages that convert to `M`: what a constructor of `M` takes, or a
    /// variant of some of the alternatives of `M`. A number is no container of that size, and a
    /// pointer no smart one: for these, say so by `map_fn`.
    template <typename From>
        requires detail::maps_to<From, M>
    [[nodiscard]] actor_ref<From> map() const {
        if constexpr (std::same_as<From, M>) {
            return *this;
        } else {
            return map_with<From>(detail::convert_to<M>());
        }
    }

    /// Makes a reference for a variant of which this actor takes one alternative, or several if `M`
    /// is a variant, too: the others are refused.
    template <typename From>
        requires detail::may_map_to<From, M>
    [[nodiscard]] actor_ref<From> try_map() const {
        return map_with<From>(detail::take_alternative<M>());
    }

    /// Makes a reference for messages that `function` converts.
    /// *Requires*: the function can be called from several threads at once, as `const`.
    template <typename From, typename F>
        requires std::invocable<const F&, From&&>
    [[nodiscard]] actor_ref<From> map_fn(F function) const {
        return map_with<From>(std::move(function));
    }

    /// Makes a reference for messages that `function` converts, or not: it returns
    /// `std::optional<M>`, or `std::expected<M, E>`; when `E` is `From`, that is what comes back.
    template <typename From, typename F>
        requires std::invocable<const F&, From&&>
    [[nodiscard]] actor_ref<From> try_map_fn(F function) const {
        return map_with<From>(std::move(function));
    }

    /// Completes when the actor is finished. Never, for a function or nothing.
    [[nodiscard]] join_ref_future<M> join() const {
        if (target_) { return join_ref_future<M>(target_->join()); }
        return join_ref_future<M>(sender_.join());
    }

    /// Tells whether the actor is not finished yet.
    [[nodiscard]] bool is_connected() const noexcept {
        return target_ ? target_->is_connected() : sender_.is_connected();
    }

    /// Makes an observer of the actor, which does not keep it running. Nothing, for a function or
    /// nothing. See `monitor`.
    [[nodiscard]] std::optional<inbox::observer> observe() const noexcept {
        if (target_) { return target_->observe(); }
        return sender_.observe();
    }

    /// Tells whether both lead to the same actor, whatever messages they take.
    template <typename Other>
    [[nodiscard]] bool sends_to(const actor_ref<Other>& other) const noexcept {
        return id() == other.id();
    }

    /// Identifies the actor as long as a reference to it exists: what `==`, `<` and `std::hash` of
    /// references compare.
    [[nodiscard]] inbox::channel_id id() const noexcept {
        return target_ ? target_->id() : sender_.id();
    }

    friend bool operator==(const actor_ref& a, const actor_ref& b) noexcept {
        return a.id() == b.id();
    }
    friend std::strong_ordering operator<=>(const actor_ref& a, const actor_ref& b) noexcept {
        return a.id() <=> b.id();
    }

private:
    template <typename>
    friend class actor_ref;
    friend struct detail::ref_access;

    using target_pointer = std::shared_ptr<const detail::ref_target<M>>;

    explicit actor_ref(target_pointer target) noexcept
        : sender_(inbox::detail::access::no_sender<M>()), target_(std::move(target)) {}

    [[gnu::noinline]] send_future<M> send_to_target(M&& message) const {
        return send_future<M>(target_->send(std::move(message)));
    }

    template <typename Alternative, typename... Args>
    static M make_message(Args&&... args) {
        if constexpr (std::same_as<Alternative, M>) {
            // Or else the line below, with one argument, would be a cast.
            static_assert(std::constructible_from<M, Args...>,
                          "this message cannot be made from these arguments");
            return M(std::forward<Args>(args)...);
        } else {
            return M(std::in_place_type<Alternative>, std::forward<Args>(args)...);
        }
    }

    template <typename From, typename F>
    actor_ref<From> map_with(F function) const {
        return actor_ref<From>(
            std::make_shared<const detail::mapped_target<From, M, F>>(*this, std::move(function)));
    }

    // Where there is a target, the sender leads nowhere. Not a variant, in which g++ 12 would see
    // uninitialised pointers wherever a reference is made and used in one function.
    inbox::sender<M> sender_;
    target_pointer target_;
};

namespace detail {

template <typename M>
actor_ref<M> ref_access::to_target(std::shared_ptr<const ref_target<M>> target) noexcept {
    return actor_ref<M>(std::move(target));
}

template <typename M>
const inbox::sender<M>* ref_access::sender_of(const actor_ref<M>& ref) noexcept {
    return ref.target_ ? nullptr : &ref.sender_;
}

template <typename M>
const ref_target<M>& ref_access::target_of(const actor_ref<M>& ref) noexcept {
    return *ref.target_;
}

}  // namespace detail

}  // namespace heph

/// Hashes what `==` compares.
template <typename M>
struct std::hash<heph::actor_ref<M>> {
    std::size_t operator()(const heph::actor_ref<M>& ref) const noexcept {
        return std::hash<heph::inbox::channel_id>()(ref.id());
    }
};
