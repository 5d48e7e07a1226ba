// Tests that wait for longer than the clock can hold.

#include <catch2/catch.hpp>

#include <chrono>

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/testing/simulation.hpp>
#include <heph/rt/testing/test_runtime.hpp>
#include <heph/rt/timer.hpp>

using heph::task;
using heph::rt::worker;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::rt::testing::simulation;
using heph::rt::testing::simulation_options;
using heph::rt::testing::test_runtime;
using namespace std::chrono_literals;

TEST_CASE("test runtime: a time that the clock cannot hold is not over at once",
          "[rt][testing][regression]") {
    test_runtime run;
    const auto soon = [](worker&) { return heph::rt::timer(2ms); };
    run.block_on(soon, std::chrono::milliseconds::max());
    CHECK(run.try_block_on(soon, std::chrono::hours::max()).has_value());
    CHECK(run.try_block_on(soon, std::chrono::nanoseconds::max()));
    CHECK_FALSE(run.try_block_on([](worker&) { return heph::rt::timer(1h); },
                                 std::chrono::milliseconds::min()));
    const auto pauses = [](heph::rt::local_context<>) -> task<> { co_await heph::rt::timer(2ms); };
    const auto ends = run.spawn_local(heph::stop_supervisor(), heph::actor_fn(pauses));
    run.join(ends, std::chrono::seconds::max());
}

TEST_CASE("simulation: a time that the clock cannot hold is not over at once",
          "[rt][simulation][regression]") {
    simulation world;
    auto host = world.add_host("host", "10.0.0.1");
    const auto next_year = [](worker&) { return heph::rt::timer(std::chrono::hours(24 * 366)); };
    host.block_on(next_year, std::chrono::milliseconds::max());
    CHECK(host.try_block_on(next_year, std::chrono::hours::max()));
    const auto begin = world.now();
    CHECK(world.run_until([&] { return world.now() == begin; }, std::chrono::hours::max()));
    host.on_worker([](worker& here) {
        here.spawn_future([]() -> task<> { co_await heph::rt::timer(24h); }());
    });
    world.run_to_rest(std::chrono::milliseconds::max());
    CHECK(world.now() - begin == 24h);
}

TEST_CASE("simulation: streams whose patience the clock cannot hold do not fail at once",
          "[rt][simulation][regression]") {
    simulation_options options;
    options.stream_patience = std::chrono::milliseconds::max();
    simulation world(options);
    auto server = world.add_host("server", "10.0.0.1");
    auto client = world.add_host("client", "10.0.0.2");
    const auto listener =
        server.on_worker([&](worker&) { return tcp_listener::bind(server.at(80)); });
    REQUIRE(listener.has_value());
    world.partition(client, server);
    const auto connects = [&](worker&) { return tcp_stream::connect(server.at(80)); };
    CHECK_FALSE(client.try_block_on(connects, 30min).has_value());
    world.heal(client, server);
    const auto connected = client.block_on(connects);
    CHECK(connected.has_value());
}
