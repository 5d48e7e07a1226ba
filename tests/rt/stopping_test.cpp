// What an orderly stop does to actors that wait for a restart.

#include <atomic>
#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <catch2/catch.hpp>
#include <heph/core/either.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/sync_actor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::worker;
using heph::test::quiet_setup;

namespace {

using outcome = std::expected<void, std::string>;

template <typename RT>
task<outcome> breaks_at_once(heph::context<int, RT> /*ctx*/) {
    co_return std::unexpected(std::string("broken"));
}

// Waits for an hour before each restart, and counts how often it was asked.
struct an_hour_later {
    static constexpr bool is_sendable = true;
    std::atomic<int>* asked;
    auto operator()(const heph::failure&) const {
        ++*asked;
        return heph::restart().after(1h);
    }
};

// Asks for the stop once so many have failed.
task<> stop_after(worker here, std::atomic<int>* asked, int failures) {
    while (*asked < failures) { co_await heph::rt::timer(1ms); }
    here.request_stop();
}

task<> note_end(heph::actor_ref<int> ref, std::atomic<int>* dropped) {
    auto end = co_await heph::monitor(ref);
    if (end.reason() == heph::end_reason::dropped) { ++*dropped; }
}

}  // namespace

TEST_CASE("stopping: actors that wait for a restart held an orderly stop up for all of its grace",
          "[rt][stopping]") {
    // The grace would be longer than the test's bound.
    auto runtime = quiet_setup().threads(2).stop_grace(10min).build();
    REQUIRE(runtime);
    std::atomic<int> asked = 0;
    std::atomic<int> dropped = 0;
    const auto shared = runtime->spawn(an_hour_later{&asked},
                                       heph::actor_fn(breaks_at_once<heph::rt::shared_runtime>));
    const auto sync = runtime->spawn_sync<int>(
        heph::sync_options(), an_hour_later{&asked},
        [](heph::sync_context<int>) -> outcome { return std::unexpected(std::string("broken")); });
    REQUIRE(sync.has_value());
    runtime->run_on_workers([&](worker& here) {
        const auto local =
            here.spawn(an_hour_later{&asked}, heph::actor_fn(breaks_at_once<worker>));
        here.spawn_future(note_end(local, &dropped));
        if (here.index() != 0) { return; }
        here.spawn_future(note_end(shared, &dropped));
        here.spawn_future(note_end(*sync, &dropped));
        here.spawn_future(stop_after(here, &asked, 4));
    });
    CHECK(runtime->start());
    CHECK(asked == 4);
    CHECK(dropped == 4);
    CHECK_FALSE(shared.is_connected());
    CHECK_FALSE(sync->is_connected());
}

TEST_CASE("stopping: an actor that fails once its runtime stops is not waited for",
          "[rt][stopping]") {
    auto runtime = quiet_setup().stop_grace(10min).build();
    REQUIRE(runtime);
    std::atomic<int> asked = 0;
    runtime->run_on_workers([&](worker& here) {
        here.request_stop();
        const auto ref = here.spawn(an_hour_later{&asked}, heph::actor_fn(breaks_at_once<worker>));
        CHECK(ref.is_connected());
    });
    const auto sync = runtime->spawn_sync<int>(
        heph::sync_options(), an_hour_later{&asked},
        [all = runtime->shared()](const heph::sync_context<int>&) -> outcome {
            while (!all.stop_requested()) { std::this_thread::yield(); }
            return std::unexpected(std::string("broken"));
        });
    REQUIRE(sync.has_value());
    CHECK(runtime->start());
    CHECK(asked == 2);
}

TEST_CASE("stopping: an actor waits for it by its runtime access", "[rt][stopping]") {
    const auto waits = [](heph::rt::local_context<int> ctx, int* which) -> task<> {
        auto first = co_await heph::either(ctx.runtime().stopping(), ctx.receive());
        *which = static_cast<int>(first.index());
    };
    auto runtime = quiet_setup().stop_grace(10min).build();
    REQUIRE(runtime);
    int which = -1;
    std::optional<heph::actor_ref<int>> held;
    runtime->run_on_workers([&](worker& here) {
        held.emplace(here.spawn(heph::no_supervisor(), heph::actor_fn(+waits), &which));
        here.request_stop();
    });
    CHECK(runtime->start());
    CHECK(which == 0);
}
