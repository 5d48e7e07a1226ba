// Header fields as values of a type, and as lists.

#include <heph/http/field_value.hpp>

#include <chrono>
#include <cstdint>
#include <expected>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/http/entity_tag.hpp>
#include <heph/http/field_name.hpp>
#include <heph/http/headers.hpp>

namespace http = heph::http;
namespace field_name = heph::http::field_name;
using http::field_error;

namespace {

struct tenant {
    std::string name;
};

http::headers with(std::string_view name, std::string_view value) {
    http::headers made;
    made.append(name, value);
    return made;
}

template <typename T>
std::expected<T, field_error> read(std::string_view value) {
    return with("X", value).get_as<T>("x");
}

template <typename Range>
std::vector<std::string> all_of(Range range) {
    std::vector<std::string> all;
    for (const std::string_view each : range) { all.emplace_back(each); }
    return all;
}

}  // namespace

template <>
struct heph::http::field_value<tenant> {
    static std::expected<tenant, field_error> parse(std::string_view text) {
        if (!text.starts_with("t-")) { return std::unexpected(field_error::malformed); }
        return tenant{std::string(text.substr(2))};
    }
};

TEST_CASE("field_value: a number is decimal digits, and fits", "[http][field_value]") {
    CHECK(read<std::uint64_t>("0") == 0U);
    CHECK(read<std::uint64_t>("18446744073709551615") == 18446744073709551615U);
    CHECK(read<int>("-5") == -5);
    CHECK(read<std::uint8_t>("255") == 255);
    for (const std::string_view bad : {"", "+1", "1 ", "0x1", "1,2", "1e3", "1.0", "١"}) {
        CAPTURE(bad);
        CHECK(read<std::uint64_t>(bad).error() == field_error::malformed);
    }
    CHECK(read<std::uint64_t>("-1").error() == field_error::malformed);
    CHECK(read<std::uint8_t>("256").error() == field_error::out_of_range);
    CHECK(read<std::uint64_t>("18446744073709551616").error() == field_error::out_of_range);
}

TEST_CASE("field_value: seconds that are too many count as 2^31", "[http][field_value]") {
    using std::chrono::seconds;
    CHECK(read<seconds>("60") == seconds(60));
    CHECK(read<seconds>("2147483648") == seconds(2147483648));
    CHECK(read<seconds>("99999999999999999999999") == seconds(2147483648));
    CHECK(read<seconds>("-1").error() == field_error::malformed);
    CHECK(read<seconds>("1.5").error() == field_error::malformed);
}

TEST_CASE("field_value: dates, tags and text are read as such", "[http][field_value]") {
    using std::chrono::sys_seconds;
    CHECK(read<sys_seconds>("Sun, 06 Nov 1994 08:49:37 GMT") ==
          sys_seconds(std::chrono::seconds(784111777)));
    CHECK(read<sys_seconds>("yesterday").error() == field_error::malformed);
    CHECK(read<http::entity_tag>("W/\"a\"").value() == *http::entity_tag::make("a", true));
    CHECK(read<http::entity_tag>("a").error() == field_error::malformed);
    CHECK(read<std::string>("a b") == "a b");
    const auto own = read<tenant>("t-seven");
    REQUIRE(own.has_value());
    CHECK(own->name == "seven");
    CHECK(read<tenant>("seven").error() == field_error::malformed);
}

TEST_CASE("headers: one value is neither missing nor one of several", "[http][headers]") {
    http::headers fields = with(field_name::age, "1");
    CHECK(fields.get_as<int>(field_name::age) == 1);
    CHECK(fields.get_as<int>(field_name::date).error() == field_error::missing);
    fields.append("AGE", "1");
    CHECK(fields.get_as<int>(field_name::age).error() == field_error::repeated);
    for (const field_error each : {field_error::missing, field_error::repeated,
                                   field_error::malformed, field_error::out_of_range}) {
        CHECK_FALSE(http::message(each).empty());
    }
}

TEST_CASE("headers: the values of one name come in order", "[http][headers]") {
    http::headers fields;
    CHECK(all_of(fields.values("X")).empty());
    fields.append("X", "1, 2");
    fields.append("Y", "3");
    fields.append("x", "");
    fields.append("X", "4");
    CHECK(all_of(fields.values("x")) == std::vector<std::string>{"1, 2", "", "4"});
    using values = decltype(fields.values("x"));
    STATIC_REQUIRE(std::ranges::input_range<values>);
    STATIC_REQUIRE(std::ranges::input_range<decltype(fields.elements("x"))>);
}

TEST_CASE("headers: a list's elements go over all lines, without empty ones", "[http][headers]") {
    http::headers fields;
    fields.append("Via", " , a ,, b;q=\"x,\\\"y\" ,");
    fields.append("Other", "no");
    fields.append("via", "");
    fields.append("VIA", "c");
    CHECK(all_of(fields.elements("Via")) == std::vector<std::string>{"a", "b;q=\"x,\\\"y\"", "c"});
    CHECK(all_of(fields.elements("None")).empty());
    // What is left open ends with its line.
    for (const std::string_view open : {"\"a, b", "\"a, b\\"}) {
        http::headers broken = with("X", open);
        broken.append("X", "c");
        CHECK(all_of(broken.elements("X")) == std::vector<std::string>{std::string(open), "c"});
    }
}

TEST_CASE("headers: a list is read as a whole or not at all", "[http][headers]") {
    http::headers fields = with("Content-Length", "5, 5");
    CHECK(fields.get_list_as<int>("Content-Length") == std::vector<int>{5, 5});
    fields.append("Content-Length", "x");
    CHECK(fields.get_list_as<int>("Content-Length").error() == field_error::malformed);
    CHECK(fields.get_list_as<int>("Age").error() == field_error::missing);
    CHECK(with("X", " , ").get_list_as<int>("X") == std::vector<int>());
}

TEST_CASE("field_name: a constant finds what was sent in other case", "[http][headers]") {
    const http::headers fields = with("x-request-id", "7");
    CHECK(fields.get(field_name::x_request_id) == "7");
    CHECK(field_name::www_authenticate == "WWW-Authenticate");
    CHECK(field_name::etag == "ETag");
}
