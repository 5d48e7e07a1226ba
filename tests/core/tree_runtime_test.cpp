// A supervision tree on heph-rt: its timers are the runtime's.

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/worker.hpp>

#include "core/probes.hpp"
#include "core/tree_probes.hpp"

using heph::child_spec;
using heph::restart_limit;
using heph::test::captured_log;
using heph::test::journal;
using heph::test::order;
using namespace std::chrono_literals;

TEST_CASE("tree: runs on heph-rt, waits before restarts, and drops who does not stop in time",
          "[core][tree][rt]") {
    const captured_log log;
    journal seen;
    std::vector<heph::actor_ref<order>> refs;
    auto runtime = heph::rt::setup{}.name("tree").threads(1).ignore_signals().build();
    REQUIRE(runtime.has_value());
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        heph::tree_options options;
        options.strategy = heph::restart_strategy::rest_for_one;
        options.when_significant_end = heph::auto_shutdown::any_significant;
        options.name = "on rt";
        heph::supervision_tree tree(options, worker);
        heph::backoff brief;
        brief.initial = brief.longest = 200ms;
        refs.push_back(tree.add(
            child_spec("a").transient().significant(),
            heph::backoff_supervisor(restart_limit{3, 1h}, brief, &seen, std::string("a")),
            heph::actor_fn(&heph::test::worker<heph::rt::worker>), &seen, std::string("a")));
        refs.push_back(tree.add(child_spec("s").stop_with(order::stop).within(2ms),
                                heph::actor_fn(&heph::test::stubborn<heph::rt::worker>), &seen,
                                std::string("s")));
        worker.spawn_future(std::move(tree));
        for (const order what : {order::work, order::fail, order::work, order::finish}) {
            if (!refs[0].try_send(what)) { worker.request_stop(); }
        }
    });
    auto ran = runtime->start();
    CHECK(ran.has_value());
    CHECK(seen == journal{"+a", "a", "-a", "+s", "+a", "a", "-a", "no, s", "-s"});
    for (const auto& ref : refs) { CHECK_FALSE(ref.is_connected()); }
}
