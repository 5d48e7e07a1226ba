#include <heph/http/middleware/https_only.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/http/h1/request_parser.hpp>

#include "route_request.hpp"
#include "run_task.hpp"

namespace http = heph::http;
using http::test::named;

namespace {

http::response ask(http::https_only_options options, std::string_view target, std::string_view host,
                   bool secure) {
    http::router routes;
    routes.use(http::https_only(std::move(options)));
    routes.get("/a", named("a"));
    const http::limits bounds;
    http::h1::request_parser parser(bounds);
    const std::string bytes =
        "GET " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
    std::string_view input = bytes;
    http::request asked;
    REQUIRE(parser.next(input, asked.head()).kind == http::h1::event_kind::head);
    asked.set_secure(secure);
    return http::test::run(routes.handle(asked));
}

std::string location(http::https_only_options options, std::string_view target,
                     std::string_view host) {
    const auto got = ask(std::move(options), target, host, false);
    CHECK(got.status() == http::status::permanent_redirect);
    return std::string(got.headers().get("Location").value_or("nowhere"));
}

}  // namespace

TEST_CASE("https only: a plain request is led to the same target over https",
          "[http][middleware]") {
    CHECK(location({}, "/a?b=c", "example.org") == "https://example.org/a?b=c");
    CHECK(location({}, "/no/route", "example.org:80") == "https://example.org/no/route");
    CHECK(location({}, "/a", "[::1]:8080") == "https://[::1]/a");
    CHECK(location({}, "/a", "[::1]") == "https://[::1]/a");
    // A whole URL names the host itself (RFC 9112, 3.2.2).
    CHECK(location({}, "http://example.org:80/a?b=c", "example.net") ==
          "https://example.org/a?b=c");
    CHECK(location({}, "http://example.org/a?", "example.org") == "https://example.org/a?");
    http::https_only_options other;
    other.port = 8443;
    other.host = "www.example.org";
    CHECK(location(other, "/a", "evil.test") == "https://www.example.org:8443/a");
}

TEST_CASE("https only: a secure request is answered, and the browser may be told to remember",
          "[http][middleware]") {
    const auto plain = ask({}, "/a", "a", true);
    CHECK(plain.status() == http::status::ok);
    CHECK_FALSE(plain.headers().contains("Strict-Transport-Security"));
    http::https_only_options remembered;
    remembered.remember = std::chrono::minutes(5);
    CHECK(ask(remembered, "/a", "a", true).headers().get("Strict-Transport-Security") ==
          "max-age=300");
}
