#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <heph/remote/codec/json.hpp>
#include <heph/remote/remote_ref.hpp>

#include "remote/hex.hpp"

namespace json_types {

enum class colour : std::uint8_t { red, green };
enum class sign : std::int8_t { minus = -1, plus = 1 };

struct item {
    std::string name;
    std::uint32_t count = 1;
};
HEPH_MESSAGE(item, "json.item", 1, name, count)

struct empty {};
HEPH_MESSAGE(empty, "json.empty", 1)

struct order {
    std::uint64_t id = 0;
    std::int64_t balance = 0;
    std::vector<item> items;
    std::optional<std::string> note;
    std::map<std::string, double> prices;
    std::map<std::int16_t, bool> flags;
    std::map<sign, item> by_sign;
    std::map<double, std::string> by_weight;
    std::variant<std::monostate, item, std::string> extra;
    std::vector<std::byte> blob;
    std::vector<bool> bits;
    colour paint = colour::red;
    bool paid = false;
    float weight = 0;
};
HEPH_MESSAGE(order, "json.order", 2, id, balance, items, note, prices, flags, by_sign, by_weight,
             extra, blob, bits, paint, paid, weight)

struct tree {
    std::vector<tree> children;
};
HEPH_MESSAGE(tree, "json.tree", 1, children)

struct wide {
    std::uint64_t words[128] = {};
};
HEPH_MESSAGE(wide, "json.wide", 1)

struct holder {
    heph::remote::remote_ref<item> to;
};
HEPH_MESSAGE(holder, "json.holder", 1, to)

}  // namespace json_types

using heph::remote::codec_error;
using heph::remote::from_json;
using heph::remote::to_json;
using namespace json_types;

namespace {

order an_order() {
    order made;
    made.id = std::numeric_limits<std::uint64_t>::max();
    made.balance = -(std::int64_t{1} << 53);
    made.items = {{"t\"e\n\x01\xc3\xa4", 2}, {"", 0}};
    made.note = "now";
    made.prices = {{"te\\a", 1.5}};
    made.flags = {{std::int16_t{-3}, true}, {std::int16_t{12}, false}};
    made.by_sign = {{sign::minus, {"m", 3}}};
    made.by_weight = {{0.25, "light"}};
    made.extra = item{"x", 9};
    made.blob = heph::remote::testing::bytes_of("00 ff");
    made.bits = {true, false};
    made.paint = colour::green;
    made.paid = true;
    made.weight = 0.1F;
    return made;
}

constexpr std::string_view order_text =
    R"({"id":"18446744073709551615","balance":"-9007199254740992","items":[{"name":"t\"e\n\u0001ä",)"
    R"("count":2},{"name":"","count":0}],"note":"now","prices":{"te\\a":1.5},)"
    R"("flags":{"-3":true,"12":false},"by_sign":{"-1":{"name":"m","count":3}},)"
    R"("by_weight":[[0.25,"light"]],"extra":{"json.item@1":{"name":"x","count":9}},)"
    R"("blob":"AP8=","bits":[true,false],"paint":1,"paid":true,"weight":0.1})";

template <typename T>
std::string error_of(std::string_view text) {
    const auto read = from_json<T>(text);
    return read ? "none" : read.error().message();
}

template <typename T>
bool comes_back(T value) {
    return from_json<T>(to_json(value)) == value;
}

}  // namespace

TEST_CASE("json: a message has the form that is specified, and comes back", "[remote][json]") {
    const std::string text = to_json(an_order());
    CHECK(text == order_text);
    const auto read = from_json<order>(text);
    REQUIRE(read.has_value());
    CHECK(to_json(*read) == text);
    CHECK(heph::remote::encode(*read) == heph::remote::encode(an_order()));
    CHECK(to_json(empty{}) == "{}");
    CHECK(to_json(order{}.note) == "null");
    CHECK(to_json(order{}.extra) == R"({"nothing":null})");
    CHECK(from_json<decltype(order::extra)>(R"( { "string" : "a" } )").value().index() == 2);
}

TEST_CASE("json: what is written is JSON for another implementation as well", "[remote][json]") {
    const auto parsed = nlohmann::json::parse(to_json(an_order()));
    CHECK(parsed["items"][0]["name"] == "t\"e\n\x01\xc3\xa4");
    CHECK(parsed["weight"].get<float>() == 0.1F);
    // What the other one writes is read, whatever the order of members and the white space.
    const auto read = from_json<order>(parsed.dump(3));
    REQUIRE(read.has_value());
    CHECK(to_json(*read) == order_text);
    CHECK(to_json(*from_json<order>(parsed.dump(-1, ' ', true))) == order_text);
}

TEST_CASE("json: members that are missing keep their defaults, unknown ones are skipped",
          "[remote][json]") {
    const auto read = from_json<item>(
        R"({"new":{"a":[1,-2.5e3,"\u00e4\ud83d\ude00",{"b":null}],"c":{}},"name":"tea","x":[]})");
    REQUIRE(read.has_value());
    CHECK(read->name == "tea");
    CHECK(read->count == 1);
    CHECK(from_json<item>("{}")->count == 1);
}

TEST_CASE("json: integers come back at every border, as numbers and as strings", "[remote][json]") {
    for (int shift = 0; shift < 64; ++shift) {
        const std::uint64_t power = std::uint64_t{1} << shift;
        for (const std::uint64_t value : {power - 1, power, power + 1}) {
            CHECK(comes_back(value));
            CHECK(comes_back(static_cast<std::int64_t>(value)));
            CHECK(from_json<std::uint64_t>(std::to_string(value)) == value);
            CHECK(from_json<std::uint64_t>('"' + std::to_string(value) + '"') == value);
        }
    }
    CHECK(to_json((std::int64_t{1} << 53) - 1) == "9007199254740991");
    CHECK(to_json(std::int64_t{1} << 53) == R"("9007199254740992")");
    CHECK(from_json<std::int64_t>("-9223372036854775808") ==
          std::numeric_limits<std::int64_t>::min());
    CHECK(from_json<std::uint8_t>("-0") == std::uint8_t{0});
    for (const std::string_view text :
         {"256", "-1", "18446744073709551616", "99999999999999999999999", R"("256")"}) {
        CAPTURE(text);
        CHECK(from_json<std::uint8_t>(text).error().reason() == codec_error::out_of_range);
    }
    for (const std::string_view text :
         {"1.0", "1e2", R"("")", R"("07")", R"(" 1")", R"("1 ")", R"("0x1")", "true", "null"}) {
        CAPTURE(text);
        CHECK(from_json<std::uint8_t>(text).error().reason() == codec_error::wrong_type);
    }
    CHECK_FALSE(from_json<std::int64_t>("-9223372036854775809"));
    CHECK_FALSE(from_json<sign>("128"));
}

TEST_CASE("json: a key of integers is the number and nothing else", "[remote][json]") {
    CHECK(from_json<std::map<int, int>>(R"({"5":1})")->contains(5));
    CHECK(from_json<std::map<sign, int>>(R"({"-1":1})")->contains(sign::minus));
    for (const std::string_view text :
         {R"({" 5":1})", R"({"5 ":1})", R"({" 5 ":1})", R"({"\"5\"":1})", R"({"05":1})",
          R"({"\n5":1})", R"({"+5":1})", R"({"- 5":1})", R"({"-":1})", R"({"":1})", R"({"5.0":1})",
          R"({"5e0":1})", R"({"5 5":1})", R"({"0x5":1})", R"({"null":1})", R"({"true":1})"}) {
        CAPTURE(text);
        const auto read = from_json<std::map<int, int>>(text);
        REQUIRE_FALSE(read);
        CHECK(read.error().reason() == codec_error::wrong_type);
        CHECK(read.error().offset() == 1);
        CHECK_FALSE(from_json<std::map<sign, int>>(text));
    }
    CHECK(from_json<std::map<std::int8_t, int>>(R"({"128":1})").error().reason() ==
          codec_error::out_of_range);
    CHECK(from_json<std::map<sign, int>>(R"({"128":1})").error().reason() ==
          codec_error::out_of_range);
    CHECK(from_json<std::map<bool, int>>(R"({"1":1})").error().reason() == codec_error::wrong_type);
}

TEST_CASE("json: floating-point numbers come back exactly, also those that are none",
          "[remote][json]") {
    std::mt19937_64 random(7);
    for (int i = 0; i < 2'000; ++i) {
        const auto value = std::bit_cast<double>(random());
        if (std::isfinite(value)) { CHECK(comes_back(value)); }
        const auto narrow = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        if (std::isfinite(narrow)) { CHECK(comes_back(narrow)); }
    }
    CHECK(comes_back(std::numeric_limits<double>::denorm_min()));
    CHECK(comes_back(std::numeric_limits<float>::max()));
    constexpr auto infinity = std::numeric_limits<double>::infinity();
    CHECK(to_json(infinity) == R"("Infinity")");
    CHECK(comes_back(-infinity));
    CHECK(to_json(std::nan("")) == R"("NaN")");
    CHECK(std::isnan(from_json<float>(R"("NaN")").value()));
    for (const std::string_view text :
         {"NaN", "Infinity", "-Infinity", "nan", "1.", ".5", "01", "+1", "1e", "0x1", "1,5", "-"}) {
        CAPTURE(text);
        CHECK_FALSE(from_json<double>(text));
    }
    CHECK(from_json<double>("1e999").error().reason() == codec_error::out_of_range);
    CHECK(from_json<float>("1e39").error().reason() == codec_error::out_of_range);
    CHECK(from_json<double>(R"("1")").error().reason() == codec_error::wrong_type);
}

TEST_CASE("json: a number that is too small for its type is 0, and keeps its sign",
          "[remote][json]") {
    const auto is_zero = [](double value, bool is_negative) {
        return value == 0 && std::signbit(value) == is_negative;
    };
    for (const std::string text : {"1e-400", "2e-324", "0.1e-399", "123456789e-400",
                                   "1e-99999999999999999999", "0.00000000001E-390", "4.9e-0400"}) {
        CAPTURE(text);
        CHECK(is_zero(from_json<double>(text).value(), false));
        CHECK(is_zero(from_json<double>('-' + text).value(), true));
        CHECK(is_zero(from_json<float>(text).value(), false));
    }
    CHECK(is_zero(from_json<float>("1e-50").value(), false));
    CHECK(is_zero(from_json<float>("-1e-50").value(), true));
    CHECK(is_zero(from_json<double>('0' + ('.' + std::string(400, '0')) + '1').value(), false));
    CHECK(from_json<double>("1e-50") == 1e-50);
    CHECK(from_json<double>('1' + std::string(400, '0') + "e-400") == 1.0);
    for (const std::string text : {"1e400", "0.1e400", "1e+99999999999999999999", "0.001E312",
                                   "123456789e302", "1.5e0309"}) {
        CAPTURE(text);
        CHECK(from_json<double>(text).error().reason() == codec_error::out_of_range);
        CHECK(from_json<double>('-' + text).error().reason() == codec_error::out_of_range);
    }
    CHECK(from_json<double>('1' + std::string(400, '0')).error().reason() ==
          codec_error::out_of_range);
}

TEST_CASE("json: an error says what is wrong, and where", "[remote][json]") {
    CHECK(error_of<order>(R"({"items":[{},{"name":"a","count":-1}]})") ==
          "a number does not fit its field, at byte 33, in items[1].count");
    CHECK(error_of<order>(R"({"prices":{"tea":true}})") ==
          R"(a field holds another kind of value, at byte 17, in prices["tea"])");
    CHECK(error_of<order>(R"({"extra":{"json.item@1":[]}})") ==
          R"(a field holds another kind of value, at byte 24, in extra["json.item@1"])");
    CHECK(error_of<order>(R"({"extra":{"json.item@2":[]}})") ==
          "a variant holds an unknown type, at byte 10, in extra");
    CHECK(error_of<item>(R"({"name":"a","name":"b"})") == "a name is there twice, at byte 12");
    CHECK(error_of<std::map<int, int>>(R"({"1":2,"1":3})") == "a name is there twice, at byte 7");
    CHECK(error_of<std::map<double, int>>("[[1,2],[1.0,3]]") ==
          "a name is there twice, at byte 7, in [1]");
    CHECK(error_of<std::map<double, int>>(R"([["NaN",1]])") ==
          "a number does not fit its field, at byte 1, in [0]");
    CHECK(error_of<item>("{} x") == "something follows the message, at byte 3");
    CHECK(error_of<item>(R"({"name":"a)") == "a string has no end, at byte 10, in name");
    CHECK(error_of<std::map<std::string, int>>('{' + to_json(std::string(100'000, 'k')) + ":[]}") ==
          "a field holds another kind of value, at byte 100004, in [\"" + std::string(40, 'k') +
              "\"...]");
    CHECK(error_of<std::vector<std::byte>>(R"("AP8")") == "a field wants base64, at byte 0");
    CHECK(error_of<holder>(R"({"to":{"node":"a"}})") ==
          "a reference can be written as JSON, but not read, at byte 6, in to");
    CHECK(from_json<holder>(to_json(holder{})).has_value());
}

TEST_CASE("json: each kind of wrong text has its reason", "[remote][json]") {
    struct row {
        std::string_view text;
        codec_error why;
    };
    using enum codec_error;
    for (const row& each : std::initializer_list<row>{
             {"", truncated},
             {"  ", truncated},
             {"[", truncated},
             {"[1", truncated},
             {"[1,", truncated},
             {"[1,]", malformed},
             {"[,1]", malformed},
             {"[1 2]", malformed},
             {"{}", wrong_type},
             {"[true]", wrong_type},
             {"[null]", wrong_type},
             {"[1]]", trailing_bytes},
             {"\xef\xbb\xbf[1]", malformed},
             {"[1] // no", trailing_bytes},
         }) {
        CAPTURE(each.text);
        const auto read = from_json<std::vector<int>>(each.text);
        REQUIRE_FALSE(read.has_value());
        CHECK(read.error().reason() == each.why);
    }
    for (const row& each : std::initializer_list<row>{
             {R"({)", truncated},
             {R"({"name")", truncated},
             {R"({"name":)", truncated},
             {R"({"name":"a")", truncated},
             {R"({"name" "a"})", malformed},
             {R"({name:"a"})", malformed},
             {R"({"name":"a",})", malformed},
             {R"({"name":"a" "count":1})", malformed},
             {R"({'name':"a"})", malformed},
             {R"({"x":tru})", malformed},
             {R"({"x":tru)", truncated},
             {R"({"x":nul1})", malformed},
             {R"({"x":01})", malformed},
             {R"({"x":"\q"})", malformed},
             {R"({"x":"\u12g4"})", malformed},
             {R"({"x":"\u123)", truncated},
             {R"({"x":"\ud800"})", invalid_utf8},
             {R"({"x":"\ud800\u0041"})", invalid_utf8},
             {R"({"x":"\udc00"})", invalid_utf8},
             {"{\"x\":\"\n\"}", malformed},
             {"{\"x\":\"\x80\"}", invalid_utf8},
             {"{\"name\":\"\xc0\xaf\"}", invalid_utf8},
             {"{\"name\":\"\xed\xa0\x80\"}", invalid_utf8},
             {"{\"name\":\"\xf4\x90\x80\x80\"}", invalid_utf8},
             {"{\"\xff\":1}", invalid_utf8},
             {"{\"name\":\"\xc3", invalid_utf8},
         }) {
        CAPTURE(each.text);
        const auto read = from_json<item>(each.text);
        REQUIRE_FALSE(read.has_value());
        CHECK(read.error().reason() == each.why);
    }
    CHECK(from_json<order>(R"({"extra":{}})").error().reason() == malformed);
    CHECK(from_json<order>(R"({"extra":{"nothing":null,"string":""}})").error().reason() ==
          malformed);
}

TEST_CASE("json: a string that is not UTF-8 is written as one that is", "[remote][json]") {
    CHECK(to_json(std::string("a\xff\xc3")) == R"("a\ufffd\ufffd")");
    CHECK(from_json<std::string>(R"("\u0000\b\f\r\t\/\u00e4\ud83d\ude00")") ==
          std::string("\0\b\f\r\t/\xc3\xa4\xf0\x9f\x98\x80", 12));
}

TEST_CASE("json: depth and memory are bounded", "[remote][json]") {
    const auto nested = [](std::size_t levels) {
        std::string text;
        for (std::size_t i = 0; i + 1 < levels / 2; ++i) { text += R"({"children":[)"; }
        text += R"({"children":[]})";
        for (std::size_t i = 0; i + 1 < levels / 2; ++i) { text += "]}"; }
        return text;
    };
    CHECK(from_json<tree>(nested(64)).has_value());
    CHECK(from_json<tree>(nested(66)).error().reason() == codec_error::too_deep);
    const std::string skipped = R"({"x":)" + std::string(100'000, '[');
    CHECK(from_json<item>(skipped).error().reason() == codec_error::too_deep);

    // Each element is three bytes of text and a kibibyte in memory.
    std::string many = "[{}";
    for (int i = 0; i < 30'000; ++i) { many += ",{}"; }
    CHECK(from_json<std::vector<wide>>(many + ']').error().reason() == codec_error::too_large);
    heph::remote::decode_limits limits;
    limits.memory_bytes_max = 10;
    CHECK(from_json<std::string>(R"("0123456789")", limits).has_value());
    CHECK(from_json<std::string>(R"("0123456789a")", limits).error().reason() ==
          codec_error::too_large);
    CHECK(from_json<std::map<int, int>>(R"({"1":1})", limits).error().reason() ==
          codec_error::too_large);
}

TEST_CASE("json: a vector that grows, and bytes, cost what they take at the same time",
          "[remote][json]") {
    heph::remote::decode_limits limits;
    // Eight numbers are moved to where sixteen have room.
    const std::string numbers = to_json(std::vector<std::uint64_t>(16));
    limits.memory_bytes_max = (8 + 16) * sizeof(std::uint64_t);
    CHECK(from_json<std::vector<std::uint64_t>>(numbers, limits).has_value());
    --limits.memory_bytes_max;
    CHECK(from_json<std::vector<std::uint64_t>>(numbers, limits).error().reason() ==
          codec_error::too_large);
    // Bytes are decoded, then copied; the first is not there any more for what follows.
    const std::string blob = to_json(std::vector<std::byte>(12));
    limits.memory_bytes_max = 2 * (12 + 3);
    CHECK(from_json<std::vector<std::byte>>(blob, limits).has_value());
    --limits.memory_bytes_max;
    CHECK(from_json<std::vector<std::byte>>(blob, limits).error().reason() ==
          codec_error::too_large);
    using blobs = std::vector<std::vector<std::byte>>;
    limits.memory_bytes_max = 4 * sizeof(std::vector<std::byte>) + 12 + 2 * (12 + 3);
    CHECK(from_json<blobs>('[' + blob + ',' + blob + ']', limits).has_value());
}

TEST_CASE("json: of changed texts no more is taken than another implementation takes",
          "[remote][json]") {
    std::mt19937 random(21);
    constexpr std::string_view parts = "{}[]\",:\\u0e1.-tfn \xc3\xff";
    std::size_t accepted = 0;
    for (int round = 0; round < 5'000; ++round) {
        std::string text(order_text);
        for (std::size_t i = 0; i <= random() % 3; ++i) {
            text[random() % text.size()] = parts[random() % parts.size()];
        }
        const auto read = from_json<order>(text);
        if (!read) { continue; }
        ++accepted;
        CAPTURE(text);
        REQUIRE(nlohmann::json::accept(text));
        const auto again = to_json(*read);
        REQUIRE(from_json<order>(again).has_value());
        REQUIRE(to_json(*from_json<order>(again)) == again);
    }
    CHECK(accepted > 0);
}
