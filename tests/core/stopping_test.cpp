// Being asked to stop, and what that does to actors that wait for a restart.

#include <atomic>
#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/either.hpp>
#include <heph/core/link.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/stopping.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/sync_actor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/testing/step_executor.hpp>

#include "core/manual_time.hpp"
#include "core/probes.hpp"
#include "core/tree_probes.hpp"
#include "support/poll_loop.hpp"

using heph::backoff;
using heph::restart_limit;
using heph::stop_signal;
using heph::task;
using heph::test::captured_log;
using heph::test::poll_loop;
using heph::testing::step_context;
using heph::testing::step_executor;
using heph::testing::step_runtime;
using namespace std::chrono_literals;

namespace {

using outcome = std::expected<void, std::string>;

// Fails at each message.
task<outcome> breaks(step_context<int> ctx, int* started) {
    ++*started;
    auto message = co_await ctx.receive();
    if (!message) { co_return outcome(); }
    co_return std::unexpected("at " + std::to_string(*message));
}

heph::actor_options called(const char* name) {
    heph::actor_options options;
    options.name = name;
    return options;
}

auto an_hour_later(int* started) {
    return [started](const heph::failure&) { return heph::restart(started).after(1h); };
}

// Goes on for a second after it heard of the stop.
task<> finishes_what_it_began(step_context<int> ctx, heph::test::journal* into, std::string name) {
    const heph::test::noted life(*into, std::move(name));
    co_await ctx.runtime().stopping();
    co_await ctx.runtime().timer_at(ctx.runtime().now() + 1s);
}
// Ends at once then.
task<> ends_for_the_stop(step_context<int> ctx, heph::test::journal* into, std::string name) {
    const heph::test::noted life(*into, std::move(name));
    co_await ctx.runtime().stopping();
}

task<> waits_for(stop_signal signal, int* stopped) {
    co_await signal.stopping();
    ++*stopped;
}

static_assert(heph::stoppable_runtime<step_runtime>);
static_assert(heph::stoppable_runtime<heph::thread_runtime>);
static_assert(!heph::stoppable_runtime<heph::no_runtime>);
static_assert(!heph::stoppable_runtime<heph::test::manual_runtime>);

}  // namespace

TEST_CASE("stop_signal: tells all that wait, once and for all", "[core][stopping]") {
    const stop_signal signal;
    poll_loop loop;
    int stopped = 0;
    for (int i = 0; i < 3; ++i) { loop.spawn(waits_for(signal, &stopped)); }
    loop.run();
    CHECK(stopped == 0);
    CHECK_FALSE(signal.requested());
    signal.request();
    signal.request();
    loop.run();
    CHECK(stopped == 3);
    CHECK(signal.requested());
    loop.spawn(waits_for(signal, &stopped));  // It was given before.
    loop.run();
    CHECK(stopped == 4);
}

TEST_CASE("stop_signal: who was dropped is not told, whatever its place among those that wait",
          "[core][stopping]") {
    for (int dropped = 0; dropped < 3; ++dropped) {
        std::optional<stop_signal> signal(std::in_place);
        int stopped = 0;
        poll_loop kept;
        poll_loop gone;
        for (int i = 0; i < 3; ++i) {
            poll_loop& one = i == dropped ? gone : kept;
            one.spawn(waits_for(*signal, &stopped));
            one.run();
        }
        gone.drop_all();
        signal->request();
        signal.reset();  // Those who wait may outlive it.
        kept.run();
        CHECK(stopped == 2);
        CHECK(kept.unfinished() == 0);
    }
}

TEST_CASE("stop_signal: threads wait, and another one gives it", "[core][stopping]") {
    const stop_signal signal;
    std::vector<std::jthread> waiting;
    std::atomic<int> stopped = 0;
    for (int i = 0; i < 4; ++i) {
        waiting.emplace_back([&signal, &stopped] {
            heph::block_on(heph::either(signal.stopping(), signal.stopping()));
            ++stopped;
        });
    }
    signal.request();
    waiting.clear();
    CHECK(stopped == 4);
}

TEST_CASE("backoff: a stop ends an actor that waits for its restart, at once", "[core][stopping]") {
    const captured_log log;
    step_executor run;
    int started = 0;
    auto ref =
        run.spawn(called("fragile"), an_hour_later(&started), heph::actor_fn(breaks), &started);
    auto watching = heph::monitor(ref);
    REQUIRE(ref.try_send(1));
    REQUIRE(ref.try_send(2));
    SECTION("that began to wait before") {
        run.run_until_idle();
        REQUIRE(started == 1);
        run.request_stop();
    }
    SECTION("that fails later") { run.request_stop(); }
    const auto before = run.clock().now();
    run.run_until_idle();
    CHECK(run.unfinished() == 0);
    CHECK(run.clock().now() == before);
    CHECK(started == 1);
    CHECK(run.clock().waiting() == 0);
    CHECK_FALSE(ref.is_connected());
    CHECK(run.block_on(std::move(watching)).reason() == heph::end_reason::dropped);
    CHECK(captured_log::lines().back().second ==
          "actor fragile is not restarted, as its runtime stops");
}

TEST_CASE("backoff: without a stop the restart comes in its time", "[core][stopping]") {
    step_executor run;
    int started = 0;
    auto ref = run.spawn(an_hour_later(&started), heph::actor_fn(breaks), &started);
    REQUIRE(ref.try_send(1));
    run.advance(59min);
    CHECK(started == 1);
    run.advance(1min);
    CHECK(started == 2);
    run.request_stop();  // One that runs decides for itself.
    run.run_until_idle();
    CHECK(run.unfinished() == 1);
}

TEST_CASE("backoff: a stop while a restart is waited for ends the linked ones, too",
          "[core][stopping]") {
    const captured_log log;
    step_executor run;
    int started = 0;
    int other_started = 0;
    heph::link_group together;
    auto [waiting, ref] = heph::make_actor(an_hour_later(&started), heph::actor_fn(breaks),
                                           run.runtime(), heph::actor_options(), &started);
    auto [other, other_ref] =
        heph::make_actor(heph::stop_supervisor(), heph::actor_fn(breaks), run.runtime(),
                         heph::actor_options(), &other_started);
    run.spawn_future(together.link(std::move(waiting)));
    run.spawn_future(together.link(std::move(other)));
    REQUIRE(ref.try_send(1));
    run.run_until_idle();
    CHECK(run.unfinished() == 2);
    run.request_stop();
    run.run_until_idle();
    CHECK(run.unfinished() == 0);
}

TEST_CASE(
    "backoff: a tree lets a child go that waits for a restart of its own as the runtime stops",
    "[core][stopping]") {
    const captured_log log;
    step_executor run;
    int started = 0;
    heph::supervision_tree tree(heph::tree_options(), run.runtime());
    auto ref = tree.add(heph::child_spec("waits"), an_hour_later(&started), heph::actor_fn(breaks),
                        &started);
    auto done =
        tree.add(heph::child_spec("finishes").transient(), heph::actor_fn(breaks), &started);
    run.spawn_future(std::move(tree));
    REQUIRE(ref.try_send(1));
    run.run_until_idle();
    CHECK(started == 2);
    { const auto last = std::move(done); }
    run.request_stop();
    run.run_until_idle();
    CHECK(run.unfinished() == 0);
    CHECK(started == 2);
    CHECK_FALSE(ref.is_connected());
}

TEST_CASE("backoff: a control stops a tree at once whose child waits for a restart of its own",
          "[core][stopping]") {
    const captured_log log;
    step_executor run;
    int started = 0;
    heph::supervision_tree tree(heph::tree_options(), run.runtime());
    auto control = tree.control();
    auto ref = tree.add(heph::child_spec("waits").stop_with(7).within(1h), an_hour_later(&started),
                        heph::actor_fn(breaks), &started);
    heph::supervision_tree outer(heph::tree_options(), run.runtime());
    bool is_nested = false;
    SECTION("by itself") {}
    SECTION("in another tree") { is_nested = true; }
    auto outer_control = outer.control();
    if (is_nested) {
        outer.add(heph::child_spec("nested"), std::move(tree));
        run.spawn_future(std::move(outer));
    } else {
        run.spawn_future(std::move(tree));
    }
    REQUIRE(ref.try_send(1));
    run.run_until_idle();
    REQUIRE(run.clock().waiting() == 1);
    if (is_nested) {
        outer_control.stop();
    } else {
        control.stop();
    }
    run.run_until_idle();
    CHECK(run.unfinished() == 0);
    CHECK(run.clock().waiting() == 0);
}

TEST_CASE("tree: ends when its runtime is asked to stop, from the last child to the first",
          "[core][tree][stopping]") {
    using heph::test::order;
    step_executor run;
    heph::test::journal seen;
    heph::supervision_tree tree(heph::tree_options(), run.runtime());
    const auto keeps_it_going = tree.control();
    std::vector<heph::actor_ref<order>> refs;
    for (const std::string name : {"a", "b"}) {
        refs.push_back(tree.add(heph::child_spec(name).stop_with(order::stop),
                                heph::actor_fn(&heph::test::worker<step_runtime>), &seen, name));
    }
    refs.push_back(tree.add(heph::child_spec("c"),
                            heph::actor_fn(&heph::test::worker<step_runtime>), &seen,
                            std::string("c")));
    SECTION("while it runs") {
        run.spawn_future(std::move(tree));
        run.run_until_idle();
        REQUIRE(seen == heph::test::journal{"+a", "+b", "+c"});
        seen.clear();
        run.request_stop();
        run.run_until_idle();
        CHECK(seen == heph::test::journal{"-c", "stop b", "-b", "stop a", "-a"});
    }
    SECTION("before it is polled") {
        run.request_stop();
        run.spawn_future(std::move(tree));
        run.run_until_idle();
        CHECK(seen.empty());
    }
    CHECK(run.unfinished() == 0);
    for (const auto& ref : refs) { CHECK_FALSE(ref.is_connected()); }
}

TEST_CASE("tree: waits for a child that ends with the runtime by itself, and drops others",
          "[core][tree][stopping]") {
    step_executor run;
    heph::test::journal seen;
    heph::supervision_tree tree(heph::tree_options(), run.runtime());
    std::vector<heph::actor_ref<heph::test::order>> refs;
    for (const std::string name : {"a", "b"}) {
        refs.push_back(tree.add(heph::child_spec(name),
                                heph::actor_fn(&heph::test::worker<step_runtime>), &seen, name));
    }
    (void)tree.add(heph::child_spec("c").ends_with_runtime(),
                   heph::actor_fn(finishes_what_it_began), &seen, std::string("c"));
    run.spawn_future(std::move(tree));
    run.run_until_idle();
    seen.clear();
    run.request_stop();
    run.run_until_idle();
    CHECK(seen.empty());
    run.advance(1s);
    CHECK(seen == heph::test::journal{"-c", "-b", "-a"});
    CHECK(run.unfinished() == 0);
}

TEST_CASE("tree: nothing is started again after the stop, in a nested tree either",
          "[core][tree][stopping]") {
    const captured_log log;
    step_executor run;
    heph::test::journal seen;
    heph::supervision_tree inner(heph::tree_options(), run.runtime());
    (void)inner.add(heph::child_spec("a"), heph::actor_fn(ends_for_the_stop), &seen,
                    std::string("a"));
    heph::supervision_tree outer(heph::tree_options(), run.runtime());
    outer.add(heph::child_spec("inner"), std::move(inner));
    (void)outer.add(heph::child_spec("b").ends_with_runtime(),
                    heph::actor_fn(finishes_what_it_began), &seen, std::string("b"));
    run.spawn_future(std::move(outer));
    run.run_until_idle();
    seen.clear();
    run.request_stop();
    run.run_until_idle();
    CHECK(seen == heph::test::journal{"-a"});
    run.advance(1s);
    CHECK(seen == heph::test::journal{"-a", "-b"});
    CHECK(run.unfinished() == 0);
    CHECK(log.lines().empty());
}

TEST_CASE("step_executor: an actor hears of the stop by its runtime", "[core][stopping][testing]") {
    step_executor run;
    const auto works = [](step_context<int> ctx, std::string* ended) -> task<> {
        auto first = co_await heph::either(ctx.runtime().stopping(), ctx.receive());
        *ended = first.index() == 0 ? "stopped" : "received";
    };
    std::string ended;
    auto ref = run.spawn(run.supervisor(), heph::actor_fn(+works), &ended);
    run.run();
    CHECK(ended.empty());
    run.request_stop();
    run.run();
    CHECK(ended == "stopped");
}

TEST_CASE("thread_runtime: stopping is for those whose thread is told to stop",
          "[core][stopping]") {
    auto never = heph::thread_runtime::stopping();
    CHECK_FALSE(never.poll(heph::waker()).is_ready());
    const stop_signal signal;
    const heph::detail::thread_stop mine(signal);
    auto stopping = heph::thread_runtime::stopping();
    CHECK_FALSE(stopping.poll(heph::waker()).is_ready());
    signal.request();
    CHECK(stopping.poll(heph::waker()).is_ready());
    CHECK_FALSE(never.poll(heph::waker()).is_ready());
}
