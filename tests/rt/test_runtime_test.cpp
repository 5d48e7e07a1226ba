// The runtime for users' tests: values, failures and time-outs of what runs on it.

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <heph/core/actor_ref.hpp>
#include <heph/core/context.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/testing/expectation.hpp>
#include <heph/core/testing/probe.hpp>
#include <heph/core/testing/virtual_clock.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/testing/test_runtime.hpp>
#include <heph/rt/timer.hpp>

using heph::task;
using heph::rt::worker;
using heph::rt::testing::test_runtime;
using heph::testing::expectation_failed;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

task<> sum_up(heph::rt::local_context<int> ctx, heph::actor_ref<int> totals) {
    int sum = 0;
    while (auto more = co_await ctx.receive()) {
        if (*more == 0) { co_return; }
        if (*more < 0) { throw std::invalid_argument("less than nothing"); }
        sum += *more;
        (void)co_await totals.send(sum);
    }
}

task<> answer(heph::rt::shared_context<int> ctx, heph::actor_ref<int> to) {
    while (auto asked = co_await ctx.receive()) { (void)co_await to.send(*asked + 1); }
}

/// Says when it is destroyed.
struct flagged {
    explicit flagged(std::atomic<bool>& flag) : flag_(&flag) {}
    flagged(flagged&& other) noexcept : flag_(std::exchange(other.flag_, nullptr)) {}
    flagged& operator=(flagged&&) = delete;
    ~flagged() {
        if (flag_ != nullptr) { *flag_ = true; }
    }
    std::atomic<bool>* flag_;
};

task<> hold_until_dropped(flagged kept) {
    co_await heph::rt::timer(1h);
    (void)kept;
}

}  // namespace

TEST_CASE("test runtime: an actor's messages reach the test, and its end is waited for",
          "[rt][testing]") {
    test_runtime run;
    heph::testing::probe<int> totals("totals");
    auto local = run.spawn_local(run.supervisor(), heph::actor_fn(sum_up), totals.ref());
    REQUIRE(local.try_send(2));
    totals.expect_message(2);
    REQUIRE(local.try_send(3));
    totals.expect_message(5);
    CHECK_FALSE(run.try_join(local, 1ms));
    REQUIRE(local.try_send(0));
    run.join(local);
    auto shared = run.spawn(run.supervisor(), heph::actor_fn(answer), totals.ref());
    REQUIRE(shared.try_send(41));
    totals.expect_message(42);
    {
        const auto last = std::move(shared);
        CHECK_FALSE(run.try_join(last, 1ms));
    }
    run.stop();
}

TEST_CASE("test runtime: values and exceptions of futures come to the test", "[rt][testing]") {
    test_runtime run;
    const std::string word = "forty";
    CHECK(run.block_on([&word](worker& here) -> task<std::string> {
        co_await heph::rt::timer(1ms);
        co_return word + "-" + std::to_string(here.worker_count() + 1);
    }) == "forty-2");
    auto moved = run.block_on([](worker&) -> task<std::unique_ptr<int>> {
        auto made = std::make_unique<int>(7);
        co_return made;
    });
    REQUIRE(moved);
    CHECK(*moved == 7);
    run.block_on([](worker&) { return heph::rt::timer(1ms); });
    CHECK_THROWS_WITH(run.block_on([](worker&) -> task<int> {
        co_await heph::yield();
        throw std::runtime_error("no number");
    }),
                      "no number");
    CHECK_THROWS_WITH(run.block_on([](worker&) -> task<> { throw std::runtime_error("at once"); }),
                      "at once");
}

TEST_CASE("test runtime: functions run on its worker's thread, and throw to the test",
          "[rt][testing]") {
    test_runtime run;
    const auto first = run.on_worker([](worker&) { return std::this_thread::get_id(); });
    CHECK(first != std::this_thread::get_id());
    CHECK(run.on_worker([](worker& here) { return here.index(); }) == 0);
    int calls = 0;
    run.on_worker([&calls](worker&) { ++calls; });
    CHECK(calls == 1);
    CHECK_THROWS_AS(run.on_worker([](worker&) { throw std::logic_error("no"); }), std::logic_error);
}

TEST_CASE("test runtime: what is not ready in time is dropped before the test hears of it",
          "[rt][testing]") {
    test_runtime run;
    std::atomic<bool> is_dropped = false;
    CHECK_THROWS_WITH(
        run.block_on([&](worker&) { return hold_until_dropped(flagged(is_dropped)); }, 1ms),
        "a future was not ready within 1 ms");
    CHECK(is_dropped);
    is_dropped = false;
    CHECK_FALSE(
        run.try_block_on([&](worker&) { return hold_until_dropped(flagged(is_dropped)); }, 0ns));
    CHECK(is_dropped);
    heph::testing::probe<int> totals("totals");
    auto idle = run.spawn_local(heph::stop_supervisor(), heph::actor_fn(sum_up), totals.ref());
    CHECK_THROWS_WITH(run.join(idle, 1ms), "an actor did not end within 1 ms");
}

TEST_CASE("test runtime: the failure of an actor is thrown as it stops", "[rt][testing]") {
    test_runtime run;
    heph::testing::probe<int> totals("totals");
    auto local = run.spawn_local(run.supervisor(), heph::actor_fn(sum_up), totals.ref());
    REQUIRE(local.try_send(-1));
    run.join(local);
    CHECK_THROWS_WITH(run.stop(), "less than nothing");
    // Once.
    run.stop();
}

TEST_CASE("test runtime: what is asked of one that has ended fails", "[rt][testing]") {
    test_runtime run;
    run.stop();
    CHECK_THROWS_AS(run.on_worker([](worker&) {}), expectation_failed);
    CHECK_THROWS_AS(run.block_on([](worker&) { return heph::rt::timer(1ms); }), expectation_failed);
}

TEST_CASE("test runtime: one that an actor stops leaves nobody waiting", "[rt][testing]") {
    test_runtime run(test_runtime::quiet().stop_grace(10ms));
    auto waiting = [](worker& here) -> task<> {
        here.request_stop();
        co_await heph::rt::timer(1h);
    };
    // It is dropped when the grace time is over.
    CHECK_THROWS_WITH(run.block_on(waiting), Contains("has ended"));
    CHECK_THROWS_AS(run.on_worker([](worker&) {}), expectation_failed);
}

TEST_CASE("test runtime: a setting that is wrong, and a start that fails, are told",
          "[rt][testing]") {
    CHECK_THROWS_AS(test_runtime(test_runtime::quiet().threads(0)), std::system_error);
    test_runtime run(
        test_runtime::quiet().scheduler([](auto&&...) -> std::unique_ptr<heph::rt::scheduler> {
            throw std::runtime_error("no scheduler");
        }));
    CHECK_THROWS_AS(run.on_worker([](worker&) {}), expectation_failed);
    CHECK_THROWS_WITH(run.stop(), Contains("no scheduler"));
}

TEST_CASE("test runtime: an hour of another clock takes no time of the test", "[rt][testing]") {
    heph::testing::virtual_clock time;
    test_runtime run(test_runtime::quiet().clock(time, heph::rt::idle_time::advances));
    const auto begin = time.now();
    run.block_on([](worker&) { return heph::rt::timer(1h); });
    CHECK(time.now() - begin >= 1h);
}
