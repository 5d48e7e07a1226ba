#pragma once

// A runtime for tests: in a thread of its own, asked for values by the thread that tests.

#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/core/testing/rethrow_supervisor.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/testing/asked.hpp>
#include <heph/rt/worker.hpp>

namespace heph::rt::testing {

namespace detail {

/// What a test's thread gives to the first worker to do.
using job = std::move_only_function<void(worker&)>;

}  // namespace detail

/// Runs actors and futures of a test on a runtime that is a thread of its own, and gives what they
/// give to the thread that tests.
///
///     heph::rt::testing::test_runtime run;
///     heph::testing::probe<int> totals("totals");
///     auto counter_ref = run.spawn_local(run.supervisor(), heph::actor_fn(counter), totals.ref());
///     REQUIRE(counter_ref.try_send(2));
///     totals.expect_message(2);
///     CHECK(run.block_on([](heph::rt::worker&) { return ask_another_service(); }) == "yes");
///     run.stop();  // throws what made an actor fail
///
/// What does not happen in time throws `heph::testing::expectation_failed`, which any test
/// framework shows. The time is the system's, also where `setup::clock` gives actors another one.
///
/// *Thread safety*: used by one thread, which is none of its workers. *Cancellation*: the
/// destructor stops it as `stop` does, and is silent about failures.
class test_runtime {
public:
    /// How long to wait for something, unless said otherwise.
    static constexpr std::chrono::seconds patience{10};

    /// Gives settings that suit tests: signals are left alone, and a stop may take a second.
    [[nodiscard]] static setup quiet();

    /// Starts a runtime. *Errors*: throws `std::system_error` when it cannot be made; what goes
    /// wrong as it starts is thrown by `stop`.
    explicit test_runtime(const setup& settings = quiet());
    test_runtime(const test_runtime&) = delete;
    test_runtime& operator=(const test_runtime&) = delete;
    ~test_runtime();

    /// Gives a supervisor that stops an actor which fails; `stop` throws the first such failure.
    [[nodiscard]] heph::testing::rethrow_supervisor supervisor() const;

    /// Gives access to the runtime.
    [[nodiscard]] shared_runtime shared() const;

    /// Starts a thread-safe actor, as `shared_runtime::spawn` does. Gives a reference to it.
    template <typename... Args>
    auto spawn(Args... args) {
        return shared().spawn(std::move(args)...);
    }

    /// Starts an actor of the first worker, as `worker::spawn` does. Gives a reference to it.
    /// *Errors*: as those of `on_worker`.
    template <typename... Args>
    auto spawn_local(Args... args) {
        return on_worker([&args...](worker& here) { return here.spawn(std::move(args)...); });
    }

    /// Calls a function on the first worker, and gives what it gives. It blocks until then, however
    /// long that takes. *Errors*: throws what the function throws, and `expectation_failed` when
    /// the runtime has ended.
    template <std::invocable<worker&> F>
    auto on_worker(F function) -> std::invoke_result_t<F&, worker&> {
        using value_type = std::invoke_result_t<F&, worker&>;
        using held_type = detail::held<value_type>;
        const auto called = std::make_shared<detail::answer<held_type>>();
        post([&function, to = detail::answering<held_type>(called)](worker& here) mutable {
            try {
                if constexpr (std::is_void_v<value_type>) {
                    function(here);
                    to.value.emplace();
                } else {
                    to.value.emplace(function(here));
                }
            } catch (...) { to.thrown = std::current_exception(); }
        });
        called->wait();
        auto value = called->take();
        if (!value) { fail_ended(); }
        if constexpr (!std::is_void_v<value_type>) { return *std::move(value); }
    }

    /// Runs a future that `make` makes on the first worker, and gives its value: `make` is called
    /// there with the `worker`, and may be a lambda that is a coroutine and refers to the test's
    /// variables.
    /// *Errors*: throws what the future throws, and `expectation_failed` when it is not ready
    /// within that time, or the runtime has ended. It is destroyed by then, for which its worker
    /// has to be free.
    template <std::invocable<worker&> Make>
        requires future<std::invoke_result_t<Make&, worker&>>
    auto block_on(Make make, time_limit within = patience)
        -> future_value_t<std::invoke_result_t<Make&, worker&>> {
        auto value = try_block_on(std::move(make), within);
        if (!value) { fail_late("a future was not ready", within.longest()); }
        if constexpr (!std::is_void_v<future_value_t<std::invoke_result_t<Make&, worker&>>>) {
            return *std::move(value);
        }
    }

    /// Runs a future like `block_on`, and gives nothing when it is not ready within that time; the
    /// value of one that has none is a `std::monostate`.
    template <std::invocable<worker&> Make>
        requires future<std::invoke_result_t<Make&, worker&>>
    auto try_block_on(Make make, time_limit within)
        -> std::optional<detail::held<future_value_t<std::invoke_result_t<Make&, worker&>>>> {
        detail::asked<Make> asked;
        post(asked.job(std::move(make)));
        if (asked.outcome().wait_for(within.longest())) {
            auto value = asked.outcome().take();
            if (!value) { fail_ended(); }
            return value;
        }
        asked.give_up();
        asked.outcome().wait();
        return std::nullopt;
    }

    /// Waits until an actor has ended for good. *Errors*: throws `expectation_failed` when it has
    /// not within that time.
    template <typename Ref>
    void join(const Ref& ref, time_limit within = patience) {
        if (!try_join(ref, within)) { fail_late("an actor did not end", within.longest()); }
    }

    /// Waits until an actor has ended for good. Tells whether it has within that time.
    template <typename Ref>
    [[nodiscard]] bool try_join(const Ref& ref, time_limit within) {
        return try_block_on([&ref](worker&) { return ref.join(); }, within).has_value();
    }

    /// Asks for an orderly stop, waits for the end, and throws what made it fail: the first failure
    /// of an actor with `supervisor()`, or `std::system_error` when the runtime did not start. A
    /// second call does nothing.
    void stop();

private:
    struct state;

    /// Gives a job to the first worker. *Errors*: throws `expectation_failed`.
    void post(detail::job todo);
    [[noreturn]] static void fail_late(const char* what, std::chrono::nanoseconds within);
    [[noreturn]] static void fail_ended();

    std::unique_ptr<state> state_;
};

}  // namespace heph::rt::testing
