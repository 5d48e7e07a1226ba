// Waiting for one of a client's connections.

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/core/join.hpp>
#include <heph/http/client.hpp>
#include <heph/rt/timer.hpp>

#include "client_run.hpp"
#include "scripted_server.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::fetch;
using http::test::test_server;
using http::test::with_client;
using namespace std::chrono_literals;

namespace {

std::string url_of(const test_server& server, const std::string& path) {
    return "http://127.0.0.1:" + std::to_string(server.port()) + path;
}

http::client_options one_connection(std::chrono::milliseconds pool_timeout) {
    http::client_options options;
    options.connections_per_origin_max = 1;
    options.pool_timeout = pool_timeout;
    return options;
}

// Holds an answer that is not read, and asks once more.
task<> wait_for_itself(http::client with, std::string url, std::vector<std::string>* told) {
    {
        auto held = co_await with.get(url);
        told->push_back(held ? "held" : held.error().message());
        told->push_back(co_await fetch(with, url));
    }
    told->push_back(co_await fetch(with, url));
}

task<> fetch_two(http::client with, std::string url, std::vector<std::string>* told) {
    auto [first, second] = co_await heph::join(fetch(with, url), fetch(with, url));
    told->push_back(first);
    told->push_back(second);
}

// Has a connection of another protocol, and asks beside it.
task<> ask_beside_tunnel(http::client with, std::string url, std::vector<std::string>* told) {
    http::client_request request(http::method::get, url);
    request.set_header("Upgrade", "other");
    auto tunnel = co_await with.send(std::move(request));
    told->push_back(tunnel && tunnel->upgraded() != nullptr ? "tunnel" : "none");
    told->push_back(co_await fetch(with, url));
    if (!tunnel || tunnel->upgraded() == nullptr) { co_return; }
    const auto bytes = co_await tunnel->upgraded()->read();
    told->push_back(bytes ? std::string(*bytes) : bytes.error().message());
}

// Has a connection of another protocol, and no client any more.
task<> keep_tunnel(http::client with, std::string url, std::vector<std::string>* told) {
    auto tunnel =
        co_await [](http::client last,
                    std::string to) -> task<std::expected<http::client_response, std::error_code>> {
        http::client_request request(http::method::get, std::move(to));
        request.set_header("Upgrade", "other");
        auto sending = last.send(std::move(request));
        co_return co_await std::move(sending);
    }(std::move(with), std::move(url));
    REQUIRE(tunnel);
    REQUIRE(tunnel->upgraded() != nullptr);
    const auto wrote = co_await tunnel->upgraded()->write("more");
    told->push_back(wrote ? "written" : wrote.error().message());
    const auto bytes = co_await tunnel->upgraded()->read();
    told->push_back(bytes ? std::string(*bytes) : bytes.error().message());
}

}  // namespace

TEST_CASE("client pool: who holds all connections and waits for one is told so in time",
          "[http][client][pool]") {
    const test_server server(http::test::make_test_routes());
    std::vector<std::string> told;
    with_client(
        [&](http::client client) {
            return wait_for_itself(std::move(client), url_of(server, "/hello"), &told);
        },
        one_connection(30ms));
    CHECK(told == std::vector<std::string>{"held",
                                           http::test::text_of(http::error::no_free_connection),
                                           "200 Hello, World!"});
}

TEST_CASE("client pool: a connection that is free in time goes to who waits",
          "[http][client][pool]") {
    const test_server server(http::test::make_test_routes());
    std::vector<std::string> told;
    with_client(
        [&](http::client client) {
            return fetch_two(std::move(client), url_of(server, "/later"), &told);
        },
        one_connection(60s));
    CHECK(told == std::vector<std::string>{"200 later", "200 later"});
}

TEST_CASE("client pool: without patience, a request fails at once where there is no connection",
          "[http][client][pool]") {
    const test_server server(http::test::make_test_routes());
    std::vector<std::string> told;
    with_client(
        [&](http::client client) {
            return fetch_two(std::move(client), url_of(server, "/later"), &told);
        },
        one_connection(0ms));
    CHECK(told == std::vector<std::string>{"200 later",
                                           http::test::text_of(http::error::no_free_connection)});
}

TEST_CASE("client pool: the longest patience there is does not overflow", "[http][client][pool]") {
    const test_server server(http::test::make_test_routes());
    std::vector<std::string> told;
    with_client(
        [&](http::client client) {
            return fetch_two(std::move(client), url_of(server, "/later"), &told);
        },
        one_connection(std::chrono::milliseconds::max()));
    CHECK(told == std::vector<std::string>{"200 later", "200 later"});
}

TEST_CASE("client pool: connections of another protocol leave no request without one",
          "[http][client][pool]") {
    // A WebSocket that was open for days took the place of a connection for so long.
    http::test::scripted_server server(
        {{http::test::scripted_step{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n"
                                    "Connection: upgrade\r\n\r\nbytes",
                                    true}},
         {http::test::scripted_step{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}}});
    std::vector<std::string> told;
    with_client(
        [&](http::client client) -> task<> {
            return ask_beside_tunnel(std::move(client), server.url(), &told);
        },
        one_connection(0ms));
    CHECK(told == std::vector<std::string>{"tunnel", "200 ok", "bytes"});
}

TEST_CASE("client pool: a connection of another protocol outlives the client",
          "[http][client][pool]") {
    // It read the options of a pool that had gone with the client.
    http::test::scripted_server server(
        {{http::test::scripted_step{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n"
                                    "Connection: upgrade\r\n\r\nbytes",
                                    true}}});
    std::vector<std::string> told;
    with_client(
        [&](http::client client) -> task<> {
            return keep_tunnel(std::move(client), server.url(), &told);
        },
        one_connection(0ms));
    CHECK(told == std::vector<std::string>{"written", "bytes"});
}
