// Client and server over a simulated network, as they are.

#include <catch2/catch.hpp>

#include <chrono>
#include <set>
#include <string>
#include <utility>

#include <heph/core/testing/probe.hpp>
#include <heph/http/client.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>
#include <heph/rt/testing/simulation.hpp>

#include "client_run.hpp"

using namespace std::chrono_literals;
using namespace heph::http;
using heph::task;
using heph::http::test::fetch;
using heph::rt::worker;
using heph::rt::testing::run_seeds;
using heph::rt::testing::simulated_host;
using heph::rt::testing::simulation;
using heph::rt::testing::simulation_options;

namespace {

task<response> hello(request& request) {
    co_return response::text("Hello, " + std::string(request.param("name")) + "!");
}

task<response> take(request& request) {
    auto body = co_await request.read_body();
    if (!body) { co_return response(status::bad_request); }
    co_return response::text(std::to_string(body->size()));
}

void serve_hello(worker& here) {
    router routes;
    routes.get("/hello/{name}", hello);
    routes.post("/take", take);
    server_options options;
    options.address = "0.0.0.0:80";
    auto made = server::open(std::move(routes), options);
    REQUIRE(made);
    made->start(here);
}

struct service {
    explicit service(simulation& world)
        : server_host(world.add_host("server", "10.0.0.1", serve_hello)),
          client_host(world.add_host("client", "10.0.0.2")) {}

    std::string get(std::string path) {
        return client_host.block_on([&](worker& here) -> task<std::string> {
            return fetch(client(here), "http://server" + path);
        });
    }

    simulated_host server_host;
    simulated_host client_host;
};

}  // namespace

TEST_CASE("simulated http: a request is answered, whatever comes in pieces and late",
          "[http][simulation]") {
    simulation_options options;
    options.link = {.latency_min = 1ms, .latency_max = 30ms, .loss = 0.05};
    options.faults = {.accept_errors = 0.2, .short_receives = 0.7, .short_sends = 0.7};
    run_seeds(20, options, [](simulation& world) {
        service here(world);
        CHECK(here.get("/hello/you") == "200 Hello, you!");
        const auto taken = here.client_host.block_on([](worker& by) -> task<std::string> {
            client with(by);
            client_request posted(method::post, "http://server/take");
            posted.set_body(std::string(100'000, 'x'));
            auto sending = with.send(std::move(posted));
            auto got = co_await sending;
            co_return co_await heph::http::test::outcome(std::move(got));
        });
        CHECK(taken == "200 100000");
    });
}

TEST_CASE("simulated http: a partition times a request out, and the next one after it is answered",
          "[http][simulation]") {
    run_seeds(5, {}, [](simulation& world) {
        service here(world);
        CHECK(here.get("/hello/1") == "200 Hello, 1!");
        world.partition(here.client_host, here.server_host);
        const auto before = world.now();
        CHECK(here.get("/hello/2") == heph::http::test::text_of(std::errc::timed_out));
        // `client_options::connect_timeout`, and timers are exact to the millisecond.
        CHECK(std::chrono::floor<std::chrono::milliseconds>(world.now() - before) == 10s);
        world.heal_all();
        CHECK(here.get("/hello/3") == "200 Hello, 3!");
    });
}

TEST_CASE("simulated http: an answer that a partition holds up comes after it heals in time",
          "[http][simulation]") {
    simulation world(3);
    service here(world);
    std::string got;
    here.client_host.on_worker([&](worker& by) {
        by.spawn_future([](client with, std::string* to) -> task<> {
            *to = co_await fetch(with, "http://server/hello/late");
        }(client(by), &got));
    });
    // The request is on its way when the way back is cut.
    CHECK(world.run_until([&] { return world.trace().contains("server gets"); }));
    world.partition_from_to(here.server_host, here.client_host);
    world.run_for(20s);
    CHECK(got.empty());
    world.heal_all();
    CHECK(world.run_until([&] { return !got.empty(); }, 15s));
    CHECK(got == "200 Hello, late!");
}

TEST_CASE("simulated http: a server that crashes and is restarted is found again",
          "[http][simulation]") {
    simulation world;
    service here(world);
    CHECK(here.get("/hello/1") == "200 Hello, 1!");
    here.server_host.restart();
    CHECK(here.get("/hello/2") == "200 Hello, 2!");
}

TEST_CASE("simulated http: the same seed gives the same run, and others give others",
          "[http][simulation]") {
    const auto run = [](std::uint64_t seed) {
        simulation world(seed);
        service here(world);
        for (int i = 0; i < 3; ++i) { (void)here.get("/hello/" + std::to_string(i)); }
        return world.trace();
    };
    std::set<std::string> different;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        const std::string first = run(seed);
        CHECK(first == run(seed));
        different.insert(first);
    }
    CHECK(different.size() == 4);
}
