// Requests as they should be: keep-alive, pipelining, bodies both ways, HEAD, HTTP/1.0.

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/rt/error.hpp>
#include <heph/rt/timer.hpp>

#include "raw_client.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;

namespace {

std::string pattern(std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i) { text[i] = static_cast<char>('a' + i % 23); }
    return text;
}

}  // namespace

TEST_CASE("server: answers a request with status, date and length, and keeps the connection",
          "[http][server]") {
    const test_server server(make_test_routes());
    raw_client client(server.port());
    for (int i = 0; i < 3; ++i) {
        const reply got = client.ask(get_request("/hello"));
        CHECK(got.status == 200);
        CHECK(got.body == "Hello, World!");
        CHECK(got.header("content-type") == "text/plain");
        CHECK(got.header("content-length") == "13");
        CHECK_FALSE(got.header("connection"));
        const auto date = got.header("date");
        REQUIRE(date);
        CHECK(date->size() == 29);
        CHECK(date->ends_with(" GMT"));
    }
    CHECK(client.ask(get_request("/hello/caf%C3%A9")).body == "Hello, caf\xc3\xa9!");
}

TEST_CASE("server: answers what no route handles", "[http][server]") {
    struct sample {
        std::string request;
        int status;
        std::string allow;
    };
    const std::vector<sample> samples{
        {get_request("/nowhere"), 404, ""},
        {post_request("/hello", ""), 405, "GET, HEAD, OPTIONS"},
        {"OPTIONS /hello HTTP/1.1\r\nHost: a\r\n\r\n", 204, "GET, HEAD, OPTIONS"},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 204, ""},
        {"GET http://a/hello HTTP/1.1\r\nHost: a\r\n\r\n", 200, ""},
        {"DELETE /length HTTP/1.1\r\nHost: a\r\n\r\n", 405, "POST, OPTIONS"},
    };
    const test_server server(make_test_routes());
    raw_client client(server.port());
    for (const sample& each : samples) {
        CAPTURE(each.request);
        const reply got = client.ask(each.request);
        CHECK(got.status == each.status);
        CHECK(got.header("allow").value_or("") == each.allow);
        CHECK(got.complete);
        if (got.status >= 400) { CHECK(got.header("content-type") == "application/problem+json"); }
    }
    const reply refused = client.ask("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
    CHECK(refused.status == 501);
    CHECK(client.at_end());
}

TEST_CASE("server: answers HEAD like GET, without a body", "[http][server]") {
    const test_server server(make_test_routes());
    raw_client client(server.port());
    client.send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    const reply fixed = client.read(true);
    CHECK(fixed.status == 200);
    CHECK(fixed.header("content-length") == "13");
    client.send("HEAD /stream/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    const reply streamed = client.read(true);
    CHECK(streamed.status == 200);
    CHECK(streamed.header("transfer-encoding") == "chunked");
    client.send("HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(client.read(true).status == 404);
    // If a body had been sent, it would be taken for the next response.
    CHECK(client.ask(get_request("/hello")).body == "Hello, World!");
}

TEST_CASE("server: answers pipelined requests in order, in one write", "[http][server]") {
    const test_server server(make_test_routes());
    raw_client client(server.port());
    std::string requests;
    constexpr int count = 50;
    for (int i = 0; i < count; ++i) {
        requests += i % 2 == 0 ? get_request("/hello/" + std::to_string(i))
                               : post_request("/length", std::string(static_cast<size_t>(i), 'x'));
    }
    client.send(requests);
    std::string first = client.read_some();
    // One segment of loopback holds all of them.
    CHECK(first.find("Hello, 48!") != std::string::npos);
    client.send(requests);
    for (int i = 0; i < count; ++i) {
        const reply got = client.read();
        CHECK(got.body == (i % 2 == 0 ? "Hello, " + std::to_string(i) + "!" : std::to_string(i)));
    }
}

TEST_CASE("server: what was answered does not wait for a later handler", "[http][server]") {
    // The handler waits until the first response was read.
    auto read_first = std::make_shared<std::atomic<bool>>(false);
    router routes = make_test_routes();
    routes.get("/gate", [read_first](request&) -> heph::task<response> {
        while (!read_first->load()) { co_await heph::rt::timer(std::chrono::milliseconds(1)); }
        co_return response::text("opened");
    });
    const test_server server(std::move(routes));
    raw_client client(server.port());
    client.send(get_request("/hello") + get_request("/gate"));
    CHECK(client.read().body == "Hello, World!");
    read_first->store(true);
    CHECK(client.read().body == "opened");
    read_first->store(false);
    client.send(get_request("/hello") +
                "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    CHECK(client.read().body == "Hello, World!");
    client.send("abc");
    CHECK(client.read().body == "3");
    // Nor for one that is found by a whole URL.
    read_first->store(false);
    client.send(get_request("/hello") + get_request("http://a/gate"));
    CHECK(client.read().body == "Hello, World!");
    read_first->store(true);
    CHECK(client.read().body == "opened");
}

TEST_CASE("server: what was answered does not wait for what a middleware says of an unknown path",
          "[http][server]") {
    auto read_first = std::make_shared<std::atomic<bool>>(false);
    router routes = make_test_routes();
    routes.use([read_first](request& asked, next_handler next) -> heph::task<response> {
        while (!read_first->load()) { co_await heph::rt::timer(std::chrono::milliseconds(1)); }
        response answer = co_await next(asked);
        co_return answer;
    });
    const test_server server(std::move(routes));
    raw_client client(server.port());
    client.send(get_request("/hello") + get_request("/nowhere"));
    CHECK(client.read().body == "Hello, World!");
    read_first->store(true);
    CHECK(client.read().status == 404);
}

TEST_CASE("server: takes requests byte by byte", "[http][server]") {
    const test_server server(make_test_routes());
    raw_client client(server.port());
    const std::string chunked =
        "POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nTrailer: 1\r\n\r\n";
    for (const std::string& text : {get_request("/hello"), post_request("/length", "body"), chunked,
                                    get_request("/hello/x")}) {
        for (const char c : text) { REQUIRE(client.send(std::string_view(&c, 1))); }
    }
    CHECK(client.read().body == "Hello, World!");
    CHECK(client.read().body == "4");
    CHECK(client.read().body == "19");
    CHECK(client.read().body == "Hello, x!");
}

TEST_CASE("server: streams a response in chunks", "[http][server]") {
    const test_server server(make_test_routes());
    raw_client client(server.port());
    const reply got = client.ask(get_request("/stream/3"));
    CHECK(got.chunked);
    CHECK(got.complete);
    CHECK(got.body == "piece 0\npiece 1\npiece 2\n");
    const reply empty = client.ask(get_request("/stream/0"));
    CHECK(empty.chunked);
    CHECK(empty.complete);
    CHECK(empty.body.empty());
    CHECK(client.ask(get_request("/stream/2000")).complete);
}

TEST_CASE("server: echoes bodies while they arrive", "[http][server]") {
    const test_server server(make_test_routes());
    for (const std::size_t bytes : {0U, 1U, 5'000U, 300'000U}) {
        CAPTURE(bytes);
        raw_client client(server.port());
        const std::string body = pattern(bytes);
        REQUIRE(client.send(post_request("/echo", body)));
        const reply got = client.read();
        CHECK(got.complete);
        CHECK(got.body == body);
        CHECK(client.ask(get_request("/hello")).status == 200);
    }
}

TEST_CASE("server: an echo goes on while both sides send", "[http][server]") {
    const test_server server(make_test_routes());
    raw_client client(server.port());
    REQUIRE(
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "4\r\nping\r\n"));
    std::string seen;
    while (seen.find("ping") == std::string::npos) {
        const std::string more = client.read_some();
        REQUIRE_FALSE(more.empty());
        seen += more;
    }
    REQUIRE(client.send("4\r\npong\r\n0\r\n\r\n"));
    while (seen.find("0\r\n\r\n") == std::string::npos) {
        const std::string more = client.read_some();
        REQUIRE_FALSE(more.empty());
        seen += more;
    }
    CHECK(seen.ends_with("4\r\nping\r\n4\r\npong\r\n0\r\n\r\n"));
}

TEST_CASE("server: sends large bodies whole to a slow reader", "[http][server]") {
    const test_server server(make_test_routes());
    raw_client client(server.port(), 8 * 1024);
    const reply got = client.ask(get_request("/big/3000000"));
    CHECK(got.complete);
    CHECK(got.body.size() == 3'000'000);
    CHECK(client.ask(get_request("/hello")).status == 200);
}

TEST_CASE("server: closes when the client asks for it", "[http][server]") {
    const test_server server(make_test_routes());
    struct sample {
        std::string request;
        bool closes;
        bool says_keep_alive;
    };
    const std::vector<sample> samples{
        {get_request("/hello", "Connection: close\r\n"), true, false},
        {get_request("/hello", "Connection: te, CLOSE\r\n"), true, false},
        {"GET /hello HTTP/1.0\r\n\r\n", true, false},
        {"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, true},
        {"GET /hello/x HTTP/1.0\r\n\r\n", true, false},
        {get_request("/hello", "Connection: keep-alive\r\n"), false, false},
        {post_request("/ignore", "abc", "Connection: close\r\n"), true, false},
    };
    for (const sample& each : samples) {
        CAPTURE(each.request);
        raw_client client(server.port());
        const reply got = client.ask(each.request);
        CHECK(got.status == 200);
        CHECK(got.closes() == each.closes);
        CHECK((got.header("connection") == "keep-alive") == each.says_keep_alive);
        if (each.closes) {
            CHECK(client.at_end());
            CHECK_FALSE(client.was_reset());
        } else {
            CHECK(client.ask(get_request("/hello")).status == 200);
        }
    }
}

TEST_CASE("server: what is pipelined behind the last request is not answered", "[http][server]") {
    const test_server server(make_test_routes());
    raw_client client(server.port());
    client.send(get_request("/hello", "Connection: close\r\n") + get_request("/hello"));
    CHECK(client.read().status == 200);
    CHECK(client.at_end());
    CHECK_FALSE(client.was_reset());
}

TEST_CASE("server: HTTP/1.0 gets a stream that ends with the connection", "[http][server]") {
    const test_server server(make_test_routes());
    raw_client client(server.port());
    const reply got = client.ask("GET /stream/3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(got.status == 200);
    CHECK_FALSE(got.header("transfer-encoding"));
    CHECK(got.closes());
    CHECK(got.complete);
    CHECK(got.body == "piece 0\npiece 1\npiece 2\n");
}

TEST_CASE("server: a client that ends its sending gets all answers", "[http][server]") {
    const test_server server(make_test_routes());
    raw_client client(server.port());
    client.send(get_request("/hello") + get_request("/later") + get_request("/stream/2") +
                post_request("/echo", "body"));
    client.end_sending();
    CHECK(client.read().body == "Hello, World!");
    CHECK(client.read().body == "later");
    CHECK(client.read().body == "piece 0\npiece 1\n");
    CHECK(client.read().body == "body");
    CHECK(client.at_end());
    CHECK_FALSE(client.was_reset());
}

TEST_CASE("server: several workers serve one port", "[http][server]") {
    server_setup setup;
    setup.threads = 3;
    const test_server server(make_test_routes(), setup);
    std::vector<raw_client> clients;
    for (int i = 0; i < 60; ++i) { clients.emplace_back(server.port()); }
    for (auto& client : clients) { client.send(get_request("/hello/many")); }
    for (auto& client : clients) { CHECK(client.read().body == "Hello, many!"); }
}

TEST_CASE("server: tells why it cannot open", "[http][server]") {
    server_options options;
    options.address = "nonsense";
    CHECK(server::open(router(), options).error() == heph::rt::errc::bad_address);
    const test_server other(make_test_routes());
    options.address = "127.0.0.1:" + std::to_string(other.port());
    CHECK(server::open(router(), options).error() == std::errc::address_in_use);
    // Several workers share a port, but not with another server.
    server_setup setup;
    setup.threads = 2;
    const test_server shared(make_test_routes(), setup);
    options.address = "127.0.0.1:" + std::to_string(shared.port());
    CHECK(server::open(router(), options, 2).error() == std::errc::address_in_use);
}
