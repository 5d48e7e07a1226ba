// Watching over a link.

#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "remote/golden.hpp"
#include "remote/wire.hpp"

using namespace heph::remote::protocol;
using namespace heph::remote::testing;

namespace {

constexpr std::uint64_t actor = 5;

struct pair_of_nodes {
    explicit pair_of_nodes(const link_limits& of_b = {}) : a("a", 1), b("b", 2, of_b) {
        connect(a, b);
    }
    wire_end a;
    wire_end b;
};

}  // namespace

TEST_CASE("link: the end of a watched actor is told once, with its reason",
          "[remote][link][watch]") {
    pair_of_nodes nodes;
    const auto watch = nodes.a.peers.watch(actor);
    REQUIRE(watch);
    exchange(nodes.a, nodes.b);
    const auto wanted = take_event<watch_arrived>(nodes.b);
    CHECK(wanted.watch == *watch);
    CHECK(wanted.actor == actor);
    nodes.b.peers.tell_ended(wanted.watch, failure::actor_gone);
    nodes.b.peers.tell_ended(wanted.watch, failure::no_such_actor);
    exchange(nodes.a, nodes.b);
    const auto ended = take_event<watch_ended>(nodes.a);
    CHECK(ended.watch == *watch);
    CHECK(ended.why == failure::actor_gone);
    CHECK(nodes.a.events.empty());
}

TEST_CASE("link: who does not watch any more is told nothing", "[remote][link][watch]") {
    pair_of_nodes nodes;
    const auto watch = nodes.a.peers.watch(actor);
    exchange(nodes.a, nodes.b);
    (void)take_event<watch_arrived>(nodes.b);
    nodes.a.peers.unwatch(*watch);
    nodes.b.peers.tell_ended(*watch, failure::actor_gone);  // They cross.
    exchange(nodes.a, nodes.b);
    CHECK(nodes.a.events.empty());
    CHECK(nodes.b.events.empty());
    const auto again = nodes.a.peers.watch(actor);
    exchange(nodes.a, nodes.b);
    (void)take_event<watch_arrived>(nodes.b);
    nodes.a.peers.unwatch(*again);
    exchange(nodes.a, nodes.b);
    CHECK(take_event<unwatch_arrived>(nodes.b).watch == *again);
}

TEST_CASE("link: 20,000 ends at once are told by few frames, each once", "[remote][link][watch]") {
    pair_of_nodes nodes;
    std::set<std::uint64_t> watches;
    for (std::uint64_t i = 0; i < 20'000; ++i) {
        auto watch = nodes.a.peers.watch(i);
        if (!watch) {
            REQUIRE(watch.error() == refusal::full);
            exchange(nodes.a, nodes.b);
            watch = nodes.a.peers.watch(i);
        }
        REQUIRE(watch);
        watches.insert(*watch);
    }
    exchange(nodes.a, nodes.b);
    nodes.b.events.clear();
    for (const std::uint64_t watch : watches) {
        nodes.b.peers.tell_ended(watch, failure::actor_gone);
    }
    nodes.b.flush(10'000'000);
    const std::size_t bytes = nodes.b.out.size();
    CHECK(bytes < 20'000 * 8 + 5 * 32 + 100);
    exchange(nodes.a, nodes.b);
    CHECK_FALSE(nodes.a.failed);
    for (const event& each : nodes.a.events) {
        CHECK(watches.erase(std::get<watch_ended>(each).watch) == 1);
    }
    CHECK(watches.empty());
}

TEST_CASE("link: when the session is lost its watches end, at both ends", "[remote][link][watch]") {
    pair_of_nodes nodes;
    const auto watch = nodes.a.peers.watch(actor);
    exchange(nodes.a, nodes.b);
    (void)take_event<watch_arrived>(nodes.b);
    nodes.a.cut();
    nodes.b.cut();
    nodes.a.peers.lose(failure::node_down);
    nodes.b.peers.lose(failure::node_down);
    nodes.a.collect_losses();
    nodes.b.collect_losses();
    const auto ended = take_event<watch_ended>(nodes.a);
    CHECK(ended.watch == *watch);
    CHECK(ended.why == failure::node_down);
    CHECK(take_event<unwatch_arrived>(nodes.b).watch == *watch);
    CHECK(nodes.a.peers.watch(actor).error() == refusal::down);
}

TEST_CASE("link: watches are bounded at the sender, and a peer that exceeds the bound is refused",
          "[remote][link][watch]") {
    link_limits few;
    few.watches_max = 2;
    pair_of_nodes nodes(few);
    REQUIRE(nodes.a.peers.watch(1));
    const auto second = nodes.a.peers.watch(2);
    REQUIRE(second);
    CHECK(nodes.a.peers.watch(3).error() == refusal::too_many);
    nodes.a.peers.unwatch(*second);
    CHECK(nodes.a.peers.watch(3));
    exchange(nodes.a, nodes.b);
    CHECK_FALSE(nodes.b.failed);
    frame_writer frame(nodes.a.out, frame_type::data);
    frame.u64(5);
    frame.u8(static_cast<std::uint8_t>(data_kind::watch));
    frame.u64(1000);
    frame.u64(1);
    frame.end();
    nodes.b.feed(nodes.a.out);
    CHECK(nodes.b.failed == error::window_exceeded);
}

TEST_CASE("link: a watch that ends as its watcher gives it up takes no other one's place",
          "[remote][link][watch]") {
    link_limits few;
    few.watches_max = 2;
    pair_of_nodes nodes(few);
    const auto first = nodes.a.peers.watch(1);
    REQUIRE(nodes.a.peers.watch(2));
    exchange(nodes.a, nodes.b);
    // The end is not told yet when what gives the watch up arrives, and another one behind it.
    nodes.b.peers.tell_ended(*first, failure::actor_gone);
    nodes.a.peers.unwatch(*first);
    REQUIRE(nodes.a.peers.watch(3));
    nodes.a.flush();
    nodes.b.feed(std::exchange(nodes.a.out, {}));
    CHECK_FALSE(nodes.b.failed);
    exchange(nodes.a, nodes.b);
    CHECK(nodes.a.events.empty());
    // None is forgotten: two of them are open.
    CHECK(nodes.a.peers.watch(4).error() == refusal::too_many);
}

TEST_CASE("link: a peer that speaks version 1 cannot be watched", "[remote][link][watch]") {
    const golden_lines lines(1);
    wire_end a("a", 0x11);
    a.dial("b");
    a.feed(lines.bytes("welcome"));
    REQUIRE(a.peers.current() == link::state::up);
    CHECK(a.peers.watch(actor).error() == refusal::unsupported);
}
