// Large payloads over a link: what passes them, what stays behind them, and what ends them.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "remote/wire.hpp"

using namespace heph::remote::protocol;
using namespace heph::remote::testing;

namespace {

constexpr std::uint64_t actor = 5;
constexpr std::uint64_t other_actor = 6;

std::vector<std::byte> large_of(std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) { bytes[i] = static_cast<std::byte>(i * 31 / 7); }
    return bytes;
}

struct pair_of_nodes {
    explicit pair_of_nodes(const link_limits& limits = {}, const session_limits& of_session = {})
        : a("a", 1, limits, of_session), b("b", 2, limits, of_session) {
        connect(a, b);
        b.on_event = [this](const event& told) {
            if (const auto* message = std::get_if<message_arrived>(&told)) {
                arrived.emplace_back(message->actor, message->payload.size());
                last.assign(message->payload.begin(), message->payload.end());
            }
        };
    }
    wire_end a;
    wire_end b;
    std::vector<std::pair<std::uint64_t, std::size_t>> arrived;
    std::vector<std::byte> last;
};

// The kinds of the data frames in a stream of bytes, and to which actor or payload they belong.
std::vector<std::string> frames_of(std::span<const std::byte> bytes) {
    std::vector<std::string> names;
    frame_reader reader(1024 * 1024);
    reader.feed(bytes);
    for (auto next = reader.next(); next && *next; next = reader.next()) {
        field_reader fields((*next)->subspan(1));
        if (static_cast<frame_type>((*next)->front()) != frame_type::data) { continue; }
        (void)fields.u64();
        const auto kind = static_cast<data_kind>(fields.u8());
        const std::string of = std::to_string(fields.u64());
        if (kind == data_kind::message) { names.push_back("message " + of); }
        if (kind == data_kind::parts_begin) { names.push_back("begin " + of); }
        if (kind == data_kind::part) { names.push_back("part " + of); }
        if (kind == data_kind::parts_end) { names.push_back("end " + of); }
    }
    return names;
}

}  // namespace

TEST_CASE("link: a message of 64 MiB arrives whole, and a byte more is refused at the sender",
          "[remote][link][large]") {
    pair_of_nodes nodes;
    const auto large = large_of(64 * 1024 * 1024);
    REQUIRE(nodes.a.peers.send(actor, 0, 0, large));
    CHECK(nodes.a.peers.send(actor, 0, 0, large_of(large.size() + 1)).error() ==
          refusal::too_large);
    exchange(nodes.a, nodes.b);
    REQUIRE_FALSE(nodes.b.failed);
    REQUIRE(nodes.arrived.size() == 1);
    CHECK(nodes.last == large);
    CHECK(nodes.a.peers.kept_bytes() == 0);
    CHECK(nodes.b.peers.assembling_bytes() == 0);
}

TEST_CASE(
    "link: a large message is whole however its parts are cut, and the connection between them",
    "[remote][link][large]") {
    std::mt19937 random(21);
    pair_of_nodes nodes;
    std::size_t cuts = 0;
    std::vector<std::byte> sent;
    for (std::size_t round = 1; round <= 20; ++round) {
        sent = large_of((1 + random() % 8) * part_bytes + 1 + random() % 1000);
        REQUIRE(nodes.a.peers.send(actor, 0, 0, sent));
        while (nodes.arrived.size() < round) {
            nodes.a.flush();
            const auto bytes = std::exchange(nodes.a.out, {});
            const bool breaks = random() % 3 == 0;
            const std::size_t end = breaks ? random() % (bytes.size() + 1) : bytes.size();
            for (std::size_t at = 0; at < end;) {
                const std::size_t some = std::min<std::size_t>(random() % 20'000, end - at);
                nodes.b.feed(std::span(bytes).subspan(at, some));
                at += some;
            }
            REQUIRE_FALSE(nodes.b.failed);
            if (breaks) {
                ++cuts;
                nodes.a.cut();
                nodes.b.cut();
                connect(nodes.a, nodes.b);
            }
            exchange(nodes.a, nodes.b);
        }
        CHECK(nodes.last == sent);
    }
    CHECK(cuts > 5);
    CHECK(nodes.a.peers.kept_bytes() == 0);
}

TEST_CASE("link: small messages to others go between the parts of large ones",
          "[remote][link][large]") {
    pair_of_nodes nodes;
    REQUIRE(nodes.a.peers.send(actor, 0, 0, large_of(4 * part_bytes)));
    REQUIRE(nodes.a.peers.send(other_actor, 0, 0, large_of(2 * part_bytes)));
    std::vector<std::byte> all;
    for (int i = 0; i < 5; ++i) {
        // Whatever is small is ahead of what is large and not written yet.
        REQUIRE(nodes.a.peers.send(100 + static_cast<std::uint64_t>(i), 0, 0, {}));
        nodes.a.flush(100);
        all.insert(all.end(), nodes.a.out.begin(), nodes.a.out.end());
        nodes.b.feed(std::exchange(nodes.a.out, {}));
    }
    nodes.a.flush(1'000'000);
    all.insert(all.end(), nodes.a.out.begin(), nodes.a.out.end());
    CHECK(frames_of(all) == std::vector<std::string>{"message 100", "begin 1", "part 1",
                                                     "message 101", "begin 2", "part 2",
                                                     "message 102", "part 1", "message 103",
                                                     "part 2", "message 104", "part 1", "part 1"});
}

TEST_CASE("link: a small message is never behind more than what one write takes of a large one",
          "[remote][link][large]") {
    pair_of_nodes nodes;
    REQUIRE(nodes.a.peers.send(actor, 0, 0, large_of(16 * 1024 * 1024)));
    constexpr std::size_t write_bytes = 64 * 1024;
    std::uint64_t asked = 0;
    while (nodes.arrived.empty() || nodes.arrived.back().second < 1024) {
        nodes.a.flush(write_bytes);
        CHECK(nodes.a.out.size() <= write_bytes + part_bytes + 100);
        // It is sent now, and has to be in the next write.
        REQUIRE(nodes.a.peers.send(other_actor, 0, 0, bytes_of_text("now")));
        nodes.b.feed(std::exchange(nodes.a.out, {}));
        const bool whole = !nodes.arrived.empty() && nodes.arrived.back().second > 1024;
        nodes.a.flush(write_bytes);
        nodes.b.feed(std::exchange(nodes.a.out, {}));
        ++asked;
        const auto small = std::ranges::count_if(
            nodes.arrived, [](const auto& each) { return each.first == other_actor; });
        REQUIRE(static_cast<std::uint64_t>(small) == asked);
        if (whole) { break; }
        nodes.b.peers.grant(other_actor, 3);
        nodes.b.flush();
        nodes.a.feed(std::exchange(nodes.b.out, {}));
        nodes.b.feed(std::exchange(nodes.a.out, {}));
        REQUIRE(asked < 1000);
    }
    CHECK(asked > 50);
}

TEST_CASE("link: what is sent to the same actor stays behind a large message",
          "[remote][link][large]") {
    pair_of_nodes nodes;
    REQUIRE(nodes.a.peers.send(actor, 0, 0, bytes_of_text("first")));
    REQUIRE(nodes.a.peers.send(actor, 0, 0, large_of(10 * part_bytes)));
    CHECK(nodes.a.peers.send(actor, 0, 0, bytes_of_text("third")).error() == refusal::no_credit);
    CHECK(nodes.a.peers.call(actor, 0, {}).error() == refusal::no_credit);
    exchange(nodes.a, nodes.b);
    CHECK(take_event<credit_arrived>(nodes.a).actor == actor);
    REQUIRE(nodes.a.peers.send(actor, 0, 0, bytes_of_text("third")));
    exchange(nodes.a, nodes.b);
    using sizes = std::vector<std::pair<std::uint64_t, std::size_t>>;
    CHECK(nodes.arrived == sizes{{actor, 5}, {actor, 10 * part_bytes}, {actor, 5}});
}

TEST_CASE("link: large calls and large replies arrive, by turns", "[remote][link][large]") {
    pair_of_nodes nodes;
    const auto question = large_of(5 * part_bytes + 1);
    const auto answer = large_of(7 * part_bytes + 2);
    std::vector<std::byte> heard;
    nodes.b.on_event = [&](const event& told) {
        const auto& call = std::get<call_arrived>(told);
        CHECK(std::ranges::equal(call.payload, question));
    };
    nodes.a.on_event = [&](const event& told) {
        const auto* reply = std::get_if<reply_arrived>(&told);
        if (reply != nullptr) { heard.assign(reply->payload.begin(), reply->payload.end()); }
    };
    const auto one = nodes.a.peers.call(actor, 0, question);
    const auto two = nodes.a.peers.call(other_actor, 0, question);
    REQUIRE(one);
    REQUIRE(two);
    exchange(nodes.a, nodes.b);
    REQUIRE(nodes.b.events.size() == 2);
    CHECK(nodes.b.peers.reply(*one, answer));
    CHECK(nodes.b.peers.reply(*two, bytes_of_text("small")));
    nodes.b.flush(100);
    nodes.a.feed(std::exchange(nodes.b.out, {}));
    CHECK(take_event<reply_arrived>(nodes.a).call == *two);  // It passed the large one.
    nodes.a.out.clear();
    exchange(nodes.a, nodes.b);
    CHECK(take_event<reply_arrived>(nodes.a).call == *one);
    CHECK(heard == answer);
}

TEST_CASE("link: a call that is cancelled while it is sent leaves nothing behind",
          "[remote][link][large]") {
    pair_of_nodes nodes;
    const auto call = nodes.a.peers.call(actor, 0, large_of(10 * part_bytes));
    const auto later = nodes.a.peers.call(other_actor, 0, large_of(10 * part_bytes));
    REQUIRE(call);
    REQUIRE(later);
    nodes.a.flush(part_bytes);
    nodes.b.feed(std::exchange(nodes.a.out, {}));
    CHECK(nodes.b.peers.assembling_bytes() > 0);
    nodes.a.peers.cancel(*later);  // It did not begin.
    nodes.a.peers.cancel(*call);
    exchange(nodes.a, nodes.b);
    CHECK(nodes.b.peers.assembling_bytes() == 0);
    CHECK(nodes.b.events.empty());
    CHECK_FALSE(nodes.b.failed);
    // The whole window is there again, at both ends.
    for (int i = 0; i < 256; ++i) {
        REQUIRE(nodes.a.peers.send(actor, 0, 0, {}));
        REQUIRE(nodes.a.peers.send(other_actor, 0, 0, {}));
    }
    exchange(nodes.a, nodes.b);
    CHECK_FALSE(nodes.b.failed);
}

TEST_CASE("link: a reply that nobody waits for any more stops half-way", "[remote][link][large]") {
    pair_of_nodes nodes;
    const auto call = nodes.a.peers.call(actor, 0, {});
    exchange(nodes.a, nodes.b);
    CHECK(nodes.b.peers.reply(*call, large_of(100 * part_bytes)));
    nodes.b.flush(1);
    nodes.a.feed(std::exchange(nodes.b.out, {}));
    nodes.a.peers.cancel(*call);
    nodes.a.flush();
    nodes.b.feed(std::exchange(nodes.a.out, {}));
    std::size_t bytes = nodes.b.out.size();
    nodes.a.feed(std::exchange(nodes.b.out, {}));
    for (nodes.b.flush(); !nodes.b.out.empty(); nodes.b.flush()) {
        bytes += nodes.b.out.size();
        nodes.a.feed(std::exchange(nodes.b.out, {}));
        nodes.a.out.clear();
    }
    CHECK(bytes < 4 * part_bytes);
    CHECK(nodes.a.peers.assembling_bytes() == 0);
    CHECK(nodes.a.events.empty());
}

TEST_CASE("link: large messages go on where they were when the connection was cut",
          "[remote][link][large]") {
    std::mt19937 random(7);
    session_limits limits;
    limits.bytes_max = 512 * 1024;
    pair_of_nodes nodes({}, limits);
    const auto large = large_of(3'000'000);
    REQUIRE(nodes.a.peers.send(actor, 0, 0, large));
    int cuts = 0;
    while (nodes.arrived.empty()) {
        REQUIRE(++cuts < 1000);
        nodes.a.flush();
        const auto size = random() % (nodes.a.out.size() + 1);
        nodes.b.feed(std::vector<std::byte>(
            nodes.a.out.begin(), nodes.a.out.begin() + static_cast<std::ptrdiff_t>(size)));
        nodes.a.cut();
        nodes.b.cut();
        connect(nodes.a, nodes.b);
        REQUIRE_FALSE(nodes.a.failed);
        REQUIRE_FALSE(nodes.b.failed);
        nodes.a.out.clear();
        nodes.b.out.clear();
        if (cuts % 2 == 0) { nodes.a.cut(), nodes.b.cut(), connect(nodes.a, nodes.b); }
    }
    CHECK(nodes.last == large);
    CHECK(nodes.arrived.size() == 1);
}

TEST_CASE("link: a large message that is not sent to its end is reported when the session is lost",
          "[remote][link][large]") {
    pair_of_nodes nodes;
    REQUIRE(nodes.a.peers.send(actor, 7, 0, large_of(10 * part_bytes)));
    REQUIRE(nodes.a.peers.send(other_actor, 8, 0, large_of(10 * part_bytes)));
    nodes.a.flush(part_bytes);
    nodes.b.feed(std::exchange(nodes.a.out, {}));
    CHECK(nodes.b.peers.assembling_bytes() > 0);
    nodes.a.cut();
    nodes.b.cut();
    nodes.a.peers.lose(failure::node_down);
    nodes.b.peers.lose(failure::node_down);
    nodes.a.collect_losses();
    CHECK(take_event<message_failed>(nodes.a).token == 7);
    CHECK(take_event<message_failed>(nodes.a).token == 8);
    CHECK(nodes.a.events.empty());
    CHECK(nodes.b.peers.assembling_bytes() == 0);
}

TEST_CASE("link: too much that is large waits at the sender, and goes on when there is room",
          "[remote][link][large]") {
    session_limits limits;
    limits.bytes_max = 256 * 1024;
    link_limits narrow;
    narrow.parts_bytes_max = 256 * 1024;
    pair_of_nodes nodes(narrow, limits);
    std::uint64_t sent = 0;
    while (nodes.a.peers.send(sent, 0, 0, large_of(100 * 1024))) { REQUIRE(++sent < 100); }
    CHECK(sent == 3);
    CHECK(nodes.a.peers.send(99, 0, 0, large_of(100 * 1024)).error() == refusal::no_room);
    REQUIRE(nodes.a.peers.send(99, 0, 0, bytes_of_text("small")));
    exchange(nodes.a, nodes.b);
    CHECK(nodes.arrived.size() == 4);
    CHECK(nodes.arrived.front().first == 99);
    (void)take_event<room_arrived>(nodes.a);
    CHECK(nodes.a.peers.send(99, 0, 0, large_of(100 * 1024)));
}

TEST_CASE("link: a peer that sends parts beyond what it may is refused", "[remote][link][large]") {
    link_limits strict;
    strict.message_bytes_max = 1024 * 1024;
    strict.window_messages = 1;
    strict.parts_bytes_max = 1024 * 1024;
    wire_end a("a", 1);
    wire_end b("b", 2, strict);
    connect(a, b);
    std::uint64_t sequence = 1;
    const auto begin = [&](std::uint64_t stream, std::uint64_t to, std::uint32_t bytes) {
        std::vector<std::byte> out;
        frame_writer frame(out, frame_type::data);
        frame.u64(sequence++);
        frame.u8(static_cast<std::uint8_t>(data_kind::parts_begin));
        frame.u64(stream);
        frame.u32(bytes);
        frame.u8(static_cast<std::uint8_t>(data_kind::message));
        frame.u64(to);
        frame.u64(0);
        frame.u16(0);
        frame.end();
        b.feed(out);
    };
    SECTION("larger than the largest message") {
        begin(1, actor, 1024 * 1024 + 1);
        CHECK(b.failed == error::frame_too_large);
    }
    SECTION("more at once than is assembled") {
        begin(1, actor, 600 * 1024);
        CHECK_FALSE(b.failed);
        begin(2, other_actor, 600 * 1024);
        CHECK(b.failed == error::window_exceeded);
    }
    SECTION("more messages to an actor than its window") {
        begin(1, actor, 100 * 1024);
        CHECK_FALSE(b.failed);
        begin(2, actor, 100 * 1024);
        CHECK(b.failed == error::window_exceeded);
    }
}
