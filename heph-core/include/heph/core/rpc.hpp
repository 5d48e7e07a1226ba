#pragma once

// Asking an actor, and answering.

#include <concepts>
#include <cstddef>
#include <expected>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/send_error.hpp>
#include <heph/core/sendable.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/oneshot.hpp>

namespace heph {

/// Says why a call has no answer.
enum class rpc_error {
    disconnected,  ///< The actor is finished; it never got the request.
    no_reply,      ///< The actor got the request and dropped it, or failed, without an answer.
    refused,       ///< The reference's mapping or function did not take the request.
    timed_out,     ///< The deadline passed; whether the actor got the request is not known.
};

/// Says it in words.
[[nodiscard]] constexpr std::string_view to_string(rpc_error error) noexcept {
    switch (error) {
        case rpc_error::disconnected: return "the called actor is finished";
        case rpc_error::no_reply: return "the called actor dropped the request without an answer";
        case rpc_error::refused: return "the reference does not take this request";
        case rpc_error::timed_out: break;
    }
    return "there was no answer before the deadline";
}

namespace detail {

/// What travels for a response.
template <typename Res>
using reply_t = std::conditional_t<std::is_void_v<Res>, std::monostate, Res>;

template <typename Req>
class rpc_request {
    static_assert(!std::is_reference_v<Req>,
                  "a request is a value: the actor may look at it long after the caller's is gone");

public:
    using request_type = Req;
    explicit rpc_request(Req request) : request_(std::move(request)) {}

    /// Gives what was asked. It may be moved from.
    [[nodiscard]] Req& request() noexcept { return request_; }
    [[nodiscard]] const Req& request() const noexcept { return request_; }

private:
    Req request_;
};

template <>
class rpc_request<void> {
public:
    using request_type = void;
};

}  // namespace detail

// When g++ 12 inlines all that happens to a variant of messages, it asks what the moves and the
// destructor of a call would find if the variant held one, in paths where it holds something else,
// and warns of uninitialised memory. A warning is told by what was inlined into what, so that
// these pragmas keep programs free of it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

/// Carries a request to an actor, and its one answer back. `void` as `Req` asks without saying
/// anything, `void` as `Res` answers without saying anything.
///
/// It is a message, or an alternative of a variant that is. Name one by an alias, or derive from it
/// (`struct get_total : heph::rpc<void, int> { using rpc::rpc; };`) when an actor takes several of
/// the same types. Callers use `actor_ref::rpc`.
///
/// Dropping it without an answer tells the caller `rpc_error::no_reply`.
template <typename Req, typename Res>
class [[nodiscard]] rpc : public detail::rpc_request<Req> {
public:
    using response_type = Res;
    using reply_sender = inbox::oneshot_sender<detail::reply_t<Res>>;
    static constexpr bool is_sendable = sendable<Req> && sendable<Res>;

    explicit rpc(reply_sender reply) noexcept
        requires std::is_void_v<Req>
        : reply_(std::move(reply)) {}

    template <typename R>
        requires std::constructible_from<Req, R&&>
    rpc(R&& request, reply_sender reply)
        : detail::rpc_request<Req>(Req(std::forward<R>(request))), reply_(std::move(reply)) {}

    rpc(rpc&& other) noexcept(std::is_nothrow_move_constructible_v<detail::rpc_request<Req>>)
        : detail::rpc_request<Req>(std::move(other)),
          reply_(std::move(other.reply_)),
          open_(std::exchange(other.open_, false)) {}
    rpc& operator=(rpc&& other) noexcept(
        std::is_nothrow_move_assignable_v<detail::rpc_request<Req>>)
        requires std::is_move_assignable_v<detail::rpc_request<Req>>
    {
        detail::rpc_request<Req>::operator=(std::move(other));
        open_ = false;  // Also when `other` is this.
        reply_ = std::move(other.reply_);
        open_ = std::exchange(other.open_, false);
        return *this;
    }
    ~rpc() = default;

    /// Answers. Gives false when the caller has given up, or was answered before.
    template <typename... Value>
        requires std::constructible_from<detail::reply_t<Res>, Value...>
    bool respond(Value&&... value) {
        if (!open_) { return false; }
        // Made first: if that throws, the caller can still be answered.
        detail::reply_t<Res> answer(std::forward<Value>(value)...);
        open_ = false;
        return std::move(reply_).try_send(std::move(answer)).has_value();
    }

    /// Answers with what `answer` returns for the request, and does not call it when the caller has
    /// given up. Gives what `respond` does.
    template <typename F>
    bool handle(F&& answer) {
        if (is_cancelled()) { return false; }
        if constexpr (std::is_void_v<Req> && std::is_void_v<Res>) {
            std::forward<F>(answer)();
            return respond();
        } else if constexpr (std::is_void_v<Req>) {
            return respond(std::forward<F>(answer)());
        } else if constexpr (std::is_void_v<Res>) {
            std::forward<F>(answer)(std::move(this->request()));
            return respond();
        } else {
            return respond(std::forward<F>(answer)(std::move(this->request())));
        }
    }

    /// Answers with the value of what `answer` returns, a `std::expected`; when that holds an error
    /// it is given back, and the caller is not answered (yet). Gives what `respond` does, and does
    /// not call `answer` when the caller has given up.
    template <typename F>
    auto try_handle(F&& answer) {
        const auto ask = [&] {
            if constexpr (std::is_void_v<Req>) {
                return std::forward<F>(answer)();
            } else {
                return std::forward<F>(answer)(this->request());
            }
        };
        using error_type = typename decltype(ask())::error_type;
        using result_type = std::expected<bool, error_type>;
        if (is_cancelled()) { return result_type(false); }
        auto result = ask();
        if (!result) { return result_type(std::unexpect, std::move(result.error())); }
        if constexpr (std::is_void_v<Res>) {
            return result_type(respond());
        } else {
            return result_type(respond(std::move(*result)));
        }
    }

    /// Tells whether nobody waits for an answer (any more).
    [[nodiscard]] bool is_cancelled() const noexcept { return !open_ || !reply_.is_connected(); }

    /// Completes when the caller gives up, or is answered. *Requires*: not answered yet.
    /// *Lifetime*: borrows this.
    [[nodiscard]] auto closed() {
        HEPH_ASSERT(open_);
        return reply_.closed();
    }

private:
    reply_sender reply_;
    bool open_ = true;  // Not answered, and not moved from.
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

namespace detail {

template <typename Req, typename Res>
std::true_type derives_from_rpc(const rpc<Req, Res>*);
std::false_type derives_from_rpc(const void*);

template <typename M>
concept rpc_message = decltype(derives_from_rpc(static_cast<const M*>(nullptr)))::value;

/// Which messages `actor_ref::rpc` chooses from.
struct rpc_calls {
    template <typename M>
    static constexpr bool includes = rpc_message<M>;
};

template <typename Calls, typename M, typename... Args>
constexpr bool takes_exactly() {
    if constexpr (!Calls::template includes<M>) {
        return false;
    } else if constexpr (sizeof...(Args) == 0) {
        return std::is_void_v<typename M::request_type>;
    } else {
        return (std::same_as<typename M::request_type, std::remove_cvref_t<Args>> && ...);
    }
}

template <typename Calls, typename M, typename... Args>
constexpr bool takes_converted() {
    if constexpr (!Calls::template includes<M>) {
        return false;
    } else if constexpr (sizeof...(Args) == 0 || std::is_void_v<typename M::request_type>) {
        return false;
    } else {
        return std::constructible_from<typename M::request_type, Args...>;
    }
}

/// Finds the alternative that a call is meant for.
template <typename Calls, typename M, typename... Args>
struct call_choice {
    static_assert(Calls::template includes<M>, "this actor takes no such call");
    using type = M;
};

template <typename Calls, typename... Alternatives, typename... Args>
struct call_choice<Calls, std::variant<Alternatives...>, Args...> {
    static constexpr std::size_t exact =
        (std::size_t{takes_exactly<Calls, Alternatives, Args...>()} + ... + 0);
    static constexpr std::size_t converted =
        (std::size_t{takes_converted<Calls, Alternatives, Args...>()} + ... + 0);
    static_assert(exact + converted > 0, "this actor takes no such call with this request");
    static_assert(exact == 1 || (exact == 0 && converted == 1),
                  "this actor takes several calls with this request: name one, ref.rpc<which>(…)");

    static constexpr std::size_t index() {
        std::size_t at = 0;
        const bool matches[] = {(exact != 0 ? takes_exactly<Calls, Alternatives, Args...>()
                                            : takes_converted<Calls, Alternatives, Args...>())...};
        while (!matches[at]) { ++at; }
        return at;
    }
    using type = std::variant_alternative_t<index(), std::variant<Alternatives...>>;
};

template <typename M, typename... Args>
using rpc_choice = call_choice<rpc_calls, M, Args...>;

/// Gives `Call`, or the only one that fits when that is `void`.
template <typename Calls, typename Call, typename M, typename... Args>
struct chosen_call : std::type_identity<Call> {};
template <typename Calls, typename M, typename... Args>
struct chosen_call<Calls, void, M, Args...> : call_choice<Calls, M, Args...> {};

}  // namespace detail

/// Sends a request, then waits for its answer. Made by `actor_ref::rpc`.
///
/// *Cancellation*: the actor can see that nobody waits any more; a request that was not sent yet is
/// not sent. *Lifetime*: borrows the reference it was made from.
template <typename Send, typename Res>
class [[nodiscard]] rpc_future {
    using receiver = inbox::oneshot_receiver<detail::reply_t<Res>>;
    using reply_future = decltype(std::declval<receiver&&>().recv_once());

public:
    using value_type = std::expected<Res, rpc_error>;

    /// Waits for what `send()` begins: a request that is built here need not be moved again.
    template <std::invocable MakeSend>
        requires std::same_as<std::invoke_result_t<MakeSend>, Send>
    rpc_future(MakeSend send, receiver reply)
        : send_(send()), reply_(std::move(reply).recv_once()) {}

    polled<value_type> poll(const waker& waker) {
        if (!sent_) {
            auto sent = send_.poll(waker);
            if (!sent.is_ready()) { return pending; }
            if (!sent.value()) {
                return failed(sent.value().error().reason() == send_failure::refused
                                  ? rpc_error::refused
                                  : rpc_error::disconnected);
            }
            sent_ = true;
        }
        auto replied = reply_.poll(waker);
        if (!replied.is_ready()) { return pending; }
        if (!replied.value()) { return failed(rpc_error::no_reply); }
        if constexpr (std::is_void_v<Res>) {
            return polled<value_type>(std::in_place);
        } else {
            return polled<value_type>(std::in_place, std::move(*replied.value()));
        }
    }

private:
    static polled<value_type> failed(rpc_error why) {
        return polled<value_type>(std::in_place, std::unexpect, why);
    }

    Send send_;
    reply_future reply_;
    bool sent_ = false;
};

/// Waits for an answer until a timer is ready. Made by `actor_ref::rpc` with a deadline.
///
/// *Cancellation*, also by the deadline: as that of the call without one.
template <typename Call, timer_future Timer>
class [[nodiscard]] rpc_until_future {
public:
    using value_type = typename Call::value_type;

    rpc_until_future(Call call, Timer watching)
        : timer_(std::move(watching)), call_(std::move(call)) {}

    polled<value_type> poll(const waker& waker) {
        auto answered = call_.poll(waker);
        if (answered.is_ready()) { return answered; }
        if (timer_.poll(waker).is_ready()) {
            return polled<value_type>(std::in_place, std::unexpect, rpc_error::timed_out);
        }
        return pending;
    }

private:
    Timer timer_;
    Call call_;
};

}  // namespace heph
