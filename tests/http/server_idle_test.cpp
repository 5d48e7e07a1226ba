// Idle connections make room for new ones when a worker has as many as it may.

#include <chrono>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "idle_list.hpp"
#include "raw_client.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;

TEST_CASE("server idle: the connection that was idle for the longest time makes room",
          "[http][server][idle]") {
    const captured_log log;
    server_setup setup;
    setup.limits.connections_max = 3;
    setup.limits.linger_timeout = 20ms;
    const test_server server(make_test_routes(), setup);
    std::vector<raw_client> clients;
    for (int i = 0; i < 3; ++i) {
        clients.emplace_back(server.port());
        CHECK(clients.back().ask(get_request("/hello")).status == 200);
    }
    // The first one is not the oldest any more.
    CHECK(clients[0].ask(get_request("/hello")).status == 200);
    raw_client fourth(server.port());
    CHECK(fourth.ask(get_request("/hello")).status == 200);
    CHECK(clients[1].at_end());
    CHECK_FALSE(clients[1].was_reset());
    CHECK(clients[0].ask(get_request("/hello")).status == 200);
    CHECK(clients[2].ask(get_request("/hello")).status == 200);
    CHECK(log.lines().empty());
}

TEST_CASE("server idle: any number of clients get in, one after the other, beyond the limit",
          "[http][server][idle]") {
    const captured_log log;
    server_setup setup;
    setup.limits.connections_max = 2;
    const test_server server(make_test_routes(), setup);
    std::vector<raw_client> clients;
    for (int i = 0; i < 200; ++i) {
        clients.emplace_back(server.port());
        REQUIRE(clients.back().ask(get_request("/hello")).status == 200);
    }
    CHECK(log.lines().empty());
    CHECK(clients[198].ask(get_request("/hello")).status == 200);
}

TEST_CASE("server idle: no room is made by those who are about to ask, or are being answered",
          "[http][server][idle]") {
    const captured_log log;
    server_setup setup;
    setup.limits.connections_max = 2;
    setup.limits.first_request_grace = 1min;
    setup.limits.linger_timeout = 20ms;
    const test_server server(make_test_routes(), setup);
    raw_client silent(server.port());
    raw_client busy(server.port());
    busy.send(get_request("/hello") + "GET /hello HTTP/1.1\r\nHost: a\r\n");
    CHECK(busy.read().status == 200);
    raw_client third(server.port());
    CHECK(third.read().status == 503);
    busy.send("\r\n");
    CHECK(busy.read().status == 200);
    CHECK(silent.ask(get_request("/hello")).status == 200);
}

TEST_CASE("server idle: those who have asked for nothing for a while make room, and before others",
          "[http][server][idle]") {
    const captured_log log;
    server_setup setup;
    setup.limits.connections_max = 3;
    setup.limits.linger_timeout = 20ms;
    setup.limits.first_request_grace = 0ms;
    const test_server server(make_test_routes(), setup);
    raw_client asked(server.port());
    CHECK(asked.ask(get_request("/hello")).status == 200);
    raw_client silent(server.port());
    raw_client begun(server.port());
    begun.send("GET /hello HTTP/1.1\r\n");
    // By the second answer, the server has seen the others.
    CHECK(asked.ask(get_request("/hello")).status == 200);
    CHECK(asked.ask(get_request("/hello")).status == 200);
    raw_client fourth(server.port());
    CHECK(fourth.ask(get_request("/hello")).status == 200);
    CHECK(silent.at_end());
    CHECK_FALSE(silent.was_reset());
    // Only who has asked is left to make room for one more.
    raw_client fifth(server.port());
    CHECK(fifth.ask(get_request("/hello")).status == 200);
    CHECK(asked.at_end());
    begun.send("Host: a\r\n\r\n");
    CHECK(begun.read().status == 200);
    CHECK(log.lines().empty());
}

TEST_CASE("server idle: who has too many connections of an address closes nobody's",
          "[http][server][idle]") {
    const captured_log log;
    server_setup setup;
    setup.limits.connections_max = 3;
    setup.limits.connections_per_address_max = 2;
    setup.limits.linger_timeout = 20ms;
    const test_server server(make_test_routes(), setup);
    raw_client first(server.port());
    raw_client second(server.port());
    CHECK(first.ask(get_request("/hello")).status == 200);
    CHECK(second.ask(get_request("/hello")).status == 200);
    raw_client third(server.port());
    CHECK(third.read().status == 503);
    CHECK(first.ask(get_request("/hello")).status == 200);
    CHECK(second.ask(get_request("/hello")).status == 200);
}

TEST_CASE("idle list: what leaves, or is destroyed, is not given", "[http][idle]") {
    using heph::http::detail::idle_link;
    heph::http::detail::idle_list list;
    CHECK(list.oldest() == nullptr);
    idle_link first;
    idle_link last;
    list.add(first);
    {
        idle_link middle;
        list.add(middle);
        list.add(last);
        first.leave();
        first.leave();
        CHECK(list.oldest() == &middle);
    }
    CHECK(list.oldest() == &last);
    list.add(first);
    last.leave();
    CHECK(list.oldest() == &first);
    first.leave();
    CHECK(list.oldest() == nullptr);
}
