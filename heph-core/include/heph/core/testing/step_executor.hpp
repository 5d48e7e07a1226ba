#pragma once

// Runs actors one poll at a time, in an order that a schedule chooses, in virtual time.
//
//     heph::testing::step_executor run(heph::testing::schedule::random(42));
//     auto ref = run.spawn(run.supervisor(), heph::actor_fn(counter));
//     REQUIRE(ref.try_send(add(1)));
//     CHECK(run.block_on(ref.rpc<get_total>()) == 1);
//     run.advance(10s);  // timers fire in their order, and who waits for them runs
//
// Nothing in it depends on the clock, on addresses or on other threads, so a test that uses nothing
// else either does the same each time that the schedule is the same. `explore` runs it under many.

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/core/actor_future.hpp>
#include <heph/core/stopping.hpp>
#include <heph/core/testing/expectation.hpp>
#include <heph/core/testing/rethrow_supervisor.hpp>
#include <heph/core/testing/schedule.hpp>
#include <heph/core/testing/virtual_clock.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>

namespace heph::testing {

namespace detail {

/// What a `step_executor` polls.
class step_work {
public:
    step_work() = default;
    step_work(const step_work&) = delete;
    step_work& operator=(const step_work&) = delete;
    virtual ~step_work() = default;
    /// Polls; tells whether it is finished.
    virtual bool poll(const waker& waker) = 0;
};

template <future F>
class step_work_of final : public step_work {
public:
    explicit step_work_of(F&& running) : running_(std::move(running)) {}
    bool poll(const waker& waker) override { return running_.poll(waker).is_ready(); }

private:
    F running_;
};

class step_core;

}  // namespace detail

/// Gives access to a `step_executor`: the runtime of the actors it runs. It is a `timed_runtime`
/// and a `stoppable_runtime`.
///
/// *Lifetime*: the executor's. *Thread safety*: unsafe.
class step_runtime {
public:
    explicit step_runtime(detail::step_core& core) noexcept : core_(&core) {}

    /// Starts an actor on the executor, as heph-rt's worker does. Gives a reference to it.
    template <typename Supervisor, typename NewActor, typename... Args>
    auto spawn(actor_options options, Supervisor supervisor, NewActor new_actor,
               Args... args) const {
        std::string name = options.name;
        auto [running, ref] = make_actor(std::move(supervisor), std::move(new_actor), *this,
                                         std::move(options), std::move(args)...);
        spawn_future(std::move(running), std::move(name));
        return std::move(ref);
    }
    template <typename Supervisor, typename NewActor, typename... Args>
        requires(!std::same_as<Supervisor, actor_options>)
    auto spawn(Supervisor supervisor, NewActor new_actor, Args... args) const {
        return spawn(actor_options{}, std::move(supervisor), std::move(new_actor),
                     std::move(args)...);
    }

    /// Runs a future on the executor; its value is dropped. An exception that leaves it leaves the
    /// executor's `step`.
    template <future F>
    void spawn_future(F running, std::string name = {}) const {
        add(std::make_unique<detail::step_work_of<F>>(std::move(running)), std::move(name));
    }

    [[nodiscard]] const virtual_clock& clock() const noexcept;
    [[nodiscard]] steady_time now() const noexcept { return clock().now(); }
    [[nodiscard]] virtual_timer timer_at(steady_time when) const noexcept {
        return clock().timer_at(when);
    }

    /// Is ready when the executor was asked to stop.
    [[nodiscard]] stop_future stopping() const noexcept;
    /// Asks the executor to stop, as an actor of heph-rt asks its runtime.
    void request_stop() const noexcept;

private:
    void add(std::unique_ptr<detail::step_work> work, std::string name) const;

    detail::step_core* core_;
};

static_assert(timed_runtime<step_runtime> && stoppable_runtime<step_runtime>);

/// The context of an actor that a `step_executor` runs. An actor that is a template of its runtime
/// is spawned as `heph::actor_fn(counter<heph::testing::step_runtime>)`.
template <typename M = no_message>
using step_context = context<M, step_runtime>;

/// The settings of a `step_executor`.
struct step_options {
    /// Whether a timer may also fire while somebody could still run, as it does on a busy machine:
    /// the schedule then chooses between the ready ones and the earliest timer.
    bool early_timers = false;
    /// How many polls are taken for a loop that does not end.
    std::size_t polls_max = 1'000'000;
};

/// Runs actors and other futures on the calling thread, one poll at a time, in virtual time. Which
/// of several ready ones is polled next, the schedule chooses.
///
/// Time stands still, except in those functions that say so. *Errors*: `step`, and what calls it,
/// throws what left a future, what `supervisor()` was told, and `expectation_failed` after
/// `polls_max` polls. *Thread safety*: unsafe, but wakes may come from other threads.
/// *Cancellation*: destroying it drops what is not finished, in the order of spawning.
class step_executor {
public:
    explicit step_executor(schedule order = schedule::in_order(), step_options options = {});
    step_executor(const step_executor&) = delete;
    step_executor& operator=(const step_executor&) = delete;
    ~step_executor();

    /// Gives what the actors have of it.
    [[nodiscard]] step_runtime runtime() const noexcept { return step_runtime(*core_); }
    [[nodiscard]] const virtual_clock& clock() const noexcept { return runtime().clock(); }

    /// Makes a supervisor that stops the actor, and has the failure thrown from `step`.
    [[nodiscard]] rethrow_supervisor supervisor() const noexcept;

    /// Starts an actor, see `step_runtime::spawn`.
    template <typename... Args>
    auto spawn(Args... args) {
        return runtime().spawn(std::move(args)...);
    }
    template <future F>
    void spawn_future(F running, std::string name = {}) {
        runtime().spawn_future(std::move(running), std::move(name));
    }

    /// Polls one that is ready. False when none is.
    bool step();

    /// Polls one that is ready, or else moves the time to the earliest timer. False when there is
    /// neither, or when the timer is later than `until`.
    bool step_until(steady_time until);

    /// Runs while anyone is ready; time stands still. Gives the number of polls.
    std::size_t run_until_idle();

    /// Runs, and moves the time from timer to timer, until nothing is left to run or to wait for.
    /// What waits for messages only is left as it is.
    /// *Errors*: timers without end, as of an actor that ticks, run into `polls_max`.
    void run();

    /// Runs for some time: as `run`, but not beyond it. Then that time has passed.
    void advance(steady_time::duration by);

    /// Runs as `advance` until a condition holds, at most for `within`. Tells whether it does.
    bool run_until(const std::function<bool()>& condition,
                   steady_time::duration within = std::chrono::seconds(1));

    /// Runs a future, and whatever it needs, for at most `within`. Gives its value.
    /// *Errors*: throws `expectation_failed` when it is not ready by then; says who waits.
    template <typename F>
        requires future<std::remove_cvref_t<F>>
    future_value_t<std::remove_cvref_t<F>> block_on(
        F&& awaited, steady_time::duration within = std::chrono::hours(1)) {
        using value_type = future_value_t<std::remove_cvref_t<F>>;
        F future = std::forward<F>(awaited);  // A reference when it was given as an lvalue.
        const steady_time until = heph::detail::later(clock().now(), within);
        watcher watching(*this);
        for (;;) {
            if (watching.take_woken()) {
                polled<value_type> result = future.poll(watching.waker());
                if (result.is_ready()) { return std::move(result).value(); }
            }
            if (!watching.is_woken() && !step_until(until)) {
                if (watching.is_woken()) { continue; }
                fail_waiting(within);
            }
        }
    }

    /// Asks for an orderly stop, as SIGTERM does of a runtime: makes every `stopping()` of
    /// `runtime()` ready. It polls nothing, and drops nothing.
    void request_stop() noexcept { runtime().request_stop(); }

    /// Counts what is not finished.
    [[nodiscard]] std::size_t unfinished() const noexcept;

    /// Counts what is ready.
    [[nodiscard]] std::size_t ready() const;

    /// Gives the schedule, with the choices it made.
    [[nodiscard]] const schedule& order() const noexcept;

    /// Describes where things stand: the schedule, the last polls, and who is not finished.
    [[nodiscard]] std::string describe() const;

private:
    // Is told when the future that `block_on` polls itself may go on.
    class watcher {
    public:
        explicit watcher(step_executor& owner);
        watcher(const watcher&) = delete;
        watcher& operator=(const watcher&) = delete;
        ~watcher();
        [[nodiscard]] const heph::waker& waker() const noexcept { return waker_; }
        [[nodiscard]] bool is_woken() const noexcept;
        [[nodiscard]] bool take_woken() noexcept;

    private:
        heph::waker waker_;
        std::shared_ptr<void> state_;
    };

    [[noreturn]] void fail_waiting(steady_time::duration within) const;

    std::unique_ptr<detail::step_core> core_;
};

}  // namespace heph::testing
