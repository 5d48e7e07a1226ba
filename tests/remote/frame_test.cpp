#include <algorithm>
#include <cstddef>
#include <random>
#include <span>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/remote/protocol/frame.hpp>

#include "remote/hex.hpp"

using namespace heph::remote::protocol;
using heph::remote::testing::bytes_of;
using heph::remote::testing::hex_of;

TEST_CASE("frame: a frame is its length, its type and its fields", "[remote][frame]") {
    std::vector<std::byte> out = bytes_of("aa");
    frame_writer frame(out, frame_type::ack);
    frame.u64(0x0102030405060708);
    frame.u8(9);
    frame.u16(0x0a0b);
    frame.u32(0x0c0d0e0f);
    frame.end();
    CHECK(hex_of(out) == "aa 00 00 00 10 11 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f");
}

TEST_CASE("frame: frames come out whole however the stream is cut", "[remote][frame]") {
    std::mt19937 random(3);
    std::vector<std::byte> stream;
    std::vector<std::size_t> sizes;
    for (int i = 0; i < 1000; ++i) {
        sizes.push_back(random() % 50);
        frame_writer frame(stream, frame_type::data);
        for (std::size_t k = 0; k < sizes.back(); ++k) { frame.u8(static_cast<std::uint8_t>(i)); }
        frame.end();
    }
    frame_reader reader(64);
    std::size_t seen = 0;
    for (std::size_t at = 0; at < stream.size();) {
        const std::size_t some = std::min<std::size_t>(random() % 90, stream.size() - at);
        reader.feed(std::span(stream).subspan(at, some));
        at += some;
        for (auto next = reader.next(); next && *next; next = reader.next()) {
            REQUIRE(seen < sizes.size());
            REQUIRE((*next)->size() == 1 + sizes[seen]);
            if (sizes[seen] > 0) { REQUIRE((*next)->back() == static_cast<std::byte>(seen)); }
            ++seen;
        }
    }
    CHECK(seen == sizes.size());
    CHECK(reader.held_bytes() == 0);
}

TEST_CASE("frame: the largest frame is taken, and one byte more refused by its length",
          "[remote][frame]") {
    frame_reader reader(3);
    const auto bytes = bytes_of("00 00 00 03 11 22 33 00 00 00 04");
    reader.feed(bytes);
    auto first = reader.next();
    REQUIRE(first.has_value());
    REQUIRE(first->has_value());
    CHECK(hex_of(**first) == "11 22 33");
    const auto second = reader.next();
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error() == error::frame_too_large);
}

TEST_CASE("frame: what came whole is given where it lies, and the rest is kept",
          "[remote][frame]") {
    frame_reader reader(64);
    const auto bytes = bytes_of("00 00 00 02 11 22 00 00 00 03 33");
    reader.feed(bytes);
    const auto first = reader.next();
    REQUIRE((first && *first));
    CHECK((*first)->data() == bytes.data() + 4);
    REQUIRE_FALSE(reader.next().value());
    CHECK(reader.held_bytes() == 5);
    const auto more = bytes_of("44 55 00");
    reader.feed(more);
    const auto second = reader.next();
    REQUIRE((second && *second));
    CHECK(hex_of(**second) == "33 44 55");
}

TEST_CASE("frame: the rest of a frame may be written to where its beginning is",
          "[remote][frame]") {
    frame_reader reader(64);
    CHECK(reader.room().empty());
    const auto begun = bytes_of("00 00 00 03 33");
    reader.feed(std::span(begun).first(3));
    REQUIRE_FALSE(reader.next().value());
    CHECK(reader.room().empty());  // Its length is not known yet.
    reader.feed(std::span(begun).subspan(3));
    REQUIRE_FALSE(reader.next().value());
    REQUIRE(reader.room().size() == 2);
    reader.room()[0] = std::byte{0x44};
    reader.commit(1);
    REQUIRE_FALSE(reader.next().value());
    REQUIRE(reader.room().size() == 1);
    reader.room()[0] = std::byte{0x55};
    reader.commit(1);
    const auto whole = reader.next();
    REQUIRE((whole && *whole));
    CHECK(hex_of(**whole) == "33 44 55");
    CHECK(reader.room().empty());
    CHECK_FALSE(reader.next().value());
    CHECK(reader.held_bytes() == 0);
}

TEST_CASE("frame: what is not whole is received where the placer says, however the stream is cut",
          "[remote][frame]") {
    // Places frames whose number is even.
    class even_placer final : public frame_placer {
    public:
        std::span<std::byte> place(std::span<const std::byte, head_bytes> head,
                                   std::size_t rest) override {
            ++asked;
            if ((std::to_integer<unsigned>(head.back()) & 1U) != 0) { return {}; }
            rest_of_last.assign(rest, std::byte{0});
            return rest_of_last;
        }
        std::vector<std::byte> rest_of_last;
        int asked = 0;
    };
    std::mt19937 random(4);
    std::vector<std::byte> stream;
    std::vector<std::size_t> sizes;
    for (int i = 0; i < 1000; ++i) {
        // Behind a head whose last byte is the frame's number.
        const bool is_long = random() % 2 == 0;
        sizes.push_back(is_long ? 1 + random() % 300 : 0);
        frame_writer frame(stream, frame_type::data);
        for (std::size_t k = 1; is_long && k < frame_placer::head_bytes; ++k) {
            frame.u8(static_cast<std::uint8_t>(i));
        }
        for (std::size_t k = 0; k < sizes.back(); ++k) {
            frame.u8(static_cast<std::uint8_t>(k * 7));
        }
        frame.end();
    }
    even_placer placer;
    frame_reader reader(1024);
    std::size_t seen = 0;
    std::size_t placed = 0;
    for (std::size_t at = 0; at < stream.size();) {
        std::size_t some = std::min<std::size_t>(random() % 150, stream.size() - at);
        const auto bytes = std::span(stream).subspan(at, some);
        const auto room = reader.room();
        if (!room.empty() && random() % 2 == 0) {
            some = std::min(some, room.size());
            std::ranges::copy(bytes.first(some), room.begin());
            reader.commit(some);
        } else {
            reader.feed(bytes);
        }
        at += some;
        for (auto next = reader.next(&placer); next && *next; next = reader.next(&placer)) {
            REQUIRE(seen < sizes.size());
            const bool was_placed = reader.was_placed();
            const std::span<const std::byte> frame = **next;
            const std::size_t head = sizes[seen] == 0 ? 1 : frame_placer::head_bytes;
            REQUIRE(frame.size() == (was_placed ? head : head + sizes[seen]));
            if (was_placed) { REQUIRE(seen % 2 == 0); }
            const auto rest =
                was_placed ? std::span<const std::byte>(placer.rest_of_last) : frame.subspan(head);
            REQUIRE(rest.size() == sizes[seen]);
            for (std::size_t k = 0; k < rest.size(); ++k) {
                REQUIRE(rest[k] == static_cast<std::byte>(k * 7));
            }
            placed += was_placed ? 1U : 0U;
            ++seen;
        }
    }
    CHECK(seen == sizes.size());
    CHECK(placed > 100);
    CHECK(placer.asked < 500);
    CHECK(reader.held_bytes() == 0);
}

TEST_CASE("frame: a declared length takes little memory before its bytes come", "[remote][frame]") {
    frame_reader reader(1 << 30);
    const auto begun = bytes_of("30 00 00 00 11");
    reader.feed(begun);
    REQUIRE_FALSE(reader.next().value());
    CHECK(reader.room().size() <= frame_reader::room_ahead);
}

TEST_CASE("frame: an empty frame is garbage", "[remote][frame]") {
    frame_reader reader(3);
    const auto bytes = bytes_of("00 00 00 00");
    reader.feed(bytes);
    CHECK(reader.next().error() == error::garbage);
}

TEST_CASE("frame: fields that are not there are noticed", "[remote][frame]") {
    const auto bytes = bytes_of("00 01 02");
    field_reader fields(bytes);
    CHECK(fields.u16() == 1);
    CHECK(fields.good());
    CHECK_FALSE(fields.complete());
    CHECK(fields.u64() == 0);
    CHECK_FALSE(fields.good());
    CHECK_FALSE(fields.complete());
}
