#pragma once

// WebSocket connections that are actors.
//
//     heph::task<> member(heph::rt::local_context<line> ctx, heph::http::ws::socket* socket,
//                         heph::actor_ref<room_message> room);
//
//     router.get("/chat", [room](heph::http::request& request) {
//         return heph::http::ws::accept(request, heph::http::ws::as_actor(member, room));
//     });

#include <tuple>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/context.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/http/ws/server.hpp>
#include <heph/rt/worker.hpp>

namespace heph::http::ws {

namespace detail {

/// Gives the worker that the calling task runs on. *Requires*: it runs on one.
[[nodiscard]] rt::worker this_worker();

/// Stops the actor, logs why, and remembers that it failed.
struct session_supervisor {
    bool* failed;

    stop_t decide(const failure& why) const noexcept {
        *failed = true;
        return stop_supervisor::decide(why);
    }
};

template <typename F, typename... Args>
task<> run_actor(F function, socket* connected, Args... args) {
    bool failed = false;
    session_supervisor supervisor{&failed};
    auto maker = actor_fn(function);
    // The actor alone decides who may reach it, by what it gives its own reference to.
    auto running =
        make_actor(supervisor, maker, this_worker(), actor_options{}, connected, std::move(args)...)
            .first;
    co_await running;
    if (failed) {
        auto closing = connected->close(close_code::internal_error);
        co_await closing;
    }
}

}  // namespace detail

/// Makes a session that is an actor with an inbox: a function whose first parameter is a
/// `rt::local_context<M>`, and whose second one is the `socket*`; more are copied from here.
///
/// Let it wait for its inbox and the socket at once, by `either` or `select`, and give its
/// `ctx.self()` to whoever has something to send. It runs as a part of its connection's process, on
/// that worker, and ends with it; what it throws is logged, and closes the connection with
/// `internal_error`. It is not restarted: its connection is gone.
template <typename F, typename... Args>
[[nodiscard]] session_function as_actor(F function, Args... args) {
    return [function, args = std::make_tuple(std::move(args)...)](socket& connected) {
        return std::apply(
            [&](const auto&... each) { return detail::run_actor(function, &connected, each...); },
            args);
    };
}

}  // namespace heph::http::ws
