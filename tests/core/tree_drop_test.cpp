// Drops a tree, with all that is going on in it, after every number of polls. The sanitizers look
// on.

#include <chrono>
#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/manual_time.hpp"
#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_fn;
using heph::child_spec;
using heph::restart_limit;
using heph::restart_strategy;
using heph::supervision_tree;
using heph::task;
using heph::test::captured_log;
using heph::test::manual_runtime;
using heph::test::manual_time;
using heph::test::poll_loop;
using heph::test::probe;
using namespace std::chrono_literals;

namespace {

using outcome = std::expected<void, std::string>;
using ask = heph::rpc<int, probe>;
using context = heph::context<ask, manual_runtime>;

task<> pause(const probe) { co_await heph::yield(); }

// Fails at every third question, throws at every fifth; stops at 0.
task<outcome> server(context ctx, int* live, probe) {
    const probe local(*live);
    while (auto call = co_await ctx.receive()) {
        co_await pause(local);
        const int number = call->request();
        if (number == 0) { co_return outcome(); }
        if (number % 3 == 0) { co_return std::unexpected(std::string("three")); }
        if (number % 5 == 0) { throw std::string("five"); }
        call->respond(local);
    }
    co_return outcome();
}

// A question without an answer: what asks a server to stop.
struct to_stop {
    operator ask() const {  // NOLINT(google-explicit-constructor)
        auto [reply, receiver] = heph::inbox::oneshot<heph::detail::reply_t<probe>>();
        return ask(0, std::move(reply));
    }
};

task<> client(heph::actor_ref<ask> first, heph::actor_ref<ask> second, int* live) {
    const probe local(*live);
    for (int i = 1; i <= 12; ++i) {
        auto answer = co_await first.rpc(i);
        auto other = co_await second.rpc(i + 1);
        if (!answer && !other) { co_await heph::yield(); }
    }
}

// Runs the whole for so many polls, then drops it. Tells whether it had finished.
bool run_and_drop(std::size_t polls, restart_strategy strategy, bool stops) {
    int live = 0;
    bool finished = false;
    {
        manual_time time;
        poll_loop loop;
        heph::tree_options options;
        options.strategy = strategy;
        options.limit = restart_limit{30, 1h};
        supervision_tree inner(options, manual_runtime(time));
        auto first = inner.add(child_spec("first").stop_with(to_stop()).within(1s).inbox_size(2),
                               actor_fn(server), &live, probe(live));
        auto second = inner.add(child_spec("second").transient(),
                                heph::restart_supervisor(restart_limit{1, 1h}, &live, probe(live)),
                                actor_fn(server), &live, probe(live));
        supervision_tree outer(options, manual_runtime(time));
        outer.add(child_spec("inner"), std::move(inner));
        auto third = outer.add(child_spec("third").stop_with(to_stop()), actor_fn(server), &live,
                               probe(live));
        auto control = std::optional(outer.control());
        loop.spawn(std::move(outer));
        loop.spawn(client(first, second, &live));
        loop.spawn(client(third, first, &live));
        loop.run(polls / 2);
        time.advance(500ms);
        if (stops) { control->stop(); }
        loop.run(polls - polls / 2);
        control.reset();
        finished = loop.unfinished() == (stops ? 0U : 1U);
        if (polls % 2 == 0) { loop.drop_all(); }
    }
    REQUIRE(live == 0);
    return finished;
}

}  // namespace

TEST_CASE("tree: may be dropped after any number of polls", "[core][tree][drop]") {
    const captured_log log;
    const auto strategy = GENERATE(restart_strategy::one_for_one, restart_strategy::one_for_all,
                                   restart_strategy::rest_for_one);
    const bool stops = GENERATE(false, true);
    std::size_t polls = 0;
    while (!run_and_drop(polls, strategy, stops) && polls < 2000) { ++polls; }
    CHECK(polls > 40);
    CHECK(polls < 2000);
}

TEST_CASE("tree: a child may destroy the tree that runs it, from another poll of its own",
          "[core][tree][drop]") {
    // The last control, and the tree's own reference, are in a child.
    const captured_log log;
    int live = 0;
    {
        poll_loop loop;
        using self_control = heph::tree_control<heph::no_runtime>;
        const auto holds = [](heph::context<int> ctx, self_control control, probe) -> task<> {
            (void)co_await ctx.receive();
            control.stop();
            (void)co_await ctx.receive();
        };
        supervision_tree tree;
        auto control = tree.control();
        auto ref = tree.add(child_spec("own").transient(), actor_fn(+holds), std::move(control),
                            probe(live));
        loop.spawn(std::move(tree));
        loop.run();
        REQUIRE(ref.try_send(1));
        loop.run();
        CHECK(loop.unfinished() == 0);
        CHECK_FALSE(ref.is_connected());
    }
    CHECK(live == 0);
}
