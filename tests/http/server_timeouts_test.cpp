// Clients that take too long, each with limits of a few milliseconds.

#include <chrono>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "connection_io.hpp"
#include "raw_client.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;

namespace {

// All limits are long, so that a test shortens just the one it is about.
server_setup long_limits() {
    server_setup setup;
    setup.limits.head_timeout = 60s;
    setup.limits.idle_timeout = 60s;
    setup.limits.body_grace = 60s;
    setup.limits.send_timeout = 60s;
    setup.limits.linger_timeout = 60s;
    return setup;
}

}  // namespace

TEST_CASE("server: closes an idle connection without a word", "[http][server]") {
    server_setup setup = long_limits();
    setup.limits.idle_timeout = 200ms;
    const captured_log log;
    const test_server server(make_test_routes(), setup);
    raw_client silent(server.port());
    CHECK(silent.at_end());
    CHECK_FALSE(silent.was_reset());
    // So is one that was used: its time is long enough to ask on a machine that is slow.
    setup.limits.idle_timeout = 3s;
    const test_server other(make_test_routes(), setup);
    raw_client client(other.port());
    CHECK(client.ask(get_request("/hello")).status == 200);
    CHECK(client.at_end());
    CHECK_FALSE(client.was_reset());
    CHECK(log.lines().empty());
}

TEST_CASE("server: a head that takes too long is answered with 408", "[http][server]") {
    server_setup setup = long_limits();
    setup.limits.head_timeout = 60ms;
    setup.limits.linger_timeout = 10ms;
    const captured_log log;
    const test_server server(make_test_routes(), setup);
    SECTION("it stops in the middle") {
        raw_client client(server.port());
        client.send("GET /hello HTTP/1.1\r\nHo");
        const reply got = client.read();
        CHECK(got.status == 408);
        CHECK(got.closes());
        CHECK(client.at_end());
    }
    SECTION("it comes drop by drop") {
        raw_client client(server.port());
        client.send("GET /hello HTTP/1.1\r\n");
        bool accepted = true;
        const auto begin = std::chrono::steady_clock::now();
        while (accepted && std::chrono::steady_clock::now() - begin < 10s) {
            accepted = client.send("X");
            std::this_thread::sleep_for(2ms);
        }
        // Each byte would have extended a time that counted from the last one.
        CHECK_FALSE(accepted);
    }
    SECTION("it is the second one of the connection") {
        raw_client client(server.port());
        CHECK(client.ask(get_request("/hello")).status == 200);
        CHECK(client.ask(get_request("/hello") + "GET /").status == 200);
        CHECK(client.read().status == 408);
        CHECK(client.at_end());
    }
    CHECK(log.count("The request's head took too long to arrive.") == 1);
}

TEST_CASE("server: a body that comes too slowly is answered with 408", "[http][server]") {
    server_setup setup = long_limits();
    setup.limits.body_grace = 40ms;
    setup.limits.body_bytes_per_second_min = 1'000'000;
    setup.limits.linger_timeout = 10ms;
    const captured_log log;
    const test_server server(make_test_routes(), setup);
    for (const char* path : {"/length", "/echo"}) {
        CAPTURE(path);
        raw_client client(server.port());
        client.send("POST " + std::string(path) +
                    " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        const reply got = client.read();
        CHECK(got.status == 408);
        CHECK(client.at_end());
    }
    raw_client dripping(server.port());
    dripping.send("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    bool accepted = true;
    for (int i = 0; i < 4000 && accepted; ++i) {
        accepted = dripping.send("x");
        std::this_thread::sleep_for(2ms);
    }
    CHECK_FALSE(accepted);
    // A body that was left unread has to come in time as well.
    raw_client left(server.port());
    left.send("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    CHECK(left.read().status == 200);
    CHECK(left.at_end());
    CHECK(log.count("The request's body arrives too slowly.") == 4);
}

TEST_CASE("server: a fast body may be long", "[http][server]") {
    server_setup setup = long_limits();
    setup.limits.body_grace = 200ms;
    setup.limits.body_bytes_per_second_min = 10;
    const test_server server(make_test_routes(), setup);
    raw_client client(server.port());
    // Faster than it has to be, and for longer than the grace.
    client.send("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\n\r\n" +
                std::string(200, 'x'));
    for (int i = 0; i < 20; ++i) {
        client.send(std::string(10, 'x'));
        std::this_thread::sleep_for(20ms);
    }
    CHECK(client.read().body == "400");
}

TEST_CASE("server: a client that reads nothing is cut off", "[http][server]") {
    server_setup setup = long_limits();
    setup.limits.send_timeout = 100ms;
    const captured_log log;
    const test_server server(make_test_routes(), setup);
    raw_client client(server.port(), 4096);
    client.send(get_request("/big/20000000"));
    raw_client other(server.port());
    CHECK(other.ask(get_request("/hello")).status == 200);
    // What it wrote further is refused once the connection is gone.
    CHECK(eventually([&] { return !client.send("x"); }));
    const reply got = client.read();
    CHECK_FALSE(got.complete);
}

TEST_CASE("server: a handler that takes long is not the client's fault", "[http][server]") {
    server_setup setup;
    setup.limits.head_timeout = 10ms;
    setup.limits.body_grace = 10ms;
    setup.limits.send_timeout = 10ms;
    router routes = make_test_routes();
    routes.post("/slow", [](request& request) -> heph::task<response> {
        co_await heph::rt::timer(60ms);
        const auto body = co_await request.read_body();
        if (!body) { co_return response::problem(body.error()); }
        co_await heph::rt::timer(60ms);
        co_return response::text(*body);
    });
    routes.get("/slow-stream", [](request&) {
        return response::stream("text/plain",
                                [](body_writer& to) -> heph::task<std::expected<void, error>> {
                                    for (int i = 0; i < 3; ++i) {
                                        co_await heph::rt::timer(30ms);
                                        const auto sent = co_await to.write("x");
                                        if (!sent) { co_return sent; }
                                    }
                                    co_return std::expected<void, error>();
                                });
    });
    const test_server server(std::move(routes), setup);
    raw_client client(server.port());
    client.send(post_request("/slow", "abc") + get_request("/slow-stream"));
    CHECK(client.read().body == "abc");
    CHECK(client.read().body == "xxx");
}

TEST_CASE("server: does not wait for ever for a client to read its error", "[http][server]") {
    server_setup setup = long_limits();
    setup.limits.linger_timeout = 50ms;
    const captured_log log;
    const test_server server(make_test_routes(), setup);
    raw_client client(server.port());
    CHECK(client.ask("nonsense\r\n\r\n").status == 400);
    CHECK(client.at_end());
    // It goes on sending; the server has closed for good.
    CHECK(eventually([&] { return !client.send("more"); }));
}

TEST_CASE("server: one bad client does not disturb the others", "[http][server]") {
    server_setup setup = long_limits();
    setup.limits.head_timeout = 20ms;
    setup.limits.linger_timeout = 5ms;
    const captured_log log;
    const test_server server(make_test_routes(), setup);
    raw_client good(server.port());
    for (int i = 0; i < 20; ++i) {
        raw_client loris(server.port());
        loris.send("GET / HTT");
        CHECK(good.ask(get_request("/hello/again")).body == "Hello, again!");
        CHECK(loris.read().status == 408);
    }
}
