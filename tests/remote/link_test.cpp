#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/remote/protocol/link.hpp>

#include "remote/hex.hpp"
#include "remote/wire.hpp"

using namespace heph::remote::protocol;
using namespace heph::remote::testing;

namespace {

constexpr std::uint64_t actor = 5;

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct pair_of_nodes {
    explicit pair_of_nodes(const link_limits& limits = {}, const session_limits& of_session = {})
        : a("a", 1, limits, of_session), b("b", 2, limits, of_session) {
        connect(a, b);
        REQUIRE(a.peers.current() == link::state::up);
        REQUIRE(b.peers.current() == link::state::up);
    }
    wire_end a;
    wire_end b;
};

}  // namespace

TEST_CASE("link: a message arrives with its actor, type and bytes", "[remote][link]") {
    pair_of_nodes nodes;
    std::string payload;
    nodes.b.on_event = [&](const event& told) {
        payload = text_of(std::get<message_arrived>(told).payload);
    };
    REQUIRE(nodes.a.peers.send(actor, 77, 3, bytes_of_text("hello")).has_value());
    exchange(nodes.a, nodes.b);
    const auto message = take_event<message_arrived>(nodes.b);
    CHECK(message.actor == actor);
    CHECK(message.token == 77);
    CHECK(message.type == 3);
    CHECK(payload == "hello");
    CHECK(nodes.a.peers.kept_bytes() == 0);
}

TEST_CASE("link: a call is answered, once", "[remote][link]") {
    pair_of_nodes nodes;
    const auto call = nodes.a.peers.call(actor, 0, bytes_of_text("question"));
    REQUIRE(call.has_value());
    exchange(nodes.a, nodes.b);
    const auto asked = take_event<call_arrived>(nodes.b);
    CHECK(asked.call == *call);
    CHECK(nodes.b.peers.reply(asked.call, bytes_of_text("answer")));
    CHECK_FALSE(nodes.b.peers.reply(asked.call, bytes_of_text("another")));
    exchange(nodes.a, nodes.b);
    CHECK(take_event<reply_arrived>(nodes.a).call == *call);
    CHECK(nodes.a.events.empty());
}

TEST_CASE("link: a failed call and a failed message are reported to their sender",
          "[remote][link]") {
    pair_of_nodes nodes;
    const auto call = nodes.a.peers.call(actor, 0, {});
    REQUIRE(nodes.a.peers.send(actor, 42, 0, {}).has_value());
    exchange(nodes.a, nodes.b);
    nodes.b.peers.fail_call(*call, failure::actor_gone);
    nodes.b.peers.fail_message(42, failure::bad_message);
    exchange(nodes.a, nodes.b);
    const auto first = take_event<call_failed>(nodes.a);
    CHECK(first.call == *call);
    CHECK(first.why == failure::actor_gone);
    const auto second = take_event<message_failed>(nodes.a);
    CHECK(second.token == 42);
    CHECK(second.why == failure::bad_message);
}

TEST_CASE("link: a failed message is reported once, also when the connection breaks behind it",
          "[remote][link]") {
    pair_of_nodes nodes;
    REQUIRE(nodes.a.peers.send(5, 77, 0, bytes_of_text("x")));
    nodes.a.flush();
    nodes.b.feed(std::exchange(nodes.a.out, {}));
    (void)take_event<message_arrived>(nodes.b);
    nodes.b.peers.fail_message(77, failure::actor_gone);
    nodes.b.flush();
    // Byte by byte, the connection breaks as soon as the report is there.
    for (const std::byte each : std::exchange(nodes.b.out, {})) {
        nodes.a.feed(std::span(&each, 1));
        if (!nodes.a.events.empty()) { break; }
    }
    CHECK(take_event<message_failed>(nodes.a).why == failure::actor_gone);
    nodes.a.cut();
    nodes.a.peers.lose(failure::node_down);
    nodes.a.collect_losses();
    CHECK(nodes.a.events.empty());
}

TEST_CASE("link: a cancelled call is told to the called, and its late answer is ignored",
          "[remote][link]") {
    pair_of_nodes nodes;
    const auto call = nodes.a.peers.call(actor, 0, {});
    exchange(nodes.a, nodes.b);
    CHECK(take_event<call_arrived>(nodes.b).call == *call);
    // The answer and the cancelling cross.
    CHECK(nodes.b.peers.reply(*call, {}));
    nodes.a.peers.cancel(*call);
    exchange(nodes.a, nodes.b);
    CHECK(nodes.a.events.empty());
    CHECK(nodes.b.events.empty());

    const auto other = nodes.a.peers.call(actor, 0, {});
    exchange(nodes.a, nodes.b);
    (void)take_event<call_arrived>(nodes.b);
    nodes.a.peers.cancel(*other);
    exchange(nodes.a, nodes.b);
    CHECK(take_event<call_cancelled>(nodes.b).call == *other);
    CHECK_FALSE(nodes.b.peers.reply(*other, {}));
}

TEST_CASE("link: a published actor is found with the types it takes", "[remote][link]") {
    pair_of_nodes nodes;
    const auto search = nodes.a.peers.find("counter");
    REQUIRE(search.has_value());
    exchange(nodes.a, nodes.b);
    const auto asked = take_event<find_arrived>(nodes.b);
    CHECK(asked.name == "counter");
    nodes.b.peers.answer_find(asked.request, actor, {"add@1", "total@1"});
    exchange(nodes.a, nodes.b);
    const auto answer = take_event<found>(nodes.a);
    CHECK(answer.request == *search);
    CHECK(answer.actor == actor);
    CHECK(answer.types == std::vector<std::string>{"add@1", "total@1"});

    const auto second = nodes.a.peers.find("other");
    exchange(nodes.a, nodes.b);
    nodes.b.peers.fail_find(take_event<find_arrived>(nodes.b).request, failure::no_such_actor);
    exchange(nodes.a, nodes.b);
    const auto nothing = take_event<find_failed>(nodes.a);
    CHECK(nothing.request == *second);
    CHECK(nothing.why == failure::no_such_actor);
}

TEST_CASE("link: a full inbox stops its senders and nobody else", "[remote][link]") {
    link_limits limits;
    limits.window_messages = 4;
    pair_of_nodes nodes(limits);
    for (int i = 0; i < 4; ++i) { REQUIRE(nodes.a.peers.send(actor, 0, 0, {}).has_value()); }
    CHECK(nodes.a.peers.send(actor, 0, 0, {}).error() == refusal::no_credit);
    CHECK(nodes.a.peers.call(actor, 0, {}).error() == refusal::no_credit);
    CHECK(nodes.a.peers.send(actor + 1, 0, 0, {}).has_value());
    exchange(nodes.a, nodes.b);
    nodes.b.events.clear();
    CHECK(nodes.a.events.empty());
    // Acknowledged, but not taken by the inbox.
    CHECK(nodes.a.peers.send(actor, 0, 0, {}).error() == refusal::no_credit);
    nodes.b.peers.grant(actor, 0);
    exchange(nodes.a, nodes.b);
    CHECK(take_event<credit_arrived>(nodes.a).actor == actor);
    CHECK(nodes.a.peers.send(actor, 0, 0, {}).has_value());
    CHECK(nodes.a.peers.send(actor, 0, 0, {}).error() == refusal::no_credit);
}

TEST_CASE("link: what can wait for company is not pressing: few acknowledgements, small grants",
          "[remote][link]") {
    link_limits limits;
    limits.window_messages = 8;
    pair_of_nodes nodes(limits);
    auto& b = nodes.b.peers;
    CHECK(nodes.a.peers.credit_left(actor) == 8);
    for (int i = 0; i < 3; ++i) { REQUIRE(nodes.a.peers.send(actor, 0, 0, {})); }
    CHECK(nodes.a.peers.credit_left(actor) == 5);
    CHECK(nodes.a.peers.is_pressing());
    nodes.a.flush();
    CHECK_FALSE(nodes.a.peers.is_pressing());
    // Taken without the writes that `feed` makes.
    frame_reader frames(1000);
    const auto three = std::exchange(nodes.a.out, {});
    frames.feed(three);
    for (int i = 0; i < 3; ++i) { REQUIRE(b.on_frame(**frames.next()).value()); }
    CHECK(b.has_output());
    CHECK_FALSE(b.is_pressing());
    b.grant(actor, 0);
    CHECK_FALSE(b.is_pressing());
    b.grant(actor, 0);  // A quarter of the window.
    CHECK(b.is_pressing());
    exchange(nodes.a, nodes.b);
    CHECK(nodes.a.peers.credit_left(actor) == 7);
    CHECK_FALSE(b.is_pressing());
    // An acknowledgement that is held back is asked for.
    REQUIRE(nodes.a.peers.send(actor, 0, 0, {}));
    nodes.a.peers.ping();
    nodes.a.flush();
    const auto more = std::exchange(nodes.a.out, {});
    frames.feed(more);
    while (const auto frame = frames.next().value()) { (void)b.on_frame(*frame).value(); }
    CHECK(b.is_pressing());
    nodes.b.flush();
    nodes.a.feed(std::exchange(nodes.b.out, {}));
    CHECK(nodes.a.peers.kept_bytes() == 0);
}

TEST_CASE("link: the window counts bytes, and one message always goes in", "[remote][link]") {
    link_limits limits;
    limits.window_bytes = 10;
    pair_of_nodes nodes(limits);
    REQUIRE(nodes.a.peers.send(actor, 0, 0, bytes_of_text("more than ten bytes")).has_value());
    CHECK(nodes.a.peers.send(actor, 0, 0, bytes_of_text("x")).error() == refusal::no_credit);
    exchange(nodes.a, nodes.b);
    REQUIRE_FALSE(nodes.b.failed);
    nodes.b.peers.grant(actor, 19);
    exchange(nodes.a, nodes.b);
    REQUIRE(nodes.a.peers.send(actor, 0, 0, bytes_of_text("12345")).has_value());
    REQUIRE(nodes.a.peers.send(actor, 0, 0, bytes_of_text("12345")).has_value());
    CHECK(nodes.a.peers.send(actor, 0, 0, bytes_of_text("1")).error() == refusal::no_credit);
}

TEST_CASE("link: grants that are held back never stop a sender", "[remote][link]") {
    link_limits limits;
    limits.window_messages = 10;
    limits.window_bytes = 100;
    limits.message_bytes_max = 25;
    pair_of_nodes nodes(limits);
    std::size_t sent = 0;
    for (int round = 0; round < 1000; ++round) {
        const std::vector<std::byte> payload(static_cast<std::size_t>(round) % 26);
        if (nodes.a.peers.send(actor, 0, 0, payload)) { ++sent; }
        exchange(nodes.a, nodes.b);
        while (!nodes.b.events.empty()) {
            nodes.b.peers.grant(actor, take_event<message_arrived>(nodes.b).payload.size());
        }
        exchange(nodes.a, nodes.b);
    }
    CHECK(sent == 1000);
    CHECK_FALSE(nodes.a.failed);
    CHECK_FALSE(nodes.b.failed);
}

TEST_CASE("link: a message larger than the peer takes is refused at the sender", "[remote][link]") {
    link_limits limits;
    limits.message_bytes_max = 8;
    pair_of_nodes nodes(limits);
    CHECK(nodes.a.peers.send(actor, 0, 0, bytes_of_text("12345678")).has_value());
    CHECK(nodes.a.peers.send(actor, 0, 0, bytes_of_text("123456789")).error() ==
          refusal::too_large);
    const auto call = nodes.a.peers.call(actor, 0, {});
    exchange(nodes.a, nodes.b);
    CHECK_FALSE(nodes.b.peers.reply(*call, bytes_of_text("123456789")));
    exchange(nodes.a, nodes.b);
    CHECK(take_event<call_failed>(nodes.a).why == failure::too_large);
}

TEST_CASE("link: a peer that sends beyond its window is refused", "[remote][link]") {
    link_limits generous;
    link_limits strict;
    strict.window_messages = 2;
    wire_end a("a", 1, generous);
    wire_end b("b", 2, strict);
    connect(a, b);
    // Sent as if the peer had announced more than it did.
    for (int i = 0; i < 2; ++i) { REQUIRE(a.peers.send(actor, 0, 0, {}).has_value()); }
    exchange(a, b);
    CHECK_FALSE(b.failed);
    frame_writer frame(a.out, frame_type::data);
    frame.u64(3);
    frame.u8(static_cast<std::uint8_t>(data_kind::message));
    frame.u64(actor);
    frame.u64(0);
    frame.u16(0);
    frame.end();
    b.feed(a.out);
    CHECK(b.failed == error::window_exceeded);
}

TEST_CASE("link: an unknown kind of data and an unknown frame are passed over", "[remote][link]") {
    pair_of_nodes nodes;
    frame_writer data(nodes.a.out, frame_type::data);
    data.u64(1);
    data.u8(200);
    data.u64(1);
    data.end();
    frame_writer unknown(nodes.a.out, static_cast<frame_type>(0x7f));
    unknown.u64(1);
    unknown.end();
    nodes.b.feed(nodes.a.out);
    CHECK_FALSE(nodes.b.failed);
    CHECK(nodes.b.events.empty());
    CHECK(nodes.b.peers.current() == link::state::up);
}

TEST_CASE("link: a ping is answered", "[remote][link]") {
    pair_of_nodes nodes;
    nodes.a.peers.ping();
    CHECK(nodes.a.peers.has_output());
    nodes.a.flush();
    nodes.b.feed(std::exchange(nodes.a.out, {}));
    CHECK(nodes.b.out == bytes_of("00 00 00 01 13"));
}

TEST_CASE("link: a goodbye arrives behind what was said before it", "[remote][link]") {
    pair_of_nodes nodes;
    REQUIRE(nodes.a.peers.send(actor, 0, 0, {}).has_value());
    nodes.a.peers.say_goodbye(error::shutting_down);
    exchange(nodes.a, nodes.b);
    (void)take_event<message_arrived>(nodes.b);
    CHECK(take_event<goodbye_arrived>(nodes.b).why == error::shutting_down);
}

TEST_CASE("link: when the session is lost everything that was open fails", "[remote][link]") {
    pair_of_nodes nodes;
    const auto from_b = nodes.b.peers.call(actor, 0, {});
    exchange(nodes.a, nodes.b);
    (void)take_event<call_arrived>(nodes.a);
    const auto call = nodes.a.peers.call(actor, 0, {});
    const auto search = nodes.a.peers.find("x");
    REQUIRE(nodes.a.peers.send(actor, 8, 0, {}).has_value());
    REQUIRE(nodes.a.peers.send(actor, 9, 0, {}).has_value());
    nodes.a.cut();
    CHECK(nodes.a.peers.current() == link::state::away);
    nodes.a.peers.lose(failure::node_down);
    nodes.a.collect_losses();
    CHECK(nodes.a.peers.current() == link::state::down);
    CHECK(take_event<message_failed>(nodes.a).token == 8);
    CHECK(take_event<message_failed>(nodes.a).token == 9);
    CHECK(take_event<call_failed>(nodes.a).call == *call);
    CHECK(take_event<find_failed>(nodes.a).request == *search);
    CHECK(take_event<call_cancelled>(nodes.a).call == *from_b);
    CHECK(nodes.a.events.empty());
    CHECK(nodes.a.peers.send(actor, 0, 0, {}).error() == refusal::down);
    CHECK(nodes.a.peers.call(actor, 0, {}).error() == refusal::down);
    CHECK(nodes.a.peers.find("x").error() == refusal::down);
}

TEST_CASE("link: a peer with a new incarnation gets nothing that was meant for the old one",
          "[remote][link]") {
    pair_of_nodes nodes;
    exchange(nodes.a, nodes.b);
    nodes.a.cut();
    REQUIRE(nodes.a.peers.send(actor, 8, 0, {}).has_value());
    wire_end restarted("b", 3);
    connect(nodes.a, restarted);
    CHECK(take_event<message_failed>(nodes.a).token == 8);
    CHECK(restarted.events.empty());
    REQUIRE(nodes.a.peers.send(actor, 0, 0, {}).has_value());
    exchange(nodes.a, restarted);
    (void)take_event<message_arrived>(restarted);
}

TEST_CASE("link: a session that one end gave up begins anew at both", "[remote][link]") {
    pair_of_nodes nodes;
    nodes.a.cut();
    nodes.b.cut();
    REQUIRE(nodes.a.peers.send(actor, 8, 0, {}).has_value());
    nodes.b.peers.lose(failure::node_down);
    SECTION("when the one that kept it dials") { connect(nodes.a, nodes.b); }
    SECTION("when the one that gave it up dials") { connect(nodes.b, nodes.a); }
    REQUIRE(nodes.a.peers.current() == link::state::up);
    REQUIRE(nodes.b.peers.current() == link::state::up);
    CHECK(take_event<message_failed>(nodes.a).token == 8);
    CHECK(nodes.b.events.empty());
    REQUIRE(nodes.a.peers.send(actor, 0, 0, {}).has_value());
    REQUIRE(nodes.b.peers.send(actor, 0, 0, {}).has_value());
    exchange(nodes.a, nodes.b);
    (void)take_event<message_arrived>(nodes.b);
    (void)take_event<message_arrived>(nodes.a);
}

TEST_CASE("link: a welcome that gets lost costs nothing", "[remote][link]") {
    wire_end a("a", 1);
    wire_end b("b", 2);
    b.accept();
    a.dial("b");
    b.feed(std::exchange(a.out, {}));
    REQUIRE(b.peers.current() == link::state::up);
    REQUIRE(b.peers.send(actor, 8, 0, {}).has_value());
    a.cut();
    b.cut();
    connect(a, b);
    CHECK(b.events.empty());
    (void)take_event<message_arrived>(a);
}

TEST_CASE("link: replayed frames are dropped", "[remote][link]") {
    pair_of_nodes nodes;
    REQUIRE(nodes.a.peers.send(actor, 0, 0, {}).has_value());
    REQUIRE(nodes.a.peers.call(actor, 0, {}).has_value());
    nodes.a.flush();
    const auto recorded = nodes.a.out;
    exchange(nodes.a, nodes.b);
    CHECK(nodes.b.events.size() == 2);
    nodes.b.feed(recorded);
    nodes.b.feed(recorded);
    CHECK_FALSE(nodes.b.failed);
    CHECK(nodes.b.events.size() == 2);
}
