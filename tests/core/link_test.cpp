// Links: who ends with whom, and who does not.

#include <heph/core/link.hpp>

#include <atomic>
#include <expected>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_end;
using heph::actor_options;
using heph::context;
using heph::end_reason;
using heph::task;
using heph::waker;
using heph::test::captured_log;
using heph::test::poll_loop;
using heph::test::probe;

namespace {

using outcome = std::expected<void, std::string>;

// Ends well on 0, fails on 1; drops what it holds in a loop on 2.
task<outcome> mortal(context<int> ctx, probe) {
    while (auto message = co_await ctx.receive()) {
        if (*message == 0) { co_return outcome(); }
        if (*message == 1) { co_return std::unexpected(std::string("a one")); }
    }
    co_return outcome();
}

auto make_mortal(int& live) {
    return heph::make_actor(heph::stop_supervisor(), heph::actor_fn(mortal), heph::no_runtime(),
                            actor_options(), probe(live));
}

actor_end end_of(heph::monitor_future& watching) {
    auto end = watching.poll(waker());
    REQUIRE(end.is_ready());
    return std::move(end).value();
}

}  // namespace

TEST_CASE("link: a failure ends the other, a finish does not", "[core][link]") {
    const captured_log log;
    int live = 0;
    poll_loop loop;
    auto [first, first_ref] = make_mortal(live);
    auto [second, second_ref] = make_mortal(live);
    auto watching = heph::monitor(second_ref);
    auto [a, b] = heph::link(std::move(first), std::move(second));
    loop.spawn(std::move(a));
    loop.spawn(std::move(b));
    loop.run();
    SECTION("a failure") {
        REQUIRE(first_ref.try_send(1));
        loop.run();
        CHECK(loop.unfinished() == 0);
        CHECK(live == 0);
        CHECK_FALSE(second_ref.is_connected());
        const actor_end end = end_of(watching);
        CHECK(end.reason() == end_reason::linked);
        CHECK(end.text() == "a one");
    }
    SECTION("a finish") {
        REQUIRE(first_ref.try_send(0));
        loop.run();
        CHECK(loop.unfinished() == 1);
        CHECK(second_ref.is_connected());
        REQUIRE(second_ref.try_send(1));
        loop.run();
        CHECK(end_of(watching).reason() == end_reason::failed);
    }
}

TEST_CASE("link: dropping one ends the others", "[core][link]") {
    int live = 0;
    poll_loop loop;
    heph::link_group group;
    std::vector<heph::actor_ref<int>> refs;
    for (int i = 0; i < 3; ++i) {
        auto [running, ref] = make_mortal(live);
        loop.spawn(group.link(std::move(running)));
        refs.push_back(std::move(ref));
    }
    {
        auto [running, ref] = make_mortal(live);
        std::optional dropped(group.link(std::move(running)));
        const bool was_polled = GENERATE(false, true);
        if (was_polled) { CHECK_FALSE(dropped->poll(waker()).is_ready()); }
        loop.run();
        CHECK(live == 4);
        CHECK_FALSE(group.is_broken());
        dropped.reset();
    }
    CHECK(group.is_broken());
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(live == 0);
    auto watching = heph::monitor(refs[0]);
    CHECK(end_of(watching).text() == "dropped");
}

TEST_CASE("link: whoever joins a broken group ends without having run", "[core][link]") {
    int live = 0;
    poll_loop loop;
    heph::link_group group;
    group.break_with("over");
    auto [running, ref] = make_mortal(live);
    REQUIRE(ref.try_send(0));
    loop.spawn(group.link(std::move(running)));
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(live == 0);
    auto watching = heph::monitor(ref);
    const actor_end end = end_of(watching);
    CHECK(end.reason() == end_reason::linked);
    CHECK(end.text() == "over");
}

TEST_CASE("link: a restart breaks nothing", "[core][link]") {
    const captured_log log;
    int live = 0;
    poll_loop loop;
    heph::link_group group;
    auto [first, first_ref] =
        heph::make_actor(heph::restart_supervisor(probe(live)), heph::actor_fn(mortal),
                         heph::no_runtime(), actor_options(), probe(live));
    auto [second, second_ref] = make_mortal(live);
    loop.spawn(group.link(std::move(first)));
    loop.spawn(group.link(std::move(second)));
    REQUIRE(first_ref.try_send(1));
    loop.run();
    CHECK(loop.unfinished() == 2);
    CHECK_FALSE(group.is_broken());
}

TEST_CASE("link: many end at once", "[core][link]") {
    const captured_log log;
    int live = 0;
    poll_loop loop;
    heph::link_group group;
    std::vector<heph::actor_ref<int>> refs;
    for (int i = 0; i < 5000; ++i) {
        auto [running, ref] = make_mortal(live);
        loop.spawn(group.link(std::move(running)));
        refs.push_back(std::move(ref));
    }
    loop.run();
    REQUIRE(refs[2500].try_send(1));
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(live == 0);
}

TEST_CASE("link: an actor may end the one that is running it into the ground", "[core][link]") {
    // A member that owns the future of another one: its end is in the middle of the other's poll.
    const captured_log log;
    int live = 0;
    heph::link_group group;
    auto [inner, inner_ref] = make_mortal(live);
    auto held =
        std::make_unique<decltype(group.link(std::move(inner)))>(group.link(std::move(inner)));
    const auto owner =
        [](context<int>,
           std::unique_ptr<std::remove_reference_t<decltype(*held)>> owned) -> task<outcome> {
        CHECK_FALSE(owned->poll(waker()).is_ready());
        owned.reset();
        co_return outcome();
    };
    auto [outer, outer_ref] =
        heph::make_actor(heph::stop_supervisor(), heph::actor_fn(+owner), heph::no_runtime(),
                         actor_options(), std::move(held));
    auto running = group.link(std::move(outer));
    CHECK(running.poll(waker()).is_ready());
    CHECK(group.is_broken());
    CHECK(live == 0);
    auto watching = heph::monitor(outer_ref);
    CHECK(end_of(watching).reason() == end_reason::finished);
}

TEST_CASE("link: members on several threads end together", "[core][link][threads]") {
    // It says nothing: the log's handlers of tests are for one thread.
    const auto stops = [](const heph::failure&) { return heph::stop; };
    for (int round = 0; round < 100; ++round) {
        std::atomic<int> wrong = 0;
        heph::link_group group;
        std::vector<heph::actor_ref<int>> refs;
        std::vector<std::jthread> threads;
        for (int i = 0; i < 3; ++i) {
            const auto waits = [](context<int> ctx) -> task<outcome> {
                auto message = co_await ctx.receive();
                if (message) { co_return std::unexpected(std::string("told to")); }
                co_return outcome();
            };
            auto [running, ref] = heph::make_actor(stops, heph::actor_fn(+waits),
                                                   heph::no_runtime(), actor_options());
            refs.push_back(ref);
            threads.emplace_back([linked = group.link(std::move(running))]() mutable {
                heph::block_on(std::move(linked));
            });
        }
        // Two fail at about the same time.
        (void)refs[0].try_send(1);
        (void)refs[1].try_send(1);
        threads.clear();
        for (const auto& ref : refs) {
            auto end = heph::block_on(heph::monitor(ref));
            if (!end.is_abnormal() || end.text() != "told to") { ++wrong; }
        }
        REQUIRE(wrong == 0);
        REQUIRE(group.is_broken());
    }
}
