// Bodies: 100 (Continue), what a handler leaves unread, back-pressure both ways.

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/http/middleware/body_limit.hpp>
#include <heph/rt/timer.hpp>

#include "raw_client.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;
using heph::task;

namespace {

using outcome = std::expected<void, error>;

std::string expecting(std::string_view path, std::size_t bytes, std::string_view version = "1.1") {
    return "POST " + std::string(path) + " HTTP/" + std::string(version) +
           "\r\nHost: a\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: " +
           std::to_string(bytes) + "\r\n\r\n";
}

/// Counts a body piece by piece, and answers what is wrong with it.
task<response> count_pieces(request& asked) {
    std::uint64_t total = 0;
    for (;;) {
        const auto piece = co_await asked.body().next();
        if (!piece) { co_return response::problem(piece.error()); }
        if (piece->empty()) { co_return response::text(std::to_string(total)); }
        total += piece->size();
    }
}

response copy_back(request& asked) {
    return response::stream("text/plain",
                            [from = &asked.body()](body_writer& to) { return copy(*from, to); });
}

/// Routes whose handlers stream: by the server's limit, by their own, and by those of middleware.
router limited_routes() {
    router routes;
    routes.post("/count", count_pieces).post("/copy", copy_back);
    routes.post("/own", [](request& asked) {
        asked.set_body_limit(3000);
        return count_pieces(asked);
    });
    routes.post("/whole", [](request& asked) -> task<response> {
        const auto body = co_await asked.read_body(3000);
        if (!body) { co_return response::problem(body.error()); }
        co_return response::text(std::to_string(body->size()));
    });
    router small;
    small.use(body_limit(100)).post("/count", count_pieces).post("/copy", copy_back);
    small.post("/own", [](request& asked) {
        asked.set_body_limit(3000);
        return count_pieces(asked);
    });
    routes.mount("/small", std::move(small));
    router large;
    large.use(body_limit(2000)).post("/count", count_pieces);
    routes.mount("/large", std::move(large));
    return routes;
}

std::string in_chunks(std::string_view path, std::size_t size) {
    std::string all =
        "POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (; size > 0; size -= std::min<std::size_t>(size, 10)) {
        const std::size_t now = std::min<std::size_t>(size, 10);
        all += (now == 10 ? "a" : std::to_string(now)) + "\r\n" + std::string(now, 'x') + "\r\n";
    }
    return all + "0\r\n\r\n";
}

}  // namespace

TEST_CASE("server: streamed bodies are limited as gathered ones are, by 413 and a close",
          "[http][server]") {
    server_setup setup;
    setup.limits.body_bytes_max = 1000;
    setup.limits.streamed_body_bytes_max = 3500;
    const test_server server(limited_routes(), setup);
    struct sample {
        const char* path;
        std::size_t most;
    };
    for (const auto& [path, most] :
         {sample{"/count", 1000}, sample{"/copy", 1000}, sample{"/own", 3000},
          sample{"/whole", 3000}, sample{"/small/count", 100}, sample{"/small/copy", 100},
          sample{"/small/own", 3000}, sample{"/large/count", 2000}}) {
        const bool copies = std::string_view(path).ends_with("copy");
        for (const bool chunked : {false, true}) {
            CAPTURE(path, chunked);
            const auto ask = [&](std::size_t size) {
                return chunked ? in_chunks(path, size) : post_request(path, std::string(size, 'x'));
            };
            raw_client client(server.port());
            for (int i = 0; i < 2; ++i) {
                const reply fits = client.ask(ask(most));
                CHECK(fits.status == 200);
                CHECK(fits.body == (copies ? std::string(most, 'x') : std::to_string(most)));
            }
            client.send(ask(most + 1));
            if (chunked && copies) {
                // It was being answered already: the answer is cut, and so seen not to be whole.
                CHECK_FALSE(client.read().complete);
                continue;
            }
            const reply refused = client.read();
            CHECK(refused.status == 413);
            CHECK(refused.complete);
            if (std::string_view(path) != "/whole") { CHECK(refused.closes()); }
            client.end_sending();
            CHECK(client.at_end());
            CHECK_FALSE(client.was_reset());
        }
    }
    raw_client client(server.port());
    CHECK(client.ask(post_request("/own", std::string(3501, 'x'))).status == 413);
}

TEST_CASE("server: a streamed body that is announced too large is not asked for",
          "[http][server]") {
    server_setup setup;
    setup.limits.body_bytes_max = 1000;
    const test_server server(limited_routes(), setup);
    raw_client fits(server.port());
    fits.send(expecting("/count", 3));
    CHECK(fits.read().status == 100);
    CHECK(fits.ask("abc").body == "3");
    for (const auto& [path, size] : {std::pair{"/count", 1001},
                                     {"/small/count", 101},
                                     {"/copy", 1001},
                                     {"/small/copy", 101}}) {
        CAPTURE(path);
        raw_client client(server.port());
        const reply refused = client.ask(expecting(path, static_cast<std::size_t>(size)));
        CHECK(refused.status == 413);
        CHECK(refused.closes());
    }
}

TEST_CASE("server: what a handler leaves of a body beyond its limit is skipped all the same",
          "[http][server]") {
    server_setup setup;
    setup.limits.body_bytes_max = 10;
    const test_server server(make_test_routes(), setup);
    raw_client client(server.port());
    CHECK(client.ask(post_request("/ignore", std::string(5000, 'x'))).status == 200);
    CHECK(client.ask(in_chunks("/ignore", 5000)).status == 200);
    CHECK(client.ask(get_request("/hello")).status == 200);
}

TEST_CASE("server: 100 (Continue) is sent when the handler reads the body", "[http][server]") {
    const test_server server(make_test_routes());
    for (const char* path : {"/length", "/echo"}) {
        CAPTURE(path);
        raw_client client(server.port());
        client.send(expecting(path, 3));
        CHECK(client.read().status == 100);
        const reply got = client.ask("abc");
        CHECK(got.status == 200);
        CHECK(got.body == (std::string_view(path) == "/echo" ? "abc" : "3"));
        CHECK(client.ask(get_request("/hello")).status == 200);
    }
}

TEST_CASE("server: no 100 (Continue) where none is due", "[http][server]") {
    const test_server server(make_test_routes());
    SECTION("the body came with the head") {
        raw_client client(server.port());
        const reply got = client.ask(expecting("/length", 3) + "abc");
        CHECK(got.status == 200);
        CHECK_FALSE(got.closes());
    }
    SECTION("the handler does not want the body: its answer is final") {
        raw_client client(server.port());
        const reply got = client.ask(expecting("/ignore", 3));
        CHECK(got.status == 200);
        // Nobody knows whether the body will follow.
        CHECK(got.closes());
        client.send("abc");
        client.end_sending();
        CHECK(client.at_end());
        CHECK_FALSE(client.was_reset());
    }
    SECTION("there is no such path") {
        raw_client client(server.port());
        const reply got = client.ask(expecting("/nowhere", 3));
        CHECK(got.status == 404);
        CHECK(got.closes());
    }
    SECTION("the body would be too large") {
        raw_client client(server.port());
        const reply got = client.ask(expecting("/length", 2'000'000));
        CHECK(got.status == 413);
        CHECK(got.closes());
    }
    SECTION("the client cannot know it") {
        raw_client client(server.port());
        client.send(expecting("/length", 3, "1.0"));
        client.send("abc");
        CHECK(client.read().body == "3");
    }
    SECTION("there is no body") {
        raw_client client(server.port());
        CHECK(client.ask(expecting("/length", 0)).body == "0");
        CHECK(client.ask(get_request("/hello")).status == 200);
    }
    SECTION("another expectation is refused") {
        const captured_log log;
        raw_client client(server.port());
        const reply got = client.ask(get_request("/hello", "Expect: the-unexpected\r\n"));
        CHECK(got.status == 417);
    }
}

TEST_CASE("server: an error answered while a stream reads the body is followed by no 100",
          "[http][server]") {
    // A response of 4xx whose producer reads the body all the same.
    router routes;
    routes.post("/refusing", [](request& request) {
        auto* from = &request.body();
        return response::stream(
            "text/plain",
            [from](body_writer& to) -> task<outcome> {
                const auto written = co_await to.write("no");
                if (!written) { co_return written; }
                const auto piece = co_await from->next();
                if (!piece) { co_return std::unexpected(piece.error()); }
                const auto echoed = co_await to.write(*piece);
                co_return echoed;
            },
            status::forbidden);
    });
    const test_server server(std::move(routes));
    raw_client client(server.port());
    client.send(expecting("/refusing", 3));
    client.send("abc");
    const std::string all = client.read_rest();
    CHECK(all.find("100 Continue") == std::string::npos);
    CHECK(all.find("403") != std::string::npos);
    CHECK(all.ends_with("2\r\nno\r\n3\r\nabc\r\n0\r\n\r\n"));
}

TEST_CASE("server: the head of a stream leaves with its first piece, be it empty",
          "[http][server]") {
    auto go_on = std::make_shared<std::atomic<bool>>(false);
    router routes = make_test_routes();
    routes.get("/events", [go_on](request&) {
        return response::stream("text/event-stream", [go_on](body_writer& to) -> task<outcome> {
            const auto opened = co_await to.write({});
            if (!opened) { co_return opened; }
            while (!go_on->load()) { co_await heph::rt::timer(1ms); }
            const auto sent = co_await to.write("event");
            co_return sent;
        });
    });
    const test_server server(std::move(routes));
    raw_client client(server.port());
    client.send(get_request("/hello") + get_request("/events"));
    CHECK(client.read().body == "Hello, World!");
    std::string head;
    while (head.find("\r\n\r\n") == std::string::npos) { head += client.read_some(); }
    CHECK(head.find("text/event-stream") != std::string::npos);
    CHECK(head.ends_with("\r\n\r\n"));
    go_on->store(true);
    CHECK(client.read_some().starts_with("5\r\nevent\r\n"));
}

TEST_CASE("server: a short body that was not read is skipped, a long one closes",
          "[http][server]") {
    server_setup setup;
    setup.limits.unread_body_bytes_max = 20'000;
    const test_server server(make_test_routes(), setup);
    raw_client client(server.port());
    CHECK(client.ask(post_request("/ignore", std::string(20'000, 'x'))).status == 200);
    CHECK(client.ask(post_request("/nowhere", std::string(20'000, 'x'))).status == 404);
    CHECK(client.ask(get_request("/hello")).status == 200);
    client.send("POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    CHECK(client.read().status == 200);
    client.send("3\r\nabc\r\n0\r\n\r\n");
    CHECK(client.ask(get_request("/hello")).status == 200);
    client.send(post_request("/ignore", std::string(20'001, 'x')));
    const reply last = client.read();
    CHECK(last.status == 200);
    CHECK(last.closes());
    client.end_sending();
    CHECK(client.at_end());
    CHECK_FALSE(client.was_reset());
}

TEST_CASE("server: a slow handler slows the client down", "[http][server]") {
    // The handler takes one piece and then waits for the test.
    auto go_on = std::make_shared<std::atomic<bool>>(false);
    router routes;
    routes.post("/slow", [go_on](request& request) -> task<response> {
        std::uint64_t total = 0;
        request.set_body_limit(64'000'000);
        for (;;) {
            const auto piece = co_await request.body().next();
            if (!piece) { co_return response::problem(piece.error()); }
            if (piece->empty()) { break; }
            total += piece->size();
            while (!go_on->load()) { co_await heph::rt::timer(1ms); }
        }
        co_return response::text(std::to_string(total));
    });
    const test_server server(std::move(routes));
    raw_client client(server.port());
    constexpr std::size_t length = 64'000'000;
    client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 64000000\r\n\r\n");
    const std::string part(100'000, 'x');
    const std::size_t taken = client.send_until_blocked(part, length, 300);
    // What the sockets' buffers hold, and 64 KiB in the server.
    CHECK(taken < length / 2);
    go_on->store(true);
    std::size_t left = length - taken;
    while (left > 0) {
        const std::size_t next = std::min(left, part.size());
        REQUIRE(client.send(std::string_view(part).substr(0, next)));
        left -= next;
    }
    CHECK(client.read().body == "64000000");
}

TEST_CASE("server: a client that does not read stops a stream and pipelined requests",
          "[http][server]") {
    auto written = std::make_shared<std::atomic<std::uint64_t>>(0);
    auto answered = std::make_shared<std::atomic<std::uint64_t>>(0);
    router routes;
    routes.get("/endless", [written](request&) {
        return response::stream("text/plain", [written](body_writer& to) -> task<outcome> {
            const std::string piece(50'000, 'e');
            for (;;) {
                const auto sent = co_await to.write(piece);
                if (!sent) { co_return sent; }
                *written += piece.size();
            }
        });
    });
    routes.get("/many", [answered](request&) {
        ++*answered;
        return response::text(std::string(1000, 'm'));
    });
    const captured_log log;
    const test_server server(std::move(routes));
    {
        raw_client client(server.port(), 8 * 1024);
        client.send(get_request("/endless"));
        std::uint64_t before = 0;
        // It comes to a stop: nothing is written for a while.
        CHECK(eventually([&] {
            std::this_thread::sleep_for(100ms);
            return std::exchange(before, written->load()) == written->load() && before != 0;
        }));
        CHECK(*written < 50'000'000);
    }
    raw_client client(server.port(), 8 * 1024);
    const std::string request = get_request("/many");
    const std::size_t sent = client.send_until_blocked(request, 100'000'000, 500);
    CHECK(sent < 50'000'000);
    // Each answer takes 20 times the room of its request: far fewer were made than were asked for.
    CHECK(*answered * 1000 < 50'000'000);
    CHECK(eventually([&] { return *answered > 0; }));
}

TEST_CASE("server: a handler may read and write at the same time", "[http][server]") {
    router routes;
    routes.post("/both", [](request& request) {
        auto* from = &request.body();
        return response::stream("text/plain", [from](body_writer& to) -> task<outcome> {
            std::uint64_t taken = 0;
            const auto read_all = [](body_reader& body, std::uint64_t& total) -> task<outcome> {
                for (;;) {
                    const auto piece = co_await body.next();
                    if (!piece) { co_return std::unexpected(piece.error()); }
                    if (piece->empty()) { co_return outcome(); }
                    total += piece->size();
                }
            };
            const auto write_many = [](body_writer& out) -> task<outcome> {
                for (int i = 0; i < 200; ++i) {
                    const auto sent = co_await out.write("0123456789");
                    if (!sent) { co_return sent; }
                }
                co_return outcome();
            };
            auto both = heph::join(read_all(*from, taken), write_many(to));
            const auto done = co_await both;
            if (!std::get<0>(done)) { co_return std::get<0>(done); }
            const std::string total = std::to_string(taken);
            const auto sent = co_await to.write(total);
            co_return sent;
        });
    });
    const test_server server(std::move(routes));
    raw_client client(server.port());
    for (int i = 0; i < 5; ++i) {
        REQUIRE(client.send(post_request("/both", std::string(400'000, 'x'))));
        const reply got = client.read();
        CHECK(got.complete);
        CHECK(got.body.size() == 2006);
        CHECK(got.body.ends_with("9400000"));
    }
}

TEST_CASE("server: a body read that is given up loses nothing", "[http][server]") {
    auto given_up = std::make_shared<std::atomic<int>>(0);
    router routes;
    routes.post("/patient", [given_up](request& request) -> task<response> {
        std::string body;
        for (;;) {
            auto bounded = heph::rt::deadline(2ms, request.body().next());
            const auto piece = co_await bounded;
            if (!piece) {
                ++*given_up;
                continue;
            }
            if (!*piece) { co_return response::problem(piece->error()); }
            if ((*piece)->empty()) { break; }
            body.append(**piece);
        }
        co_return response::text(body);
    });
    const test_server server(std::move(routes));
    raw_client client(server.port());
    client.send(expecting("/patient", 26));
    CHECK(client.read().status == 100);
    for (char c = 'a'; c <= 'z'; ++c) {
        const int before = *given_up;
        CHECK(eventually([&] { return *given_up > before; }));
        client.send(std::string_view(&c, 1));
    }
    CHECK(client.read().body == "abcdefghijklmnopqrstuvwxyz");
}

namespace {

// A producer that waits for the test, or for its client's end.
struct listened {
    std::atomic<int> waiting{0};
    std::atomic<int> left{0};
    std::atomic<bool> told{false};

    task<outcome> produce(body_writer* to) {
        const outcome begun = co_await to->write("begun");
        if (!begun) { co_return begun; }
        ++waiting;
        while (!told) {
            // Given up and taken up again all the time.
            auto first = co_await heph::either(heph::rt::timer(1ms), to->gone());
            if (first.index() == 1) {
                ++left;
                co_return std::unexpected(error::connection_lost);
            }
        }
        const outcome ended = co_await to->write("told");
        co_return ended;
    }
};

router listened_routes(const std::shared_ptr<listened>& by) {
    router routes = make_test_routes();
    routes.get("/listen", [by](request&) {
        return response::stream("text/plain", [by](body_writer& to) { return by->produce(&to); });
    });
    return routes;
}

}  // namespace

TEST_CASE("server: a producer that waits for something else learns of a client that has gone",
          "[http][server]") {
    const auto by = std::make_shared<listened>();
    const captured_log log;
    const test_server server(listened_routes(by));
    raw_client closes(server.port());
    raw_client resets(server.port());
    raw_client ends_sending(server.port());
    raw_client stays(server.port());
    for (raw_client* each : {&closes, &resets, &ends_sending, &stays}) {
        each->send(get_request("/listen"));
    }
    CHECK(eventually([&] { return by->waiting == 4; }));
    CHECK(by->left == 0);
    { const raw_client gone(std::move(closes)); }
    CHECK(eventually([&] { return by->left == 1; }));
    resets.reset();
    CHECK(eventually([&] { return by->left == 2; }));
    ends_sending.end_sending();
    CHECK(eventually([&] { return by->left == 3; }));
    by->told = true;
    CHECK(stays.read().body == "beguntold");
    // Nobody did anything wrong.
    for (const std::string& line : log.lines()) { CHECK_FALSE(line.starts_with("http:")); }
    CHECK(stays.ask(get_request("/hello")).body == "Hello, World!");
}

TEST_CASE("server: a next request that comes while a producer listens is answered behind it",
          "[http][server]") {
    const auto by = std::make_shared<listened>();
    const test_server server(listened_routes(by));
    raw_client early(server.port());
    raw_client late(server.port());
    early.send(get_request("/listen") + get_request("/hello") + get_request("/later"));
    late.send(get_request("/listen"));
    CHECK(eventually([&] { return by->waiting == 2; }));
    late.send(get_request("/hello") + get_request("/later"));
    by->told = true;
    for (raw_client* each : {&early, &late}) {
        CHECK(each->read().body == "beguntold");
        CHECK(each->read().body == "Hello, World!");
        CHECK(each->read().body == "later");
    }
    CHECK(by->left == 0);
}
