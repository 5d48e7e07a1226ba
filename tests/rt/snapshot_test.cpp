#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <expected>
#include <string>
#include <thread>
#include <vector>

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/sync_actor.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/snapshot.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::actor_fn;
using heph::no_supervisor;
using heph::task;
using heph::rt::local_context;
using heph::rt::process_state;
using heph::rt::runtime_snapshot;
using heph::rt::shared_runtime;
using heph::test::quiet_setup;

namespace {

task<> waits(local_context<int> ctx) {
    while (auto message = co_await ctx.receive()) { (void)*message; }
}

task<> waits_shared(heph::rt::shared_context<int> ctx) {
    while (auto message = co_await ctx.receive()) { (void)*message; }
}

task<> looks(local_context<> ctx, runtime_snapshot* into) {
    co_await heph::yield();
    *into = ctx.runtime().shared().snapshot(10s);
}

// Fails at message 0, waits for the test after message 1, and leaves the others.
template <typename RT>
task<std::expected<void, std::string>> fails_at_first(heph::context<int, RT> ctx,
                                                      const std::atomic<bool>* over) {
    while (auto message = co_await ctx.receive()) {
        if (*message == 0) { co_return std::unexpected(std::string("a nought")); }
        while (!over->load()) { co_await heph::rt::timer(1ms); }
        break;
    }
    co_return {};
}

// Is sendable, unlike a lambda that captures a pointer.
class restarts_with {
public:
    static constexpr bool is_sendable = true;

    explicit restarts_with(const std::atomic<bool>* over) : over_(over) {}

    auto operator()(const heph::failure& /*why*/) const { return heph::restart(over_); }

private:
    const std::atomic<bool>* over_;
};

std::size_t count(const runtime_snapshot& snapshot, const std::string& name, process_state state) {
    return static_cast<std::size_t>(
        std::count_if(snapshot.processes.begin(), snapshot.processes.end(),
                      [&](const auto& each) { return each.name == name && each.state == state; }));
}

}  // namespace

TEST_CASE("snapshot: an actor sees itself run, and others wait, on its worker and on others",
          "[rt][snapshot]") {
    runtime_snapshot seen;
    auto runtime = quiet_setup().threads(3).build();
    REQUIRE(runtime);
    auto anywhere = runtime->spawn(heph::actor_options{.name = "anywhere"}, no_supervisor(),
                                   actor_fn(waits_shared));
    std::vector<heph::actor_ref<int>> refs(3, anywhere);
    std::atomic<int> ready{0};
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        refs[worker.index()] =
            worker.spawn(heph::actor_options{.name = "waits"}, no_supervisor(), actor_fn(waits));
        ready.fetch_add(1);
    });
    std::thread asker(
        [shared = runtime->shared(), keeps = std::move(anywhere), &ready, &refs, &seen]() mutable {
            const auto until = std::chrono::steady_clock::now() + 20s;
            while (std::chrono::steady_clock::now() < until) {
                if (ready.load() != 3) { continue; }
                seen = shared.snapshot(10s);
                if (count(seen, "waits", process_state::waiting) == 3 &&
                    count(seen, "anywhere", process_state::waiting) == 1) {
                    break;
                }
            }
            refs.clear();
            const auto gone = std::move(keeps);
        });
    const auto ended = runtime->start();
    asker.join();
    REQUIRE(ended);
    CHECK(count(seen, "waits", process_state::waiting) == 3);
    CHECK(seen.silent.empty());
    CHECK(seen.metrics.workers.size() == 3);
    for (const auto& each : seen.processes) {
        CHECK(each.worker.has_value() == (each.name == "waits"));
    }
}

TEST_CASE("snapshot: taken by an actor, it has that actor as running", "[rt][snapshot]") {
    runtime_snapshot seen;
    heph::test::run_on_worker(quiet_setup(), [&seen](heph::rt::worker& worker) {
        worker.spawn(heph::actor_options{.name = "looks"}, no_supervisor(), actor_fn(looks), &seen);
    });
    REQUIRE(seen.processes.size() == 1);
    CHECK(seen.processes[0].name == "looks");
    CHECK(seen.processes[0].state == process_state::running);
    CHECK(seen.processes[0].worker == std::size_t{0});
}

TEST_CASE("snapshot: it counts messages that wait and that were received, and restarts",
          "[rt][snapshot]") {
    runtime_snapshot seen;
    auto runtime = quiet_setup().threads(2).build();
    REQUIRE(runtime);
    std::atomic<bool> over{false};
    std::thread asker([shared = runtime->shared(), &seen, &over] {
        const auto complete = [&seen] {
            int right = 0;
            for (const auto& each : seen.processes) {
                const bool counts =
                    each.received == 2 && each.restarts == 1 && each.inbox_depth == 1;
                if (counts && (each.name == "local" || each.name == "shared")) { ++right; }
            }
            return right == 2;
        };
        const auto until = std::chrono::steady_clock::now() + 20s;
        do {
            seen = shared.snapshot(10s);
        } while (!complete() && std::chrono::steady_clock::now() < until);
        over.store(true);
    });
    // Fails at the first message, receives another one after its restart, and then no more.
    const auto send_three = [](heph::actor_ref<int> ref) {
        for (int i = 0; i < 3; ++i) { (void)ref.try_send(i); }
    };
    send_three(runtime->spawn(heph::actor_options{.name = "shared"}, restarts_with(&over),
                              actor_fn(fails_at_first<heph::rt::shared_runtime>), &over));
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        if (worker.index() != 0) { return; }
        send_three(worker.spawn(heph::actor_options{.name = "local"}, restarts_with(&over),
                                actor_fn(fails_at_first<heph::rt::worker>), &over));
    });
    const auto ended = runtime->start();
    over.store(true);
    asker.join();
    REQUIRE(ended);
    for (const std::string name : {"local", "shared"}) {
        const auto found = std::find_if(seen.processes.begin(), seen.processes.end(),
                                        [&name](const auto& each) { return each.name == name; });
        REQUIRE(found != seen.processes.end());
        CHECK(found->received == 2);
        CHECK(found->restarts == 1);
        CHECK(found->inbox_depth == 1);
    }
}

TEST_CASE("snapshot: it has sync actors, for as long as they are there", "[rt][snapshot]") {
    auto runtime = quiet_setup().build();
    REQUIRE(runtime);
    const shared_runtime shared = runtime->shared();
    heph::sync_options options;
    options.name = "blocks";
    std::atomic<bool> taken{false};
    auto ref = runtime->spawn_sync(
        options, no_supervisor(),
        [](heph::sync_context<int> ctx, std::atomic<bool>* told) {
            (void)ctx.receive();
            while (!told->load()) { std::this_thread::yield(); }
            while (ctx.receive()) {}
        },
        &taken);
    REQUIRE(ref);
    for (int i = 0; i < 3; ++i) { REQUIRE(ref->try_send(i)); }
    const auto until = std::chrono::steady_clock::now() + 20s;
    runtime_snapshot seen;
    const auto complete = [&seen] {
        return seen.processes.size() == 1 && seen.processes[0].received == 1;
    };
    do {
        seen = shared.snapshot(10s);
    } while (!complete() && std::chrono::steady_clock::now() < until);
    taken.store(true);
    REQUIRE(complete());
    CHECK(seen.processes[0].name == "blocks");
    CHECK(seen.processes[0].state == process_state::on_own_thread);
    CHECK(seen.processes[0].inbox_depth == 2);
    CHECK_FALSE(seen.processes[0].worker);
    CHECK(heph::rt::to_text(seen).find("blocks: sync on a thread of its own, ran ") !=
          std::string::npos);
    { const auto gone = std::move(*ref); }
    const auto ended = runtime->start();
    REQUIRE(ended);
    CHECK(shared.snapshot(10s).processes.empty());
}

TEST_CASE("snapshot: actors of two workers that ask at the same time both get their answers",
          "[rt][snapshot]") {
    std::atomic<int> complete{0};
    auto runtime = quiet_setup().threads(2).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&complete](heph::rt::worker& worker) {
        worker.spawn_future([](shared_runtime shared, std::atomic<int>* answered) -> task<> {
            for (int i = 0; i < 50; ++i) {
                // One whose worker has nothing left to run has ended, and is not asked.
                const auto seen = shared.snapshot(10s);
                if (seen.silent.empty()) { answered->fetch_add(1); }
                co_await heph::yield();
            }
        }(worker.shared(), &complete));
    });
    const auto ended = runtime->start();
    REQUIRE(ended);
    CHECK(complete == 100);
}

TEST_CASE("snapshot: a worker in a long poll is silent, and holds nobody up for longer than asked",
          "[rt][snapshot]") {
    std::atomic<bool> in_poll{false};
    std::atomic<bool> seen_all{false};
    runtime_snapshot seen;
    auto runtime = quiet_setup().warn_of_long_polls(0s).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        worker.spawn_future([](std::atomic<bool>* here, std::atomic<bool>* go) -> task<> {
            here->store(true);
            while (!go->load()) { std::this_thread::yield(); }
            co_return;
        }(&in_poll, &seen_all));
    });
    std::thread asker([shared = runtime->shared(), &in_poll, &seen_all, &seen] {
        while (!in_poll.load()) { std::this_thread::yield(); }
        seen = shared.snapshot(1ms);
        seen_all.store(true);
    });
    const auto ended = runtime->start();
    asker.join();
    REQUIRE(ended);
    CHECK(seen.silent == std::vector<std::size_t>{0});
    CHECK(heph::rt::to_text(seen).find("worker 0 does not answer") != std::string::npos);
}

TEST_CASE("snapshot: thread-safe actors come and go while it is taken", "[rt][snapshot]") {
    std::atomic<bool> over{false};
    std::atomic<int> left{300};
    std::atomic<bool> strange{false};
    auto runtime = quiet_setup().threads(2).build();
    REQUIRE(runtime);
    runtime->shared().spawn_future([](shared_runtime shared, std::atomic<int>* to_do) -> task<> {
        while (to_do->load() > 0) {
            auto ref = shared.spawn(heph::actor_options{.name = "short"}, no_supervisor(),
                                    actor_fn(waits_shared));
            (void)ref.try_send(1);
            to_do->fetch_sub(1);
            co_await heph::yield();
        }
    }(runtime->shared(), &left));
    std::thread asker([shared = runtime->shared(), &over, &strange] {
        while (!over.load()) {
            const auto seen = shared.snapshot(10s);
            for (const auto& each : seen.processes) {
                if (each.name != "short" && !each.name.empty()) { strange.store(true); }
            }
            if (!seen.silent.empty()) { strange.store(true); }
        }
    });
    const auto ended = runtime->start();
    over.store(true);
    asker.join();
    REQUIRE(ended);
    CHECK_FALSE(strange);
}

TEST_CASE("snapshot: of a runtime that is not started, or has ended, it has no workers' processes",
          "[rt][snapshot]") {
    auto runtime = quiet_setup().threads(2).build();
    REQUIRE(runtime);
    const shared_runtime shared = runtime->shared();
    CHECK(shared.snapshot(10s).processes.empty());
    const auto ended = runtime->start();
    REQUIRE(ended);
    const auto after = shared.snapshot(10s);
    CHECK(after.processes.empty());
    CHECK(after.silent.empty());
}

TEST_CASE("snapshot: as text it names each process, up to a number of them", "[rt][snapshot]") {
    runtime_snapshot snapshot;
    snapshot.metrics.workers.resize(1);
    for (int i = 1; i <= 3; ++i) {
        heph::rt::process_snapshot each;
        each.name = "actor " + std::to_string(i);
        each.run_time = i * 10ms;
        if (i == 2) {
            each.worker = 0;
            each.inbox_depth = 7;
            each.received = 120;
            each.restarts = 3;
        }
        snapshot.processes.push_back(each);
    }
    const std::string text = heph::rt::to_text(snapshot, 2);
    CHECK(text.find("worker 0: up 0 ms") == 0);
    CHECK(text.find("  actor 3: waiting, thread-safe, ran 30 ms, 0 in the inbox, 0 received, 0 "
                    "restarts\n") != std::string::npos);
    CHECK(text.find("  actor 2: waiting on worker 0, ran 20 ms, 7 in the inbox, 120 received, 3 "
                    "restarts\n") != std::string::npos);
    CHECK(text.find("actor 1") == std::string::npos);
    CHECK(text.find("and 1 more") != std::string::npos);
}
