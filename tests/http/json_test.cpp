#include <heph/http/json.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/router.hpp>

#include "raw_client.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using http::test::post_request;
using http::test::raw_client;
using http::test::test_server;

namespace {

struct note {
    std::string title;
    int stars = 0;
    std::vector<std::string> tags;
};

void to_json(nlohmann::json& to, const note& from) {
    to = {{"title", from.title}, {"stars", from.stars}, {"tags", from.tags}};
}

void from_json(const nlohmann::json& from, note& to) {
    from.at("title").get_to(to.title);
    to.stars = http::get_integer<int>(from, "stars", 0);
    if (from.contains("tags")) { from.at("tags").get_to(to.tags); }
}

struct point {
    std::uint64_t x = 0;
    std::vector<std::int8_t> more;
};

void from_json(const nlohmann::json& from, point& to) {
    to.x = http::get_integer<std::uint64_t>(from, "x");
    if (!from.contains("more")) { return; }
    for (const auto& each : from.at("more")) {
        to.more.push_back(http::to_integer<std::int8_t>(each));
    }
}

// What became of a text: the document written out again, or the status.
std::string parsed(std::string_view text, const http::json_limits& within = {}) {
    const auto got = http::parse_json(text, within);
    return got ? got->dump() : std::to_string(http::code(got.error().status()));
}

std::string repeated(std::string_view text, std::size_t times) {
    std::string all;
    for (; times > 0; --times) { all += text; }
    return all;
}

http::router routes() {
    http::router made;
    made.post("/notes", [](http::request& request) -> heph::task<http::response> {
        auto sent = co_await http::read_json<note>(request);
        if (!sent) { co_return sent.error().answer(); }
        sent->stars += 1;
        co_return http::json_response(*sent, http::status::created);
    });
    made.post("/small", [](http::request& request) -> heph::task<http::response> {
        http::json_limits within;
        within.bytes_max = 10;
        auto sent = co_await http::read_json(request, within);
        if (!sent) { co_return sent.error().answer(); }
        co_return http::json_response(*sent);
    });
    return made;
}

}  // namespace

TEST_CASE("json: texts of RFC 8259 are taken, and nothing else", "[http][json]") {
    for (const char* same :
         {"null", "true", "0", "-7", "18446744073709551615", "1.5", "\"\"", "\"\xc3\xa4\"", "[]",
          "{}", R"([1,[2,{"a":[]}],null])", R"({"a":{"b":[1,2]},"c":"d"})", R"({"":0})",
          R"({"a":{"a":{"a":1}}})"}) {
        CHECK(parsed(same) == same);
    }
    CHECK(parsed(" \t\r\n[ 1 , 2 ] ") == "[1,2]");
    CHECK(parsed(R"({"b":1,"a":[{"x":1},{"x":2}]})") == R"({"a":[{"x":1},{"x":2}],"b":1})");
    CHECK(parsed("\"\\ud83d\\ude00\"") == "\"\xf0\x9f\x98\x80\"");
    for (const char* bad :
         {"",       " ",        "nul",          "[1,]",    "{\"a\":1,}", "{a:1}",
          "'a'",    "[1 2]",    "1 2",          "[1]]",    "[",          "{",
          "{\"a\"", "{\"a\":",  "01",           "+1",      ".5",         "1.",
          "0x1",    "NaN",      "Infinity",     "1e999",   "\"\\x\"",    "\"\\ud800\"",
          "\"\n\"", "\"\x80\"", "\"\xc0\xaf\"", "// a\n1", "[1]\x01",    "\"a"}) {
        CAPTURE(bad);
        CHECK(parsed(bad) == "400");
    }
    CHECK(parsed(std::string_view("[1]\0", 4)) == "400");
    CHECK(parsed(std::string_view("[1]\0[2]", 7)) == "400");
    CHECK(parsed(std::string_view("\"\0\"", 3)) == "400");
    CHECK(http::parse_json("[1,,2]").error().detail().ends_with("at byte 4."));
}

TEST_CASE("json: a name that stands twice in an object is refused", "[http][json]") {
    CHECK(parsed(R"({"a":1,"a":1})") == "400");
    CHECK(parsed(R"([{"a":{"b":1,"c":[],"b":2}}])") == "400");
    CHECK(parsed("{\"a\":1,\"\\u0061\":1}") == "400");
    CHECK(parsed(R"([{"a":1},{"a":1}])") == R"([{"a":1},{"a":1}])");
}

TEST_CASE("json: depth, values and bytes are bounded, each by itself", "[http][json]") {
    http::json_limits within;
    within.depth_max = 3;
    within.values_max = 5;
    within.bytes_max = 40;
    CHECK(parsed("[[[1]]]", within) == "[[[1]]]");
    CHECK(parsed("[[[[]]]]", within) == "400");
    CHECK(parsed(R"({"a":{"b":{"c":{}}}})", within) == "400");
    CHECK(parsed("[[[]],[[]]]", within) == "[[[]],[[]]]");
    CHECK(parsed("[1,2,3,4]", within) == "[1,2,3,4]");
    CHECK(parsed("[1,2,3,4,5]", within) == "413");
    CHECK(parsed(R"({"a":1,"b":[2,{}],"c":3})", within) == "413");
    CHECK(parsed("\"" + std::string(38, 'a') + "\"", within).size() == 40);
    CHECK(parsed("\"" + std::string(39, 'a') + "\"", within) == "413");
    within.depth_max = 0;
    CHECK(parsed("1", within) == "1");
    CHECK(parsed("[]", within) == "400");

    // What is on by default.
    CHECK(parsed(repeated("[", 64) + repeated("]", 64)).size() == 128);
    CHECK(parsed(repeated("[", 65) + repeated("]", 65)) == "400");
    CHECK(parsed(repeated("[", 1'000'000)) == "400");
    CHECK(parsed(repeated("{\"a\":", 1'000'000)) == "400");
    CHECK(parsed("[" + repeated("0,", 99'998) + "0]").size() == 199'999);
    CHECK(parsed("[" + repeated("0,", 99'999) + "0]") == "413");
}

TEST_CASE("json: a handler gets its type, or a problem that it can answer with",
          "[http][json][server]") {
    const test_server server(routes());
    raw_client client(server.port());
    const std::string json = "Content-Type: application/json\r\n";
    const auto status = [&](std::string_view body, std::string_view fields,
                            std::string_view path = "/notes") {
        return client.ask(post_request(path, body, fields)).status;
    };
    auto reply = client.ask(post_request("/notes", R"({"title":"a","tags":["b"]})", json));
    CHECK(reply.status == 201);
    CHECK(reply.header("content-type") == "application/json");
    CHECK(reply.body == "{\"stars\":1,\"tags\":[\"b\"],\"title\":\"a\"}\n");

    const std::string good = R"({"title":"a"})";
    for (const char* type : {"application/json", "Application/JSON ; charset=UTF-8",
                             "application/json;charset=\"utf-8\"", "application/vnd.note+json",
                             "application/merge-patch+JSON; a=b", "application/json;"}) {
        CAPTURE(type);
        CHECK(status(good, std::string("Content-Type: ") + type + "\r\n") == 201);
    }
    for (const char* type :
         {"text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json",
          "application/+json", "application/json; charset=latin1", "", "application/json, a/b"}) {
        CAPTURE(type);
        reply =
            client.ask(post_request("/notes", good, std::string("Content-Type: ") + type + "\r\n"));
        CHECK(reply.status == 415);
        CHECK(reply.header("accept") == "application/json");
        CHECK(reply.header("content-type") == "application/problem+json");
    }
    CHECK(status(good, "") == 415);
    CHECK(status(good, json + json) == 415);
    CHECK(status(good, json + "Content-Encoding: gzip\r\n") == 415);
    CHECK(status(good, json + "Content-Encoding: identity\r\n") == 201);

    CHECK(status("{\"title\":", json) == 400);
    CHECK(status("", json) == 400);
    reply = client.ask(post_request("/notes", R"({"title":7})", json));
    CHECK(reply.status == 422);
    CHECK(reply.body.find("type must be string, but is number.\"") != std::string::npos);
    CHECK(reply.body.find("exception") == std::string::npos);
    CHECK(status(R"({"stars":7})", json) == 422);
    CHECK(status("[]", json) == 422);
    CHECK(status("[1]", json, "/small") == 200);
    CHECK(status("[1,2,3,4,5]", json, "/small") == 413);
}

TEST_CASE("json: a number is taken when it is an integer that its type can hold, and else refused",
          "[http][json]") {
    const auto stars = [](std::string_view number) {
        const std::string text = R"({"title":"a","stars":)" + std::string(number) + "}";
        const auto got = http::from_json_document<note>(http::parse_json(text).value());
        return got ? std::to_string(got->stars) : std::to_string(http::code(got.error().status()));
    };
    for (const char* same : {"0", "-1", "2147483647", "-2147483648"}) {
        CHECK(stars(same) == same);
    }
    CHECK(stars("-0") == "0");
    for (const char* bad :
         {"2147483648", "-2147483649", "4294967297", "9223372036854775807", "18446744073709551615",
          "18446744073709551616", "1e300", "-1e300", "3.9", "3.0", "1e2", "true", "false", "null",
          "\"3\"", "[]", "[3]", "{}"}) {
        CAPTURE(bad);
        CHECK(stars(bad) == "422");
    }

    const auto read = [](std::string_view text) {
        return http::from_json_document<point>(http::parse_json(text).value());
    };
    CHECK(read(R"({"x":18446744073709551615})").value().x == 18446744073709551615U);
    CHECK(read(R"({"x":0,"more":[-128,127]})").value().more == std::vector<std::int8_t>{-128, 127});
    for (const char* bad :
         {R"({"x":-1})", R"({"x":18446744073709551616})", "{}", "[]", "7",
          R"({"x":1,"more":[128]})", R"({"x":1,"more":[-129]})", R"({"x":1,"more":["1"]})"}) {
        CAPTURE(bad);
        const auto got = read(bad);
        REQUIRE_FALSE(got);
        CHECK(got.error().status() == http::status::unprocessable_content);
    }
    CHECK(read(R"({"x":-1})")
              .error()
              .detail()
              .ends_with(": x has to be an integer from 0 to 18446744073709551615."));
    CHECK_THROWS_AS(http::get_integer<int>(nlohmann::json::array(), "a", 1),
                    http::json_value_error);
}

TEST_CASE("json: a response is JSON whatever is in the value", "[http][json]") {
    const auto made = http::json_response(std::string("a\xff\"b"), http::status::accepted);
    CHECK(made.status() == http::status::accepted);
    CHECK(made.headers().get("Content-Type") == "application/json");
    CHECK(made.body() == "\"a\xef\xbf\xbd\\\"b\"\n");
    CHECK(http::json_response(std::vector<int>{1, 2}).body() == "[1,2]\n");
    CHECK(http::json_response(nullptr).body() == "null\n");
    // A document is itself, and not an array with one in it.
    CHECK(http::json_response(nlohmann::json::object()).body() == "{}\n");
    CHECK(http::json_response(note{"t", 2, {}}).body() ==
          "{\"stars\":2,\"tags\":[],\"title\":\"t\"}\n");
}
