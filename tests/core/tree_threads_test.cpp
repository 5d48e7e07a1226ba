// A tree on one thread, with senders, failures and controls on others.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <expected>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/log.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/task.hpp>

using heph::actor_fn;
using heph::child_spec;
using heph::context;
using heph::restart_limit;
using heph::restart_strategy;
using heph::supervision_tree;
using heph::task;
using namespace std::chrono_literals;

namespace {

using outcome = std::expected<void, std::string>;

void ignore(heph::log_level, std::string_view) noexcept {}

task<outcome> counts(context<int> ctx, std::atomic<long>* sum) {
    while (auto next = co_await ctx.receive()) {
        if (*next < 0) { co_return std::unexpected(std::string("negative")); }
        *sum += *next;
    }
    co_return outcome();
}

}  // namespace

TEST_CASE("tree: no message is lost in restarts, wherever it comes from", "[core][tree][threads]") {
    const heph::log_handler previous = heph::set_log_handler(heph::log_handler(&ignore));
    const auto strategy = GENERATE(restart_strategy::one_for_one, restart_strategy::one_for_all,
                                   restart_strategy::rest_for_one);
    std::atomic<long> sum = 0;
    std::atomic<int> failed = 0;
    {
        heph::tree_options options;
        options.strategy = strategy;
        options.limit = restart_limit{std::numeric_limits<std::size_t>::max(), 1ns};
        supervision_tree tree(options);
        std::vector<heph::actor_ref<int>> refs;
        for (const char* name : {"a", "b", "c"}) {
            refs.push_back(tree.add(child_spec(name), actor_fn(counts), &sum));
        }
        auto control = tree.control();
        std::jthread runs([&failed, running = std::move(tree)]() mutable {
            if (!heph::block_on(std::move(running))) { ++failed; }
        });
        {
            std::vector<std::jthread> threads;
            for (std::size_t who = 0; who < 3; ++who) {
                threads.emplace_back([&failed, ref = refs[who], other = refs[(who + 1) % 3]] {
                    for (int i = 0; i < 500; ++i) {
                        if (!heph::block_on(ref.send(1))) { ++failed; }
                        if (i % 10 == 0 && !heph::block_on(other.send(-1))) { ++failed; }
                    }
                });
            }
        }
        // All were sent: what is still queued is received before the children are asked to end.
        while (sum != 1500) { std::this_thread::yield(); }
        control.stop();
    }
    CHECK(failed == 0);
    heph::set_log_handler(previous);
}

TEST_CASE("tree: controls add and stop children from other threads, and let it end",
          "[core][tree][threads]") {
    const heph::log_handler previous = heph::set_log_handler(heph::log_handler(&ignore));
    std::atomic<long> sum = 0;
    std::atomic<int> failed = 0;
    const auto use = [&sum, &failed](const heph::tree_control<heph::no_runtime>& control,
                                     const std::string& name) {
        for (int i = 0; i < 50; ++i) {
            std::optional ref(control.add(child_spec(name).temporary(), actor_fn(counts), &sum));
            auto watching = heph::monitor(*ref);
            if (!heph::block_on(ref->send(1))) { ++failed; }
            const bool is_told_to_fail = i % 2 == 0;
            if (is_told_to_fail && !heph::block_on(ref->send(-1))) { ++failed; }
            ref.reset();  // Else it finishes when it has received all.
            auto end = heph::block_on(std::move(watching));
            if (end.is_abnormal() != is_told_to_fail) { ++failed; }
        }
        auto last = control.add(child_spec("last " + name), actor_fn(counts), &sum);
        control.stop("last " + name);
        heph::block_on(last.join());
    };
    {
        supervision_tree tree;
        auto control = tree.control();
        std::jthread runs([&failed, running = std::move(tree)]() mutable {
            if (!heph::block_on(std::move(running))) { ++failed; }
        });
        std::vector<std::jthread> threads;
        for (int who = 0; who < 3; ++who) {
            threads.emplace_back(
                [&use, control, name = std::to_string(who)] { use(control, name); });
        }
        threads.clear();
        { auto last = std::move(control); }  // Nothing keeps the tree going now.
    }
    CHECK(sum == 150);
    CHECK(failed == 0);
    heph::set_log_handler(previous);
}
