#pragma once

// Actors that block: each has a thread of its own.
//
//     std::expected<void, std::error_code> write_rows(heph::sync_context<row> ctx,
//                                                     std::string database) {
//         auto connection = open(database);                  // blocks, and nobody minds
//         while (auto next = ctx.receive()) { connection.insert(*next); }
//         return {};
//     }
//
//     heph::sync_options options;
//     options.name = "rows";
//     auto writer = heph::spawn_sync(options, heph::stop_supervisor(), write_rows, "rows.db");
//     if (!writer) { … writer.error() … }                     // no thread could be had
//     auto sent = writer->ref().try_send(row(1));             // an actor_ref like any other
//     writer->join();                                        // lets the reference go, and waits
//
// For what has no asynchronous form, or computes for long. All else is as for other actors: the
// supervisor, restarts that keep the inbox, back-off, monitors, `actor_ref::join`.

#include <concepts>
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/context.hpp>
#include <heph/core/detail/os_thread.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/stopping.hpp>
#include <heph/core/timing.hpp>

namespace heph {

/// Is the runtime access of a sync actor: its own thread. A `timed_runtime`, by the system's steady
/// clock, on that thread only.
class thread_runtime {
public:
    [[nodiscard]] static steady_time now() noexcept { return std::chrono::steady_clock::now(); }
    [[nodiscard]] static detail::thread_timer timer_at(steady_time when) noexcept {
        return detail::thread_timer(when);
    }
    /// Is ready when the runtime that runs the actor is asked to stop; never, without a runtime.
    [[nodiscard]] static stop_future stopping() noexcept { return detail::thread_stopping(); }
};

/// Gives a sync actor its messages. What waits, blocks the thread.
///
/// *Thread safety*: unsafe; used by its actor only. *Lifetime*: as a `context`'s.
template <typename M>
class sync_context {
public:
    using message_type = M;

    explicit sync_context(context<M, thread_runtime> inner) noexcept : inner_(std::move(inner)) {}

    /// Waits for the next message; nothing when every reference is gone and the inbox is empty.
    [[nodiscard]] std::optional<M> receive() {
        auto next = inner_.try_receive();  // Spares what waiting takes.
        if (next) { return std::optional<M>(std::move(*next)); }
        return block_on(inner_.receive());
    }

    /// Waits for the next message until a deadline: `ctx.receive(heph::deadline_in(1s))`.
    /// *Errors*: `empty` when no message came in time; `disconnected` when none will ever come.
    [[nodiscard]] std::expected<M, receive_error> receive(deadline until) {
        return block_on(inner_.receive(until));
    }

    /// Gives the next message, if there is one.
    [[nodiscard]] std::expected<M, receive_error> try_receive() { return inner_.try_receive(); }

    /// Waits for a future, and gives its value. *Errors*: an exception of the future leaves it.
    template <typename F>
        requires future<std::remove_cvref_t<F>>
    future_value_t<std::remove_cvref_t<F>> block_on(F&& running) {
        F waiting = std::forward<F>(running);  // A reference when it was given as an lvalue.
        return detail::run_on_thread(waiting).value();
    }

    /// Waits for a future until a deadline: gives `std::expected<T, timed_out>`.
    template <typename F>
        requires future<std::remove_cvref_t<F>>
    auto block_on(F&& running, deadline until) {
        return block_on(
            with_deadline(std::forward<F>(running), bind_deadline(inner_.runtime(), until)));
    }

    /// Makes a reference to this actor. While the actor itself holds it, there may always be
    /// another message.
    [[nodiscard]] actor_ref<M> self() { return inner_.self(); }

    /// Tells whether anyone can still send a message.
    [[nodiscard]] bool is_connected() const noexcept { return inner_.is_connected(); }

    /// Gives the context for functions that work with any kind of actor.
    [[nodiscard]] context<M, thread_runtime>& inner() noexcept { return inner_; }

private:
    context<M, thread_runtime> inner_;
};

/// The settings of a sync actor.
struct sync_options {
    std::size_t inbox_size = 8;  ///< Messages that fit into its inbox, at least 1.
    std::string name = {};       ///< For the log, and for the thread: 15 characters of it.
    std::size_t stack_size = 0;  ///< Of its thread, in bytes; 0 takes the system's.
};

namespace detail {

template <typename M>
struct context_message<sync_context<M>> : std::type_identity<M> {};

/// Calls a blocking function in its first poll, and is ready then.
template <typename M, typename F, typename... Args>
class [[nodiscard]] sync_call {
    using result_type = std::invoke_result_t<F&, sync_context<M>, Args...>;

public:
    using value_type = result_type;

    sync_call(F function, context<M, thread_runtime> ctx, Args... args)
        : function_(std::move(function)),
          context_(std::in_place, std::move(ctx)),
          args_(std::move(args)...) {}

    polled<value_type> poll(const waker&) {
        sync_context<M> ctx(*std::exchange(context_, std::nullopt));
        const auto call = [&](Args&... args) -> result_type {
            return std::invoke(function_, std::move(ctx), std::move(args)...);
        };
        if constexpr (std::is_void_v<result_type>) {
            std::apply(call, args_);
            return ready;
        } else {
            return polled<value_type>(std::in_place, std::apply(call, args_));
        }
    }

private:
    F function_;
    std::optional<context<M, thread_runtime>> context_;
    std::tuple<Args...> args_;
};

/// Makes sync actors of a function, which may hold things: each restart calls a copy of it.
template <typename M, typename F>
class sync_maker {
public:
    using message_type = M;

    explicit sync_maker(F function) : function_(std::move(function)) {}

    template <typename... Args>
        requires std::invocable<F&, sync_context<M>, std::decay_t<Args>...>
    auto make(context<M, thread_runtime> ctx, Args&&... args) {
        return sync_call<M, F, std::decay_t<Args>...>(function_, std::move(ctx),
                                                      std::forward<Args>(args)...);
    }

private:
    F function_;
};

/// The message type of a function: the one that was given, or what its context has.
template <typename M, typename F>
struct sync_message : std::type_identity<M> {};
template <typename F>
struct sync_message<void, F> : context_message<typename first_parameter<F>::type> {};

/// Runs an actor on a thread.
template <typename Actor>
class actor_main final : public thread_main {
public:
    explicit actor_main(Actor actor) : actor_(std::move(actor)) {}
    void run() noexcept override { (void)run_on_thread(actor_); }

private:
    Actor actor_;
};

}  // namespace detail

/// Owns a sync actor's thread, and a reference to the actor. When it goes, it lets its reference go
/// and joins the thread, like a `std::jthread`: the actor ends when all other references are gone,
/// too. Made by `spawn_sync`. A moved-from one may only be destroyed.
template <typename M>
class [[nodiscard]] sync_actor {
public:
    sync_actor(detail::os_thread thread, actor_ref<M> ref) noexcept
        : thread_(std::move(thread)), ref_(std::move(ref)) {}
    sync_actor(sync_actor&&) noexcept = default;
    sync_actor& operator=(sync_actor&&) = delete;
    ~sync_actor() {
        if (thread_.is_owned()) { end(); }
    }

    /// Gives a reference to the actor. *Requires*: neither `join` nor `detach` was called.
    [[nodiscard]] const actor_ref<M>& ref() const noexcept { return *ref_; }

    /// Lets the reference go, and waits until the actor has ended and its thread is done. Blocks.
    /// *Requires*: neither `join` nor `detach` was called before.
    void join() noexcept { end(); }

    /// Lets the thread go on by itself, and gives the reference. To learn of the actor's end, join
    /// the reference, or monitor it.
    [[nodiscard]] actor_ref<M> detach() noexcept {
        thread_.detach();
        return *std::exchange(ref_, std::nullopt);
    }

private:
    void end() noexcept {
        ref_.reset();
        // An actor that owns itself cannot wait for its own end.
        if (thread_.is_current()) {
            thread_.detach();
        } else {
            thread_.join();
        }
    }

    detail::os_thread thread_;
    std::optional<actor_ref<M>> ref_;
};

namespace detail {

/// Makes a sync actor, to be run on a thread, and a reference to it.
template <typename M, typename Supervisor, typename F, typename... Args>
[[nodiscard]] auto make_sync_actor(const sync_options& options, Supervisor supervisor, F function,
                                   Args... args) {
    static_assert(!is_linkable<Supervisor>,
                  "nobody can end a sync actor from outside: heph::linkable is for asynchronous "
                  "ones; heph::monitor tells it of the end of others");
    using message_type = typename sync_message<M, F>::type;
    actor_options actor;
    actor.inbox_size = options.inbox_size;
    actor.name = options.name;
    return make_shared_actor(std::move(supervisor),
                             sync_maker<message_type, F>(std::move(function)), thread_runtime(),
                             std::move(actor), std::move(args)...);
}

}  // namespace detail

/// Starts an actor on a thread of its own: `function(sync_context<M>, args...)`, which returns
/// nothing, or `std::expected<void, E>`, or throws. Unlike an asynchronous actor it may be a lambda
/// with captures; a restart calls a copy.
///
/// *Errors*: the system's when there is no thread to be had (`EAGAIN`), or the size of its stack is
/// impossible (`EINVAL`). *Thread safety*: safe; the function, the arguments and the supervisor go
/// to the new thread, and have to be `sendable`.
template <typename M = void, typename Supervisor, typename F, typename... Args>
[[nodiscard]] auto spawn_sync(sync_options options, Supervisor supervisor, F function,
                              Args... args) {
    using message_type = typename detail::sync_message<M, F>::type;
    using result_type = std::expected<sync_actor<message_type>, std::error_code>;
    auto [running, ref] = detail::make_sync_actor<M>(options, std::move(supervisor),
                                                     std::move(function), std::move(args)...);
    using main_type = detail::actor_main<std::remove_cvref_t<decltype(running)>>;
    auto started = detail::os_thread::start(std::move(options.name), options.stack_size,
                                            std::make_unique<main_type>(std::move(running)));
    if (!started) { return result_type(std::unexpect, started.error()); }
    return result_type(std::in_place, std::move(*started), std::move(ref));
}

}  // namespace heph
