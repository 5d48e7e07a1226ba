// WebSocket connections over real sockets, as a client sees them.

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/http/ws/actor.hpp>
#include <heph/http/ws/server.hpp>
#include <heph/rt/timer.hpp>

#include "raw_client.hpp"
#include "test_server.hpp"
#include "ws_peer.hpp"

namespace http = heph::http;
namespace ws = heph::http::ws;
using heph::task;
using http::test::captured_log;
using http::test::eventually;
using http::test::handshake_request;
using http::test::test_server;
using http::test::ws_peer;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

task<> echo(ws::socket& socket) {
    while (auto message = co_await socket.receive()) {
        const bool sent = co_await socket.send(std::move(*message));
        if (!sent) { break; }
    }
}

/// Serves one session at `/`.
http::router routes_of(ws::session_function session, ws::accept_options options = {}) {
    http::router routes;
    routes.get("/", [session = std::move(session), options = std::move(options)](
                        http::request& asked) { return ws::accept(asked, session, options); });
    return routes;
}

/// What a test learns of a session's end.
struct report {
    std::atomic<unsigned> code = 0;
    std::atomic<bool> clean = false;
    std::atomic<bool> ended = false;

    void set(const ws::ending& end) {
        code = static_cast<unsigned>(end.code());
        clean = end.was_clean();
        ended = true;
    }
};

/// A session that reads to its end and says how that was.
ws::session_function reported(std::shared_ptr<report> to) {
    return [to](ws::socket& socket) {
        return [](ws::socket* from, std::shared_ptr<report> told) -> task<> {
            while (auto message = co_await from->receive()) {}
            told->set(from->end());
        }(&socket, to);
    };
}

}  // namespace

TEST_CASE("ws server: messages are echoed, and the connection closes in order",
          "[http][server][ws]") {
    test_server server(routes_of(echo));
    ws_peer peer(server.port(), "/");
    CHECK(peer.handshake().status == 101);
    CHECK(peer.handshake().header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(peer.handshake().header("upgrade") == "websocket");
    CHECK(peer.handshake().header("connection") == "upgrade");
    CHECK_FALSE(peer.handshake().header("content-length"));
    CHECK(peer.ask("Hello") == "text:Hello");
    CHECK(peer.ask("") == "text:");
    const std::string long_text(300'000, 'x');
    CHECK(peer.ask(long_text) == "text:" + long_text);
    peer.send(ws::opcode::binary, "\x00\xff"s);
    CHECK(peer.next() == "binary:\x00\xff"s);
    peer.close(
        "\x03\xe9"
        "bye");
    CHECK(peer.next() == "close:1001:");
    CHECK(peer.next() == "end");
}

TEST_CASE("ws server: frames directly behind the handshake are not lost", "[http][server][ws]") {
    test_server server(routes_of(echo));
    http::test::raw_client client(server.port());
    std::string bytes = handshake_request("/");
    ws::encoder writer(ws::role::client);
    writer.message(bytes, ws::message_kind::text, "early");
    CHECK(client.ask(bytes).status == 101);
    CHECK(client.read_some() ==
          "\x81\x05"
          "early");
}

TEST_CASE("ws server: requests that are no handshake are refused", "[http][server][ws]") {
    test_server server(routes_of(echo));
    http::test::raw_client client(server.port());
    const auto plain = client.ask(http::test::get_request("/"));
    CHECK(plain.status == 426);
    CHECK(plain.header("upgrade") == "websocket");
    CHECK(plain.header("connection") == "upgrade");
    CHECK(plain.header("sec-websocket-version") == "13");
    const std::string upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    const auto old = client.ask(
        http::test::get_request("/", upgrade + "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: "
                                               "dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    CHECK(old.status == 426);
    const auto keyless =
        client.ask(http::test::get_request("/", upgrade + "Sec-WebSocket-Version: 13\r\n"));
    CHECK(keyless.status == 400);
    const auto foreign = client.ask(handshake_request("/", "Origin: http://evil.example\r\n"));
    CHECK(foreign.status == 403);
    // The connection is a HTTP connection as before.
    CHECK(client.ask(handshake_request("/")).status == 101);
}

TEST_CASE("ws server: HTTP/1.0 cannot switch protocols", "[http][server][ws]") {
    test_server server(routes_of(echo));
    http::test::raw_client client(server.port());
    std::string old = handshake_request("/");
    old.replace(old.find("HTTP/1.1"), 8, "HTTP/1.0");
    CHECK(client.ask(old).status == 426);
}

TEST_CASE("ws server: the origin hook and the subprotocols decide", "[http][server][ws]") {
    ws::accept_options options;
    options.allows_origin = [](const http::request&, std::string_view origin) {
        return origin == "https://app.example";
    };
    options.subprotocols = {"v2", "v1"};
    test_server server(routes_of(
        [](ws::socket& socket) {
            return [](ws::socket* to) -> task<> {
                const bool sent = co_await to->send_text(to->subprotocol());
                (void)sent;
            }(&socket);
        },
        options));
    ws_peer good(server.port(), "/",
                 "Origin: https://app.example\r\nSec-WebSocket-Protocol: v1, v3\r\n");
    CHECK(good.handshake().status == 101);
    CHECK(good.handshake().header("sec-websocket-protocol") == "v1");
    CHECK(good.next() == "text:v1");
    CHECK(good.next() == "close:1000:");
    ws_peer bad(server.port(), "/", "Origin: http://127.0.0.1\r\n");
    CHECK(bad.handshake().status == 403);
    ws_peer none(server.port(), "/", "Sec-WebSocket-Protocol: v9\r\n");
    CHECK(none.handshake().status == 101);
    CHECK_FALSE(none.handshake().header("sec-websocket-protocol"));
}

TEST_CASE("ws server: what breaks the rules is closed with its code", "[http][server][ws]") {
    const auto seen = std::make_shared<report>();
    test_server server(routes_of(reported(seen)));
    struct {
        std::string bytes;
        unsigned code;
    } const cases[] = {
        {"\x81\x02hi"s, 1002},                    // No mask.
        {"\x83\x80\x01\x02\x03\x04"s, 1002},      // Reserved opcode.
        {"\x81\x81\x00\x00\x00\x00\xff"s, 1007},  // Not UTF-8.
        {"\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00"s + "\x01\x02\x03\x04"s, 1009},  // 4 GiB.
        {"\x88\x81\x00\x00\x00\x00\x01"s, 1002},  // Half a close code.
    };
    for (const auto& each : cases) {
        CAPTURE(each.code);
        seen->ended = false;
        ws_peer peer(server.port(), "/");
        peer.raw().send(each.bytes);
        const std::string closed = peer.next();
        CHECK(closed.starts_with("close:" + std::to_string(each.code) + ":"));
        CHECK(peer.next() == "end");
        CHECK(eventually([&] { return seen->ended.load(); }));
        CHECK(seen->code == each.code);
        CHECK_FALSE(seen->clean);
    }
}

TEST_CASE("ws server: pings are answered while the session waits", "[http][server][ws]") {
    const auto seen = std::make_shared<report>();
    test_server server(routes_of(reported(seen)));
    ws_peer peer(server.port(), "/");
    peer.send(ws::opcode::ping, "one");
    CHECK(peer.next() == "pong:one");
    peer.send(ws::opcode::text, "half", false);
    peer.send(ws::opcode::ping, "two");
    CHECK(peer.next() == "pong:two");
    peer.close("");
    CHECK(peer.next() == "close:1005:");
    CHECK(eventually([&] { return seen->ended.load(); }));
    CHECK(seen->code == 1005U);
    CHECK(seen->clean);
}

TEST_CASE("ws server: a lost connection ends the session as abnormal", "[http][server][ws]") {
    const auto seen = std::make_shared<report>();
    test_server server(routes_of(reported(seen)));
    {
        ws_peer peer(server.port(), "/");
        CHECK(peer.handshake().status == 101);
        peer.raw().end_sending();
        CHECK(eventually([&] { return seen->ended.load(); }));
        CHECK(seen->code == 1006U);
        CHECK(peer.next() == "end");
    }
    seen->ended = false;
    ws_peer peer(server.port(), "/");
    CHECK(peer.handshake().status == 101);
    peer.raw().reset();
    CHECK(eventually([&] { return seen->ended.load(); }));
    CHECK(seen->code == 1006U);
    CHECK_FALSE(seen->clean);
}

TEST_CASE("ws server: a silent peer is sent a ping, and given up without an answer",
          "[http][server][ws]") {
    const auto seen = std::make_shared<report>();
    ws::accept_options options;
    options.socket.ping_interval = 30ms;
    options.socket.pong_timeout = 60s;
    {
        test_server server(routes_of(reported(seen), options));
        ws_peer peer(server.port(), "/");
        for (int i = 0; i < 3; ++i) {
            CHECK(peer.next() == "ping:");
            peer.send(ws::opcode::pong, "");
        }
        CHECK_FALSE(seen->ended);
        peer.close();
        CHECK(eventually([&] { return seen->ended.load(); }));
        CHECK(seen->code == 1000U);
    }
    seen->ended = false;
    options.socket.pong_timeout = 60ms;
    test_server server(routes_of(reported(seen), options));
    ws_peer peer(server.port(), "/");
    CHECK(peer.next() == "ping:");
    CHECK(peer.next() == "end");
    CHECK(eventually([&] { return seen->ended.load(); }));
    CHECK(seen->code == 1006U);
}

TEST_CASE("ws server: an interval that the clock cannot hold sends no pings at once",
          "[http][server][ws][regression]") {
    const auto seen = std::make_shared<report>();
    ws::accept_options options;
    options.socket.ping_interval = std::chrono::milliseconds::max();
    options.socket.pong_timeout = std::chrono::milliseconds::max();
    test_server server(routes_of(reported(seen), options));
    ws_peer peer(server.port(), "/");
    CHECK(peer.handshake().status == 101);
    peer.close();
    CHECK(peer.next().starts_with("close:1000"));
}

TEST_CASE("ws server: a peer that does not answer a close is waited for until the time-out",
          "[http][server][ws]") {
    ws::accept_options options;
    options.socket.close_timeout = 50ms;
    const auto seen = std::make_shared<report>();
    const ws::session_function session = [seen](ws::socket& socket) {
        return [](ws::socket* from, std::shared_ptr<report> told) -> task<> {
            auto closing = from->close(ws::close_code::policy_violation, "enough");
            co_await closing;
            told->set(from->end());
        }(&socket, seen);
    };
    test_server server(routes_of(session, options));
    ws_peer peer(server.port(), "/");
    CHECK(peer.next() == "close:1008:enough");
    CHECK(peer.next() == "end");
    CHECK(eventually([&] { return seen->ended.load(); }));
    CHECK_FALSE(seen->clean);
    // What comes late is dropped, and the peer's close frame makes it clean.
    seen->ended = false;
    test_server waiting(routes_of(session));
    ws_peer polite(waiting.port(), "/");
    polite.text("too late");
    polite.close();
    CHECK(polite.next() == "close:1008:enough");
    CHECK(polite.next() == "end");
    CHECK(eventually([&] { return seen->ended.load(); }));
    CHECK(seen->code == 1000U);
}

TEST_CASE("ws server: a session that returns or throws closes its connection",
          "[http][server][ws]") {
    const captured_log log;
    http::router routes;
    routes.get("/returns", [](http::request& asked) {
        return ws::accept(asked, [](ws::socket&) -> task<> { co_return; });
    });
    routes.get("/throws", [](http::request& asked) {
        return ws::accept(asked, [](ws::socket&) -> task<> {
            co_await heph::rt::timer(1ms);
            throw std::runtime_error("the session's secret");
        });
    });
    test_server server(std::move(routes));
    ws_peer first(server.port(), "/returns");
    CHECK(first.next() == "close:1000:");
    ws_peer second(server.port(), "/throws");
    CHECK(second.next() == "close:1011:");
    second.close();
    CHECK(second.next() == "end");
    CHECK(log.count("the session's secret") == 1);
}

TEST_CASE("ws server: it sends while it receives", "[http][server][ws]") {
    // Sends numbers by itself, and what it gets.
    const auto session = [](ws::socket& socket) {
        return [](ws::socket* both) -> task<> {
            auto counting = [](ws::socket* to) -> task<> {
                for (int i = 0; i < 200; ++i) {
                    const bool sent = co_await to->send_binary(std::to_string(i));
                    if (!sent) { co_return; }
                }
            }(both);
            auto echoing = echo(*both);
            co_await heph::join(counting, echoing);
        }(&socket);
    };
    test_server server(routes_of(session));
    ws_peer peer(server.port(), "/");
    for (int i = 0; i < 200; ++i) { peer.text("t" + std::to_string(i)); }
    int numbers = 0;
    int texts = 0;
    while (numbers + texts < 400) {
        const std::string got = peer.next();
        if (got == "binary:" + std::to_string(numbers)) {
            ++numbers;
        } else if (got == "text:t" + std::to_string(texts)) {
            ++texts;
        } else {
            FAIL(got);
        }
    }
    CHECK(numbers == 200);
    CHECK(texts == 200);
}

TEST_CASE("ws server: a peer that does not read slows the sender down", "[http][server][ws]") {
    const auto sent_count = std::make_shared<std::atomic<int>>(0);
    const auto refused = std::make_shared<std::atomic<int>>(0);
    test_server server(routes_of([sent_count, refused](ws::socket& socket) {
        return [](ws::socket* to, std::shared_ptr<std::atomic<int>> count,
                  std::shared_ptr<std::atomic<int>> full) -> task<> {
            for (int i = 0; i < 1000; ++i) {
                const bool sent = co_await to->send_binary(std::string(100'000, 'x'));
                if (!sent) { co_return; }
                ++*count;
            }
            for (int i = 0; i < 1000; ++i) {
                if (!to->try_send(ws::message_kind::binary, std::string(10'000, 'y'))) { ++*full; }
            }
        }(&socket, sent_count, refused);
    }));
    ws_peer peer(server.port(), "/", {}, 4096);
    CHECK(peer.handshake().status == 101);
    // 100 MB do not fit into what the kernel holds for both sides.
    CHECK(eventually([&] { return *sent_count > 0; }));
    std::size_t received = 0;
    for (int i = 0; i < 10; ++i) {
        received += peer.next() == "binary:" + std::string(100'000, 'x');
    }
    CHECK(received == 10);
    CHECK(*sent_count < 500);
    for (int i = 0; i < 990; ++i) {
        received += peer.next() == "binary:" + std::string(100'000, 'x');
    }
    CHECK(received == 1000);
    std::size_t more = 0;
    while (peer.next() == "binary:" + std::string(10'000, 'y')) { ++more; }
    // It holds 64 KiB, and leaves the others out.
    CHECK(more >= 1);
    CHECK(more + static_cast<std::size_t>(refused->load()) == 1000);
    CHECK(*refused > 900);
}

TEST_CASE("ws server: a stop says going away, and ends within the grace", "[http][server][ws]") {
    const auto seen = std::make_shared<report>();
    http::test::server_setup setup;
    setup.stop_grace = 120s;
    setup.limits.linger_timeout = 10ms;
    test_server server(routes_of(reported(seen)), setup);
    ws_peer peer(server.port(), "/");
    CHECK(peer.handshake().status == 101);
    server.request_stop();
    CHECK(peer.next() == "close:1001:");
    peer.close("\x03\xe9");
    CHECK(peer.next() == "end");
    CHECK(server.wait_for_end() < 60s);
    CHECK(seen->clean);
}

TEST_CASE("ws server: compression is agreed on, and used both ways", "[http][server][ws]") {
    ws::accept_options options;
    options.deflate.emplace();
    test_server server(routes_of(echo, options));
    http::test::raw_client client(server.port());
    const auto shaken = client.ask(handshake_request(
        "/", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"));
    CHECK(shaken.status == 101);
    CHECK(shaken.header("sec-websocket-extensions") == "permessage-deflate");
    ws::encoder writer(ws::role::client, {}, ws::deflate_parameters());
    ws::decoder reader(ws::role::client, {}, ws::deflate_parameters());
    const std::string payload(100'000, 'z');
    std::string out;
    writer.message(out, ws::message_kind::text, payload);
    CHECK(out.size() < 1000);
    for (int i = 0; i < 3; ++i) {
        client.send(out);
        std::size_t came = 0;
        bool complete = false;
        while (!complete) {
            const std::string bytes = client.read_some();
            REQUIRE_FALSE(bytes.empty());
            came += bytes.size();
            std::string_view input = bytes;
            complete = reader.next(input).kind == ws::event_kind::message;
        }
        CHECK(reader.take_message().payload() == payload);
        CHECK(came < 1000);
        out.clear();
        writer.message(out, ws::message_kind::text, payload);
    }
}

namespace {

using line = std::string;
struct join_room {
    explicit join_room(heph::actor_ref<line> who) : member(std::move(who)) {}
    heph::actor_ref<line> member;
};
using room_message = std::variant<line, join_room>;

/// Gives each line to all members.
task<> room(heph::rt::shared_context<room_message> ctx) {
    std::vector<heph::actor_ref<line>> members;
    while (auto message = co_await ctx.receive()) {
        if (auto* joined = std::get_if<join_room>(&*message)) {
            members.push_back(std::move(joined->member));
            continue;
        }
        for (auto& member : members) { (void)member.try_send(std::get<line>(*message)); }
    }
}

/// Gives what its page says to the room, and what the room says to its page.
task<> member(heph::rt::local_context<line> ctx, ws::socket* socket,
              heph::actor_ref<room_message> room) {
    join_room joined(ctx.self());
    (void)room.try_send(room_message(std::move(joined)));
    const bool greeted = co_await socket->send_text("welcome");
    if (!greeted) { co_return; }
    for (;;) {
        auto heard = ctx.receive();
        auto said = socket->receive();
        auto first = co_await heph::either(said, heard);
        if (first.index() == 0) {
            auto& message = std::get<0>(first);
            if (!message) { co_return; }
            if (message->payload() == "boom") { throw std::runtime_error("boom"); }
            (void)room.try_send(room_message(std::move(*message).payload()));
            continue;
        }
        auto text = std::get<1>(std::move(first));
        const bool sent = co_await socket->send_text(std::move(*text));
        if (!sent) { co_return; }
    }
}

}  // namespace

TEST_CASE("ws actor: members of a room hear each other, on all workers", "[http][server][ws]") {
    const captured_log log;
    http::test::server_setup setup;
    setup.threads = 2;
    std::optional<heph::actor_ref<room_message>> made;
    std::mutex guard;
    setup.on_worker = [&](heph::rt::worker& worker) {
        // The first one to begin: the others may serve before that one does.
        const std::lock_guard lock(guard);
        if (made) { return; }
        made = worker.shared().spawn(heph::no_supervisor{}, heph::actor_fn(room));
    };
    http::router routes;
    routes.get("/", [&](http::request& asked) {
        const std::lock_guard lock(guard);
        return ws::accept(asked, ws::as_actor(&member, *made));
    });
    {
        test_server server(std::move(routes), setup);
        std::vector<ws_peer> peers;
        for (int i = 0; i < 6; ++i) {
            peers.emplace_back(server.port(), "/");
            CHECK(peers.back().next() == "text:welcome");
        }
        for (std::size_t i = 0; i < peers.size(); ++i) {
            const std::string said = "line " + std::to_string(i);
            peers[i].text(said);
            for (ws_peer& peer : peers) { CHECK(peer.next() == "text:" + said); }
        }
        peers[0].text("boom");
        CHECK(peers[0].next() == "close:1011:");
        peers[1].text("still here");
        CHECK(peers[2].next() == "text:still here");
        const std::lock_guard lock(guard);
        made.reset();
    }
    CHECK(log.count("boom") == 1);
}
