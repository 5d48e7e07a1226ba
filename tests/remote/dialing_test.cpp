// Dialing who says nothing, and time in which the program did not run.

#include <chrono>
#include <string>

#include <heph/core/testing/step_executor.hpp>
#include <heph/remote/memory_network.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::memory_network;
using heph::testing::step_executor;
namespace remote = heph::remote;

namespace {

remote::node start_in(step_executor& run, remote::options settings, const memory_network& network,
                      std::chrono::milliseconds handshake_time) {
    remote::link_settings links = quick_links();
    links.handshake_time = handshake_time;
    return remote::start_stepped(run, settings.network(network).links(links)).value();
}

}  // namespace

TEST_CASE(
    "dialing: who takes the connection and says nothing is told of long before it is given up",
    "[remote][memory]") {
    const bool plain = GENERATE(true, false);
    const log_lines log;
    step_executor run(heph::testing::schedule::in_order());
    memory_network network;
    const auto made = [&](const char* name) {
        return plain ? quick_plain_text(name) : quick_options(name);
    };
    const auto a = start_in(run, made("a").listen("memory:a"), network, 1h);
    network.stall("a", memory_network::direction::from_dialer, true);
    const auto b = start_in(run, made("b").peer("a", "memory:a"), network, 10min);
    run.advance(3s);
    const std::string told = std::string(
                                 "cannot link to a at memory:a: it takes the connection "
                                 "and says nothing: it hangs, or is no node that speaks ") +
                             (plain ? "plain text" : "TLS");
    INFO(log_lines::all());
    CHECK(log_lines::with(told) == 1);
    // Nor is it told twice, and the attempt goes on.
    run.advance(11min);
    CHECK(log_lines::with("cannot link to a") == 1);
    network.stall("a", memory_network::direction::from_dialer, false);
    CHECK(run.run_until([&] { return b.is_linked("a"); }, 1min));
    a.stop();
    b.stop();
    run.advance(10s);
}

TEST_CASE("dialing: no handshake is given up for time in which the program did not run",
          "[remote][memory]") {
    const log_lines log;
    step_executor run(heph::testing::schedule::in_order());
    memory_network network;
    const auto a = start_in(run, quick_options("a").listen("memory:a"), network, 5s);
    network.stall("a", memory_network::direction::to_dialer, true);
    const auto b = start_in(run, quick_options("b").peer("a", "memory:a"), network, 5s);
    run.advance(500ms);
    // Whatever is woken then sees that an hour has passed.
    auto clock = run.clock();
    clock.advance(1h);
    run.advance(500ms);
    network.stall("a", memory_network::direction::to_dialer, false);
    CHECK(run.run_until([&] { return b.is_linked("a"); }, 100ms));
    INFO(log_lines::all());
    CHECK(log_lines::with("no handshake") == 0);
    CHECK(log_lines::with("turned away") == 0);
    // What it did run counts.
    network.cut("a");
    network.stall("a", memory_network::direction::to_dialer, true);
    run.advance(10s);
    CHECK(log_lines::with("no handshake within 5000 ms") >= 1);
    network.stall("a", memory_network::direction::to_dialer, false);
    a.stop();
    b.stop();
    run.advance(10s);
}

TEST_CASE(
    "dialing: the only place of a node keeps its connection while it says nothing, for the whole "
    "handshake time",
    "[remote][memory]") {
    step_executor run(heph::testing::schedule::in_order());
    memory_network network;
    const auto a = start_in(run, quick_options("a").listen("memory:a"), network, 1h);
    network.stall("a", memory_network::direction::to_dialer, true);
    const auto b = start_in(run, quick_options("b").peer("a", "memory:a"), network, 5s);
    run.advance(100ms);
    CHECK(network.connections("a") == 1);
    // Whoever comes now is not let in: the one that waits is all there is.
    network.refuse("a", true);
    run.advance(4600ms);
    CHECK(!b.is_linked("a"));
    CHECK(network.connections("a") == 1);
    network.stall("a", memory_network::direction::to_dialer, false);
    CHECK(run.run_until([&] { return b.is_linked("a"); }, 100ms));
    a.stop();
    b.stop();
    run.advance(10s);
}
