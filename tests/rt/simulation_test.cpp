// Hosts, their network and their time in one thread, by a seed.

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/sync_actor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/testing/expectation.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/blocking.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/connect.hpp>
#include <heph/rt/net/resolve.hpp>
#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/udp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/net/unix_messages.hpp>
#include <heph/rt/pipe.hpp>
#include <heph/rt/testing/simulation.hpp>
#include <heph/rt/timer.hpp>

namespace {

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::worker;
using heph::rt::testing::fault_rates;
using heph::rt::testing::link_conditions;
using heph::rt::testing::run_seeds;
using heph::rt::testing::simulated_host;
using heph::rt::testing::simulation;
using heph::rt::testing::simulation_options;
namespace net = heph::rt::net;

using text_or_error = std::expected<std::string, std::error_code>;

constexpr std::uint16_t port = 80;

// Sends back what it gets, until the other end ends or fails.
task<> echo(worker, net::tcp_stream stream) {
    for (;;) {
        auto chunk = co_await stream.next();
        if (!chunk || chunk->empty()) { co_return; }
        auto copy = buffer::copy_of(chunk->view());
        auto sent = co_await stream.send_all(std::move(copy));
        if (!sent) { co_return; }
    }
}

task<> accept_all(worker here, net::tcp_listener listener) {
    for (;;) {
        auto accepted = co_await listener.accept();
        if (!accepted) {
            co_await heph::rt::timer(5ms);  // Out of descriptors: some may come back.
            continue;
        }
        here.spawn_future(echo(here, std::move(*accepted)));
    }
}

net::tcp_listener listen_at(const net::endpoint& at) {
    auto listener = net::tcp_listener::bind(at);
    if (!listener) { throw std::system_error(listener.error(), "cannot listen"); }
    return std::move(*listener);
}

void serve_echo(worker& here) {
    here.spawn_future(accept_all(here, listen_at(net::endpoint::v4({0, 0, 0, 0}, port))));
}

// Sends a text, and takes as many bytes.
task<text_or_error> ask(net::endpoint server, std::string text) {
    auto connecting = net::tcp_stream::connect(server);
    auto stream = co_await connecting;
    if (!stream) { co_return std::unexpected(stream.error()); }
    auto bytes = buffer::copy_of(text);
    auto sent = co_await stream->send_all(std::move(bytes));
    if (!sent) { co_return std::unexpected(sent.error()); }
    std::string answer;
    while (answer.size() < text.size()) {
        auto chunk = co_await stream->next();
        if (!chunk) { co_return std::unexpected(chunk.error()); }
        if (chunk->empty()) { co_return std::unexpected(make_error_code(std::errc::broken_pipe)); }
        answer += chunk->view();
    }
    co_return answer;
}

std::string long_text(std::size_t bytes) {
    std::string text(bytes, ' ');
    for (std::size_t i = 0; i < bytes; ++i) { text[i] = static_cast<char>('a' + i % 26); }
    return text;
}

/// A server that echoes, and a client.
struct pair_of_hosts {
    explicit pair_of_hosts(simulation& world)
        : server(world.add_host("server", "10.0.0.1", serve_echo)),
          client(world.add_host("client", "10.0.0.2")) {}

    text_or_error ask_server(const std::string& text) {
        return client.block_on([&](worker&) { return ask(server.at(port), text); });
    }

    simulated_host server;
    simulated_host client;
};

}  // namespace

// Time.

TEST_CASE("simulation: timers, deadlines and intervals are exact, and take no real time",
          "[rt][simulation]") {
    const auto began = std::chrono::steady_clock::now();
    simulation world;
    auto host = world.add_host("alone", "10.0.0.1");
    const auto took = host.block_on([](worker&) -> task<std::vector<std::chrono::milliseconds>> {
        const auto start = heph::rt::clock::now();
        std::vector<std::chrono::milliseconds> at;
        const auto note = [&] {
            at.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(
                heph::rt::clock::now() - start));
        };
        co_await heph::rt::timer(30min);
        note();
        auto late = heph::rt::deadline(10min, heph::rt::timer(1h));
        const auto passed = co_await late;
        CHECK_FALSE(passed.has_value());
        note();
        heph::rt::interval every(1min);
        for (int i = 0; i < 3; ++i) { co_await every.next(); }
        note();
        co_return at;
    });
    CHECK(took == std::vector<std::chrono::milliseconds>{30min, 40min, 43min});
    CHECK(world.elapsed() == 43min);
    CHECK(std::chrono::steady_clock::now() - began < 43min);
}

TEST_CASE("simulation: it runs for a time, until a condition holds, and to rest",
          "[rt][simulation]") {
    simulation world;
    auto host = world.add_host("alone", "10.0.0.1");
    int rung = 0;
    host.on_worker([&](worker& here) {
        here.spawn_future([](int* count) -> task<> {
            for (int i = 0; i < 5; ++i) {
                co_await heph::rt::timer(1s);
                ++*count;
            }
        }(&rung));
    });
    world.run_for(2500ms);
    CHECK(rung == 2);
    CHECK(world.elapsed() == 2500ms);
    CHECK(world.run_until([&] { return rung == 3; }));
    CHECK(world.elapsed() == 3s);
    CHECK_FALSE(world.run_until([&] { return rung == 4; }, 500ms));
    world.run_to_rest();
    CHECK(rung == 5);
    CHECK(world.elapsed() == 5s);
    world.run_for(1h);
    CHECK(world.elapsed() == 1h + 5s);
}

TEST_CASE("simulation: an actor that is always ready is found out", "[rt][simulation]") {
    simulation world({.turns_max = 1'000});
    auto host = world.add_host("alone", "10.0.0.1");
    host.on_worker([](worker& here) {
        here.spawn_future([]() -> task<> {
            for (;;) { co_await heph::yield(); }
        }());
    });
    CHECK_THROWS_AS(world.run_for(1s), heph::testing::expectation_failed);
}

TEST_CASE("simulation: what makes an actor fail is thrown to the test", "[rt][simulation]") {
    simulation world;
    auto host = world.add_host("alone", "10.0.0.1");
    host.spawn(world.supervisor(), heph::actor_fn([](heph::rt::local_context<>) -> task<> {
                   co_await heph::rt::timer(1s);
                   throw std::runtime_error("it broke");
               }));
    CHECK_THROWS_WITH(world.run_for(2s), "it broke");
}

TEST_CASE("simulation: a future that is not ready in time says so, with the seed",
          "[rt][simulation]") {
    simulation world(4711);
    auto host = world.add_host("alone", "10.0.0.1");
    CHECK_THROWS_WITH(host.block_on([](worker&) { return heph::rt::timer(2h); }),
                      Catch::Contains("seed 4711"));
    CHECK(world.elapsed() == 1h);
}

// The seed.

TEST_CASE("simulation: the same seed gives the same run, and other seeds give others",
          "[rt][simulation]") {
    simulation_options options;
    options.link.loss = 0.1;
    options.faults = {.short_receives = 0.5, .short_sends = 0.5};
    const auto run = [&](std::uint64_t seed) {
        options.seed = seed;
        simulation world(options);
        pair_of_hosts hosts(world);
        for (int i = 0; i < 3; ++i) {
            hosts.client.on_worker([&](worker& here) {
                here.spawn_future([](net::endpoint at) -> task<> {
                    const auto answer = co_await ask(at, long_text(3'000));
                    CHECK(answer == long_text(3'000));
                }(hosts.server.at(port)));
            });
        }
        world.run_to_rest();
        return std::pair(world.fingerprint(), world.trace());
    };
    std::set<std::uint64_t> different;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        const auto first = run(seed);
        const auto again = run(seed);
        CHECK(first.first == again.first);
        CHECK(first.second == again.second);
        different.insert(first.first);
    }
    CHECK(different.size() == 5);
}

TEST_CASE("simulation: seeds explore the orders in which ready actors run", "[rt][simulation]") {
    std::set<std::string> orders;
    run_seeds(60, {}, [&](simulation& world) {
        std::string order;
        world.add_host("alone", "10.0.0.1", [&order](worker& here) {
            for (const char each : {'a', 'b', 'c'}) {
                here.spawn_future([](std::string* to, char name) -> task<> {
                    *to += name;
                    co_return;
                }(&order, each));
            }
        });
        world.run_to_rest();
        orders.insert(order);
    });
    CHECK(orders.size() == 6);
}

TEST_CASE("simulation: thread-safe actors run by the seed, too, in the same thread",
          "[rt][simulation]") {
    const auto run = [](std::uint64_t seed) {
        simulation world(seed);
        auto host = world.add_host("alone", "10.0.0.1");
        for (int i = 0; i < 8; ++i) {
            host.shared().spawn_future([]() -> task<> {
                for (int turn = 0; turn < 20; ++turn) {
                    co_await heph::yield();
                    if (turn % 5 == 0) { co_await heph::rt::timer(1ms); }
                }
            }());
        }
        world.run_to_rest();
        return world.fingerprint();
    };
    CHECK(run(1) == run(1));
    CHECK(run(1) != run(2));
}

// TCP.

TEST_CASE("simulation: a client and a server talk, whatever the seed", "[rt][simulation]") {
    run_seeds(30, {}, [](simulation& world) {
        pair_of_hosts hosts(world);
        const auto answer = hosts.ask_server("hello");
        REQUIRE(answer);
        CHECK(*answer == "hello");
        CHECK(world.elapsed() > 0ms);
        CHECK(world.elapsed() < 20ms);
    });
}

TEST_CASE("simulation: more than a window comes in order, with loss and short counts",
          "[rt][simulation]") {
    simulation_options options;
    options.link = {.latency_min = 1ms, .latency_max = 20ms, .loss = 0.2};
    options.faults = {.short_receives = 0.3, .short_sends = 0.3};
    options.stream_window = 16 * 1024;
    run_seeds(10, options, [](simulation& world) {
        pair_of_hosts hosts(world);
        const std::string text = long_text(200'000);
        // Both ways at a time, or both ends would wait for room for ever.
        const auto answer = hosts.client.block_on([&](worker& here) -> task<std::string> {
            auto connecting = net::tcp_stream::connect(hosts.server.at(port));
            auto stream = co_await connecting;
            REQUIRE(stream);
            auto shared = std::make_shared<net::tcp_stream>(std::move(*stream));
            here.spawn_future([](std::shared_ptr<net::tcp_stream> to, std::string all) -> task<> {
                auto bytes = buffer::copy_of(all);
                auto sent = co_await to->send_all(std::move(bytes));
                CHECK(sent);
            }(shared, text));
            std::string got;
            while (got.size() < text.size()) {
                auto chunk = co_await shared->next();
                REQUIRE(chunk);
                REQUIRE_FALSE(chunk->empty());
                got += chunk->view();
            }
            co_return got;
        });
        CHECK(answer == text);
    });
}

TEST_CASE("simulation: short counts are what receives and sends give", "[rt][simulation]") {
    simulation_options options;
    options.faults = {.short_receives = 1, .short_sends = 1};
    simulation world(options);
    pair_of_hosts hosts(world);
    hosts.client.block_on([&](worker&) -> task<> {
        auto connecting = net::tcp_stream::connect(hosts.server.at(port));
        auto stream = co_await connecting;
        REQUIRE(stream);
        auto bytes = buffer::copy_of(long_text(1'000));
        auto sent = co_await stream->send_some(std::move(bytes));
        REQUIRE(sent);
        CHECK(sent->count() > 0);
        CHECK(sent->count() < 1'000);
        auto room = buffer::with_capacity(1'000);
        auto got = co_await stream->recv(std::move(room));
        REQUIRE(got);
        CHECK(got->size() > 0);
        CHECK(got->size() < 1'000);
    });
}

TEST_CASE("simulation: nobody listening refuses, and no host at an address is no way there",
          "[rt][simulation]") {
    simulation world;
    pair_of_hosts hosts(world);
    const auto connect = [&](net::endpoint to) {
        return hosts.client.block_on([to](worker&) -> task<std::error_code> {
            auto connecting = net::tcp_stream::connect(to);
            auto stream = co_await connecting;
            co_return stream ? std::error_code() : stream.error();
        });
    };
    CHECK(connect(hosts.server.at(81)) == std::errc::connection_refused);
    CHECK(connect(*net::endpoint::parse("10.9.9.9:80")) == std::errc::host_unreachable);
    CHECK_FALSE(connect(hosts.server.at(port)));
    world.set_faults({.refused_connects = 1});
    CHECK(connect(hosts.server.at(port)) == std::errc::connection_refused);
}

TEST_CASE("simulation: a partition makes a connect time out, and healing lets it through",
          "[rt][simulation]") {
    simulation world;
    pair_of_hosts hosts(world);
    world.partition(hosts.client, hosts.server);
    const auto answer = hosts.ask_server("hello");
    CHECK(answer.error() == std::errc::timed_out);
    CHECK(world.elapsed() >= 2min);
    world.heal(hosts.client, hosts.server);
    CHECK(hosts.ask_server("hello") == "hello");
}

TEST_CASE("simulation: what is on its way comes after a partition that is healed in time",
          "[rt][simulation]") {
    simulation world;
    pair_of_hosts hosts(world);
    bool answered = false;
    hosts.client.on_worker([&](worker& here) {
        here.spawn_future([](net::endpoint at, bool* done) -> task<> {
            auto connecting = net::tcp_stream::connect(at);
            auto stream = co_await connecting;
            REQUIRE(stream);
            co_await heph::rt::timer(1s);
            auto bytes = buffer::copy_of("late");
            auto sent = co_await stream->send_all(std::move(bytes));
            REQUIRE(sent);
            auto chunk = co_await stream->next();
            REQUIRE(chunk);
            CHECK(chunk->view() == "late");
            *done = true;
        }(hosts.server.at(port), &answered));
    });
    world.run_for(500ms);
    world.partition_from_to(hosts.client, hosts.server);
    world.run_for(30s);
    CHECK_FALSE(answered);
    world.heal_all();
    CHECK(world.run_until([&] { return answered; }, 1min));
}

TEST_CASE("simulation: a reset ends a connection at both ends, and by the seed",
          "[rt][simulation]") {
    simulation world;
    pair_of_hosts hosts(world);
    std::error_code ended;
    hosts.client.on_worker([&](worker& here) {
        here.spawn_future([](net::endpoint at, std::error_code* how) -> task<> {
            auto connecting = net::tcp_stream::connect(at);
            auto stream = co_await connecting;
            REQUIRE(stream);
            auto chunk = co_await stream->next();
            *how = chunk ? std::error_code() : chunk.error();
        }(hosts.server.at(port), &ended));
    });
    world.run_for(1s);
    world.reset_connections(hosts.client, hosts.server);
    world.run_for(1ms);
    CHECK(ended == std::errc::connection_reset);
    world.set_faults({.resets = 1});
    const auto answer = hosts.ask_server("hello");
    CHECK(answer.error() == std::errc::connection_reset);
}

TEST_CASE("simulation: a server without descriptors accepts what waits when it has some again",
          "[rt][simulation]") {
    run_seeds(10, {.faults = {.accept_errors = 0.8}}, [](simulation& world) {
        pair_of_hosts hosts(world);
        for (int i = 0; i < 5; ++i) { CHECK(hosts.ask_server("hello") == "hello"); }
    });
    simulation world;
    auto server = world.add_host("server", "10.0.0.1");
    world.set_faults({.accept_errors = 1});
    world.add_host("client", "10.0.0.2", [&](worker& here) {
        here.spawn_future([](net::endpoint at) -> task<> {
            auto connecting = net::tcp_stream::connect(at);
            auto stream = co_await connecting;
            CHECK(stream);
        }(server.at(port)));
    });
    const auto failed = server.block_on([](worker&) -> task<std::error_code> {
        auto listener = listen_at(net::endpoint::v4({0, 0, 0, 0}, port));
        auto accepted = co_await listener.accept();
        co_return accepted ? std::error_code() : accepted.error();
    });
    CHECK(failed == std::errc::too_many_files_open);
}

TEST_CASE("simulation: half a connection ends while the other half goes on", "[rt][simulation]") {
    simulation world;
    pair_of_hosts hosts(world);
    const auto rest = hosts.client.block_on([&](worker&) -> task<std::string> {
        auto connecting = net::tcp_stream::connect(hosts.server.at(port));
        auto stream = co_await connecting;
        REQUIRE(stream);
        auto bytes = buffer::copy_of("the end");
        auto sent = co_await stream->send_all(std::move(bytes));
        REQUIRE(sent);
        CHECK_FALSE(stream->shutdown(net::shutdown_how::send));
        std::string all;
        for (;;) {
            auto chunk = co_await stream->next();
            REQUIRE(chunk);
            if (chunk->empty()) { co_return all; }
            all += chunk->view();
        }
    });
    CHECK(rest == "the end");
}

TEST_CASE("simulation: addresses and names of hosts are those of the simulation",
          "[rt][simulation]") {
    simulation world;
    pair_of_hosts hosts(world);
    hosts.client.block_on([&](worker&) -> task<> {
        auto looking = net::resolve("server", port);
        auto found = co_await looking;
        REQUIRE(found);
        CHECK(*found == std::vector{hosts.server.at(port)});
        auto unknown = net::resolve("nobody", port);
        auto missing = co_await unknown;
        CHECK(missing.error() == net::resolve_errc::unknown_host);
        auto connecting = net::connect("server", port);
        auto stream = co_await connecting;
        REQUIRE(stream);
        CHECK(stream->peer_endpoint() == hosts.server.at(port));
        const auto own = stream->local_endpoint();
        REQUIRE(own);
        CHECK(*own == hosts.client.at(own->port()));
        CHECK(own->port() >= 49'152);
    });
    hosts.server.on_worker([&](worker&) {
        CHECK(net::tcp_listener::bind(hosts.server.at(port)).error() == std::errc::address_in_use);
        CHECK(net::tcp_listener::bind(hosts.client.at(port)).error() ==
              std::errc::address_not_available);
        const auto any = net::tcp_listener::bind(hosts.server.at(0));
        REQUIRE(any);
        CHECK(any->local_endpoint()->port() >= 49'152);
    });
}

TEST_CASE("simulation: a server of connections stops in order", "[rt][simulation]") {
    simulation world;
    auto server = world.add_host("server", "10.0.0.1", [](worker& here) {
        std::vector<net::tcp_listener> listeners;
        listeners.push_back(listen_at(net::endpoint::v4({0, 0, 0, 0}, port)));
        auto made = net::tcp_server::over(std::move(listeners), 1);
        REQUIRE(made);
        made->start(here, echo);
    });
    auto client = world.add_host("client", "10.0.0.2");
    CHECK(client.block_on([&](worker&) { return ask(server.at(port), "hi"); }) == "hi");
    server.request_stop();
    world.run_for(1s);
    const auto refused = client.block_on([&](worker&) { return ask(server.at(port), "hi"); });
    CHECK(refused.error() == std::errc::connection_refused);
}

// Crashes.

TEST_CASE("simulation: a host that crashes tells nobody, and resets what comes after its restart",
          "[rt][simulation]") {
    simulation world;
    pair_of_hosts hosts(world);
    text_or_error answer;
    bool over = false;
    hosts.client.on_worker([&](worker& here) {
        here.spawn_future([](net::endpoint at, text_or_error* to, bool* done) -> task<> {
            auto connecting = net::tcp_stream::connect(at);
            auto stream = co_await connecting;
            REQUIRE(stream);
            co_await heph::rt::timer(10s);
            auto bytes = buffer::copy_of("are you there?");
            auto sent = co_await stream->send_all(std::move(bytes));
            REQUIRE(sent);
            auto chunk = co_await stream->next();
            *to = chunk ? text_or_error(std::string(chunk->view()))
                        : text_or_error(std::unexpect, chunk.error());
            *done = true;
        }(hosts.server.at(port), &answer, &over));
    });
    world.run_for(1s);
    hosts.server.crash();
    CHECK_FALSE(hosts.server.is_up());
    CHECK_THROWS_AS(hosts.server.on_worker([](worker&) {}), heph::testing::expectation_failed);
    world.run_for(20s);
    CHECK_FALSE(over);
    hosts.server.restart();
    CHECK(world.run_until([&] { return over; }, 1min));
    CHECK(answer.error() == std::errc::connection_reset);
    CHECK(hosts.ask_server("hello") == "hello");
}

TEST_CASE("simulation: actors of a host that crashes are dropped, and its clients give up",
          "[rt][simulation]") {
    simulation world;
    pair_of_hosts hosts(world);
    const auto kept = std::make_shared<int>(1);
    hosts.server.on_worker([&](worker& here) {
        here.spawn_future(
            [](std::shared_ptr<int>) -> task<> { co_await heph::rt::timer(24h); }(kept));
    });
    world.run_for(1ms);
    CHECK(kept.use_count() == 2);
    hosts.server.crash();
    CHECK(kept.use_count() == 1);
    CHECK(hosts.ask_server("hello").error() == std::errc::timed_out);
}

// UDP.

TEST_CASE("simulation: datagrams are lost, doubled and reordered, and otherwise whole",
          "[rt][simulation]") {
    simulation_options options;
    options.link = {.latency_min = 1ms, .latency_max = 50ms, .loss = 0.2, .duplication = 0.2};
    simulation world(options);
    auto from = world.add_host("from", "10.0.0.1");
    auto to = world.add_host("to", "10.0.0.2");
    std::vector<int> got;
    to.on_worker([&](worker& here) {
        here.spawn_future(
            [](net::endpoint at, net::endpoint peer, std::vector<int>* into) -> task<> {
                auto socket = net::udp_socket::bind(at);
                REQUIRE(socket);
                for (;;) {
                    auto room = buffer::with_capacity(64);
                    auto receiving = socket->recv_from(std::move(room));
                    auto came = co_await receiving;
                    REQUIRE(came);
                    CHECK(came->from() == peer);
                    into->push_back(std::stoi(std::string(came->bytes().view())));
                }
            }(to.at(53), from.at(4000), &got));
    });
    from.block_on([&](worker&) -> task<> {
        auto socket = net::udp_socket::bind(from.at(4000));
        REQUIRE(socket);
        for (int i = 0; i < 200; ++i) {
            auto bytes = buffer::copy_of(std::to_string(i));
            auto sending = socket->send_to(std::move(bytes), to.at(53));
            auto sent = co_await sending;
            CHECK(sent);
        }
    });
    world.run_to_rest();
    const std::set<int> different(got.begin(), got.end());
    CHECK(different.size() < 190);
    CHECK(different.size() > 130);
    CHECK(got.size() > different.size());
    CHECK_FALSE(std::is_sorted(got.begin(), got.end()));
}

TEST_CASE("simulation: a connected datagram socket hears its peer only, and cuts what is too long",
          "[rt][simulation]") {
    simulation world;
    auto one = world.add_host("one", "10.0.0.1");
    auto two = world.add_host("two", "10.0.0.2");
    auto stranger = world.add_host("stranger", "10.0.0.3");
    const auto send = [&](simulated_host by, net::endpoint to, std::string text) {
        by.block_on([&](worker&) -> task<> {
            auto socket = net::udp_socket::bind(by.at(7));
            REQUIRE(socket);
            auto bytes = buffer::copy_of(text);
            auto sending = socket->send_to(std::move(bytes), to);
            auto sent = co_await sending;
            CHECK(sent);
        });
    };
    std::vector<std::string> got;
    one.on_worker([&](worker& here) {
        here.spawn_future(
            [](net::endpoint at, net::endpoint peer, std::vector<std::string>* into) -> task<> {
                auto socket = net::udp_socket::bind(at);
                REQUIRE(socket);
                REQUIRE_FALSE(socket->connect(peer));
                for (;;) {
                    auto room = buffer::with_capacity(4);
                    auto receiving = socket->recv(std::move(room));
                    auto came = co_await receiving;
                    REQUIRE(came);
                    into->push_back(std::string(came->bytes().view()) +
                                    (came->is_truncated() ? "..." : ""));
                }
            }(one.at(7), two.at(7), &got));
    });
    world.run_for(1ms);
    send(stranger, one.at(7), "psst");
    world.run_for(1s);
    send(two, one.at(7), "ok");
    world.run_for(1s);
    send(two, one.at(7), "too long");
    world.run_for(1s);
    CHECK(got == std::vector<std::string>{"ok", "too ..."});
}

// Unix sockets.

TEST_CASE("simulation: Unix sockets connect within a host, and each host has its own",
          "[rt][simulation]") {
    run_seeds(10, {.faults = {.short_receives = 0.5}}, [](simulation& world) {
        auto one = world.add_host("one", "10.0.0.1");
        auto two = world.add_host("two", "10.0.0.2");
        const auto at = net::unix_address::path("/run/echo.sock");
        REQUIRE(at);
        one.on_worker([&](worker& here) {
            auto listener = net::unix_listener::bind(*at);
            REQUIRE(listener);
            CHECK(net::unix_listener::bind(*at).error() == std::errc::address_in_use);
            here.spawn_future([](net::unix_listener those) -> task<> {
                auto accepted = co_await those.accept();
                REQUIRE(accepted);
                auto room = buffer::with_capacity(16);
                auto receiving = accepted->recv_n(std::move(room), 5);
                auto got = co_await receiving;
                REQUIRE(got);
                auto sent = co_await accepted->send_all(std::move(*got));
                CHECK(sent);
            }(std::move(*listener)));
        });
        one.block_on([&](worker&) -> task<> {
            auto connecting = net::unix_stream::connect(*at);
            auto stream = co_await connecting;
            REQUIRE(stream);
            CHECK(stream->credentials());
            CHECK(stream->peer_address() == *at);
            auto bytes = buffer::copy_of("hello");
            auto sent = co_await stream->send_all(std::move(bytes));
            CHECK(sent);
            auto room = buffer::with_capacity(16);
            auto receiving = stream->recv_n(std::move(room), 5);
            auto got = co_await receiving;
            REQUIRE(got);
            CHECK(got->view() == "hello");
        });
        CHECK(world.elapsed() == 0ms);
        two.block_on([&](worker&) -> task<> {
            auto connecting = net::unix_stream::connect(*at);
            auto stream = co_await connecting;
            CHECK(stream.error() == std::errc::no_such_file_or_directory);
            auto made = net::unix_stream::pair();
            REQUIRE(made);
            auto bytes = buffer::copy_of("x");
            auto sent = co_await made->first.send_all(std::move(bytes));
            CHECK(sent);
            auto chunk = co_await made->second.next();
            REQUIRE(chunk);
            CHECK(chunk->view() == "x");
        });
    });
}

// What is not simulated.

TEST_CASE("simulation: files, pipes, processes and threads are refused in so many words",
          "[rt][simulation]") {
    simulation world;
    auto host = world.add_host("alone", "10.0.0.1");
    host.block_on([](worker& here) -> task<> {
        const auto no = std::errc::operation_not_supported;
        auto opening = heph::rt::fs::file::open("/etc/hostname");
        auto file = co_await opening;
        REQUIRE_FALSE(file);
        CHECK(file.error() == no);
        CHECK(net::unix_datagram::unbound().error() == no);
        auto made = heph::rt::make_pipe();
        REQUIRE(made);
        auto bytes = buffer::copy_of("x");
        auto writing = made->second.write_all(std::move(bytes));
        auto written = co_await writing;
        REQUIRE_FALSE(written);
        CHECK(written.error() == no);
        const auto actor = here.spawn_sync(heph::sync_options(), heph::stop_supervisor(),
                                           [](heph::sync_context<int>) {});
        REQUIRE_FALSE(actor);
        CHECK(actor.error() == no);
    });
}

TEST_CASE("simulation: a function that may block runs at once, in no time", "[rt][simulation]") {
    simulation world;
    auto host = world.add_host("alone", "10.0.0.1");
    const auto thread = std::this_thread::get_id();
    const auto ran = host.block_on([](worker&) {
        return heph::rt::spawn_blocking([] { return std::this_thread::get_id(); });
    });
    CHECK(ran == thread);
    CHECK(world.elapsed() == 0ms);
    CHECK_THROWS_WITH(host.block_on([](worker&) {
        return heph::rt::spawn_blocking([]() -> int { throw std::runtime_error("no"); });
    }),
                      "no");
}

TEST_CASE("simulation: a host needs a name and an address of its own", "[rt][simulation]") {
    simulation world;
    world.add_host("one", "10.0.0.1");
    world.add_host("six", "fd00::1");
    CHECK_THROWS_AS(world.add_host("one", "10.0.0.2"), std::invalid_argument);
    CHECK_THROWS_AS(world.add_host("two", "10.0.0.1"), std::invalid_argument);
    CHECK_THROWS_AS(world.add_host("two", "127.0.0.1"), std::invalid_argument);
    CHECK_THROWS_AS(world.add_host("two", "nowhere"), std::invalid_argument);
    CHECK_THROWS_AS(world.add_host("", "10.0.0.3"), std::invalid_argument);
}

TEST_CASE("simulation: it leaves no descriptors, and what outlives it is harmless",
          "[rt][simulation]") {
    std::optional<heph::actor_ref<int>> ref;
    {
        simulation world;
        auto host = world.add_host("alone", "10.0.0.1");
        ref = host.spawn(heph::no_supervisor(),
                         heph::actor_fn([](heph::rt::local_context<int> ctx) -> task<> {
                             while (auto more = co_await ctx.receive()) { (void)more; }
                         }));
        CHECK(ref->try_send(1));
        world.run_to_rest();
    }
    CHECK_FALSE(ref->is_connected());
}
