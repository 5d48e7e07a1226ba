#include <chrono>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/http/conditional.hpp>
#include <heph/http/date.hpp>

#include "route_request.hpp"

namespace http = heph::http;
using http::precondition;
using namespace std::chrono_literals;

namespace {

constexpr auto modified = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr auto earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr auto later = "Sun, 06 Nov 1994 08:49:38 GMT";

http::validators strong() {
    http::validators made;
    made.tag = http::entity_tag::make("a");
    made.modified = http::parse_date(modified);
    return made;
}

http::validators weak() {
    http::validators made = strong();
    made.tag = http::entity_tag::make("a", true);
    return made;
}

http::validators nothing_there() {
    http::validators made;
    made.exists = false;
    return made;
}

precondition evaluate(std::string_view name, std::string_view value,
                      const http::validators& current, http::method method = http::method::get) {
    http::headers request;
    request.append(name, value);
    return http::evaluate_conditions(method, request, current);
}

/// Asks for the ten digits, tagged and dated, with more header lines.
http::response ask(std::string_view fields, std::string_view method = "GET") {
    http::request asked;
    REQUIRE(http::test::parse_head(asked, method, "/", fields).kind == http::h1::event_kind::head);
    auto full = http::response::text("0123456789");
    full.set_header("ETag", "\"a\"").set_header("Last-Modified", modified);
    full.set_header("X-Other", "kept").set_header("Cache-Control", "max-age=5");
    return http::apply_conditions(asked, std::move(full));
}

}  // namespace

TEST_CASE("entity tag: reads and writes strong and weak ones", "[http][conditional]") {
    const auto tag = http::entity_tag::parse("W/\"x,y\"");
    REQUIRE(tag);
    CHECK(tag->is_weak());
    CHECK(tag->opaque() == "x,y");
    CHECK(tag->to_string() == "W/\"x,y\"");
    CHECK(http::entity_tag::parse("\"\"")->opaque().empty());
    for (const char* text :
         {"", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/ \"a\"", "\"a b\"", "\"a\"b", "\"a\" ",
          " \"a\"", "\"a\",", ",\"a\"", "\"a\", \"b\"", "*", "\"\x7f\"", "W/"}) {
        CAPTURE(text);
        CHECK_FALSE(http::entity_tag::parse(text).has_value());
    }
    CHECK_FALSE(http::entity_tag::make("a\"b").has_value());
    CHECK_FALSE(http::entity_tag::make("a\r\n").has_value());
}

TEST_CASE("entity tag: weak ones match only weakly", "[http][conditional]") {
    const auto a = *http::entity_tag::make("1");
    const auto w = *http::entity_tag::make("1", true);
    const auto b = *http::entity_tag::make("2");
    CHECK(a.matches_strongly(a));
    CHECK_FALSE(a.matches_strongly(w));
    CHECK_FALSE(w.matches_strongly(w));
    CHECK(a.matches_weakly(w));
    CHECK(w.matches_weakly(w));
    CHECK_FALSE(w.matches_weakly(b));
}

TEST_CASE("entity tag: content that differs gets another one", "[http][conditional]") {
    const auto of = [](std::string_view text) { return http::entity_tag::of_content(text); };
    CHECK(of("abc") == of("abc"));
    CHECK_FALSE(of("abc") == of("abd"));
    CHECK_FALSE(of("") == of(std::string_view("\0", 1)));
    CHECK(of("abc").opaque().size() == 32);
    CHECK(http::entity_tag::parse(of("abc").to_string()) == of("abc"));
}

TEST_CASE("conditional: If-Match compares strongly", "[http][conditional]") {
    CHECK(evaluate("If-Match", "\"a\"", strong()) == precondition::proceed);
    CHECK(evaluate("If-Match", "\"b\", \"a\"", strong()) == precondition::proceed);
    CHECK(evaluate("If-Match", "\"b\"", strong()) == precondition::failed);
    CHECK(evaluate("If-Match", "W/\"a\"", strong()) == precondition::failed);
    CHECK(evaluate("If-Match", "W/\"a\"", weak()) == precondition::failed);
    CHECK(evaluate("If-Match", "*", strong()) == precondition::proceed);
    CHECK(evaluate("If-Match", "*", nothing_there()) == precondition::failed);
    CHECK(evaluate("If-Match", "\"a\"", nothing_there()) == precondition::failed);
    CHECK(evaluate("If-Match", "\"a\"", strong(), http::method::put) == precondition::proceed);
    // A malformed premise holds for nothing, so that no update gets lost.
    CHECK(evaluate("If-Match", "a", strong(), http::method::put) == precondition::failed);
}

TEST_CASE("conditional: If-None-Match compares weakly", "[http][conditional]") {
    CHECK(evaluate("If-None-Match", "\"a\"", strong()) == precondition::not_modified);
    CHECK(evaluate("If-None-Match", "W/\"a\"", strong()) == precondition::not_modified);
    CHECK(evaluate("If-None-Match", "\"b\",W/\"a\"", weak()) == precondition::not_modified);
    CHECK(evaluate("If-None-Match", "\"b\"", strong()) == precondition::proceed);
    CHECK(evaluate("If-None-Match", "*", strong()) == precondition::not_modified);
    CHECK(evaluate("If-None-Match", "*", nothing_there()) == precondition::proceed);
    CHECK(evaluate("If-None-Match", "\"a\"", strong(), http::method::head) ==
          precondition::not_modified);
    CHECK(evaluate("If-None-Match", "*", strong(), http::method::put) == precondition::failed);
    CHECK(evaluate("If-None-Match", "*", nothing_there(), http::method::put) ==
          precondition::proceed);
    CHECK(evaluate("If-None-Match", "\"a\"", strong(), http::method::options) ==
          precondition::proceed);
}

TEST_CASE("conditional: dates are compared to the second", "[http][conditional]") {
    CHECK(evaluate("If-Modified-Since", modified, strong()) == precondition::not_modified);
    CHECK(evaluate("If-Modified-Since", later, strong()) == precondition::not_modified);
    CHECK(evaluate("If-Modified-Since", earlier, strong()) == precondition::proceed);
    CHECK(evaluate("If-Modified-Since", "yesterday", strong()) == precondition::proceed);
    CHECK(evaluate("If-Modified-Since", modified, strong(), http::method::put) ==
          precondition::proceed);
    CHECK(evaluate("If-Modified-Since", modified, http::validators()) == precondition::proceed);
    CHECK(evaluate("If-Unmodified-Since", modified, strong()) == precondition::proceed);
    CHECK(evaluate("If-Unmodified-Since", earlier, strong()) == precondition::failed);
    CHECK(evaluate("If-Unmodified-Since", "yesterday", strong()) == precondition::proceed);
    CHECK(evaluate("If-Unmodified-Since", earlier, http::validators()) == precondition::proceed);
}

TEST_CASE("conditional: tags count more than dates", "[http][conditional]") {
    http::headers request;
    request.append("If-None-Match", "\"b\"");
    request.append("If-Modified-Since", later);
    CHECK(http::evaluate_conditions(http::method::get, request, strong()) == precondition::proceed);
    http::headers other;
    other.append("If-Match", "\"a\"");
    other.append("If-Unmodified-Since", earlier);
    CHECK(http::evaluate_conditions(http::method::put, other, strong()) == precondition::proceed);
    http::headers twice;
    twice.append("If-Modified-Since", later);
    twice.append("If-Modified-Since", later);
    CHECK(http::evaluate_conditions(http::method::get, twice, strong()) == precondition::proceed);
    http::headers both;
    both.append("If-Match", "\"a\"");
    both.append("If-None-Match", "\"a\"");
    CHECK(http::evaluate_conditions(http::method::get, both, strong()) ==
          precondition::not_modified);
    CHECK(http::evaluate_conditions(http::method::put, both, strong()) == precondition::failed);
}

TEST_CASE("conditional: If-Range holds for a strong tag or an old exact date",
          "[http][conditional]") {
    const auto now = *http::parse_date(modified) + 1s;
    const auto holds = [now](std::string_view value, const http::validators& current) {
        http::headers request;
        request.append("If-Range", value);
        return http::range_condition_holds(request, current, now);
    };
    CHECK(holds("\"a\"", strong()));
    CHECK_FALSE(holds("\"b\"", strong()));
    CHECK_FALSE(holds("W/\"a\"", weak()));
    CHECK_FALSE(holds("\"a\"", weak()));
    CHECK(holds(modified, strong()));
    CHECK_FALSE(holds(earlier, strong()));
    CHECK_FALSE(holds(later, strong()));
    CHECK_FALSE(holds("nonsense", strong()));
    http::headers request;
    request.append("If-Range", modified);
    CHECK_FALSE(http::range_condition_holds(request, strong(), now - 1s));
    CHECK(http::range_condition_holds(http::headers(), strong(), now));
}

TEST_CASE("conditional: a version the client has is answered with 304", "[http][conditional]") {
    const auto answer = ask("If-None-Match: \"a\"\r\n");
    CHECK(answer.status() == http::status::not_modified);
    CHECK(answer.body().empty());
    CHECK(answer.headers().get("ETag") == "\"a\"");
    CHECK(answer.headers().get("Cache-Control") == "max-age=5");
    CHECK_FALSE(answer.headers().contains("Content-Type"));
    CHECK_FALSE(answer.headers().contains("X-Other"));
    // It says nothing to who has a tag to go by (RFC 9110, 15.4.5).
    CHECK_FALSE(answer.headers().contains("Last-Modified"));
    const auto dated = http::response::not_modified(
        http::response().set_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"));
    CHECK(dated.headers().contains("Last-Modified"));
    CHECK(ask("If-Match: \"b\"\r\n").status() == http::status::precondition_failed);
    CHECK(ask("").status() == http::status::ok);
    CHECK(ask("").headers().get("Accept-Ranges") == "bytes");
}

TEST_CASE("conditional: a range of a body is answered with 206", "[http][conditional]") {
    const auto part = ask("Range: bytes=2-4\r\n");
    CHECK(part.status() == http::status::partial_content);
    CHECK(part.body() == "234");
    CHECK(part.headers().get("Content-Range") == "bytes 2-4/10");
    CHECK(part.headers().get("ETag") == "\"a\"");
    CHECK(part.headers().get("X-Other") == "kept");

    const auto beyond = ask("Range: bytes=10-\r\n");
    CHECK(beyond.status() == http::status::range_not_satisfiable);
    CHECK(beyond.headers().get("Content-Range") == "bytes */10");

    CHECK(ask("Range: bytes=2-4\r\nIf-Range: \"b\"\r\n").body() == "0123456789");
    CHECK(ask("Range: bytes=2-4\r\nIf-Range: \"a\"\r\n").body() == "234");
    CHECK(ask("Range: bytes=10-\r\nIf-Range: \"b\"\r\n").status() == http::status::ok);
    CHECK(ask("Range: lines=1-2\r\n").status() == http::status::ok);
    CHECK(ask("Range: bytes=0-1\r\nRange: bytes=2-3\r\n").status() == http::status::ok);
    CHECK(ask("Range: bytes=2-4\r\n", "HEAD").status() == http::status::ok);
    CHECK(ask("Range: bytes=2-4\r\nIf-None-Match: \"a\"\r\n").status() ==
          http::status::not_modified);
}

TEST_CASE("conditional: several ranges are answered in parts", "[http][conditional]") {
    const auto answer = ask("Range: bytes=8-,0-1\r\n");
    REQUIRE(answer.status() == http::status::partial_content);
    CHECK_FALSE(answer.headers().contains("Content-Range"));
    const std::string type(*answer.headers().get("Content-Type"));
    const std::string begin = "multipart/byteranges; boundary=";
    REQUIRE(type.starts_with(begin));
    const std::string boundary = type.substr(begin.size());
    CHECK(answer.body() == "--" + boundary +
                               "\r\nContent-Type: text/plain; charset=utf-8\r\n"
                               "Content-Range: bytes 8-9/10\r\n\r\n89\r\n--" +
                               boundary +
                               "\r\nContent-Type: text/plain; charset=utf-8\r\n"
                               "Content-Range: bytes 0-1/10\r\n\r\n01\r\n--" +
                               boundary + "--\r\n");
}

TEST_CASE("conditional: only what succeeds and reads is changed", "[http][conditional]") {
    http::request asked;
    REQUIRE(
        http::test::parse_head(asked, "GET", "/", "Range: bytes=0-1\r\nIf-Match: \"x\"\r\n").kind ==
        http::h1::event_kind::head);
    auto missing = http::response::text("gone", http::status::not_found);
    CHECK(http::apply_conditions(asked, std::move(missing)).status() == http::status::not_found);
    http::request posted;
    REQUIRE(http::test::parse_head(posted, "DELETE", "/", "If-None-Match: *\r\n").kind ==
            http::h1::event_kind::head);
    CHECK(http::apply_conditions(posted, http::response::text("done")).status() ==
          http::status::ok);
}
