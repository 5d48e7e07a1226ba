// What observers, the access log and the metrics are told of requests, whatever became of them.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/exchange.hpp>
#include <heph/http/middleware/access_log.hpp>
#include <heph/http/middleware/metrics.hpp>
#include <heph/http/upgrade.hpp>
#include <heph/rt/timer.hpp>

#include "raw_client.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;

namespace {

// What is kept of an exchange.
struct told {
    std::string line;
    unsigned status = 0;
    std::optional<error> why;
    std::uint64_t bytes = 0;
    bool handled = false;
    bool complete = false;
    bool has_peer = false;
};

class notes {
public:
    [[nodiscard]] exchange_observer observer() {
        return [this](const exchange& what) {
            told one;
            one.line = what.asked != nullptr ? std::string(what.asked->target())
                                             : "? " + std::string(what.first_line);
            one.status = what.status ? code(*what.status) : 0;
            one.why = what.why;
            one.bytes = what.body_bytes_sent;
            one.handled = what.handled;
            one.complete = what.complete;
            one.has_peer = what.peer.has_value();
            const std::lock_guard<std::mutex> lock(mutex_);
            all_.push_back(std::move(one));
        };
    }
    // Waits for so many, and gives them.
    [[nodiscard]] std::vector<told> wait_for(std::size_t count) {
        (void)eventually([&] {
            const std::lock_guard<std::mutex> lock(mutex_);
            return all_.size() >= count;
        });
        const std::lock_guard<std::mutex> lock(mutex_);
        return all_;
    }

private:
    std::mutex mutex_;
    std::vector<told> all_;
};

router observed_routes(notes& kept) {
    router routes = make_test_routes();
    routes.observe(kept.observer());
    return routes;
}

told only(notes& kept) {
    const auto all = kept.wait_for(1);
    REQUIRE(all.size() == 1);
    return all.front();
}

}  // namespace

TEST_CASE("exchange: an answer is told with the bytes of its body", "[http][server][exchange]") {
    struct sample {
        std::string request;
        unsigned status;
        std::uint64_t bytes;
        bool handled;
    };
    for (const sample& each : {
             sample{get_request("/hello"), 200, 13, true},
             {get_request("/later"), 200, 5, true},
             {get_request("/big/100000"), 200, 100'000, true},
             // `8\r\npiece 0\n\r\n` three times, and `0\r\n\r\n`.
             {get_request("/stream/3"), 200, 3 * 13 + 5, true},
             {post_request("/length", "four"), 200, 1, true},
             {"HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n", 200, 0, true},
             {"OPTIONS /hello HTTP/1.1\r\nHost: a\r\n\r\n", 204, 0, false},
         }) {
        CAPTURE(each.request);
        notes kept;
        const test_server server(observed_routes(kept));
        raw_client client(server.port());
        client.send(each.request);
        CHECK(client.read(each.request.starts_with("HEAD")).status ==
              static_cast<int>(each.status));
        const told got = only(kept);
        CHECK(got.status == each.status);
        CHECK(got.bytes == each.bytes);
        CHECK(got.handled == each.handled);
        CHECK(got.complete);
        CHECK(got.has_peer);
        CHECK_FALSE(got.why);
    }
}

TEST_CASE("exchange: what never gets to a handler is told as well", "[http][server][exchange]") {
    const captured_log log;
    struct sample {
        std::string bytes;
        std::string line;
        unsigned status;
        std::optional<error> why;
    };
    for (const sample& each : {
             sample{"nonsense\r\n\r\n", "? nonsense", 400, error::bad_request_line},
             {"GET / HTTP/1.1\r\n\r\n", "? GET / HTTP/1.1", 400, error::missing_host},
             {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "? GET / HTTP/3.0", 505,
              error::unsupported_version},
             {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n",
              "? GET / HTTP/1.1", 431, error::head_too_large},
             {"GET /" + std::string(10'000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n",
              "? GET /" + std::string(1019, 'x'), 414, error::target_too_long},
             {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
              "? POST / HTTP/1.1", 501, error::unknown_transfer_encoding},
             {get_request("/nowhere"), "/nowhere", 404, {}},
             {get_request("/length"), "/length", 405, {}},
         }) {
        CAPTURE(each.bytes);
        notes kept;
        server_setup setup;
        setup.limits.linger_timeout = 10ms;
        const test_server server(observed_routes(kept), setup);
        raw_client client(server.port());
        const reply got = client.ask(each.bytes);
        CHECK(got.status == static_cast<int>(each.status));
        const told what = only(kept);
        CHECK(what.line == each.line);
        CHECK(what.status == each.status);
        CHECK(what.why == each.why);
        CHECK(what.bytes == got.body.size());
        CHECK_FALSE(what.handled);
        CHECK(what.complete);
        CHECK(what.has_peer);
    }
}

TEST_CASE("exchange: late heads, lost ones and overload are told", "[http][server][exchange]") {
    const captured_log log;
    notes kept;
    server_setup setup;
    setup.limits.head_timeout = 50ms;
    setup.limits.linger_timeout = 10ms;
    SECTION("a head that comes too slowly") {
        const test_server server(observed_routes(kept), setup);
        raw_client client(server.port());
        CHECK(client.ask("GET /slow HTTP/1.1\r\nHo").status == 408);
        const told what = only(kept);
        CHECK(what.line == "? GET /slow HTTP/1.1");
        CHECK(what.why == error::head_timed_out);
        CHECK(what.status == 408);
    }
    SECTION("a connection that ends within a head") {
        setup.limits.head_timeout = 60s;
        const test_server server(observed_routes(kept), setup);
        raw_client client(server.port());
        client.send("GET /lost HTTP/1.1\r\nHo");
        client.end_sending();
        const told what = only(kept);
        CHECK(what.line == "? GET /lost HTTP/1.1");
        CHECK(what.why == error::connection_lost);
        CHECK(what.status == 0);
        CHECK_FALSE(what.complete);
    }
    SECTION("a connection too many") {
        setup.limits.connections_max = 1;
        const test_server server(observed_routes(kept), setup);
        const raw_client first(server.port());
        raw_client second(server.port());
        CHECK(second.read().status == 503);
        const told what = only(kept);
        CHECK(what.line == "? ");
        CHECK(what.why == error::too_many_connections);
        CHECK(what.status == 503);
        CHECK(what.has_peer);
    }
    SECTION("a request too many") {
        setup.limits.requests_max = 0;
        const test_server server(observed_routes(kept), setup);
        raw_client client(server.port());
        CHECK(client.ask(get_request("/later")).status == 503);
        const told what = only(kept);
        CHECK(what.line == "/later");
        CHECK(what.why == error::too_many_requests_at_once);
        CHECK_FALSE(what.handled);
    }
    SECTION("no request at all is nothing to tell of") {
        const test_server server(observed_routes(kept), setup);
        { const raw_client nothing(server.port()); }
        raw_client client(server.port());
        CHECK(client.ask(get_request("/hello")).status == 200);
        CHECK(only(kept).line == "/hello");
    }
}

TEST_CASE("exchange: of an answer that is cut short, what was sent counts",
          "[http][server][exchange]") {
    const captured_log log;
    notes kept;
    SECTION("its producer fails") {
        const test_server server(observed_routes(kept));
        raw_client client(server.port());
        const reply got = client.ask(get_request("/cut"));
        CHECK(got.status == 200);
        CHECK_FALSE(got.complete);
        const told what = only(kept);
        CHECK(what.status == 200);
        CHECK(what.bytes == 13);
        CHECK(what.why == error::handler_failed);
        CHECK_FALSE(what.complete);
    }
    SECTION("its producer fails before anything was sent") {
        const test_server server(observed_routes(kept));
        raw_client client(server.port());
        const reply got = client.ask(get_request("/early-cut"));
        CHECK(got.status == 500);
        const told what = only(kept);
        CHECK(what.status == 500);
        CHECK(what.bytes == got.body.size());
        CHECK(what.complete);
    }
    SECTION("its client goes") {
        constexpr std::uint64_t size = 50'000'000;
        const test_server server(observed_routes(kept));
        {
            raw_client client(server.port(), 64 * 1024);
            client.send(get_request("/big/" + std::to_string(size)));
            CHECK(client.read_some().starts_with("HTTP/1.1 200 OK"));
            client.reset();
        }
        const told what = only(kept);
        CHECK(what.status == 200);
        CHECK(what.bytes > 0);
        CHECK(what.bytes < size);
        CHECK(what.why == error::connection_lost);
        CHECK_FALSE(what.complete);
    }
    SECTION("the server stops") {
        server_setup setup;
        setup.stop_grace = 20ms;
        router routes = observed_routes(kept);
        routes.get("/endless", [](request&) -> heph::task<response> {
            co_await heph::rt::timer(1h);
            co_return response();
        });
        test_server server(std::move(routes), setup);
        raw_client client(server.port());
        client.send(get_request("/hello") + get_request("/endless"));
        CHECK(client.read().status == 200);
        server.request_stop();
        (void)server.wait_for_end();
        const auto all = kept.wait_for(2);
        REQUIRE(all.size() == 2);
        CHECK(all[1].line == "/endless");
        CHECK(all[1].status == 0);
        CHECK(all[1].handled);
        CHECK_FALSE(all[1].complete);
    }
}

TEST_CASE("exchange: pipelined requests are told one by one, in order",
          "[http][server][exchange]") {
    notes kept;
    const test_server server(observed_routes(kept));
    raw_client client(server.port());
    client.send(get_request("/hello") + get_request("/nowhere") + get_request("/later") +
                get_request("/hello/x"));
    for (const int status : {200, 404, 200, 200}) { CHECK(client.read().status == status); }
    const auto all = kept.wait_for(4);
    REQUIRE(all.size() == 4);
    CHECK(all[0].line == "/hello");
    CHECK(all[0].bytes == 13);
    CHECK(all[1].line == "/nowhere");
    CHECK(all[2].bytes == 5);
    CHECK(all[3].bytes == 9);
    CHECK(all[3].complete);
}

TEST_CASE("exchange: an upgrade is told when the protocol changes", "[http][server][exchange]") {
    notes kept;
    router routes;
    routes.observe(kept.observer());
    routes.get("/", [](request&) {
        return response::upgrade("x", [](upgraded_stream&) -> heph::task<void> { co_return; });
    });
    const test_server server(std::move(routes));
    raw_client client(server.port());
    CHECK(client.ask(get_request("/", "Connection: upgrade\r\nUpgrade: x\r\n")).status == 101);
    const told what = only(kept);
    CHECK(what.status == 101);
    CHECK(what.bytes == 0);
    CHECK(what.complete);
}

TEST_CASE("exchange: a middleware asks for what becomes of one request",
          "[http][server][exchange]") {
    notes kept;
    router routes;
    std::atomic<bool> kept_it{false};
    routes.use([&](request& asked, next_handler next) {
        if (asked.path() == "/hello") { kept_it = asked.when_done(kept.observer()); }
        return next(asked);
    });
    routes.mount("/", make_test_routes());
    const test_server server(std::move(routes));
    raw_client client(server.port());
    CHECK(client.ask(get_request("/later")).status == 200);
    CHECK(client.ask(get_request("/hello")).status == 200);
    CHECK(client.ask(get_request("/stream/1")).status == 200);
    const told what = only(kept);
    CHECK(what.line == "/hello");
    CHECK(what.bytes == 13);
    CHECK(what.complete);
    CHECK(kept_it);
    request of_a_test;
    CHECK_FALSE(of_a_test.when_done(kept.observer()));
}

TEST_CASE("exchange: an observer that fails is logged, and the answer is sent",
          "[http][server][exchange]") {
    const captured_log log;
    router routes = make_test_routes();
    routes.observe([](const exchange&) { throw std::runtime_error("no disk"); });
    CHECK_THROWS_AS(routes.observe({}), std::invalid_argument);
    const test_server server(std::move(routes));
    raw_client client(server.port());
    CHECK(client.ask(get_request("/hello")).status == 200);
    CHECK(client.ask(get_request("/hello")).status == 200);
    CHECK(eventually([&] { return log.count("http: an observer failed: no disk") == 2; }));
}

TEST_CASE("access log: refusals, streams and cut answers have their lines",
          "[http][server][exchange]") {
    const captured_log log;
    std::mutex mutex;
    std::vector<std::string> lines;
    const auto keep = [&](std::string_view line) {
        const std::lock_guard<std::mutex> lock(mutex);
        lines.emplace_back(line);
    };
    const auto count = [&] {
        const std::lock_guard<std::mutex> lock(mutex);
        return lines.size();
    };
    server_setup setup;
    setup.limits.linger_timeout = 10ms;
    SECTION("of everything") {
        router routes = make_test_routes();
        routes.observe(log_exchanges(access_log_format::combined, keep));
        const test_server server(std::move(routes), setup);
        raw_client client(server.port());
        CHECK(client.ask(get_request("/stream/2", "User-Agent: me\r\n")).status == 200);
        CHECK(client.ask("GET /\"\r\n\r\n").status == 400);
        raw_client other(server.port());
        CHECK_FALSE(other.ask(get_request("/cut")).complete);
        REQUIRE(eventually([&] { return count() == 3; }));
        CHECK(lines[0].starts_with("127.0.0.1 - - ["));
        CHECK(lines[0].ends_with("] \"GET /stream/2 HTTP/1.1\" 200 31 \"-\" \"me\""));
        CHECK(lines[1].starts_with("127.0.0.1 - - ["));
        CHECK(lines[1].find("] \"GET /\\x22\" 400 ") != std::string::npos);
        CHECK(lines[1].ends_with(" \"-\" \"-\""));
        CHECK(lines[2].find("\"GET /cut HTTP/1.1\" 200 13 ") != std::string::npos);
    }
    SECTION("in JSON") {
        router routes = make_test_routes();
        routes.observe(log_exchanges(access_log_format::json, keep));
        const test_server server(std::move(routes), setup);
        raw_client client(server.port());
        CHECK(client.ask("bad \"line\"\r\n\r\n").status == 400);
        raw_client other(server.port());
        CHECK_FALSE(other.ask(get_request("/cut")).complete);
        REQUIRE(eventually([&] { return count() == 2; }));
        CHECK(lines[0].find("\"first_line\":\"bad \\\"line\\\"\",\"status\":400,\"bytes\":") !=
              std::string::npos);
        CHECK(lines[0].find(",\"error\":\"The request line") != std::string::npos);
        CHECK(lines[0].find("\"complete\"") == std::string::npos);
        CHECK(lines[1].find("\"status\":200,\"bytes\":13,") != std::string::npos);
        CHECK(lines[1].find(",\"complete\":false,\"error\":\"The server failed") !=
              std::string::npos);
    }
    SECTION("of some routes") {
        router routes;
        router logged;
        logged.use(access_log(access_log_format::common, keep));
        logged.mount("/", make_test_routes());
        routes.mount("/logged", std::move(logged));
        routes.mount("/", make_test_routes());
        const test_server server(std::move(routes), setup);
        raw_client client(server.port());
        CHECK(client.ask(get_request("/hello")).status == 200);
        CHECK(client.ask(get_request("/logged/stream/1")).status == 200);
        CHECK(client.ask(get_request("/logged/throw")).status == 500);
        REQUIRE(eventually([&] { return count() == 2; }));
        CHECK(lines[0].ends_with("\"GET /logged/stream/1 HTTP/1.1\" 200 18"));
        CHECK(lines[1].find("\"GET /logged/throw HTTP/1.1\" 500 ") != std::string::npos);
    }
}

TEST_CASE("metrics: an observer counts refusals, bytes and cut answers",
          "[http][server][exchange]") {
    const captured_log log;
    metrics counted;
    router routes;
    CHECK(counted.text().find("refused_total") == std::string::npos);
    routes.observe(counted.observer());
    routes.use(counted.around());
    routes.mount("/", make_test_routes());
    server_setup setup;
    setup.limits.linger_timeout = 10ms;
    const test_server server(std::move(routes), setup);
    const auto has = [&](std::string_view line) {
        return eventually([&] { return counted.text().find(line) != std::string::npos; });
    };
    raw_client client(server.port());
    CHECK(client.ask(get_request("/hello")).status == 200);
    CHECK(client.ask(get_request("/nowhere")).status == 404);
    const std::string refused = client.ask("nonsense\r\n\r\n").body;
    CHECK(has("\nhttp_refused_total{status=\"400\"} 1\n"));
    raw_client other(server.port());
    CHECK_FALSE(other.ask(get_request("/cut")).complete);
    CHECK(has("\nhttp_responses_incomplete_total 1\n"));
    // The 404 came out of the middleware, and is no refusal.
    CHECK(counted.text().find("refused_total{status=\"404\"}") == std::string::npos);
    CHECK(counted.text().find("http_requests_total{method=\"GET\",status=\"4xx\"} 1\n") !=
          std::string::npos);
}
