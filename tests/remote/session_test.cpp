#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/remote/protocol/session.hpp>

#include "remote/hex.hpp"

using namespace heph::remote::protocol;
using heph::remote::testing::hex_of;

namespace {

void push(session& to, std::uint8_t body, std::uint64_t tag = 0) {
    std::vector<std::byte> bytes;
    auto frame = to.begin_frame(bytes);
    frame.u8(body);
    frame.end();
    to.push(std::move(bytes), tag);
}

std::string written(session& from, std::size_t bytes_max = 1000) {
    std::vector<std::byte> out;
    from.write_to(out, bytes_max);
    return hex_of(out);
}

// The frame of one byte with this sequence number.
std::string frame(int sequence, const std::string& body) {
    return "00 00 00 0a 10 00 00 00 00 00 00 00 0" + std::to_string(sequence) + " " + body;
}

}  // namespace

TEST_CASE("session: frames are numbered from 1 and written in order", "[remote][session]") {
    session s({1, 1}, {});
    REQUIRE(s.attach(0).has_value());
    push(s, 0xaa);
    push(s, 0xbb);
    CHECK(written(s) == frame(1, "aa") + " " + frame(2, "bb"));
    CHECK(written(s) == "");
    CHECK(s.kept_frames() == 2);
}

TEST_CASE("session: nothing is written while no connection is there", "[remote][session]") {
    session s({1, 1}, {});
    push(s, 0xaa);
    CHECK_FALSE(s.has_output());
    CHECK(written(s) == "");
    REQUIRE(s.attach(0).has_value());
    CHECK(s.has_output());
    CHECK(written(s) == frame(1, "aa"));
}

TEST_CASE("session: a frame whose end is shared is written as one, and again from the same bytes",
          "[remote][session]") {
    session s({1, 1}, {});
    REQUIRE(s.attach(0).has_value());
    const auto shared = std::make_shared<const std::vector<std::byte>>(
        heph::remote::testing::bytes_of("01 02 03 04"));
    std::vector<std::byte> head;
    auto writer = s.begin_frame(head);
    writer.end(1);
    s.push_with(std::move(head), shared, 2, 1, 7);
    std::vector<std::byte> within = heph::remote::testing::bytes_of("99 99");
    auto second = s.begin_frame(within);
    second.u8(0xbb);
    second.end();
    s.push_from(2, std::move(within), 0);
    CHECK(s.kept_bytes() == 2 * (4 + 1 + 8 + 1));
    CHECK(written(s) == frame(1, "03") + " " + frame(2, "bb"));
    s.detach();
    REQUIRE(s.attach(0).has_value());
    CHECK(written(s) == frame(1, "03") + " " + frame(2, "bb"));
    REQUIRE(s.on_ack(1));
    CHECK(shared.use_count() == 1);
    CHECK(s.kept_bytes() == 4 + 1 + 8 + 1);
}

TEST_CASE("session: after a broken connection what the peer lacks is sent again",
          "[remote][session]") {
    session s({1, 1}, {});
    REQUIRE(s.attach(0).has_value());
    for (std::uint8_t body = 1; body <= 4; ++body) { push(s, body); }
    (void)written(s);
    REQUIRE(s.on_ack(1).has_value());
    s.detach();
    push(s, 5);
    REQUIRE(s.attach(2).has_value());
    CHECK(written(s) == frame(3, "03") + " " + frame(4, "04") + " " + frame(5, "05"));
    CHECK(s.links() == 2);
}

TEST_CASE("session: acknowledged frames are let go of", "[remote][session]") {
    session s({1, 1}, {});
    REQUIRE(s.attach(0).has_value());
    push(s, 1);
    push(s, 2);
    (void)written(s);
    REQUIRE(s.on_ack(1).has_value());
    CHECK(s.kept_frames() == 1);
    // An older one says nothing new.
    REQUIRE(s.on_ack(0).has_value());
    REQUIRE(s.on_ack(1).has_value());
    REQUIRE(s.on_ack(2).has_value());
    CHECK(s.kept_frames() == 0);
    CHECK(s.kept_bytes() == 0);
}

TEST_CASE("session: an acknowledgement of what was not written is an error", "[remote][session]") {
    session s({1, 1}, {});
    REQUIRE(s.attach(0).has_value());
    push(s, 1);
    CHECK(s.on_ack(1).error() == error::bad_ack);
    (void)written(s);
    CHECK(s.on_ack(2).error() == error::bad_ack);
    CHECK(s.on_ack(1).has_value());
    s.detach();
    CHECK(s.attach(2).error() == error::bad_ack);
    // It acknowledged 1, so it cannot be without it.
    CHECK(s.attach(0).error() == error::bad_ack);
    CHECK(s.attach(1).has_value());
}

TEST_CASE("session: duplicates are told, gaps are errors", "[remote][session]") {
    session s({1, 1}, {});
    CHECK(s.on_data(1) == true);
    CHECK(s.on_data(1) == false);
    CHECK(s.on_data(2) == true);
    CHECK(s.on_data(1) == false);
    CHECK(s.on_data(4).error() == error::sequence_gap);
    CHECK(s.on_data(0).error() == error::sequence_gap);
    CHECK(s.received() == 2);
}

TEST_CASE("session: few acknowledgements are not pressing, many and large ones are, data is",
          "[remote][session]") {
    session s({1, 1}, {});
    REQUIRE(s.attach(0).has_value());
    CHECK_FALSE(s.is_pressing());
    for (std::uint64_t i = 1; i < unacknowledged_frames_max; ++i) { REQUIRE(s.on_data(i, 10)); }
    CHECK(s.has_output());
    CHECK_FALSE(s.is_pressing());
    REQUIRE(s.on_data(unacknowledged_frames_max, 10));
    CHECK(s.is_pressing());
    (void)written(s);
    CHECK_FALSE(s.is_pressing());
    CHECK_FALSE(s.has_output());
    REQUIRE(s.on_data(unacknowledged_frames_max + 1, unacknowledged_bytes_max - 1));
    CHECK_FALSE(s.is_pressing());
    // A duplicate was acknowledged before.
    REQUIRE(s.on_data(1, 100).has_value());
    CHECK_FALSE(s.is_pressing());
    REQUIRE(s.on_data(unacknowledged_frames_max + 2, 1));
    CHECK(s.is_pressing());
    (void)written(s);
    push(s, 0xaa);
    CHECK(s.is_pressing());
    s.detach();
    CHECK_FALSE(s.is_pressing());
    REQUIRE(s.attach(0).has_value());
    CHECK(s.is_pressing());
}

TEST_CASE("session: what was received is acknowledged once, before the data", "[remote][session]") {
    session s({1, 1}, {});
    REQUIRE(s.attach(0).has_value());
    REQUIRE(s.on_data(1).has_value());
    REQUIRE(s.on_data(2).has_value());
    push(s, 7);
    CHECK(written(s) == "00 00 00 09 11 00 00 00 00 00 00 00 02 " + frame(1, "07"));
    CHECK_FALSE(s.has_output());
}

TEST_CASE("session: writing stops at the given size and goes on from there", "[remote][session]") {
    session s({1, 1}, {});
    REQUIRE(s.attach(0).has_value());
    push(s, 1);
    push(s, 2);
    CHECK(written(s, 1) == frame(1, "01"));
    CHECK(s.has_output());
    CHECK(written(s, 1) == frame(2, "02"));
}

TEST_CASE("session: it has room until the limit of frames or of bytes", "[remote][session]") {
    session_limits limits;
    limits.frames_max = 2;
    session s({1, 1}, limits);
    push(s, 1);
    CHECK(s.has_room());
    push(s, 2);
    CHECK_FALSE(s.has_room());
    REQUIRE(s.attach(0).has_value());
    (void)written(s);
    REQUIRE(s.on_ack(1).has_value());
    CHECK(s.has_room());

    limits.frames_max = 100;
    limits.bytes_max = 20;
    limits.hard_bytes_max = 30 + 2 * heph::remote::protocol::kept_overhead_bytes;
    session narrow({1, 1}, limits);
    push(narrow, 1);
    CHECK(narrow.has_room());
    push(narrow, 2);
    CHECK_FALSE(narrow.has_room());
    CHECK_FALSE(narrow.is_overflowing());
    push(narrow, 3);
    CHECK(narrow.is_overflowing());
}

TEST_CASE("session: an abandoned one gives back the tags of what was not acknowledged",
          "[remote][session]") {
    session s({1, 1}, {});
    REQUIRE(s.attach(0).has_value());
    push(s, 1, 11);
    push(s, 2, 0);
    push(s, 3, 33);
    push(s, 4, 44);
    (void)written(s);
    REQUIRE(s.on_ack(1).has_value());
    CHECK(s.abandon() == std::vector<std::uint64_t>{33, 44});
}
