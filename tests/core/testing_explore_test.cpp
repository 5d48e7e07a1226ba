#include <heph/core/testing/explore.hpp>

#include <chrono>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/task.hpp>
#include <heph/core/testing/probe.hpp>
#include <heph/core/yield.hpp>

using heph::actor_ref;
using heph::task;
using heph::testing::expect;
using heph::testing::explore;
using heph::testing::explore_options;
using heph::testing::replay;
using heph::testing::step_context;
using heph::testing::step_executor;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

// An account that is read and written in two calls: two who withdraw at once lose an update.
using get_balance = heph::rpc<void, int>;
using set_balance = heph::rpc<int, void>;
using account_message = std::variant<get_balance, set_balance>;

task<> account(step_context<account_message> ctx, int balance) {
    while (auto message = co_await ctx.receive()) {
        if (auto* get = std::get_if<get_balance>(&*message)) { get->respond(balance); }
        if (auto* set = std::get_if<set_balance>(&*message)) {
            balance = set->request();
            set->respond();
        }
    }
}

task<> withdraws(actor_ref<account_message> ref, int amount, int pause) {
    for (int i = 0; i < pause; ++i) { co_await heph::yield(); }
    auto balance = co_await ref.rpc<get_balance>();
    if (!balance) { throw std::runtime_error("no balance"); }
    auto done = co_await ref.rpc<set_balance>(*balance - amount);
    if (!done) { throw std::runtime_error("not set"); }
}

// In order, the second one only begins when the first one has long finished.
void racing_withdrawals(step_executor& run) {
    auto ref = run.spawn(run.supervisor(), heph::actor_fn(account), 100);
    run.spawn_future(withdraws(ref, 10, 0), "first");
    run.spawn_future(withdraws(ref, 20, 8), "second");
    run.run();
    auto balance = run.block_on(ref.rpc<get_balance>());
    expect(balance == 70, "the balance is " + std::to_string(balance.value_or(-1)));
}

task<> appends(std::string* to, char letter) {
    co_await heph::yield();
    *to += letter;
}

explore_options only_systematic(std::size_t most) {
    explore_options options;
    options.systematic = most;
    options.random = 0;
    return options;
}

explore_options only_random(std::size_t most) {
    explore_options options;
    options.systematic = 0;
    options.random = most;
    return options;
}

}  // namespace

TEST_CASE(
    "testing: an order bug that the order of wakes hides is found at random, and its seed "
    "fails again",
    "[core][testing]") {
    step_executor in_order;
    CHECK_NOTHROW(racing_withdrawals(in_order));
    const auto found = explore(racing_withdrawals, only_random(500));
    INFO(found.text());
    REQUIRE_FALSE(found.passed());
    CHECK_THAT(found.failing_schedule(), Contains("seed:"));
    CHECK_THAT(found.text(), Contains("the balance is") && Contains("HEPH_SCHEDULE=path:") &&
                                 Contains(found.failing_schedule()));
    CHECK_THROWS_WITH(replay(found.failing_schedule(), racing_withdrawals),
                      Contains("the balance is"));
    CHECK_THROWS_WITH(replay(found.shortest_path(), racing_withdrawals),
                      Contains("the balance is"));
    // Equal seeds find the same.
    CHECK(explore(racing_withdrawals, only_random(500)).failing_schedule() ==
          found.failing_schedule());
}

TEST_CASE("testing: an order bug is found systematically, by a path with few deviations",
          "[core][testing]") {
    const auto found = explore(racing_withdrawals, only_systematic(20'000));
    INFO(found.text());
    REQUIRE_FALSE(found.passed());
    CHECK_THAT(found.failing_schedule(), Contains("path:"));
    CHECK_FALSE(found.complete());
    CHECK_THROWS_WITH(replay(found.failing_schedule(), racing_withdrawals),
                      Contains("the balance is"));
}

TEST_CASE("testing: systematic exploration tries every order once, and knows when it has",
          "[core][testing]") {
    std::multiset<std::string> seen;
    const auto found = explore(
        [&seen](step_executor& run) {
            std::string letters;
            for (const char letter : {'a', 'b', 'c'}) {
                run.spawn_future(appends(&letters, letter));
            }
            run.run();
            seen.insert(run.order().path_taken());
            expect(letters.size() == 3, "a letter is missing");
        },
        only_systematic(10'000));
    CHECK(found.passed());
    CHECK(found.complete());
    CHECK_THAT(found.text(), Contains("all there are"));
    CHECK(found.tried() == seen.size());
    // Each of three processes is polled twice: 6! / (2! 2! 2!) orders.
    CHECK(seen.size() == 90);
    for (const std::string& one : seen) { CHECK(seen.count(one) == 1); }
}

TEST_CASE("testing: an exploration that was cut short is not complete", "[core][testing]") {
    const auto scenario = [](step_executor& run) {
        std::string letters;
        for (const char letter : {'a', 'b', 'c'}) { run.spawn_future(appends(&letters, letter)); }
        run.run();
    };
    for (const std::size_t most : {1U, 10U, 89U}) {
        const auto found = explore(scenario, only_systematic(most));
        CHECK(found.passed());
        CHECK(found.tried() == most);
        CHECK_FALSE(found.complete());
    }
    const auto found = explore(scenario, only_systematic(90));
    CHECK(found.complete());
    CHECK_FALSE(explore(scenario, only_random(10)).complete());
}

TEST_CASE("testing: exploring with early timers finds a time-out that is too tight",
          "[core][testing]") {
    const auto scenario = [](step_executor& run) {
        auto ref = run.spawn(run.supervisor(), heph::actor_fn(account), 100);
        auto balance = run.block_on(heph::with_deadline(
            ref.rpc<get_balance>(), run.clock().timer_at(run.clock().now() + 1s)));
        expect(balance.has_value(), "the account took too long");
    };
    CHECK(explore(scenario).passed());
    explore_options options;
    options.early_timers = true;
    const auto found = explore(scenario, options);
    CHECK_FALSE(found.passed());
    CHECK_THAT(found.text(), Contains("took too long"));
    CHECK_THROWS_WITH(replay(found.failing_schedule(), scenario, options),
                      Contains("took too long"));
    CHECK_NOTHROW(replay(found.failing_schedule(), scenario));
}

TEST_CASE("testing: the environment chooses the schedule that an exploration runs",
          "[core][testing]") {
    const auto found = explore(racing_withdrawals, only_random(500));
    REQUIRE_FALSE(found.passed());
    REQUIRE(setenv("HEPH_SCHEDULE", found.shortest_path().c_str(), 1) == 0);
    const auto again = explore(racing_withdrawals);
    REQUIRE(setenv("HEPH_SCHEDULE", "nonsense", 1) == 0);
    CHECK_THROWS_AS(explore(racing_withdrawals), std::invalid_argument);
    REQUIRE(unsetenv("HEPH_SCHEDULE") == 0);
    CHECK(again.tried() == 1);
    CHECK_FALSE(again.passed());
    CHECK(again.failing_schedule() == found.shortest_path());
    CHECK_THROWS_AS(replay("path:x", racing_withdrawals), std::invalid_argument);
}

TEST_CASE("testing: probes fail a scenario with the schedule in the text", "[core][testing]") {
    const auto found = explore([](step_executor& run) {
        heph::testing::probe<int> letters(run, "letters");
        const auto sends = [](actor_ref<int> to, int what) -> task<> {
            co_await heph::yield();
            (void)co_await to.send(what);
        };
        run.spawn_future(sends(letters.ref(), 1), "one");
        run.spawn_future(sends(letters.ref(), 2), "two");
        letters.expect_message(1);
        letters.expect_message(2);
        letters.expect_end();
    });
    REQUIRE_FALSE(found.passed());
    CHECK_THAT(found.text(), Contains("letters expected the message 1") && Contains("got 2") &&
                                 Contains("schedule path:") && Contains("two#2"));
}
