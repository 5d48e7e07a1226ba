#pragma once

// An actor of another node behind a reference to an actor here, for code that need not know.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/actor_future.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/context.hpp>
#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/remote/detail/alternatives.hpp>
#include <heph/remote/remote_ref.hpp>

namespace heph::remote {

namespace detail {

/// Is a call that is on its way to another node and back. Done when it is answered, or when
/// nobody waits any more.
template <typename Call, remote_message M>
class forwarded_call {
    using response = typename Call::response_type;

public:
    using value_type = void;

    forwarded_call(Call call, const remote_ref<M>& to)
        : call_(std::move(call)), asking_(ask(call_, to)), closed_(call_.closed()) {}
    forwarded_call(const forwarded_call&) = delete;
    forwarded_call& operator=(const forwarded_call&) = delete;

    polled<void> poll(const waker& waker) {
        auto answered = asking_.poll(waker);
        if (!answered.is_ready()) { return closed_.poll(waker).is_ready() ? ready : pending; }
        if (answered.value()) {
            if constexpr (std::is_void_v<response>) {
                (void)call_.respond();
            } else {
                (void)call_.respond(std::move(*answered.value()));
            }
        }
        return ready;  // Without an answer the call is dropped, and the caller learns that.
    }

private:
    // The caller here has his own deadline, and is watched by `closed_`.
    static rpc_future<response> ask(Call& call, const remote_ref<M>& to) {
        const deadline never(std::chrono::hours(24 * 365));
        if constexpr (std::is_void_v<typename Call::request_type>) {
            return to.template rpc<Call>(never);
        } else {
            return to.template rpc<Call>(never, call.request());
        }
    }

    Call call_;
    rpc_future<response> asking_;
    decltype(std::declval<Call&>().closed()) closed_;
};

/// Polls something once: whether it is done is what it gives. Borrows it.
template <typename F>
class [[nodiscard]] first_poll {
public:
    using value_type = bool;
    explicit first_poll(F& of) noexcept : of_(&of) {}
    polled<bool> poll(const waker& waker) {
        return polled<bool>(std::in_place, of_->poll(waker).is_ready());
    }

private:
    F* of_;
};

/// Polls something that it owns, and that must not move.
template <typename F>
class [[nodiscard]] owned_future {
public:
    using value_type = typename F::value_type;
    explicit owned_future(std::unique_ptr<F> of) noexcept : of_(std::move(of)) {}
    polled<value_type> poll(const waker& waker) { return of_->poll(waker); }

private:
    std::unique_ptr<F> of_;
};

template <typename Call, typename RT, remote_message M>
task<> forward_call(RT runtime, remote_ref<M> to, Call call) {
    auto forwarding = std::make_unique<forwarded_call<Call, M>>(std::move(call), to);
    // It is on its way before the next message is looked at, so that the order stays.
    first_poll<forwarded_call<Call, M>> look(*forwarding);
    const bool done = co_await look;
    if (done) { co_return; }
    runtime.spawn_future(owned_future<forwarded_call<Call, M>>(std::move(forwarding)));
}

template <typename T, typename RT, remote_message M>
task<> forward_one(RT runtime, remote_ref<M> to, T message) {
    if constexpr (heph::detail::rpc_message<T>) {
        co_await forward_call<T, RT, M>(runtime, std::move(to), std::move(message));
    } else {
        const auto sent = co_await to.send(message);
        if (!sent) {
            heph::log(log_level::warning,
                      "a message to " + to.node_name() + '/' + to.actor_name() +
                          " was not delivered: " + std::string(to_string(sent.error())));
        }
    }
}

template <typename RT, remote_message M>
task<> forward_any(RT runtime, remote_ref<M> to, M message) {
    if constexpr (alternatives_of<M>::count == 1 && !requires { std::variant_size<M>::value; }) {
        return forward_one<M, RT, M>(runtime, std::move(to), std::move(message));
    } else {
        return std::visit(
            [&]<typename T>(T& each) {
                return forward_one<T, RT, M>(runtime, std::move(to), std::move(each));
            },
            message);
    }
}

template <typename RT, remote_message M>
task<> forward_all(context<M, RT> ctx, remote_ref<M> to) {
    RT runtime = ctx.runtime();
    auto ending = to.join();
    bool is_watched = true;
    for (;;) {
        std::optional<M> message;
        if (is_watched) {
            auto first = co_await either(ctx.receive(), ending);
            if (first.index() == 1) {
                // A node that is too old to be watched is no reason to stop.
                const failure why = std::get<1>(first);
                is_watched = false;
                if (why != failure::unsupported && why != failure::full) { co_return; }
                continue;
            }
            message = std::move(std::get<0>(first));
        } else {
            message = co_await ctx.receive();
        }
        if (!message) { co_return; }
        co_await forward_any<RT, M>(runtime, to, std::move(*message));
    }
}

}  // namespace detail

/// Gives a reference to an actor here that passes everything on to an actor of another node, and
/// brings its answers back. So an actor elsewhere can be a member of an `actor_group`, be mapped,
/// and be given to code that knows nothing of nodes.
///
///     heph::actor_ref<job> worker_there = heph::remote::local_ref(worker, *found);
///
/// The order of what one sender sends stays, calls included. A full inbox there fills the one here,
/// of `inbox_size`. It ends, and `join` of it completes, with the other actor or when that is lost
/// (see `remote_ref::join`), or when nobody refers to it any more. A message that cannot be sent is
/// logged; a call that fails is dropped, so that its caller sees no reply. The deadline of a call
/// is the caller's.
///
/// `runtime` runs it, and the node has to be one whose references may be awaited there: an
/// `rt::worker` (*Requires*: called on that worker's thread), or an `asio_runtime`.
/// *Thread safety*: the reference is like any other.
template <typename RT, remote_message M>
[[nodiscard]] actor_ref<M> local_ref(RT runtime, remote_ref<M> to, std::size_t inbox_size = 8) {
    actor_options how;
    how.name = to ? to.node_name() + '/' + to.actor_name() : "nothing";
    how.inbox_size = inbox_size;
    return runtime.spawn(std::move(how), no_supervisor(), actor_fn(detail::forward_all<RT, M>),
                         std::move(to));
}

}  // namespace heph::remote
