#include <array>
#include <chrono>
#include <set>
#include <string>
#include <system_error>
#include <type_traits>

#include <catch2/catch.hpp>

#include <heph/http/date.hpp>
#include <heph/http/error.hpp>
#include <heph/http/headers.hpp>
#include <heph/http/method.hpp>
#include <heph/http/status.hpp>

namespace http = heph::http;

TEST_CASE("method: each name reads back as itself, and only exactly", "[http][method]") {
    for (std::size_t i = 0; i < http::method_count; ++i) {
        const auto method = static_cast<http::method>(i);
        CHECK(http::parse_method(http::to_string(method)) == method);
    }
    for (const char* text : {"", "get", "GET ", "GETT", "GE", "PRI", "M-SEARCH", "extension"}) {
        CHECK_FALSE(http::parse_method(text).has_value());
    }
}

TEST_CASE("status: every registered code has its reason, others have none", "[http][status]") {
    std::size_t known = 0;
    for (unsigned code = 100; code < 1000; ++code) {
        if (!http::reason(static_cast<http::status>(code)).empty()) { ++known; }
    }
    CHECK(known == 62);
    CHECK(http::reason(http::status::not_found) == "Not Found");
    CHECK(http::reason(http::status::content_too_large) == "Content Too Large");
    CHECK(http::reason(static_cast<http::status>(299)).empty());
    CHECK(http::is_bodiless(http::status::no_content));
    CHECK(http::is_bodiless(http::status::not_modified));
    CHECK(http::is_bodiless(http::status::early_hints));
    CHECK_FALSE(http::is_bodiless(http::status::ok));
}

TEST_CASE("error: each has a message of its own and a status that fits", "[http][error]") {
    std::set<std::string_view> messages;
    for (int i = 1; i <= static_cast<int>(http::error::bad_response); ++i) {
        const auto error = static_cast<http::error>(i);
        CHECK(messages.insert(http::message(error)).second);
        CHECK(http::code(http::status_of(error)) >= 400);
        const std::error_code code = error;
        CHECK(code.message() == http::message(error));
        CHECK(std::string(code.category().name()) == "heph.http");
    }
}

TEST_CASE("date: a time is written as RFC 9110 has it", "[http][date]") {
    using namespace std::chrono;
    const auto text = [](sys_seconds time) {
        const auto written = http::format_date(time);
        return std::string(written.data(), written.size());
    };
    CHECK(text(sys_days(year(1994) / November / 6) + 8h + 49min + 37s) ==
          "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(text(sys_days(year(2024) / February / 29) + 23h + 59min + 59s) ==
          "Thu, 29 Feb 2024 23:59:59 GMT");
    CHECK(text(sys_seconds(0s)) == "Thu, 01 Jan 1970 00:00:00 GMT");

    const auto before = floor<seconds>(system_clock::now());
    const std::string now(http::current_date());
    // The coarse clock may lag behind by one tick, and the second may end in between.
    bool found = false;
    for (auto second = before - 1s; second <= before + 2s; second += 1s) {
        found = found || now == text(second);
    }
    CHECK(found);
}

TEST_CASE("headers: order is kept and case does not matter", "[http][headers]") {
    http::headers headers;
    headers.append("Accept", "a");
    headers.append("X-Two", "1");
    headers.append("accept", "b");
    REQUIRE(headers.size() == 3);
    CHECK(headers[0].name == "Accept");
    CHECK(headers[2].value == "b");
    CHECK(headers.get("ACCEPT") == "a");
    CHECK(headers.count("accept") == 2);
    CHECK(headers.get("x-two") == "1");
    CHECK_FALSE(headers.get("x-tw").has_value());
    CHECK_FALSE(headers.contains("x-three"));

    std::string names;
    for (const http::header field : headers) { names += std::string(field.name) + ","; }
    CHECK(names == "Accept,X-Two,accept,");
}

TEST_CASE("headers: set replaces all of a name, remove takes all away", "[http][headers]") {
    http::headers headers;
    headers.append("A", "1");
    headers.append("B", "2");
    headers.append("a", "3");
    headers.append("a", "4");
    headers.set("a", "5");
    REQUIRE(headers.size() == 2);
    CHECK(headers[0].value == "5");
    CHECK(headers[1].value == "2");
    headers.set("C", "6");
    CHECK(headers.get("c") == "6");
    headers.append("B", "7");
    CHECK(headers.remove("b") == 2);
    CHECK(headers.remove("b") == 0);
    CHECK(headers.size() == 2);
    headers.clear();
    CHECK(headers.empty());
}

TEST_CASE("headers: lists are searched over all lines", "[http][headers]") {
    http::headers headers;
    headers.append("Connection", "te , Close");
    headers.append("connection", "upgrade");
    CHECK(headers.has_token("connection", "close"));
    CHECK(headers.has_token("connection", "UPGRADE"));
    CHECK_FALSE(headers.has_token("connection", "keep-alive"));
    CHECK_FALSE(headers.has_token("te", "close"));
}

TEST_CASE("headers: many and large ones survive growing, moving and copying", "[http][headers]") {
    http::headers headers;
    for (int i = 0; i < 100; ++i) {
        headers.append("X-" + std::to_string(i), std::string(static_cast<std::size_t>(i), 'v'));
    }
    http::headers copy = headers;
    const http::headers moved = std::move(headers);
    copy.set("X-5", "changed");
    CHECK(moved.size() == 100);
    CHECK(moved.get("x-99") == std::string(99, 'v'));
    CHECK(moved.get("x-5") == "vvvvv");
    CHECK(copy.get("x-5") == "changed");
    CHECK(copy.get("x-99") == std::string(99, 'v'));
    http::headers small;
    small.append("A", "b");
    small = moved;
    CHECK(small.get("x-7") == "vvvvvvv");
    copy = std::move(small);
    CHECK(copy.get("x-7") == "vvvvvvv");
}

TEST_CASE("headers: names and values that would break a message are told", "[http][headers]") {
    CHECK(http::is_token("X-A_b!"));
    for (const char* text : {"", "a b", "a:", "a\r", "\xc3\xa4", "(a)"}) {
        CHECK_FALSE(http::is_token(text));
    }
    CHECK(http::is_field_value(""));
    CHECK(http::is_field_value("a\tb \xc3\xa4"));
    for (const char* text : {"a\r\nB: c", "a\n", "\x7f", " a", "a\t", "\x01"}) {
        CHECK_FALSE(http::is_field_value(text));
    }
}
