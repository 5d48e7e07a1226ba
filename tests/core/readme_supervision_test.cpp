// The README of heph-core, part two: what follows a failure. See readme_test.cpp.

#include <algorithm>
#include <chrono>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/join.hpp>
#include <heph/core/link.hpp>
#include <heph/core/linkable.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/testing/step_executor.hpp>

#include "core/probes.hpp"

using namespace std::chrono_literals;

namespace {

std::vector<std::string> printed;
void print(const std::string& line) { printed.push_back(line); }

// [divider]
using divide = heph::rpc<int, int>;

heph::task<std::expected<void, std::string>> divider(heph::context<divide> ctx, int dividend) {
    while (auto call = co_await ctx.receive()) {
        if (call->request() == 0) { co_return std::unexpected(std::string("divided by zero")); }
        call->respond(dividend / call->request());
    }
    co_return std::expected<void, std::string>();
}
// [/divider]

heph::task<> divides(heph::actor_ref<divide> ref) {
    for (const int by : {5, 0, 4}) {
        auto answer = co_await ref.rpc(by);
        print(answer ? std::to_string(*answer) : std::string(to_string(answer.error())));
    }
}

heph::task<> watches(heph::actor_ref<divide> ref) {
    // [monitor]
    auto watching = heph::monitor(ref);  // keeps nothing running
    [[maybe_unused]] auto fatal = co_await ref.rpc(0);
    const heph::actor_end end = co_await std::move(watching);
    if (end.reason() == heph::end_reason::failed) { print("failed: " + std::string(end.text())); }
    // [/monitor]
}

template <typename RT>
heph::task<std::expected<void, std::string>> worker(heph::context<std::string, RT> ctx,
                                                    std::string name) {
    print(name + " starts");
    while (auto message = co_await ctx.receive()) {
        if (message->empty()) { co_return std::unexpected(std::string("empty")); }
        print(name + " got " + *message);
    }
    co_return std::expected<void, std::string>();
}

}  // namespace

TEST_CASE("readme: a supervisor decides, and a restart keeps the inbox", "[core][readme]") {
    printed.clear();
    // [supervisor]
    const auto supervisor = [](const heph::failure& why) -> heph::decision<int> {
        print(std::string(why.actor_name()) + " failed: " + why.message());
        if (why.is_exception()) { return heph::stop; }
        return heph::restart(200);  // with this argument
    };
    heph::actor_options options;
    options.name = "divider";
    auto [running, ref] =
        heph::make_actor(supervisor, heph::actor_fn(divider), heph::no_runtime(), options, 100);
    // [/supervisor]
    heph::block_on(heph::join(std::move(running), divides(std::move(ref))));
    CHECK(printed == std::vector<std::string>{"20", "divider failed: divided by zero",
                                              std::string(to_string(heph::rpc_error::no_reply)),
                                              "50"});
}

TEST_CASE("readme: a monitor tells how an actor ended", "[core][readme]") {
    printed.clear();
    const heph::test::captured_log log;
    auto [running, ref] = heph::make_actor(heph::stop_supervisor(), heph::actor_fn(divider),
                                           heph::no_runtime(), heph::actor_options(), 100);
    heph::block_on(heph::join(std::move(running), watches(std::move(ref))));
    CHECK(printed == std::vector<std::string>{"failed: divided by zero"});
}

TEST_CASE("readme: linked actors end together", "[core][readme]") {
    printed.clear();
    const heph::test::captured_log log;
    using runtime = heph::testing::step_runtime;
    heph::testing::step_executor run;
    auto [reader, reader_ref] =
        heph::make_actor(heph::stop_supervisor(), heph::actor_fn(&worker<runtime>), run.runtime(),
                         heph::actor_options(), std::string("reader"));
    auto [writer, writer_ref] =
        heph::make_actor(heph::stop_supervisor(), heph::actor_fn(&worker<runtime>), run.runtime(),
                         heph::actor_options(), std::string("writer"));
    // [link]
    heph::link_group session;
    run.spawn_future(session.link(std::move(reader)));
    run.spawn_future(session.link(std::move(writer)));
    // [/link]
    run.run();
    CHECK(run.unfinished() == 2);
    CHECK(reader_ref.try_send(""));
    run.run();
    CHECK(run.unfinished() == 0);
    CHECK_FALSE(writer_ref.is_connected());
}

TEST_CASE("readme: actors that run are linked by their references", "[core][readme]") {
    printed.clear();
    const heph::test::captured_log log;
    using runtime = heph::testing::step_runtime;
    heph::testing::step_executor run;
    const auto reads =
        [](heph::context<int, runtime> ctx) -> heph::task<std::expected<void, std::string>> {
        auto message = co_await ctx.receive();
        (void)message;
        co_return std::unexpected(std::string("nothing to read"));
    };
    const auto writes = [](heph::context<int, runtime> ctx) -> heph::task<> {
        while (auto message = co_await ctx.receive()) { print(std::to_string(*message)); }
    };
    // [linkable]
    auto reading = run.spawn(heph::linkable(heph::stop_supervisor()), heph::actor_fn(reads));
    auto writing = run.spawn(heph::linkable(heph::stop_supervisor()), heph::actor_fn(writes));
    auto linked = heph::link(reading, writing);  // as if now, if one of them has ended already
    if (!linked) { print(std::string(to_string(linked.error()))); }
    heph::unlink(reading, writing);  // says whether they were linked
    // [/linkable]
    CHECK(linked);
    CHECK(heph::link(writing, reading));
    CHECK(writing.try_send(1));
    run.run();
    CHECK(run.unfinished() == 2);
    CHECK(reading.try_send(1));
    run.run();
    CHECK_FALSE(writing.is_connected());
    CHECK(run.unfinished() == 0);
    CHECK(printed == std::vector<std::string>{"1"});
}

TEST_CASE("readme: a tree restarts what depends on what failed", "[core][readme]") {
    printed.clear();
    const heph::test::captured_log log;
    using runtime = heph::testing::step_runtime;
    heph::testing::step_executor run;
    // [tree]
    heph::tree_options options;
    options.strategy = heph::restart_strategy::rest_for_one;  // and those that were added after it
    options.limit = heph::restart_limit{3, 10s};
    options.name = "storage";
    heph::supervision_tree tree(options, run.runtime());
    auto disk =
        tree.add(heph::child_spec("disk"), heph::actor_fn(&worker<runtime>), std::string("disk"));
    auto index =
        tree.add(heph::child_spec("index"), heph::actor_fn(&worker<runtime>), std::string("index"));
    auto control = tree.control();
    run.spawn_future(std::move(tree));
    // [/tree]
    run.run();
    printed.clear();
    CHECK(disk.try_send(""));  // it fails, and both start again
    CHECK(index.try_send("a"));
    CHECK(disk.try_send("b"));
    run.run();
    control.stop();
    run.run();
    CHECK(run.unfinished() == 0);
    CHECK(std::count(printed.begin(), printed.end(), "disk starts") == 1);
    CHECK(std::count(printed.begin(), printed.end(), "index starts") == 1);
    CHECK(std::count(printed.begin(), printed.end(), "index got a") == 1);
    CHECK(std::count(printed.begin(), printed.end(), "disk got b") == 1);
}
