// Supervision trees and sync actors beside every executor: a bare poll loop, the test kit's,
// heph-rt, and Boost.Asio.

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/sync_actor.hpp>
#include <heph/core/task.hpp>

#include "core/executors.hpp"
#include "core/probes.hpp"
#include "core/tree_probes.hpp"

using heph::actor_options;
using heph::actor_ref;
using heph::child_spec;
using heph::context;
using heph::restart_limit;
using heph::task;
using heph::test::captured_log;
using heph::test::journal;
using heph::test::order;
using namespace std::chrono_literals;

#define HEPH_THREADED_EXECUTORS                                                 \
    heph::test::on_heph_rt, heph::test::on_shared_heph_rt, heph::test::on_asio, \
        heph::test::on_an_asio_strand, heph::test::on_asio_threads
#define HEPH_EXECUTORS \
    heph::test::on_a_poll_loop, heph::test::on_a_step_executor, HEPH_THREADED_EXECUTORS

namespace {

struct command {
    std::size_t lines;  // So many are in the journal when it is given: the one before was obeyed.
    order what;
};

template <typename RT>
task<> commands(RT runtime, actor_ref<order> to, const journal* seen, std::vector<command> all) {
    for (const command& each : all) {
        while (seen->lines() < each.lines) { co_await runtime.timer_at(runtime.now() + 5ms); }
        auto sent = co_await to.send(each.what);
        (void)sent;
    }
}

// Keeps the references, so that no child ends for want of messages.
template <typename RT>
task<> run_tree(heph::supervision_tree<RT> tree, std::vector<actor_ref<order>> kept,
                journal* seen) {
    auto ended = co_await std::move(tree);
    seen->push_back(ended ? "the tree ended" : ended.error().message());
    kept.clear();
}

using square = heph::rpc<int, int>;

task<> asks(actor_ref<square> sync, int from, int to, std::optional<int>* answer) {
    int sum = 0;
    for (int i = from; i < to; ++i) {
        auto one = co_await sync.rpc(i);
        if (!one) { co_return; }
        sum += *one;
    }
    answer->emplace(sum);
}

template <typename RT>
task<> adds(context<int, RT> ctx, actor_ref<int> sink) {
    int sum = 0;
    while (auto number = co_await ctx.receive()) { sum += *number; }
    auto sent = co_await sink.send(sum);
    (void)sent;
}

}  // namespace

TEMPLATE_TEST_CASE(
    "executors: a tree restarts those behind what failed, waits before it does, and "
    "stops all in reverse order",
    "[core][executors][tree]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const captured_log log;
    journal seen;
    TestType::run([&](runtime rt) {
        heph::tree_options options;
        options.strategy = heph::restart_strategy::rest_for_one;
        options.when_significant_end = heph::auto_shutdown::any_significant;
        options.name = "storage";
        heph::supervision_tree<runtime> tree(options, rt);
        auto first =
            tree.add(child_spec("a").stop_with(order::stop).within(10s),
                     heph::actor_fn(&heph::test::worker<runtime>), &seen, std::string("a"));
        heph::backoff brief;
        brief.initial = brief.longest = 2ms;
        auto second =
            tree.add(child_spec("b").transient().significant(),
                     heph::backoff_supervisor(restart_limit{3, 1h}, brief, &seen, std::string("b")),
                     heph::actor_fn(&heph::test::worker<runtime>), &seen, std::string("b"));
        auto last =
            tree.add(child_spec("c").stop_with(order::stop).within(2ms),
                     heph::actor_fn(&heph::test::stubborn<runtime>), &seen, std::string("c"));
        rt.spawn_future(run_tree(std::move(tree), {first, second, last}, &seen));
        const std::vector<command> all{
            {3, order::work}, {4, order::blow_up}, {6, order::work}, {7, order::finish}};
        rt.spawn_future(commands(rt, second, &seen, all));
    });
    // b restarts alone, by its own supervisor. Its end is that of the tree: c is too slow.
    CHECK(seen == journal{"+a", "+b", "+c", "b", "-b", "+b", "b", "-b", "no, c", "-c", "stop a",
                          "-a", "the tree ended"});
}

TEMPLATE_TEST_CASE("executors: a tree gives up when restarts do not help, and says why",
                   "[core][executors][tree]", HEPH_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const captured_log log;
    journal seen;
    TestType::run([&](runtime rt) {
        heph::tree_options options;
        options.strategy = heph::restart_strategy::one_for_all;
        options.limit = restart_limit{1, 1h};
        heph::supervision_tree<runtime> tree(options, rt);
        auto first = tree.add(child_spec("a"), heph::actor_fn(&heph::test::worker<runtime>), &seen,
                              std::string("a"));
        auto second = tree.add(child_spec("b"), heph::actor_fn(&heph::test::worker<runtime>), &seen,
                               std::string("b"));
        rt.spawn_future(run_tree(std::move(tree), {first, second}, &seen));
        const std::vector<command> all{{2, order::fail}, {6, order::blow_up}};
        rt.spawn_future(commands(rt, first, &seen, all));
    });
    CHECK(seen == journal{"+a", "+b", "-a", "-b", "+a", "+b", "-a", "-b",
                          "child a failed: a blew up (exception std::range_error)"});
}

TEMPLATE_TEST_CASE("executors: actors call one that blocks on a thread of its own",
                   "[core][executors][sync]", HEPH_THREADED_EXECUTORS) {
    using runtime = typename TestType::runtime;
    heph::sync_options options;
    options.name = "squares";
    auto sync =
        heph::spawn_sync(options, heph::stop_supervisor(), [](heph::sync_context<square> ctx) {
            while (auto call = ctx.receive()) { call->respond(call->request() * call->request()); }
        });
    REQUIRE(sync.has_value());
    std::optional<int> first;
    std::optional<int> second;
    TestType::run([&](runtime rt) {
        rt.spawn_future(asks(sync->ref(), 0, 200, &first));
        rt.spawn_future(asks(sync->ref(), 100, 300, &second));
    });
    CHECK(first == 2'646'700);
    CHECK(second == 8'626'700);
}

TEMPLATE_TEST_CASE("executors: one that blocks calls actors, and waits while their inbox is full",
                   "[core][executors][sync]", HEPH_THREADED_EXECUTORS) {
    using runtime = typename TestType::runtime;
    const auto total = std::make_shared<std::atomic<int>>(-1);
    auto sink = heph::spawn_sync(
        heph::sync_options(), heph::no_supervisor(),
        [total](heph::sync_context<int> ctx) { *total = ctx.receive().value_or(-2); });
    REQUIRE(sink.has_value());
    TestType::run([&](runtime rt) {
        actor_options options;
        options.inbox_size = 1;
        auto adding =
            rt.spawn(options, heph::no_supervisor(), heph::actor_fn(&adds<runtime>), sink->ref());
        auto floods = heph::spawn_sync(
            heph::sync_options(), heph::no_supervisor(),
            [](heph::sync_context<int> ctx, const actor_ref<int>& to) {
                for (int i = 1; i <= 300; ++i) {
                    auto sent = ctx.block_on(to.send(i));
                    if (!sent) { return; }
                }
            },
            std::move(adding));
        REQUIRE(floods.has_value());
        (void)floods->detach();
    });
    sink->join();
    CHECK(*total == 45'150);
}
