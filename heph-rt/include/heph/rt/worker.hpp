#pragma once

// What an actor or a set-up function can ask of the worker thread it runs on, and of its runtime.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <expected>
#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/context.hpp>
#include <heph/core/sendable.hpp>
#include <heph/core/stopping.hpp>
#include <heph/core/sync_actor.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/detail/process.hpp>
#include <heph/rt/detail/sync_process.hpp>
#include <heph/rt/metrics.hpp>
#include <heph/rt/scheduler.hpp>
#include <heph/rt/snapshot.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

namespace heph::rt {

namespace detail {
/// Queues a new process on the calling worker thread. *Requires*: called on that worker.
void add_local(worker_core& worker, process_header& process) noexcept;
/// Queues a new process of any worker. *Thread safety*: safe.
void add_shared(const std::shared_ptr<runtime_core>& runtime, process_header& process) noexcept;
void request_stop(runtime_core& runtime) noexcept;
[[nodiscard]] bool stop_requested(const runtime_core& runtime) noexcept;
[[nodiscard]] clock::time_point now_of(const runtime_core& runtime) noexcept;
[[nodiscard]] clock::time_point now_of(const worker_core& worker) noexcept;
[[nodiscard]] std::size_t worker_index(const worker_core& worker) noexcept;
[[nodiscard]] std::size_t worker_count(const runtime_core& runtime) noexcept;
[[nodiscard]] runtime_metrics metrics_of(const runtime_core& runtime);
[[nodiscard]] runtime_snapshot snapshot_of(runtime_core& runtime,
                                           std::chrono::milliseconds patience);
[[nodiscard]] const std::shared_ptr<runtime_core>& runtime_of(worker_core& worker) noexcept;
}  // namespace detail

/// The settings of one process: those of an actor, and its priority. `actor_options` will do where
/// the priority is the usual one.
///
///     worker.spawn(heph::rt::spawn_options({.name = "pager"}, heph::rt::priority::high), …);
class spawn_options {
public:
    spawn_options() noexcept = default;
    spawn_options(actor_options actor,  // NOLINT(google-explicit-constructor)
                  rt::priority priority = rt::priority::normal)
        : actor_(std::move(actor)), priority_(priority) {}

    [[nodiscard]] const actor_options& actor() const noexcept { return actor_; }
    [[nodiscard]] actor_options& actor() noexcept { return actor_; }
    [[nodiscard]] rt::priority priority() const noexcept { return priority_; }

private:
    actor_options actor_;
    rt::priority priority_ = rt::priority::normal;
};

/// Gives thread-safe access to a runtime: what a thread-safe actor's context holds.
///
/// *Thread safety*: safe. *Lifetime*: it may outlive the runtime; what is spawned then is dropped.
class shared_runtime {
public:
    /// What has it may run on one worker after another: `heph::supervision_tree` then takes
    /// sendable children only.
    static constexpr bool runs_on_any_thread = true;

    explicit shared_runtime(std::shared_ptr<detail::runtime_core> core) noexcept
        : core_(std::move(core)) {}

    /// Starts a thread-safe actor: one that any worker may run, though never two at once.
    /// Its message type, arguments and supervisor have to be `heph::sendable`: what is not does not
    /// compile. *Requires*: what the actor makes itself may be used by one thread after another.
    template <typename Supervisor, typename NewActor, typename... Args>
    auto spawn(spawn_options options, Supervisor supervisor, NewActor new_actor, Args... args) {
        auto [running, ref] = make_shared_actor(std::move(supervisor), std::move(new_actor), *this,
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

    /// Runs a thread-safe future to its end; its value is dropped. A future that says that it is
    /// not `heph::sendable`, as an actor of a worker does, is refused. *Requires*: what a task
    /// refers to may be used by one thread after another; that cannot be seen.
    template <future F>
    void spawn_future(F running, rt::priority priority = rt::priority::normal) {
        static_assert(sendable<F>,
                      "a thread-safe future has to be heph::sendable: spawn what belongs to one "
                      "worker by that worker");
        detail::add_shared(core_, *new detail::process<F, true>(std::move(running), priority));
    }

    /// Starts a sync actor: one that may block, on a thread of its own; see `heph::spawn_sync`. The
    /// runtime runs on as long as it does. Gives `std::expected` of a reference to it.
    ///
    ///     heph::sync_options options;
    ///     options.name = "rows";
    ///     auto writer = runtime.spawn_sync(options, heph::stop_supervisor(), write_rows, "db");
    ///
    /// Nothing can interrupt it: it ends by itself, usually when its references are gone and
    /// `receive` gives nothing. An orderly stop waits for that for its grace time, unless it waits
    /// for a restart (`heph::backoff_supervisor`), which ends it; then the other actors are
    /// dropped, and with them the references that they hold, and it has as long once more. One that
    /// is not done by then is left alone, with a warning in the log.
    ///
    /// *Errors*: the system's when there is no thread to be had (`EAGAIN`), or the size of its
    /// stack is impossible (`EINVAL`); `operation_canceled` when the runtime is finished.
    template <typename M = void, typename Supervisor, typename F, typename... Args>
    auto spawn_sync(sync_options options, Supervisor supervisor, F function, Args... args) {
        auto [running, ref] = heph::detail::make_sync_actor<M>(
            options, std::move(supervisor), std::move(function), std::move(args)...);
        using main_type = detail::sync_process<std::remove_cvref_t<decltype(running)>>;
        using result_type = std::expected<std::remove_cvref_t<decltype(ref)>, std::error_code>;
        auto started = detail::start_sync(core_, std::move(options.name), options.stack_size,
                                          std::make_unique<main_type>(std::move(running)));
        if (!started) { return result_type(std::unexpect, started.error()); }
        return result_type(std::move(ref));
    }

    /// Gives the time on the clock of all timers of this runtime.
    [[nodiscard]] clock::time_point now() const noexcept { return detail::now_of(*core_); }

    /// Makes a timer for a point in time. With `now` this makes it a `heph::timed_runtime`.
    [[nodiscard]] timer timer_at(clock::time_point when) const noexcept { return timer(when); }

    /// Asks for an orderly stop, as SIGTERM does.
    void request_stop() const noexcept { detail::request_stop(*core_); }

    /// Is ready when that was asked for; see `rt::stopping`. With it this is a
    /// `heph::stoppable_runtime`. *Requires*: it is polled on a worker.
    [[nodiscard]] rt::stopping stopping() const noexcept { return {}; }

    /// Tells whether an orderly stop was asked for. For sync actors; others await `stopping()`.
    [[nodiscard]] bool stop_requested() const noexcept { return detail::stop_requested(*core_); }

    /// Tells how many workers there are.
    [[nodiscard]] std::size_t worker_count() const noexcept { return detail::worker_count(*core_); }

    /// Gives what the workers count. It takes no locks and holds nobody up.
    [[nodiscard]] runtime_metrics metrics() const { return detail::metrics_of(*core_); }

    /// Gives what the runtime runs at the moment: its processes, with what the workers count.
    ///
    /// Each worker is asked, and answers between two turns, with a copy of each process's name; a
    /// worker whose poll takes longer than `patience` is listed as silent. It blocks the calling
    /// thread meanwhile; called by an actor, it holds its worker up, for about a turn of the
    /// others. While nobody asks it costs eight bytes a process and one look at a flag a turn.
    [[nodiscard]] runtime_snapshot snapshot(
        std::chrono::milliseconds patience = std::chrono::milliseconds(100)) const {
        return detail::snapshot_of(*core_, patience);
    }

private:
    std::shared_ptr<detail::runtime_core> core_;
};

/// Gives access to one worker: what a local actor's context holds, and what `run_on_workers` gives
/// to its function.
///
/// *Thread safety*: unsafe: used only on the worker's own thread. *Lifetime*: the worker's.
class worker {
public:
    static constexpr bool is_sendable = false;

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

    /// Starts a sync actor on a thread of its own; see `shared_runtime::spawn_sync`.
    template <typename M = void, typename Supervisor, typename F, typename... Args>
    auto spawn_sync(sync_options options, Supervisor supervisor, F function, Args... args) {
        return shared().spawn_sync<M>(std::move(options), std::move(supervisor),
                                      std::move(function), std::move(args)...);
    }

    /// Gives thread-safe access to the whole runtime.
    [[nodiscard]] shared_runtime shared() const {
        return shared_runtime(detail::runtime_of(*core_));
    }

    /// Gives the time on the clock of all timers of this runtime.
    [[nodiscard]] clock::time_point now() const noexcept { return detail::now_of(*core_); }

    /// Makes a timer for a point in time. With `now` this makes it a `heph::timed_runtime`.
    [[nodiscard]] timer timer_at(clock::time_point when) const noexcept { return timer(when); }

    /// Asks the whole runtime for an orderly stop, as SIGTERM does.
    void request_stop() const noexcept { detail::request_stop(*detail::runtime_of(*core_)); }

    /// Is ready when that was asked for; see `rt::stopping`. With it this is a
    /// `heph::stoppable_runtime`.
    [[nodiscard]] rt::stopping stopping() const noexcept { return {}; }

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
static_assert(stoppable_runtime<worker> && stoppable_runtime<shared_runtime>);

/// The context of an actor that one worker runs.
template <typename M = no_message>
using local_context = context<M, local_runtime>;

/// The context of an actor that any worker may run.
template <typename M = no_message>
using shared_context = context<M, shared_runtime>;

}  // namespace heph::rt
