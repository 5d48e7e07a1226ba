// The bytes of every frame, as committed.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "remote/golden.hpp"
#include "remote/wire.hpp"

using namespace heph::remote::protocol;
using namespace heph::remote::testing;

namespace {

constexpr std::uint64_t actor = 5;

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Node "a" dials node "b".
struct meeting_nodes {
    meeting_nodes() : a("a", 0x11), b("b", 0x22) {
        b.accept();
        a.dial("b");
        hello = std::exchange(a.out, {});
        b.feed(hello);
        welcome = std::exchange(b.out, {});
        a.feed(welcome);
        a.out.clear();
        b.out.clear();
    }
    // What node "a" says now, and nothing else.
    std::string said() {
        a.flush();
        return hex_of(std::exchange(a.out, {}));
    }
    wire_end a;
    wire_end b;
    std::vector<std::byte> hello;
    std::vector<std::byte> welcome;
};

// One frame: what makes node "a" say it, and what node "b" is told when it arrives.
struct one_frame {
    std::string name;
    std::function<void(meeting_nodes&)> say;
    std::function<void(meeting_nodes&, const event&)> arrives;
};

template <typename T>
const T& as(const event& told) {
    REQUIRE(std::holds_alternative<T>(told));
    return std::get<T>(told);
}

// Has "b" open a call or a search, which gets the number 1.
std::uint64_t asked_by_b(meeting_nodes& nodes, bool call) {
    const auto number = call ? nodes.b.peers.call(actor, 0, {}) : nodes.b.peers.find("x");
    nodes.b.flush();
    nodes.a.feed(std::exchange(nodes.b.out, {}));
    nodes.a.flush();  // The acknowledgement.
    nodes.b.feed(std::exchange(nodes.a.out, {}));
    return number.value();
}

std::vector<one_frame> messages() {
    return {
        {"data.message",
         [](auto& nodes) { REQUIRE(nodes.a.peers.send(actor, 77, 3, bytes_of_text("hello"))); },
         [](auto&, const event& told) {
             const auto& message = as<message_arrived>(told);
             CHECK(message.actor == actor);
             CHECK(message.token == 77);
             CHECK(message.type == 3);
             CHECK(text_of(message.payload) == "hello");
         }},
        {"data.call",
         [](auto& nodes) { REQUIRE(nodes.a.peers.call(actor, 2, bytes_of_text("ask"))); },
         [](auto&, const event& told) {
             const auto& call = as<call_arrived>(told);
             CHECK(call.actor == actor);
             CHECK(call.call == 1);
             CHECK(call.type == 2);
             CHECK(text_of(call.payload) == "ask");
         }},
        {"data.message_failed",
         [](auto& nodes) { nodes.a.peers.fail_message(9, failure::actor_gone); },
         [](auto&, const event& told) {
             const auto& failed = as<message_failed>(told);
             CHECK(failed.token == 9);
             CHECK(failed.why == failure::actor_gone);
         }},
        {"data.find", [](auto& nodes) { REQUIRE(nodes.a.peers.find("counter")); },
         [](auto&, const event& told) {
             const auto& search = as<find_arrived>(told);
             CHECK(search.request == 1);
             CHECK(search.name == "counter");
         }},
    };
}

std::vector<one_frame> answers() {
    return {
        {"data.reply",
         [](auto& nodes) {
             CHECK(nodes.a.peers.reply(asked_by_b(nodes, true), bytes_of_text("answer")));
         },
         [](auto&, const event& told) {
             const auto& reply = as<reply_arrived>(told);
             CHECK(reply.call == 1);
             CHECK(text_of(reply.payload) == "answer");
         }},
        {"data.call_failed",
         [](auto& nodes) { nodes.a.peers.fail_call(asked_by_b(nodes, true), failure::no_reply); },
         [](auto&, const event& told) {
             const auto& failed = as<call_failed>(told);
             CHECK(failed.call == 1);
             CHECK(failed.why == failure::no_reply);
         }},
        {"data.found",
         [](auto& nodes) {
             nodes.a.peers.answer_find(asked_by_b(nodes, false), actor, {"add@1", "string"});
         },
         [](auto&, const event& told) {
             const auto& answer = as<found>(told);
             CHECK(answer.request == 1);
             CHECK(answer.actor == actor);
             CHECK(answer.types == std::vector<std::string>{"add@1", "string"});
         }},
        {"data.find_failed",
         [](auto& nodes) {
             nodes.a.peers.fail_find(asked_by_b(nodes, false), failure::no_such_actor);
         },
         [](auto&, const event& told) {
             const auto& failed = as<find_failed>(told);
             CHECK(failed.request == 1);
             CHECK(failed.why == failure::no_such_actor);
         }},
        {"goodbye", [](auto& nodes) { nodes.a.peers.say_goodbye(error::shutting_down); },
         [](auto&, const event& told) {
             CHECK(as<goodbye_arrived>(told).why == error::shutting_down);
         }},
    };
}

void check_both_ways(const golden_lines& lines, const one_frame& frame) {
    INFO(frame.name);
    {
        meeting_nodes nodes;
        frame.say(nodes);
        CHECK(nodes.said() == lines.text(frame.name));
    }
    meeting_nodes nodes;
    frame.say(nodes);  // For what is open then; what is said is dropped.
    int told = 0;
    nodes.b.on_event = [&](const event& what) {
        ++told;
        frame.arrives(nodes, what);
    };
    nodes.b.feed(lines.bytes(frame.name));
    CHECK_FALSE(nodes.b.failed);
    CHECK(told == 1);
}

}  // namespace

TEST_CASE("golden: a hello, a welcome and a reject have the bytes that are committed, both ways",
          "[remote][golden]") {
    const golden_lines lines(version_max);
    meeting_nodes nodes;
    CHECK(hex_of(nodes.hello) == lines.text("hello"));
    CHECK(hex_of(nodes.welcome) == lines.text("welcome"));
    wire_end b("b", 0x22);
    b.accept();
    b.feed(lines.bytes("hello"));
    REQUIRE(b.meeting->current() == handshake::state::done);
    CHECK(b.meeting->result().peer == "a");
    wire_end a("a", 0x11);
    a.dial("b");
    a.feed(lines.bytes("welcome"));
    REQUIRE(a.meeting->current() == handshake::state::done);
    CHECK(a.meeting->result().incarnation == id128{0x22, 1});

    wire_end other("c", 0x33);
    other.accept();
    other.feed(lines.bytes("hello"));
    CHECK(hex_of(other.out) == lines.text("reject"));
    wire_end refused("a", 0x11);
    refused.dial("c");
    refused.feed(lines.bytes("reject"));
    CHECK(refused.failed == error::wrong_name);
    CHECK(refused.meeting->refused_by_peer());
}

TEST_CASE("golden: messages, calls and searches have the bytes that are committed, both ways",
          "[remote][golden]") {
    const golden_lines lines(version_max);
    for (const one_frame& each : messages()) { check_both_ways(lines, each); }
}

TEST_CASE("golden: answers, failures and goodbyes have the bytes that are committed, both ways",
          "[remote][golden]") {
    const golden_lines lines(version_max);
    for (const one_frame& each : answers()) { check_both_ways(lines, each); }
}

TEST_CASE("golden: cancels, credit, acknowledgements and pings have the bytes that are committed",
          "[remote][golden]") {
    const golden_lines lines(version_max);
    meeting_nodes nodes;
    const auto call = nodes.a.peers.call(actor, 0, bytes_of_text("abc"));
    REQUIRE(call);
    (void)nodes.said();
    nodes.a.peers.cancel(*call);
    CHECK(nodes.said() == lines.text("data.cancel"));
    meeting_nodes other;
    REQUIRE(other.b.peers.send(actor, 0, 0, bytes_of_text("12345")));
    other.b.flush();
    other.a.feed(std::exchange(other.b.out, {}));
    // The credit, and the acknowledgement of what it is for.
    other.a.out.clear();
    other.a.peers.grant(actor, 5);
    CHECK(other.said() == lines.text("data.credit"));
    other.a.peers.ping();
    CHECK(other.said() == lines.text("ping"));
    other.a.feed(lines.bytes("ping"));
    CHECK(hex_of(std::exchange(other.a.out, {})) == lines.text("pong"));

    // The other way: the cancel ends the call, the credit and the acknowledgement lift what they
    // are for.
    meeting_nodes reading;
    reading.b.feed(lines.bytes("data.call"));
    reading.b.events.clear();
    auto cancel = lines.bytes("data.cancel");
    REQUIRE(cancel.size() == 22);
    reading.b.feed(cancel);
    CHECK(take_event<call_cancelled>(reading.b).call == 1);
    CHECK(hex_of(std::exchange(reading.b.out, {})).ends_with(lines.text("ack")));
    reading.b.feed(lines.bytes("pong"));
    CHECK_FALSE(reading.b.failed);
    meeting_nodes credited;
    REQUIRE(credited.b.peers.send(actor, 0, 0, bytes_of_text("12345")));
    credited.b.flush();
    credited.b.feed(lines.bytes("data.credit"));
    CHECK_FALSE(credited.b.failed);
    // A second one gives back what is not under way.
    credited.b.feed(lines.bytes("data.credit"));
    CHECK_FALSE(credited.b.failed);  // It is a duplicate, by its number.
    CHECK(credited.b.peers.current() == link::state::up);
}
