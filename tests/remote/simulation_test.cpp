// Nodes on hosts of a simulated network, as they are.

#include <set>

#include <heph/remote/remote_group.hpp>
#include <heph/rt/testing/simulation.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::rt::testing::run_seeds;
using heph::rt::testing::simulated_host;
using heph::rt::testing::simulation;
using heph::rt::testing::simulation_options;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

// A node on each of two hosts, and a counter at "a".
struct cluster {
    using make_options = remote::options (*)(std::string);

    explicit cluster(simulation& world, make_options make = &quick_plain_text)
        : counted(std::make_shared<counter_state>()),
          host_a(world.add_host("a", "10.0.0.1",
                                [this, make](rt::worker& here) {
                                    auto settings = make("a");
                                    settings.listen("10.0.0.1:4000");
                                    a.emplace(start(here, settings));
                                    a->publish("counter", spawn_counter(here, counted));
                                })),
          host_b(world.add_host("b", "10.0.0.2", [this, make](rt::worker& here) {
              auto settings = make("b");
              settings.peer("a", "10.0.0.1:4000");
              b.emplace(start(here, settings));
          })) {}
    ~cluster() {
        // A node is ended by its worker.
        if (host_b.is_up()) {
            host_b.on_worker([this](rt::worker&) { b.reset(); });
        }
        if (host_a.is_up()) {
            host_a.on_worker([this](rt::worker&) { a.reset(); });
        }
    }

    // Sends so many times one, each until it is taken.
    heph::task<int> count(int times) {
        auto found = co_await b->find<counter_message>("a", "counter", plenty);
        if (!found) { co_return -1; }
        for (int i = 1; i <= times; ++i) {
            const auto sent = co_await found->send(add(i));
            if (!sent) { co_return -2; }
        }
        const auto total = co_await found->rpc<get_total>(plenty);
        co_return total ? *total : -3;
    }

    std::shared_ptr<counter_state> counted;
    std::optional<remote::node> a;
    std::optional<remote::node> b;
    simulated_host host_a;
    simulated_host host_b;
};

}  // namespace

TEST_CASE("simulated nodes: messages come once and in order over a lossy network that resets",
          "[remote][simulation]") {
    simulation_options options;
    options.link = {.latency_min = 1ms, .latency_max = 20ms, .loss = 0.02};
    options.faults = {.resets = 0.01, .short_receives = 0.5, .short_sends = 0.5};
    run_seeds(10, options, [](simulation& world) {
        cluster nodes(world);
        CHECK(nodes.host_b.block_on([&](rt::worker&) { return nodes.count(50); }) == 1'275);
        CHECK(std::ranges::is_sorted(nodes.counted->amounts));
        CHECK(nodes.counted->amounts.size() == 50);
    });
}

TEST_CASE("simulated nodes: a partition that ends in time loses nothing", "[remote][simulation]") {
    run_seeds(5, {}, [](simulation& world) {
        cluster nodes(world);
        CHECK(nodes.host_b.block_on([&](rt::worker&) { return nodes.count(3); }) == 6);
        world.partition(nodes.host_a, nodes.host_b);
        int total = 0;
        nodes.host_b.on_worker([&](rt::worker& here) {
            here.spawn_future([](cluster* of, int* into) -> heph::task<> {
                *into = co_await of->count(4);
            }(&nodes, &total));
        });
        world.run_for(2s);
        CHECK(total == 0);
        world.heal_all();
        CHECK(world.run_until([&] { return total != 0; }, 1min));
        CHECK(total == 16);
    });
}

TEST_CASE("simulated nodes: a node learns of another one's crash, and finds it after its restart",
          "[remote][simulation]") {
    simulation world;
    cluster nodes(world);
    CHECK(nodes.host_b.block_on([&](rt::worker&) { return nodes.count(2); }) == 3);
    CHECK(nodes.b->is_linked("a"));
    nodes.host_a.on_worker([&](rt::worker&) { nodes.a.reset(); });
    nodes.host_a.crash();
    CHECK(world.run_until([&] { return !nodes.b->is_linked("a"); }, 1min));
    nodes.host_a.restart();
    CHECK(world.run_until([&] { return nodes.b->is_linked("a"); }, 1min));
    CHECK(nodes.host_b.block_on([&](rt::worker&) { return nodes.count(2); }) == 3);
}

TEST_CASE("simulated nodes: a peer is dialed by its host's name, wherever that is",
          "[remote][simulation]") {
    const log_lines log;
    simulation world;
    auto counted = std::make_shared<counter_state>();
    std::optional<remote::node> a;
    std::optional<remote::node> b;
    auto host_b = world.add_host("b", "10.0.0.2", [&](rt::worker& here) {
        b.emplace(start(here, quick_options("b").peer("a", "Store-1:4000")));
    });
    // There is no such host yet.
    world.run_for(2s);
    CHECK_FALSE(b->is_linked("a"));
    CHECK(log_lines::with("cannot link to a at store-1:4000: ") == 1);
    auto host_a = world.add_host("store-1", "10.0.0.1", [&](rt::worker& here) {
        auto settings = quick_options("a").listen("0.0.0.0:4000").advertise("store-1:4000");
        a.emplace(start(here, settings));
        a->publish("counter", spawn_counter(here, counted));
    });
    CHECK(a->reached_at() == "store-1:4000");
    const auto total = host_b.block_on([&](rt::worker&) -> heph::task<int> {
        auto found = co_await b->find<counter_message>("a", "counter", plenty);
        if (!found) { co_return -1; }
        const auto sent = co_await found->send(add(5));
        if (!sent) { co_return -2; }
        const auto answer = co_await found->rpc<get_total>(plenty);
        co_return answer ? *answer : -3;
    });
    CHECK(total == 5);
    host_b.on_worker([&](rt::worker&) { b.reset(); });
    host_a.on_worker([&](rt::worker&) { a.reset(); });
}

TEST_CASE("simulated nodes: TLS goes over the simulated network, too", "[remote][simulation]") {
    simulation world;
    cluster nodes(world, &quick_options);
    CHECK(nodes.host_b.block_on([&](rt::worker&) { return nodes.count(10); }) == 55);
}

TEST_CASE("simulated nodes: the same seed gives the same run", "[remote][simulation]") {
    const auto run = [](std::uint64_t seed) {
        simulation_options options;
        options.seed = seed;
        options.faults.resets = 0.02;
        simulation world(options);
        cluster nodes(world);
        (void)nodes.host_b.block_on([&](rt::worker&) { return nodes.count(20); });
        return world.trace();
    };
    std::set<std::string> different;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const std::string first = run(seed);
        CHECK(first == run(seed));
        different.insert(first);
    }
    CHECK(different.size() == 3);
}

TEST_CASE("simulated nodes: whom a group chooses is the seed's", "[remote][simulation]") {
    using group = remote::remote_group<counter_message>;
    const auto run = [](std::uint64_t seed) {
        simulation world(seed);
        cluster nodes(world);
        nodes.host_a.on_worker([&](rt::worker& here) {
            for (const char* each : {"w/1", "w/2", "w/3", "w/4", "w/5"}) {
                nodes.a->publish(each, spawn_counter(here, nodes.counted));
            }
        });
        // Made by the host, and by the test.
        std::optional<group> inside;
        nodes.host_b.on_worker([&](rt::worker&) { inside = group::below(*nodes.b, "w/"); });
        std::optional<group> outside = group::below(*nodes.b, "w/");
        std::string chosen;
        for (std::optional<group>* each : {&inside, &outside}) {
            const auto found =
                nodes.host_b.block_on([&](rt::worker&) { return (*each)->at_least(5, plenty); });
            REQUIRE(found);
            chosen += ' ' + (*each)->pick()->actor_name();
            for (int i = 0; i < 8; ++i) {
                chosen += ' ' + (*each)->pick(heph::at_random)->actor_name();
            }
        }
        nodes.host_b.on_worker([&](rt::worker&) { inside.reset(); });
        outside.reset();
        return std::pair(chosen, world.fingerprint());
    };
    const auto first = run(1);
    CHECK(first == run(1));
    CHECK(first.first != run(2).first);
}
