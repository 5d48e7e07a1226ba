// Empty lines between requests, over a socket.

#include <chrono>
#include <vector>

#include <catch2/catch.hpp>

#include "http/raw_client.hpp"
#include "http/test_routes.hpp"
#include "http/test_server.hpp"

using heph::http::test::captured_log;
using heph::http::test::make_test_routes;
using heph::http::test::post_request;
using heph::http::test::raw_client;
using heph::http::test::server_setup;
using heph::http::test::test_server;
using namespace std::chrono_literals;

TEST_CASE("hostile idle: an empty line behind a request begins no other",
          "[http][hostile][server]") {
    server_setup setup;
    setup.limits.head_timeout = 50ms;
    // Long enough to be asked at all, on a machine that is slow.
    setup.limits.idle_timeout = 3s;
    const captured_log log;
    const test_server brief(make_test_routes(), setup);
    const test_server server(make_test_routes());
    const auto all_behind = {"", "\r", "\r\n", "\r\n\r\n", "\r\n\r"};
    std::vector<raw_client> all_waiting;
    for (const char* behind : all_behind) {
        CAPTURE(behind);
        raw_client& waiting = all_waiting.emplace_back(brief.port());
        CHECK(waiting.ask(post_request("/length", "abc") + behind).body == "3");
    }
    for (const char* behind : all_behind) {
        CAPTURE(behind);
        raw_client leaving(server.port());
        CHECK(leaving.ask(post_request("/length", "abc") + behind).body == "3");
        leaving.end_sending();
        CHECK(leaving.at_end());
        raw_client going_on(server.port());
        CHECK(going_on.ask("\r\n" + post_request("/length", "abc") + "\r\n").body == "3");
        CHECK(going_on.ask("\r\n" + post_request("/length", "abcd")).body == "4");
    }
    // Were it a request that is late, a 408 would come.
    for (raw_client& waiting : all_waiting) { CHECK(waiting.at_end()); }
    CHECK(log.lines().empty());
}
