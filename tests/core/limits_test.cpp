// Settings at their ends, and uses that nobody would recommend: each has one answer.

#include <chrono>
#include <cstddef>
#include <expected>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/testing/explore.hpp>
#include <heph/core/testing/step_executor.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_options;
using heph::actor_ref;
using heph::context;
using heph::restart_limit;
using heph::task;
using heph::test::captured_log;
using heph::test::poll_loop;
using heph::test::probe;
using heph::testing::step_executor;
using heph::testing::step_runtime;
using namespace std::chrono_literals;

namespace {

using outcome = std::expected<void, std::string>;
using ask = heph::rpc<int, int>;

// Fails after each message.
task<outcome> fragile(context<int> ctx, int* begun) {
    ++*begun;
    auto message = co_await ctx.receive();
    if (!message) { co_return outcome(); }
    co_return std::unexpected(std::string("broken"));
}

int starts_until_end(restart_limit limit, int failures) {
    const captured_log log;
    poll_loop loop;
    int begun = 0;
    actor_options options;
    options.inbox_size = static_cast<std::size_t>(failures);
    auto [running, ref] =
        heph::make_actor(heph::restart_supervisor(limit, &begun), heph::actor_fn(fragile),
                         heph::no_runtime(), options, &begun);
    for (int i = 0; i < failures; ++i) { REQUIRE(ref.try_send(i)); }
    loop.spawn(std::move(running));
    loop.run();
    return begun;
}

}  // namespace

TEST_CASE("limits: an inbox for no message, or for more than memory could hold, is refused",
          "[core][limits]") {
    int live = 0;
    const auto waits = [](context<int> ctx, probe) -> task<> {
        while (auto message = co_await ctx.receive()) { (void)message; }
    };
    const std::size_t size = GENERATE(std::size_t{0}, std::numeric_limits<std::size_t>::max());
    actor_options options;
    options.inbox_size = size;
    const auto make = [&] {
        return heph::make_actor(heph::no_supervisor(), heph::actor_fn(+waits), heph::no_runtime(),
                                options, probe(live));
    };
    CHECK_THROWS_AS(make(), std::invalid_argument);
    CHECK(live == 0);
    step_executor run;
    CHECK_THROWS_AS(
        run.spawn(options, heph::no_supervisor(),
                  heph::actor_fn(+[](context<int, step_runtime>) -> task<> { co_return; })),
        std::invalid_argument);
    CHECK(run.unfinished() == 0);
}

TEST_CASE("limits: an inbox of one message, and one of a million, keep the order",
          "[core][limits]") {
    const std::size_t size = GENERATE(std::size_t{1}, std::size_t{1} << 20U);
    poll_loop loop;
    int next = 0;
    const auto counts = [](context<int> ctx, int* expected) -> task<> {
        while (auto message = co_await ctx.receive()) {
            if (*message == *expected) { ++*expected; }
        }
    };
    actor_options options;
    options.inbox_size = size;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(+counts),
                                           heph::no_runtime(), options, &next);
    loop.spawn(std::move(running));
    loop.spawn([](actor_ref<int> to) -> task<> {
        for (int i = 0; i < 20'000; ++i) {
            auto sent = co_await to.send(i);
            if (!sent) { co_return; }
        }
    }(std::move(ref)));
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(next == 20'000);
}

TEST_CASE("limits: so many restarts as allowed happen, and not one more", "[core][limits]") {
    CHECK(starts_until_end(restart_limit{0, 1h}, 5) == 1);
    CHECK(starts_until_end(restart_limit{1, 1h}, 5) == 2);
    CHECK(starts_until_end(restart_limit{4, 1h}, 5) == 5);
    CHECK(starts_until_end(restart_limit{5, 1h}, 5) == 6);
    // In no time at all there are never too many.
    CHECK(starts_until_end(restart_limit{1, 0s}, 200) == 201);
    CHECK(starts_until_end(restart_limit{3, std::chrono::nanoseconds::max()}, 9) == 4);
}

TEST_CASE("limits: a deadline that has passed gives what is there, and else ends at once",
          "[core][limits]") {
    step_executor run;
    const auto reads = [](context<int, step_runtime> ctx, std::vector<int>* seen) -> task<> {
        for (const auto after : {0s, -1s, std::chrono::seconds(std::chrono::hours(-24 * 365))}) {
            auto one = co_await ctx.receive(heph::deadline_in(after));
            seen->push_back(one ? *one : -1);
        }
        auto none = co_await ctx.receive(heph::deadline_in(0s));
        seen->push_back(none ? *none : -1);
        auto last = co_await ctx.receive(heph::deadline_in(std::chrono::hours::max()));
        seen->push_back(last ? *last : -2);
    };
    std::vector<int> seen;
    {
        auto ref = run.spawn(heph::no_supervisor(), heph::actor_fn(+reads), &seen);
        for (const int each : {1, 2, 3}) { REQUIRE(ref.try_send(each)); }
        run.run();
    }
    run.run();
    CHECK(seen == std::vector<int>{1, 2, 3, -1, -2});
}

TEST_CASE("limits: an actor that asks itself waits for its own deadline", "[core][limits]") {
    step_executor run;
    const auto asks_itself = [](context<ask, step_runtime> ctx, std::string* answer) -> task<> {
        auto reply = co_await ctx.self().rpc(ctx.deadline_in(1s), 1);
        *answer = reply ? "answered" : std::string(to_string(reply.error()));
        // The request is in its own inbox, and says that nobody waits any more.
        auto call = co_await ctx.receive();
        if (call && call->is_cancelled()) { answer->append(", cancelled"); }
    };
    std::string answer;
    auto ref = run.spawn(heph::no_supervisor(), heph::actor_fn(+asks_itself), &answer);
    run.run();
    CHECK(answer == std::string(to_string(heph::rpc_error::timed_out)) + ", cancelled");
}

TEST_CASE("limits: a failure goes up through trees that allow no restart, to the root",
          "[core][limits]") {
    const captured_log log;
    poll_loop loop;
    int begun = 0;
    const auto settings = [] {
        heph::tree_options options;
        options.limit = restart_limit{0, 1h};
        return options;
    };
    heph::supervision_tree innermost(settings());
    auto ref = innermost.add(heph::child_spec("leaf"), heph::actor_fn(fragile), &begun);
    heph::supervision_tree middle(settings());
    middle.add(heph::child_spec("innermost"), std::move(innermost));
    heph::supervision_tree root(settings());
    root.add(heph::child_spec("middle"), std::move(middle));
    std::optional<std::string> why;
    loop.spawn([](decltype(root) tree, std::optional<std::string>* into) -> task<> {
        auto ended = co_await std::move(tree);
        into->emplace(ended ? "ended" : ended.error().message());
    }(std::move(root), &why));
    loop.run();
    REQUIRE(ref.try_send(1));
    loop.run();
    CHECK(begun == 1);
    CHECK(why == "child middle failed: child innermost failed: child leaf failed: broken");
    CHECK_FALSE(ref.is_connected());
}

TEST_CASE("limits: block_on within an actor blocks its thread, and nothing else",
          "[core][limits]") {
    const auto answers = [](context<ask> ctx) -> task<> {
        while (auto call = co_await ctx.receive()) { call->respond(call->request() + 1); }
    };
    auto [answering, other] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(+answers),
                                               heph::no_runtime(), actor_options());
    const std::jthread elsewhere([](auto running) { heph::block_on(std::move(running)); },
                                 std::move(answering));
    const auto blocks = [](context<int> ctx, actor_ref<ask> to, int* result) -> task<> {
        auto first = co_await ctx.receive();
        const auto nested = [](actor_ref<ask> at, int value) -> task<int> {
            co_await heph::yield();
            auto reply = heph::block_on(at.rpc(value));  // Within block_on, within block_on.
            co_return reply.value_or(-1);
        };
        *result = heph::block_on(nested(to, first.value_or(0)));
    };
    int result = 0;
    auto [running, ref] =
        heph::make_actor(heph::no_supervisor(), heph::actor_fn(+blocks), heph::no_runtime(),
                         actor_options(), std::move(other), &result);
    REQUIRE(ref.try_send(41));
    heph::block_on(std::move(running));
    CHECK(result == 42);
}

TEST_CASE("limits: an exception of any type is what explore finds", "[core][limits]") {
    const auto found = heph::testing::explore([](step_executor& run) {
        run.spawn_future([]() -> task<> {
            co_await heph::yield();
            throw 42;
        }());
        run.run();
    });
    CHECK_FALSE(found.passed());
}

TEST_CASE("limits: references, mapped or not, are keys of containers", "[core][limits]") {
    const auto waits = [](context<int> ctx) -> task<> { (void)co_await ctx.receive(); };
    auto [first_actor, first] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(+waits),
                                                 heph::no_runtime(), actor_options());
    auto [second_actor, second] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(+waits),
                                                   heph::no_runtime(), actor_options());
    const auto twice = [](int number) { return 2 * number; };
    std::unordered_set<actor_ref<int>> hashed{first, second, first.map_fn<int>(twice)};
    std::set<actor_ref<int>> ordered{second, first, second.map_fn<int>(twice), first};
    CHECK(hashed.size() == 2);
    CHECK(ordered.size() == 2);
    CHECK(hashed.contains(first.map_fn<int>(twice)));
    const auto nobody = actor_ref<int>::to_nothing();
    CHECK(nobody != actor_ref<int>::to_nothing());
    CHECK(nobody == actor_ref<int>(nobody));
    CHECK(nobody != first);
}
