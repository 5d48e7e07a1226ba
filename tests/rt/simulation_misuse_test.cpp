// What a simulation refuses, bounds, and leaves to its seed.

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/actor_group.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/testing/expectation.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/testing/simulation.hpp>
#include <heph/rt/timer.hpp>

namespace {

using namespace std::chrono_literals;
using heph::task;
using heph::rt::worker;
using heph::rt::testing::simulated_host;
using heph::rt::testing::simulation;
using heph::rt::testing::simulation_options;
using heph::testing::expectation_failed;
namespace net = heph::rt::net;

task<> do_later(std::function<void()> what, std::string* thrown) {
    co_await heph::rt::timer(1ms);
    try {
        what();
    } catch (const expectation_failed& why) { *thrown = why.what(); }
    co_await heph::rt::timer(1ms);
    *thrown += " and went on";
}

}  // namespace

TEST_CASE("simulation: what runs on a host cannot crash or restart it", "[rt][simulation]") {
    simulation world;
    auto host = world.add_host("alone", "10.0.0.1");
    std::string crashing;
    std::string restarting;
    host.on_worker([&](worker& here) {
        here.spawn_future(do_later([host]() mutable { host.crash(); }, &crashing));
        here.spawn_future(do_later([host]() mutable { host.restart(); }, &restarting));
    });
    world.run_to_rest();
    CHECK_THAT(crashing, Catch::Contains("host alone cannot be crashed"));
    CHECK_THAT(crashing, Catch::Contains("and went on"));
    CHECK_THAT(restarting, Catch::Contains("host alone cannot be restarted"));
    CHECK_THAT(restarting, Catch::Contains("and went on"));
    CHECK_THROWS_AS(host.on_worker([&](worker&) { host.crash(); }), expectation_failed);
    CHECK(host.is_up());

    // Nor can its own set-up.
    std::optional<simulated_host> again;
    again = world.add_host("again", "10.0.0.2", [&again](worker&) {
        if (again) { again->restart(); }
    });
    CHECK_THROWS_AS(again->restart(), expectation_failed);
}

TEST_CASE("simulation: an actor may crash and restart another host", "[rt][simulation]") {
    simulation world;
    int begun = 0;
    auto other = world.add_host("other", "10.0.0.2", [&begun](worker& here) {
        ++begun;
        here.spawn_future(heph::rt::timer(1h));
    });
    auto host = world.add_host("one", "10.0.0.1");
    std::string thrown;
    host.on_worker([&](worker& here) {
        here.spawn_future(do_later([other]() mutable { other.restart(); }, &thrown));
    });
    world.run_to_rest(2h);
    CHECK(thrown == " and went on");
    CHECK(begun == 2);
}

TEST_CASE("simulation: an actor cannot run the simulation that runs it", "[rt][simulation]") {
    simulation world;
    auto host = world.add_host("alone", "10.0.0.1");
    std::string running;
    std::string blocking;
    host.on_worker([&](worker& here) {
        here.spawn_future(do_later([&world] { world.run_for(1s); }, &running));
        here.spawn_future(do_later(
            [host]() mutable { host.block_on([](worker&) { return heph::rt::timer(1ms); }); },
            &blocking));
    });
    world.run_to_rest();
    CHECK_THAT(running, Catch::Contains("cannot run the simulation"));
    CHECK_THAT(running, Catch::Contains("and went on"));
    CHECK_THAT(blocking, Catch::Contains("cannot run the simulation"));
    CHECK_THAT(blocking, Catch::Contains("and went on"));
}

TEST_CASE("simulation: latencies and a patience beyond what the clock holds are very long",
          "[rt][simulation]") {
    simulation_options options;
    options.link.latency_min = std::chrono::microseconds::max();
    options.link.latency_max = std::chrono::microseconds::max();
    options.stream_patience = std::chrono::milliseconds::max();
    simulation world(options);
    auto server = world.add_host("server", "10.0.0.1");
    auto client = world.add_host("client", "10.0.0.2");
    const auto connect = [&](worker&) { return net::tcp_stream::connect(server.at(80)); };
    CHECK_FALSE(client.try_block_on(connect, 24h).has_value());
    CHECK(world.elapsed() == 24h);

    world.set_link(client, server, {.latency_min = -1s, .latency_max = -1s, .loss = 1});
    CHECK_FALSE(client.try_block_on(connect, 24h).has_value());
    world.set_link(client, server, {.latency_min = -1s, .latency_max = -1s});
    const auto refused = client.block_on(connect);
    CHECK(refused.error() == std::errc::connection_refused);
    CHECK(world.elapsed() == 48h);
}

TEST_CASE("simulation: what time restarts take, and who is chosen at random, is the seed's",
          "[rt][simulation]") {
    const auto run = [](std::uint64_t seed) {
        simulation world(seed);
        auto host = world.add_host("alone", "10.0.0.1");
        std::vector<std::chrono::nanoseconds> failed;
        heph::backoff pauses;
        pauses.jitter = 1;
        const auto add_failing = [&world, &failed, pauses](worker& here) {
            here.spawn(
                heph::backoff_supervisor(heph::restart_limit{3, 24h}, pauses, &world, &failed),
                heph::actor_fn([](heph::rt::local_context<> ctx, simulation* of,
                                  std::vector<std::chrono::nanoseconds>* into) -> task<> {
                    (void)ctx;
                    into->push_back(of->elapsed());
                    throw std::runtime_error("as it is to");
                    co_return;
                }),
                &world, &failed);
        };
        host.on_worker(add_failing);
        world.run_to_rest();

        std::vector<int> got(5);
        heph::actor_group<int> group;
        for (int& each : got) {
            group.add(host.spawn(
                heph::no_supervisor(),
                heph::actor_fn([](heph::rt::local_context<int> ctx, int* into) -> task<> {
                    while (auto more = co_await ctx.receive()) { *into += *more; }
                }),
                &each));
        }
        for (int i = 0; i < 8; ++i) { (void)group.try_send_to_one(1, heph::at_random); }
        world.run_to_rest();
        return std::pair(failed, got);
    };
    const auto first = run(1);
    CHECK(first.first.size() == 4);
    CHECK(first == run(1));
    CHECK(first.first != run(2).first);
}
