#include <optional>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/remote/codec/codec.hpp>
#include <heph/remote/protocol/frame.hpp>
#include <heph/remote/protocol/handshake.hpp>

#include "remote/hex.hpp"

using namespace heph::remote::protocol;
using heph::remote::encode_to;
using heph::remote::testing::bytes_of;
using heph::remote::testing::hex_of;

namespace {

identity node(std::string name) { return {std::move(name), {1, 2}, {}}; }

session_offer new_session() { return {{}, {9, 9}, 0, 0}; }

handshake dialing() { return handshake::dial(node("a"), "b", new_session()); }

std::vector<std::byte> output_of(handshake& from) {
    std::vector<std::byte> out;
    from.take_output(out);
    return out;
}

// Gives each frame in `bytes` to `to`.
void feed(handshake& to, const std::vector<std::byte>& bytes) {
    frame_reader frames(handshake_frame_bytes_max);
    frames.feed(bytes);
    while (to.current() != handshake::state::failed) {
        const auto frame = frames.next();
        if (!frame) { return to.on_bad_frame(frame.error()); }
        if (!*frame) { return; }
        to.on_frame(**frame);
    }
}

hello good_hello() {
    hello said;
    said.version_min = version_min;
    said.version_max = version_max;
    said.name = "a";
    said.expected = "b";
    said.incarnation = {1, 2};
    said.fresh = {9, 9};
    return said;
}

std::vector<std::byte> frame_of(const hello& said) {
    std::vector<std::byte> out;
    frame_writer frame(out, frame_type::hello);
    frame.bytes(std::as_bytes(std::span("hephlink", 8)));
    encode_to(frame.out(), said);
    frame.end();
    return out;
}

error refusal_of(const hello& said) {
    auto accepting = handshake::accept_from(node("b"));
    feed(accepting, frame_of(said));
    REQUIRE(accepting.current() == handshake::state::failed);
    // The peer is told, and understands.
    auto peer = dialing();
    feed(peer, output_of(accepting));
    REQUIRE(peer.current() == handshake::state::failed);
    CHECK(peer.refused_by_peer());
    CHECK(peer.failure() == accepting.failure());
    return accepting.failure();
}

}  // namespace

TEST_CASE("handshake: two nodes agree on names, session and limits", "[remote][handshake]") {
    auto a = dialing();
    auto b = handshake::accept_from(node("b"));
    feed(b, output_of(a));
    REQUIRE(b.current() == handshake::state::deciding);
    CHECK(b.heard().name == "a");
    b.accept(b.heard().fresh, 0);
    feed(a, output_of(b));
    REQUIRE(a.current() == handshake::state::done);
    REQUIRE(b.current() == handshake::state::done);
    CHECK(a.result().peer == "b");
    CHECK(b.result().peer == "a");
    CHECK(a.result().session == id128{9, 9});
    CHECK(b.result().session == id128{9, 9});
    CHECK(a.result().dialed);
    CHECK_FALSE(b.result().dialed);
    CHECK(a.result().peer_limits.window_messages == 256);
}

TEST_CASE("handshake: a session that both have goes on where each one is", "[remote][handshake]") {
    auto a = handshake::dial(node("a"), "b", {{5, 5}, {9, 9}, 17, 1});
    auto b = handshake::accept_from(node("b"));
    feed(b, output_of(a));
    b.accept({5, 5}, 23);
    feed(a, output_of(b));
    REQUIRE(a.current() == handshake::state::done);
    CHECK(a.result().session == id128{5, 5});
    CHECK(a.result().peer_received == 23);
    CHECK(b.result().peer_received == 17);
}

TEST_CASE("handshake: each kind of unfit hello is refused with its reason", "[remote][handshake]") {
    hello said = good_hello();
    said.version_min = version_max + 1;
    said.version_max = version_max + 5;
    CHECK(refusal_of(said) == error::version_mismatch);

    said = good_hello();
    said.version_min = 0;
    said.version_max = 0;
    CHECK(refusal_of(said) == error::version_mismatch);

    said = good_hello();
    said.expected = "c";
    CHECK(refusal_of(said) == error::wrong_name);

    said = good_hello();
    said.name = "b";
    CHECK(refusal_of(said) == error::own_name);

    said = good_hello();
    said.name = "";
    CHECK(refusal_of(said) == error::malformed);
    said.name = std::string(name_bytes_max + 1, 'a');
    CHECK(refusal_of(said) == error::malformed);
    said.name = "a\nforged log line";
    CHECK(refusal_of(said) == error::malformed);

    said = good_hello();
    said.incarnation = {};
    CHECK(refusal_of(said) == error::malformed);

    said = good_hello();
    said.limits.window_messages = 0;
    CHECK(refusal_of(said) == error::malformed);
}

TEST_CASE("handshake: a newer peer that still speaks our version is taken", "[remote][handshake]") {
    hello said = good_hello();
    said.version_max = version_max + 5;
    auto b = handshake::accept_from(node("b"));
    feed(b, frame_of(said));
    CHECK(b.current() == handshake::state::deciding);
}

TEST_CASE("handshake: what is not the protocol is garbage", "[remote][handshake]") {
    for (const char* text : {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02", "\0\0\0\0"}) {
        auto b = handshake::accept_from(node("b"));
        const auto bytes = std::as_bytes(std::span(text, 4));
        feed(b, {bytes.begin(), bytes.end()});
        REQUIRE(b.current() == handshake::state::failed);
    }
    auto b = handshake::accept_from(node("b"));
    feed(b, bytes_of("00 00 00 0a 01 68 65 70 68 6c 69 6e 6c 90"));
    CHECK(b.failure() == error::garbage);
}

TEST_CASE("handshake: a frame larger than a hello can be is refused before it is there",
          "[remote][handshake]") {
    auto b = handshake::accept_from(node("b"));
    feed(b, bytes_of("00 00 10 00 01"));
    REQUIRE(b.current() == handshake::state::failed);
    CHECK(b.failure() == error::frame_too_large);
}

TEST_CASE("handshake: the dialing end refuses an answer from someone else", "[remote][handshake]") {
    auto a = handshake::dial(node("a"), "c", new_session());
    feed(a, bytes_of("00 00 00 1a 02 96 01 a1 62 92 01 02 92 09 09 00 "
                     "93 ce 00 10 00 00 cd 01 00 ce 00 40 00 00"));
    REQUIRE(a.current() == handshake::state::failed);
    CHECK(a.failure() == error::wrong_name);
}

TEST_CASE("handshake: the dialing end refuses a session that it did not offer",
          "[remote][handshake]") {
    auto a = dialing();
    feed(a, bytes_of("00 00 00 1a 02 96 01 a1 62 92 01 02 92 09 08 00 "
                     "93 ce 00 10 00 00 cd 01 00 ce 00 40 00 00"));
    REQUIRE(a.current() == handshake::state::failed);
    CHECK(a.failure() == error::malformed);
}

TEST_CASE("handshake: nobody may say more before the answer", "[remote][handshake]") {
    auto a = dialing();
    auto b = handshake::accept_from(node("b"));
    auto twice = output_of(a);
    const auto once = twice;
    twice.insert(twice.end(), once.begin(), once.end());
    feed(b, twice);
    CHECK(b.current() == handshake::state::failed);
}

TEST_CASE("handshake: bytes changed at random never get through unnoticed", "[remote][handshake]") {
    std::mt19937 random(7);
    auto a = dialing();
    const auto good = output_of(a);
    std::size_t failed = 0;
    for (int round = 0; round < 20'000; ++round) {
        auto bytes = good;
        bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        auto b = handshake::accept_from(node("b"));
        feed(b, bytes);
        if (b.current() == handshake::state::failed) { ++failed; }
        if (b.current() == handshake::state::deciding) {
            CHECK(is_good_name(b.heard().name));
            CHECK(b.heard().expected == "b");
        }
    }
    CHECK(failed > 1000);
}

TEST_CASE("handshake: of two connections at once both ends keep the same one",
          "[remote][handshake]") {
    hello of_a = good_hello();
    hello of_b = good_hello();
    of_b.name = "b";
    of_b.expected = "a";
    standing now;
    now.hello_under_way = true;
    // "a" is the lesser name, so its connection is kept by both.
    CHECK(judge("b", now, of_a) == std::nullopt);
    CHECK(judge("a", now, of_b) == error::duplicate_connection);
}

TEST_CASE("handshake: a peer that lost a connection we believe in replaces it",
          "[remote][handshake]") {
    hello heard = good_hello();
    standing now;
    now.linked = true;
    now.incarnation = heard.incarnation;
    now.links = 3;
    now.heard_lately = true;

    now.dialed = false;
    heard.links = 2;  // Our welcome never reached it.
    CHECK(judge("b", now, heard) == std::nullopt);

    now.dialed = true;
    heard.links = 3;  // It has seen this connection, and lost it.
    CHECK(judge("b", now, heard) == std::nullopt);
    heard.links = 2;  // Sent before it saw this connection.
    CHECK(judge("b", now, heard) == error::duplicate_connection);
}

TEST_CASE("handshake: a restarted peer is taken unless the old one is alive",
          "[remote][handshake]") {
    const hello heard = good_hello();
    standing now;
    now.linked = true;
    now.incarnation = {7, 7};
    now.heard_lately = false;
    CHECK(judge("b", now, heard) == std::nullopt);
    now.heard_lately = true;
    CHECK(judge("b", now, heard) == error::duplicate_name);
}
