// The bytes of every frame, as committed.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/remote/codec/codec.hpp>

#include "remote/golden.hpp"
#include "remote/wire.hpp"

using namespace heph::remote::protocol;
using namespace heph::remote::testing;

namespace {

constexpr std::uint64_t actor = 5;

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Node "a" dials node "b", one of which speaks no more than a version. Each end hears the committed
// hello or welcome of the other one.
struct meeting_nodes {
    explicit meeting_nodes(const golden_lines& lines) : a("a", 0x11), b("b", 0x22) {
        b.accept();
        a.dial("b");
        hello = std::exchange(a.out, {});
        b.feed(lines.bytes("hello"));
        welcome = std::exchange(b.out, {});
        a.feed(lines.bytes("welcome"));
        REQUIRE(a.peers.current() == link::state::up);
        REQUIRE(b.peers.current() == link::state::up);
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
        meeting_nodes nodes(lines);
        frame.say(nodes);
        CHECK(nodes.said() == lines.text(frame.name));
    }
    meeting_nodes nodes(lines);
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
    meeting_nodes nodes(lines);
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
    const golden_lines lines(GENERATE(1U, 2U));
    for (const one_frame& each : messages()) { check_both_ways(lines, each); }
}

TEST_CASE("golden: answers, failures and goodbyes have the bytes that are committed, both ways",
          "[remote][golden]") {
    const golden_lines lines(GENERATE(1U, 2U));
    for (const one_frame& each : answers()) { check_both_ways(lines, each); }
}

TEST_CASE("golden: cancels, credit, acknowledgements and pings have the bytes that are committed",
          "[remote][golden]") {
    const golden_lines lines(GENERATE(1U, 2U));
    meeting_nodes nodes(lines);
    const auto call = nodes.a.peers.call(actor, 0, bytes_of_text("abc"));
    REQUIRE(call);
    (void)nodes.said();
    nodes.a.peers.cancel(*call);
    CHECK(nodes.said() == lines.text("data.cancel"));
    meeting_nodes other(lines);
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
    meeting_nodes reading(lines);
    reading.b.feed(lines.bytes("data.call"));
    reading.b.events.clear();
    auto cancel = lines.bytes("data.cancel");
    REQUIRE(cancel.size() == 22);
    reading.b.feed(cancel);
    CHECK(take_event<call_cancelled>(reading.b).call == 1);
    CHECK(hex_of(std::exchange(reading.b.out, {})).ends_with(lines.text("ack")));
    reading.b.feed(lines.bytes("pong"));
    CHECK_FALSE(reading.b.failed);
    meeting_nodes credited(lines);
    REQUIRE(credited.b.peers.send(actor, 0, 0, bytes_of_text("12345")));
    credited.b.flush();
    credited.b.feed(lines.bytes("data.credit"));
    CHECK_FALSE(credited.b.failed);
    // A second one gives back what is not under way.
    credited.b.feed(lines.bytes("data.credit"));
    CHECK_FALSE(credited.b.failed);  // It is a duplicate, by its number.
    CHECK(credited.b.peers.current() == link::state::up);
}

TEST_CASE("golden: with a peer that speaks version 1, version 1 is spoken", "[remote][golden]") {
    const golden_lines lines(1);
    meeting_nodes nodes(lines);
    CHECK(nodes.a.peers.version() == 1);
    CHECK(nodes.b.peers.version() == 1);
    CHECK(nodes.a.peers.peer_limits().message_bytes_max == 1024 * 1024);
    // What version 2 would cut goes in one frame.
    const std::vector<std::byte> large(200'000);
    REQUIRE(nodes.a.peers.send(actor, 0, 0, large));
    nodes.a.flush();
    CHECK(nodes.a.out.size() == 4 + 28 + large.size());
    nodes.b.feed(std::exchange(nodes.a.out, {}));
    CHECK(take_event<message_arrived>(nodes.b).payload.size() == large.size());
    // A program of version 1 skips the members that version 2 added to the end.
    const auto said = heph::remote::decode<hello>(std::span(nodes.hello).subspan(4 + 1 + 8));
    REQUIRE(said);
    CHECK(said->version_min == 1);
}

TEST_CASE("golden: a peer whose versions are all newer is refused, and told which there are",
          "[remote][golden]") {
    hello said;
    said.version_min = 3;
    said.version_max = 7;
    said.name = "a";
    said.expected = "b";
    said.incarnation = {1, 1};
    said.fresh = {2, 2};
    std::vector<std::byte> bytes;
    frame_writer frame(bytes, frame_type::hello);
    frame.bytes(bytes_of_text("hephlink"));
    heph::remote::encode_to(frame.out(), said);
    frame.end();
    wire_end b("b", 0x22);
    b.accept();
    b.feed(bytes);
    CHECK(b.failed == error::version_mismatch);
    CHECK(hex_of(b.out) == "00 00 00 05 03 93 04 01 02");
}

namespace {

std::vector<one_frame> large_messages() {
    const auto pushed = [](data_kind kind) {
        return [kind](meeting_nodes& nodes) {
            const std::vector<std::byte> large(part_bytes + 1, std::byte{0x2a});
            if (kind == data_kind::message) { REQUIRE(nodes.a.peers.send(actor, 77, 3, large)); }
            if (kind == data_kind::call) { REQUIRE(nodes.a.peers.call(actor, 3, large)); }
            if (kind == data_kind::reply) {
                CHECK(nodes.a.peers.reply(asked_by_b(nodes, true), large));
            }
        };
    };
    return {{"data.parts_begin message", pushed(data_kind::message), {}},
            {"data.parts_begin call", pushed(data_kind::call), {}},
            {"data.parts_begin reply", pushed(data_kind::reply), {}}};
}

}  // namespace

TEST_CASE("golden: what is cut, and watches, have the bytes that are committed, both ways",
          "[remote][golden]") {
    const golden_lines lines(2);
    for (const one_frame& each : large_messages()) {
        INFO(each.name);
        meeting_nodes nodes(lines);
        each.say(nodes);
        nodes.a.flush();
        std::vector<std::byte> said = std::exchange(nodes.a.out, {});
        // The begin, a part of 32 KiB with number 2, one of a byte with number 3.
        const std::size_t begin_bytes = 4 + 10 + 8 + 4 + 1 + 8 + 8 + 2;
        const std::size_t part_head_bytes = 4 + 10 + 8;
        REQUIRE(said.size() == begin_bytes + 2 * part_head_bytes + part_bytes + 1);
        CHECK(hex_of(std::span(said).first(begin_bytes)) == lines.text(each.name));
        CHECK(hex_of(std::span(said).subspan(begin_bytes, part_head_bytes + 2)) ==
              lines.text("data.part first 24 bytes"));
        CHECK(hex_of(std::span(said).last(part_head_bytes + 1)) == lines.text("data.part last"));
        nodes.b.feed(said);
        REQUIRE(nodes.b.events.size() == 1);
    }
    meeting_nodes nodes(lines);
    REQUIRE(nodes.a.peers.watch(actor));
    CHECK(nodes.said() == lines.text("data.watch"));
    nodes.b.feed(lines.bytes("data.watch"));
    CHECK(take_event<watch_arrived>(nodes.b).actor == actor);
    nodes.b.out.clear();
    nodes.a.peers.unwatch(1);
    CHECK(nodes.said() == lines.text("data.unwatch"));
    nodes.b.peers.tell_ended(1, failure::actor_gone);
    nodes.b.flush();
    CHECK(hex_of(std::exchange(nodes.b.out, {})) == lines.text("data.ended"));
    nodes.b.feed(lines.bytes("data.unwatch"));
    CHECK_FALSE(nodes.b.failed);
}

TEST_CASE("golden: parts that end early have the bytes that are committed, both ways",
          "[remote][golden]") {
    const golden_lines lines(2);
    meeting_nodes nodes(lines);
    large_messages()[1].say(nodes);
    nodes.a.flush(part_bytes);  // It begins.
    nodes.a.out.clear();
    nodes.a.peers.cancel(1);
    CHECK(nodes.said() == lines.text("data.parts_end"));
    meeting_nodes reading(lines);
    reading.b.feed(lines.bytes("data.parts_begin call"));
    reading.b.feed(std::vector<std::byte>(lines.bytes("data.parts_end number 2")));
    CHECK_FALSE(reading.b.failed);
    CHECK(reading.b.events.empty());
    CHECK(reading.b.peers.assembling_bytes() == 0);
}
