#pragma once

// What an actor or a set-up function can ask of the worker thread it runs on, and of its runtime.

#include <concepts>
#include <cstddef>
#include <memory>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/context.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/detail/process.hpp>
#include <heph/rt/metrics.hpp>
#include <heph/rt/scheduler.hpp>
#include <heph/rt/timer.hpp>

namespace heph::rt {

namespace detail {
/// Queues a new process on the calling worker thread. *Requires*: called on that worker.
void add_local(worker_core& worker, process_header& process) noexcept;
/// Queues a new process of any worker. *Thread safety*: safe.
void add_shared(const std::shared_ptr<runtime_core>& runtime, process_header& process) noexcept;
void request_stop(runtime_core& runtime) noexcept;
[[nodiscard]] std::size_t worker_index(const worker_core& worker) noexcept;
[[nodiscard]] std::size_t worker_count(const runtime_core& runtime) noexcept;
[[nodiscard]] runtime_metrics metrics_of(const runtime_core& runtime);
[[nodiscard]] const std::shared_ptr<runtime_core>& runtime_of(worker_core& worker) noexcept;
}  // namespace detail

/// The settings of one process: those of an actor, and its priority. `actor_options` will do where
/// the priority is the usual one.
///
///     worker.spawn(heph::rt::spawn_options({.name = "pager"}, heph::rt::priority::high), …);
class spawn_options {
public:
    spawn_options(actor_options actor = {},  // NOLINT(google-explicit-constructor)
                  rt::priority priority = rt::priority::normal)
        : actor_(std::move(actor)), priority_(priority) {}

    [[nodiscard]] const actor_options& actor() const noexcept { return actor_; }
    [[nodiscard]] actor_options& actor() noexcept { return actor_; }
    [[nodiscard]] rt::priority priority() const noexcept { return priority_; }

private:
    actor_options actor_;
    rt::priority priority_;
};

/// Gives thread-safe access to a runtime: what a thread-safe actor's context holds.
///
/// *Thread safety*: safe. *Lifetime*: it may outlive the runtime; what is spawned then is dropped.
class shared_runtime {
public:
    explicit shared_runtime(std::shared_ptr<detail::runtime_core> core) noexcept
        : core_(std::move(core)) {}

    /// Starts a thread-safe actor: one that any worker may run, though never two at once.
    /// *Requires*: everything in it may be used from another thread than the one that made it.
    template <typename Supervisor, typename NewActor, typename... Args>
    auto spawn(spawn_options options, Supervisor supervisor, NewActor new_actor, Args... args) {
        auto [running, ref] = make_actor(std::move(supervisor), std::move(new_actor), *this,
                                         std::move(options.actor()), std::move(args)...);
        spawn_future(std::move(running), options.priority());
        return std::move(ref);
    }
    template <typename Supervisor, typename NewActor, typename... Args>
        requires(!std::convertible_to<Supervisor, spawn_options>)
    auto spawn(Supervisor supervisor, NewActor new_actor, Args... args) {
        return spawn(spawn_options(), std::move(supervisor), std::move(new_actor),
                     std::move(args)...);
    }

    /// Runs a thread-safe future to its end; its value is dropped.
    template <future F>
    void spawn_future(F running, rt::priority priority = rt::priority::normal) {
        detail::add_shared(core_, *new detail::process<F>(std::move(running), priority));
    }

    /// Gives the time on the clock of all timers.
    [[nodiscard]] clock::time_point now() const noexcept { return clock::now(); }

    /// Makes a timer for a point in time. With `now` this makes it a `heph::timed_runtime`.
    [[nodiscard]] timer timer_at(clock::time_point when) const noexcept { return timer(when); }

    /// Asks for an orderly stop, as SIGTERM does.
    void request_stop() const noexcept { detail::request_stop(*core_); }

    /// Tells how many workers there are.
    [[nodiscard]] std::size_t worker_count() const noexcept { return detail::worker_count(*core_); }

    /// Gives what the workers count. It takes no locks and holds nobody up.
    [[nodiscard]] runtime_metrics metrics() const { return detail::metrics_of(*core_); }

private:
    std::shared_ptr<detail::runtime_core> core_;
};

/// Gives access to one worker: what a local actor's context holds, and what `run_on_workers` gives
/// to its function.
///
/// *Thread safety*: unsafe: used only on the worker's own thread. *Lifetime*: the worker's.
class worker {
public:
    explicit worker(detail::worker_core& core) noexcept : core_(&core) {}

    /// Starts a local actor: one that only this worker runs.
    /// Gives a reference to it, which may be sent anywhere.
    template <typename Supervisor, typename NewActor, typename... Args>
    auto spawn(spawn_options options, Supervisor supervisor, NewActor new_actor, Args... args) {
        auto [running, ref] = make_actor(std::move(supervisor), std::move(new_actor), *this,
                                         std::move(options.actor()), std::move(args)...);
        spawn_future(std::move(running), options.priority());
        return std::move(ref);
    }
    template <typename Supervisor, typename NewActor, typename... Args>
        requires(!std::convertible_to<Supervisor, spawn_options>)
    auto spawn(Supervisor supervisor, NewActor new_actor, Args... args) {
        return spawn(spawn_options(), std::move(supervisor), std::move(new_actor),
                     std::move(args)...);
    }

    /// Runs a future on this worker to its end; its value is dropped.
    template <future F>
    void spawn_future(F running, rt::priority priority = rt::priority::normal) {
        detail::add_local(*core_, *new detail::process<F>(std::move(running), priority));
    }

    /// Gives thread-safe access to the whole runtime.
    [[nodiscard]] shared_runtime shared() const {
        return shared_runtime(detail::runtime_of(*core_));
    }

    /// Gives the time on the clock of all timers.
    [[nodiscard]] clock::time_point now() const noexcept { return clock::now(); }

    /// Makes a timer for a point in time. With `now` this makes it a `heph::timed_runtime`.
    [[nodiscard]] timer timer_at(clock::time_point when) const noexcept { return timer(when); }

    /// Asks the whole runtime for an orderly stop, as SIGTERM does.
    void request_stop() const noexcept { detail::request_stop(*detail::runtime_of(*core_)); }

    /// Tells which worker this is: 0 up to one less than their number.
    [[nodiscard]] std::size_t index() const noexcept { return detail::worker_index(*core_); }

    /// Tells how many workers there are.
    [[nodiscard]] std::size_t worker_count() const noexcept {
        return detail::worker_count(*detail::runtime_of(*core_));
    }

private:
    detail::worker_core* core_;
};

/// The runtime access of a local actor.
using local_runtime = worker;

static_assert(timed_runtime<worker> && timed_runtime<shared_runtime>);

/// The context of an actor that one worker runs.
template <typename M = no_message>
using local_context = context<M, local_runtime>;

/// The context of an actor that any worker may run.
template <typename M = no_message>
using shared_context = context<M, shared_runtime>;

}  // namespace heph::rt
