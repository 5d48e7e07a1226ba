#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/remote/codec/codec.hpp>

#include "remote/hex.hpp"

enum class colour : std::uint8_t { red, green };

struct outside {
    int number = 7;
};
HEPH_MESSAGE(outside, "test.outside", 1, number)

struct nothing_at_all {};
HEPH_MESSAGE(nothing_at_all, "test.nothing", 1)

namespace shop {

struct item {
    std::string name;
    std::uint32_t count = 1;
};
HEPH_MESSAGE(item, "shop.item", 1, name, count)

struct order {
    std::uint64_t id = 0;
    std::vector<item> items;
    std::optional<std::string> note;
    std::map<std::string, double> prices;
    std::variant<item, outside> extra;
    std::vector<std::byte> blob;
    colour paint = colour::red;
    bool paid = false;
    float weight = 0;
};
HEPH_MESSAGE(order, "shop.order", 2, id, items, note, prices, extra, blob, paint, paid, weight)

struct item_of_a_newer_program {
    std::string name;
    std::uint32_t count = 1;
    std::vector<int> sizes;
    std::string origin = "unknown";
};
HEPH_MESSAGE(item_of_a_newer_program, "shop.item", 1, name, count, sizes, origin)

struct tree {
    std::vector<tree> children;
};
HEPH_MESSAGE(tree, "shop.tree", 1, children)

struct wide {
    std::uint64_t words[128] = {};
};
HEPH_MESSAGE(wide, "shop.wide", 1)

}  // namespace shop

using heph::remote::codec_error;
using heph::remote::decode;
using heph::remote::encode;
using heph::remote::testing::bytes_of;
using heph::remote::testing::hex_of;

namespace {

template <typename T>
codec_error error_of(std::string_view hex) {
    const auto decoded = decode<T>(bytes_of(hex));
    REQUIRE_FALSE(decoded.has_value());
    return decoded.error();
}

shop::order an_order() {
    shop::order order;
    order.id = 300;
    order.items = {{"tea", 2}};
    order.note = "now";
    order.prices = {{"tea", 1.5}};
    order.extra = outside{-1};
    order.blob = bytes_of("00 ff");
    order.paint = colour::green;
    order.paid = true;
    order.weight = 0.5F;
    return order;
}

template <typename T>
void round_trip(T value) {
    const auto decoded = decode<T>(encode(value));
    REQUIRE(decoded.has_value());
    CHECK(*decoded == value);
}

}  // namespace

TEST_CASE("codec: the bytes of a message are those of the wire format", "[remote][codec]") {
    CHECK(hex_of(encode(shop::item{"tea", 2})) == "92 a3 74 65 61 02");
    CHECK(hex_of(encode(nothing_at_all{})) == "90");
    CHECK(hex_of(encode(an_order())) ==
          "99 cd 01 2c 91 92 a3 74 65 61 02 a3 6e 6f 77 81 a3 74 65 61 cb 3f f8 00 00 00 00 00 00 "
          "92 ae 74 65 73 74 2e 6f 75 74 73 69 64 65 40 31 91 ff c4 02 00 ff 01 c3 "
          "ca 3f 00 00 00");
}

TEST_CASE("codec: a message comes back as it was", "[remote][codec]") {
    const auto decoded = decode<shop::order>(encode(an_order()));
    REQUIRE(decoded.has_value());
    CHECK(decoded->id == 300);
    REQUIRE(decoded->items.size() == 1);
    CHECK(decoded->items[0].name == "tea");
    CHECK(decoded->items[0].count == 2);
    CHECK(decoded->note == "now");
    CHECK(decoded->prices == std::map<std::string, double>{{"tea", 1.5}});
    CHECK(std::get<outside>(decoded->extra).number == -1);
    CHECK(decoded->blob == bytes_of("00ff"));
    CHECK(decoded->paint == colour::green);
    CHECK(decoded->paid);
    CHECK(decoded->weight == 0.5F);
}

TEST_CASE("codec: integers take their shortest form and come back at every border",
          "[remote][codec]") {
    CHECK(hex_of(encode(127)) == "7f");
    CHECK(hex_of(encode(128)) == "cc 80");
    CHECK(hex_of(encode(65'535)) == "cd ff ff");
    CHECK(hex_of(encode(65'536)) == "ce 00 01 00 00");
    CHECK(hex_of(encode(std::uint64_t{1} << 32)) == "cf 00 00 00 01 00 00 00 00");
    CHECK(hex_of(encode(-32)) == "e0");
    CHECK(hex_of(encode(-33)) == "d0 df");
    CHECK(hex_of(encode(-129)) == "d1 ff 7f");
    CHECK(hex_of(encode(-32'769)) == "d2 ff ff 7f ff");
    for (int shift = 0; shift < 64; ++shift) {
        const std::uint64_t power = std::uint64_t{1} << shift;
        for (const std::uint64_t value : {power - 1, power, power + 1}) {
            round_trip(value);
            round_trip(static_cast<std::int64_t>(value));
            round_trip(-static_cast<std::int64_t>(value & 0x7fff'ffff'ffff'ffff));
        }
    }
    round_trip(std::numeric_limits<std::int64_t>::min());
}

TEST_CASE("codec: an integer in a longer form than needed is taken", "[remote][codec]") {
    CHECK(decode<std::uint8_t>(bytes_of("cf 00 00 00 00 00 00 00 05")) == std::uint8_t{5});
    CHECK(decode<std::uint8_t>(bytes_of("d3 00 00 00 00 00 00 00 05")) == std::uint8_t{5});
    CHECK(decode<std::int8_t>(bytes_of("d3 ff ff ff ff ff ff ff fb")) == std::int8_t{-5});
}

TEST_CASE("codec: an integer that its type cannot hold is refused", "[remote][codec]") {
    CHECK(error_of<std::uint8_t>("cd 01 00") == codec_error::out_of_range);
    CHECK(error_of<std::uint8_t>("ff") == codec_error::out_of_range);
    CHECK(error_of<std::int8_t>("cc 80") == codec_error::out_of_range);
    CHECK(error_of<std::int8_t>("d1 ff 7f") == codec_error::out_of_range);
    CHECK(error_of<std::int64_t>("cf 80 00 00 00 00 00 00 00") == codec_error::out_of_range);
    CHECK(error_of<colour>("cd 01 00") == codec_error::out_of_range);
}

TEST_CASE("codec: lengths of strings, bytes and lists come back at every border",
          "[remote][codec]") {
    for (const std::size_t size : {0U, 1U, 15U, 16U, 31U, 32U, 255U, 256U, 65'535U, 65'536U}) {
        round_trip(std::string(size, 'x'));
        round_trip(std::vector<std::byte>(size, std::byte{9}));
        round_trip(std::vector<std::uint16_t>(size, 513));
        std::map<std::uint32_t, bool> map;
        for (std::uint32_t i = 0; i < size; ++i) { map[i] = i % 2 == 0; }
        round_trip(map);
    }
}

TEST_CASE("codec: members that were not sent keep their defaults", "[remote][codec]") {
    const auto decoded = decode<shop::item_of_a_newer_program>(encode(shop::item{"tea", 2}));
    REQUIRE(decoded.has_value());
    CHECK(decoded->name == "tea");
    CHECK(decoded->count == 2);
    CHECK(decoded->sizes.empty());
    CHECK(decoded->origin == "unknown");
    CHECK(decode<outside>(bytes_of("90"))->number == 7);
}

TEST_CASE("codec: members that are not known are passed over, whatever they are",
          "[remote][codec]") {
    shop::item_of_a_newer_program newer;
    newer.name = "tea";
    newer.sizes = {1, 2, 300, -70'000};
    const auto decoded = decode<shop::item>(encode(newer));
    REQUIRE(decoded.has_value());
    CHECK(decoded->name == "tea");

    // One value of each kind that the format has, behind the member.
    for (const char* value : {"00",
                              "e0",
                              "c0",
                              "c2",
                              "c3",
                              "a1 61",
                              "81 01 02",
                              "91 01",
                              "c4 01 00",
                              "c5 00 01 00",
                              "c6 00 00 00 01 00",
                              "c7 01 05 00",
                              "c8 00 01 05 00",
                              "c9 00 00 00 01 05 00",
                              "ca 00 00 00 00",
                              "cb 00 00 00 00 00 00 00 00",
                              "cc 01",
                              "cd 00 01",
                              "ce 00 00 00 01",
                              "cf 00 00 00 00 00 00 00 01",
                              "d0 01",
                              "d1 00 01",
                              "d2 00 00 00 01",
                              "d3 00 00 00 00 00 00 00 01",
                              "d4 05 00",
                              "d5 05 00 00",
                              "d6 05 00 00 00 00",
                              "d7 05 00 00 00 00 00 00 00 00",
                              "d8 05 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
                              "d9 01 61",
                              "da 00 01 61",
                              "db 00 00 00 01 61",
                              "dc 00 01 c0",
                              "dd 00 00 00 01 c0",
                              "de 00 01 c0 c0",
                              "df 00 00 00 01 c0 c0"}) {
        CAPTURE(value);
        const auto with_more = decode<outside>(bytes_of(std::string("92 05") + value));
        REQUIRE(with_more.has_value());
        CHECK(with_more->number == 5);
    }
    CHECK(error_of<outside>("92 05 c1") == codec_error::malformed);
}

TEST_CASE("codec: each kind of wrong input has its error", "[remote][codec]") {
    CHECK(error_of<outside>("") == codec_error::truncated);
    CHECK(error_of<outside>("91") == codec_error::truncated);
    CHECK(error_of<outside>("91 a1 61") == codec_error::wrong_type);
    CHECK(error_of<outside>("c0") == codec_error::wrong_type);
    CHECK(error_of<outside>("91 05 00") == codec_error::trailing_bytes);
    CHECK(error_of<std::string>("c4 01 61") == codec_error::wrong_type);
    CHECK(error_of<std::vector<std::byte>>("a1 61") == codec_error::wrong_type);
    CHECK(error_of<bool>("01") == codec_error::wrong_type);
    CHECK(error_of<float>("cb 00 00 00 00 00 00 00 00") == codec_error::wrong_type);
    CHECK(error_of<std::variant<outside>>("92 a1 78 90") == codec_error::unknown_alternative);
    CHECK(error_of<std::variant<outside>>("91 a1 78") == codec_error::malformed);
    using numbers = std::map<int, int>;
    CHECK(error_of<numbers>("82 01 02 01 03") == codec_error::duplicate_key);
}

TEST_CASE("codec: a declared length is compared with what is there before memory is taken",
          "[remote][codec]") {
    CHECK(error_of<std::string>("db ff ff ff ff") == codec_error::truncated);
    CHECK(error_of<std::vector<std::byte>>("c6 ff ff ff ff 00") == codec_error::truncated);
    CHECK(error_of<std::vector<int>>("dd ff ff ff ff 00") == codec_error::truncated);
    using numbers = std::map<int, int>;
    CHECK(error_of<numbers>("df ff ff ff ff 00 00") == codec_error::truncated);
    CHECK(error_of<outside>("92 05 dd ff ff ff ff") == codec_error::truncated);
    CHECK(error_of<outside>("92 05 c9 ff ff ff ff 00") == codec_error::truncated);
}

TEST_CASE("codec: short elements cannot become more memory than the limit", "[remote][codec]") {
    // Each element is one byte on the wire and a kibibyte in memory.
    std::vector<std::byte> bytes = bytes_of("dd 00 01 00 00");
    bytes.resize(bytes.size() + 65'536, std::byte{0x90});
    const auto decoded = decode<std::vector<shop::wide>>(bytes);
    REQUIRE_FALSE(decoded.has_value());
    CHECK(decoded.error() == codec_error::too_large);

    heph::remote::decode_limits limits;
    limits.memory_bytes_max = 10;
    CHECK(decode<std::string>(encode(std::string(10, 'x')), limits).has_value());
    CHECK(decode<std::string>(encode(std::string(11, 'x')), limits).error() ==
          codec_error::too_large);
}

TEST_CASE("codec: a small payload cannot become much memory", "[remote][codec]") {
    using heph::remote::detail::payload_limits;
    // As in the test before: one byte each, and a kibibyte in memory.
    std::vector<std::byte> bytes = bytes_of("dc 10 00");
    bytes.resize(bytes.size() + 4'096, std::byte{0x90});
    CHECK(decode<std::vector<shop::wide>>(bytes).has_value());
    CHECK(decode<std::vector<shop::wide>>(bytes, payload_limits(bytes.size())).error() ==
          codec_error::too_large);

    const std::vector<std::string> words(4'096, "a");
    const auto honest = encode(words);
    const auto decoded = decode<std::vector<std::string>>(honest, payload_limits(honest.size()));
    REQUIRE(decoded.has_value());
    CHECK(*decoded == words);

    // It grows with the payload, and is at most what a message of any size could take before.
    CHECK(payload_limits(0).memory_bytes_max == 64 * 1024);
    std::size_t before = 0;
    for (std::size_t size = 0; size < 600'000; size += 1'000) {
        const std::size_t limit = payload_limits(size).memory_bytes_max;
        CHECK(limit > before);
        before = limit;
    }
    CHECK(before == 599'000 + 16 * 1024 * 1024);
}

TEST_CASE("codec: alternatives that have the same name on the wire are told apart at compile time",
          "[remote][codec]") {
    using heph::remote::detail::have_distinct_names;
    STATIC_REQUIRE_FALSE(have_distinct_names<int, long>());
    STATIC_REQUIRE_FALSE(have_distinct_names<std::uint8_t, std::string, std::uint64_t>());
    STATIC_REQUIRE_FALSE(have_distinct_names<int, colour>());
    STATIC_REQUIRE_FALSE(have_distinct_names<float, double>());
    STATIC_REQUIRE_FALSE(have_distinct_names<std::vector<int>, std::vector<long>>());
    STATIC_REQUIRE_FALSE(have_distinct_names<shop::item, shop::item_of_a_newer_program>());
    STATIC_REQUIRE(have_distinct_names<bool, int, float, std::string, std::monostate, outside,
                                       shop::item, shop::order, std::vector<std::byte>,
                                       std::vector<int>, std::vector<bool>, std::optional<int>,
                                       std::map<int, bool>, std::map<bool, int>,
                                       std::variant<int, bool>, std::variant<bool, int>>());
    using heph::remote::detail::is_always_nil;
    STATIC_REQUIRE(is_always_nil<std::monostate> && is_always_nil<std::optional<int>>);
    STATIC_REQUIRE_FALSE(is_always_nil<int> || is_always_nil<shop::item>);
}

TEST_CASE("codec: a key that is NaN is refused, as it breaks the order of a map",
          "[remote][codec]") {
    using weights = std::map<double, int>;
    CHECK(error_of<weights>("81 cb 7f f8 00 00 00 00 00 00 01") == codec_error::out_of_range);
    CHECK(error_of<weights>("81 ca ff c0 00 00 01") == codec_error::out_of_range);
    // Deep within a key, too.
    using lists = std::map<std::vector<double>, int>;
    CHECK(error_of<lists>("81 91 cb 7f f8 00 00 00 00 00 00 01") == codec_error::out_of_range);
    const weights fine{{-1.5, 1}, {0.0, 2}, {std::numeric_limits<double>::infinity(), 3}};
    CHECK(decode<weights>(encode(fine)) == fine);
}

TEST_CASE("codec: nesting ends at 64, in what is read and in what is skipped", "[remote][codec]") {
    const auto nested = [](std::size_t levels) {
        std::vector<std::byte> bytes(levels - 1, std::byte{0x91});
        bytes.push_back(std::byte{0x90});
        return bytes;
    };
    CHECK(decode<shop::tree>(nested(64)).has_value());
    CHECK(decode<shop::tree>(nested(65)).error() == codec_error::too_deep);
    auto skipped = bytes_of("92 05");
    const auto deep = nested(100'000);
    skipped.insert(skipped.end(), deep.begin(), deep.end());
    CHECK(decode<outside>(skipped).error() == codec_error::too_deep);
}

TEST_CASE("codec: every message cut short is refused", "[remote][codec]") {
    const auto bytes = encode(an_order());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CHECK_FALSE(decode<shop::order>(std::span(bytes).first(size)).has_value());
    }
}

TEST_CASE("codec: what is decoded from changed bytes encodes and decodes to the same",
          "[remote][codec]") {
    std::mt19937 random(20);
    const auto good = encode(an_order());
    std::size_t accepted = 0;
    for (int round = 0; round < 50'000; ++round) {
        auto bytes = good;
        const std::size_t changes = 1 + random() % 3;
        for (std::size_t i = 0; i < changes; ++i) {
            bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        }
        const auto decoded = decode<shop::order>(bytes);
        if (!decoded) { continue; }
        ++accepted;
        const auto again = encode(*decoded);
        const auto twice = decode<shop::order>(again);
        REQUIRE(twice.has_value());
        REQUIRE(encode(*twice) == again);
    }
    CHECK(accepted > 0);
}

TEST_CASE("codec: types have stable names", "[remote][codec]") {
    using heph::remote::type_name;
    CHECK(type_name<shop::order>() == "shop.order@2");
    CHECK(type_name<std::vector<shop::item>>() == "list<shop.item@1>");
    CHECK(type_name<std::vector<std::byte>>() == "bytes");
    using complicated = std::map<std::string, std::optional<std::variant<outside, shop::item>>>;
    CHECK(type_name<complicated>() == "map<string,optional<variant<test.outside@1,shop.item@1>>>");
    CHECK(type_name<void>() == "nothing");
    CHECK(type_name<colour>() == "integer");
}
