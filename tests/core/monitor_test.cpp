// Death watch: what a monitor says, whenever it is made and wherever the actor ends.

#include <heph/core/monitor.hpp>

#include <atomic>
#include <expected>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/either.hpp>
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

namespace {

using outcome = std::expected<void, std::string>;

// Ends well on 0, fails on 1, throws on 2.
task<outcome> mortal(context<int> ctx) {
    while (auto message = co_await ctx.receive()) {
        if (*message == 0) { co_return outcome(); }
        if (*message == 1) { co_return std::unexpected(std::string("a one")); }
        if (*message == 2) { throw std::runtime_error("a two"); }
    }
    co_return outcome();
}

auto make_mortal() {
    return heph::make_actor(heph::stop_supervisor(), heph::actor_fn(mortal), heph::no_runtime(),
                            actor_options());
}

actor_end end_of(heph::monitor_future& watching) {
    auto end = watching.poll(waker());
    REQUIRE(end.is_ready());
    return std::move(end).value();
}

}  // namespace

TEST_CASE("monitor: tells how an actor ended, before and after the end alike", "[core][monitor]") {
    const captured_log log;
    const auto [message, reason, text] =
        GENERATE(table<int, end_reason, std::string>({{0, end_reason::finished, ""},
                                                      {1, end_reason::failed, "a one"},
                                                      {2, end_reason::failed, "a two"}}));
    auto [running, ref] = make_mortal();
    auto before = heph::monitor(ref);
    CHECK_FALSE(before.poll(waker()).is_ready());
    CHECK_FALSE(before.is_ended());
    REQUIRE(ref.try_send(message));
    CHECK(running.poll(waker()).is_ready());
    auto after = heph::monitor(ref);
    CHECK(after.is_ended());
    for (auto* watching : {&before, &after}) {
        const actor_end end = end_of(*watching);
        CHECK(end.reason() == reason);
        CHECK(end.text() == text);
        CHECK(end.is_abnormal() == (message != 0));
    }
}

TEST_CASE("monitor: a dropped actor was dropped, wherever it waited", "[core][monitor]") {
    for (int polls = 0; polls < 3; ++polls) {
        auto [running, ref] = make_mortal();
        auto watching = heph::monitor(ref);
        {
            std::optional dropped(std::move(running));
            for (int i = 0; i < polls; ++i) { REQUIRE_FALSE(dropped->poll(waker()).is_ready()); }
        }
        CHECK(end_of(watching).reason() == end_reason::dropped);
    }
}

TEST_CASE("monitor: is woken by the end, and by nothing before", "[core][monitor]") {
    const captured_log log;
    poll_loop loop;
    auto [running, ref] = make_mortal();
    std::optional<actor_end> seen;
    int polls = 0;
    const auto watch = [](heph::monitor_future watching, std::optional<actor_end>* into,
                          int* count) -> task<> {
        ++*count;
        auto end = co_await std::move(watching);
        into->emplace(std::move(end));
    };
    loop.spawn(std::move(running));
    loop.spawn(watch(heph::monitor(ref), &seen, &polls));
    for (int i = 0; i < 5; ++i) {
        REQUIRE(ref.try_send(7));
        loop.run();
    }
    CHECK_FALSE(seen.has_value());
    REQUIRE(ref.try_send(1));
    loop.run();
    REQUIRE(seen.has_value());
    CHECK(seen->text() == "a one");
    CHECK(loop.unfinished() == 0);
}

TEST_CASE("monitor: does not keep the actor running", "[core][monitor]") {
    poll_loop loop;
    auto [running, ref] = make_mortal();
    auto watching = heph::monitor(ref);
    loop.spawn(std::move(running));
    loop.run();
    { auto gone = std::move(ref); }
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(end_of(watching).reason() == end_reason::finished);
}

TEST_CASE("monitor: a restart is no end", "[core][monitor]") {
    const captured_log log;
    poll_loop loop;
    auto [running, ref] = heph::make_actor(heph::restart_supervisor(), heph::actor_fn(mortal),
                                           heph::no_runtime(), actor_options());
    auto watching = heph::monitor(ref);
    loop.spawn(std::move(running));
    REQUIRE(ref.try_send(1));
    REQUIRE(ref.try_send(2));
    loop.run();
    CHECK_FALSE(watching.poll(waker()).is_ready());
    REQUIRE(ref.try_send(0));
    loop.run();
    CHECK(end_of(watching).reason() == end_reason::finished);
}

TEST_CASE("monitor: dropping it ends the watch", "[core][monitor]") {
    poll_loop loop;
    auto [running, ref] = make_mortal();
    loop.spawn(std::move(running));
    {
        auto watching = heph::monitor(ref);
        CHECK_FALSE(watching.poll(waker()).is_ready());
    }
    auto kept = heph::monitor(ref);
    CHECK_FALSE(kept.poll(waker()).is_ready());
    REQUIRE(ref.try_send(0));
    loop.run();
    CHECK(end_of(kept).reason() == end_reason::finished);
}

TEST_CASE("monitor: watches through a mapping, a channel, and nobody", "[core][monitor]") {
    const captured_log log;
    SECTION("a mapped reference leads to the same actor") {
        auto [running, ref] = make_mortal();
        const auto mapped =
            ref.map_fn<std::string>([](const std::string& text) { return std::stoi(text); });
        auto watching = heph::monitor(mapped);
        REQUIRE(mapped.try_send("1"));
        CHECK(running.poll(waker()).is_ready());
        CHECK(end_of(watching).text() == "a one");
    }
    SECTION("a channel that is no actor's ends for unknown reasons") {
        auto [tx, rx] = heph::inbox::channel<int>(1);
        const heph::actor_ref<int> ref(std::move(tx));
        auto watching = heph::monitor(ref);
        CHECK_FALSE(watching.poll(waker()).is_ready());
        { auto gone = std::move(rx); }
        CHECK(end_of(watching).reason() == end_reason::unknown);
    }
    SECTION("a function never ends") {
        auto watching = heph::monitor(heph::actor_ref<int>::to_nothing());
        CHECK_FALSE(watching.is_ended());
        CHECK_FALSE(watching.poll(waker()).is_ready());
    }
}

TEST_CASE("tell_end: sends the end as a message, and says whose it was", "[core][monitor]") {
    const captured_log log;
    poll_loop loop;
    struct obituary {
        obituary(std::string who, actor_end how) : name(std::move(who)), end(std::move(how)) {}
        std::string name;
        actor_end end;
    };
    std::vector<std::string> seen;
    const auto undertaker = [](context<obituary> ctx, std::vector<std::string>* into) -> task<> {
        while (auto message = co_await ctx.receive()) {
            into->push_back(message->name + " " + std::string(to_string(message->end.reason())) +
                            " " + message->end.text());
        }
    };
    auto [watcher, watcher_ref] =
        heph::make_actor(heph::no_supervisor(), heph::actor_fn(+undertaker), heph::no_runtime(),
                         actor_options(), &seen);
    loop.spawn(std::move(watcher));
    std::vector<heph::actor_ref<int>> refs;
    for (const char* name : {"first", "second"}) {
        auto [running, ref] = make_mortal();
        loop.spawn(std::move(running));
        loop.spawn(
            heph::tell_end(heph::monitor(ref), watcher_ref.map_fn<actor_end>([name](actor_end end) {
                return obituary(name, std::move(end));
            })));
        refs.push_back(std::move(ref));
    }
    loop.run();
    REQUIRE(refs[1].try_send(2));
    loop.run();
    REQUIRE(refs[0].try_send(0));
    loop.run();
    CHECK(seen == std::vector<std::string>{"second failed a two", "first finished "});
    { auto gone = std::move(watcher_ref); }
    loop.run();
    CHECK(loop.unfinished() == 0);
}

TEST_CASE("monitor: many may watch one, and one many", "[core][monitor]") {
    const captured_log log;
    poll_loop loop;
    constexpr int count = 1000;
    int ended = 0;
    const auto watch = [](heph::monitor_future watching, int* into) -> task<> {
        auto end = co_await std::move(watching);
        if (end.reason() == end_reason::dropped) { ++*into; }
    };
    auto doomed = std::make_unique<poll_loop>();
    std::vector<heph::actor_ref<int>> refs;
    for (int i = 0; i < count; ++i) {
        auto [running, ref] = make_mortal();
        for (int j = 0; j < 3; ++j) { loop.spawn(watch(heph::monitor(ref), &ended)); }
        doomed->spawn(std::move(running));
        refs.push_back(std::move(ref));
    }
    loop.run();
    doomed->run();
    CHECK(ended == 0);
    doomed.reset();
    loop.run();
    CHECK(ended == 3 * count);
    CHECK(loop.unfinished() == 0);
}

TEST_CASE("monitor: an actor watches while it works", "[core][monitor]") {
    const captured_log log;
    poll_loop loop;
    std::string seen;
    const auto parent = [](context<int> ctx, heph::actor_ref<int> child,
                           std::string* into) -> task<> {
        auto watching = heph::monitor(child);
        { auto gone = std::move(child); }
        for (;;) {
            auto first = co_await heph::either(ctx.receive(), watching);
            if (first.index() == 1) {
                *into += "end: " + std::get<1>(first).text();
                co_return;
            }
            if (!std::get<0>(first)) { co_return; }
            *into += "work, ";
        }
    };
    auto [child, child_ref] = make_mortal();
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(+parent),
                                           heph::no_runtime(), actor_options(), child_ref, &seen);
    loop.spawn(std::move(child));
    loop.spawn(std::move(running));
    REQUIRE(ref.try_send(1));
    REQUIRE(ref.try_send(1));
    loop.run();
    REQUIRE(child_ref.try_send(1));
    loop.run();
    CHECK(seen == "work, work, end: a one");
    CHECK(loop.unfinished() == 0);
}

TEST_CASE("monitor: an actor may destroy the last reference to itself, and be watched",
          "[core][monitor]") {
    poll_loop loop;
    const auto lonely = [](context<int> ctx) -> task<> {
        std::optional mine(ctx.self());
        auto message = co_await ctx.receive();
        if (message) { (void)mine->try_send(1); }
        mine.reset();
        (void)co_await ctx.receive();
    };
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(+lonely),
                                           heph::no_runtime(), actor_options());
    auto watching = heph::monitor(ref);
    loop.spawn(std::move(running));
    REQUIRE(ref.try_send(1));
    { auto gone = std::move(ref); }
    loop.run();
    CHECK(end_of(watching).reason() == end_reason::finished);
}

TEST_CASE("monitor: sees the end on another thread", "[core][monitor][threads]") {
    const captured_log log;
    std::atomic<int> wrong = 0;
    for (int round = 0; round < 200; ++round) {
        auto [running, ref] = make_mortal();
        std::vector<std::jthread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([watched = ref, &wrong] {
                auto end = heph::block_on(heph::monitor(watched));
                if (end.reason() != end_reason::failed || end.text() != "a one") { ++wrong; }
            });
        }
        REQUIRE(ref.try_send(1));
        { auto gone = std::move(ref); }
        REQUIRE(running.poll(waker()).is_ready());
    }
    CHECK(wrong == 0);
}
