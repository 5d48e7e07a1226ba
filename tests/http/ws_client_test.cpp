// WebSocket connections of our client, to our server and to servers that break rules.

#include <functional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/http/ws/client.hpp>
#include <heph/http/ws/server.hpp>

#include "rt/on_runtime.hpp"
#include "scripted_server.hpp"
#include "test_server.hpp"

namespace http = heph::http;
namespace ws = heph::http::ws;
using heph::task;
using http::test::scripted_server;
using http::test::test_server;
using namespace std::string_literals;

namespace {

task<> echo(ws::socket& socket) {
    while (auto message = co_await socket.receive()) {
        const bool sent = co_await socket.send(std::move(*message));
        if (!sent) { break; }
    }
}

/// Runs one task with a client, on a runtime of its own.
void with_client(std::function<task<>(http::client)> use) {
    heph::test::run_on_worker(heph::test::quiet_setup(), [&](heph::rt::worker& worker) {
        worker.spawn_future(use(http::client(worker)));
    });
}

std::string url_of(std::uint16_t port, const std::string& target = "/") {
    return "ws://127.0.0.1:" + std::to_string(port) + target;
}

/// Connects, sends texts, and notes what comes back and how it ends.
task<> talk(http::client client, std::string url, ws::connect_options options,
            std::vector<std::string> texts, std::vector<std::string>* told) {
    auto connecting = ws::connect(client, url, std::move(options));
    auto connected = co_await std::move(connecting);
    if (!connected) {
        told->push_back(connected.error().message());
        co_return;
    }
    if (!connected->subprotocol().empty()) { told->push_back(connected->subprotocol()); }
    for (std::string& text : texts) {
        const bool sent = co_await connected->send_text(std::move(text));
        auto message = co_await connected->receive();
        told->push_back(sent && message ? std::move(*message).payload() : "nothing");
    }
    auto closing = connected->close();
    co_await closing;
    told->push_back("end " + std::to_string(static_cast<unsigned>(connected->end().code())) +
                    (connected->end().was_clean() ? " clean" : ""));
}

std::vector<std::string> told_by(std::string url, std::vector<std::string> texts = {},
                                 ws::connect_options options = {}) {
    std::vector<std::string> told;
    with_client(
        [&](http::client client) { return talk(std::move(client), url, options, texts, &told); });
    return told;
}

using lines = std::vector<std::string>;

const std::string bad_handshake = std::string(message(http::error::bad_handshake));

}  // namespace

TEST_CASE("ws client: it talks to our server, with and without compression", "[http][client][ws]") {
    http::router routes;
    routes.get("/", [](http::request& asked) {
        ws::accept_options options;
        options.subprotocols = {"v1"};
        options.deflate.emplace();
        return ws::accept(asked, echo, options);
    });
    test_server server(std::move(routes));
    const std::string long_text(200'000, 'x');
    CHECK(told_by(url_of(server.port()), {"a", "", long_text}) ==
          lines{"a", "", long_text, "end 1000 clean"});
    ws::connect_options options;
    options.subprotocols = {"v2", "v1"};
    options.deflate.emplace();
    options.deflate->client_max_window_bits = 10;
    CHECK(told_by(url_of(server.port()), {long_text, long_text}, options) ==
          lines{"v1", long_text, long_text, "end 1000 clean"});
}

TEST_CASE("ws client: what is no proper handshake is an error", "[http][client][ws]") {
    const auto answered = [](std::string fields, std::string status = "101 Switching") {
        scripted_server server({{{"HTTP/1.1 " + status + "\r\n" + fields + "\r\n"}}});
        const auto told = told_by(url_of(server.port()));
        server.stop();
        REQUIRE(told.size() == 1);
        return told.front();
    };
    const std::string upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    // The key is a new one each time, so that no script can know the right answer.
    CHECK(answered(upgrade + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") ==
          bad_handshake);
    CHECK(answered(upgrade) == bad_handshake);
    CHECK(answered("Upgrade: h2c\r\nConnection: Upgrade\r\n") == bad_handshake);
    CHECK(answered("Content-Length: 0\r\n", "200 OK") == bad_handshake);
    CHECK(answered("Content-Length: 0\r\n", "403 Forbidden") == bad_handshake);
}

TEST_CASE("ws client: it asks as RFC 6455, 4.1, has it", "[http][client][ws]") {
    scripted_server server({{{"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"}}});
    ws::connect_options options;
    options.subprotocols = {"a", "b"};
    options.deflate.emplace();
    options.fields.append("Origin", "http://here");
    CHECK(told_by(url_of(server.port(), "/x?y"), {}, options) == lines{bad_handshake});
    server.stop();
    REQUIRE(server.heads().size() == 1);
    const std::string& head = server.heads().front();
    for (const std::string_view line :
         {"GET /x?y HTTP/1.1\r\n", "\r\nUpgrade: websocket\r\n", "\r\nConnection: upgrade\r\n",
          "\r\nSec-WebSocket-Version: 13\r\n", "\r\nSec-WebSocket-Protocol: a, b\r\n",
          "\r\nOrigin: http://here\r\n",
          "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"}) {
        CAPTURE(line);
        CHECK(head.find(line) != std::string::npos);
    }
    const std::size_t key = head.find("\r\nSec-WebSocket-Key: ");
    REQUIRE(key != std::string::npos);
    CHECK(head.find("==\r\n", key) == key + 21 + 22);
    CHECK(told_by("wsx://127.0.0.1/").front() == std::string(message(http::error::bad_target)));
}

TEST_CASE("ws client: the server closes, with a code, or without a word", "[http][client][ws]") {
    http::router routes;
    routes.get("/bye", [](http::request& asked) {
        return ws::accept(asked, [](ws::socket& socket) {
            return [](ws::socket* from) -> task<> {
                auto closing = from->close(ws::close_code(4001), "bye");
                co_await closing;
            }(&socket);
        });
    });
    routes.get("/lost", [](http::request& asked) {
        (void)asked;
        return http::response::text("no");
    });
    test_server server(std::move(routes));
    CHECK(told_by(url_of(server.port(), "/bye"), {"a"}) == lines{"nothing", "end 4001 clean"});
    CHECK(told_by(url_of(server.port(), "/lost"), {"a"}) == lines{bad_handshake});
}
