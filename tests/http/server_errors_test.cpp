// Requests as they should not be, handlers that fail, and what is logged about them.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/upgrade.hpp>

#include "raw_client.hpp"
#include "samples.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;

namespace {

void check_still_serves(const test_server& server) {
    raw_client other(server.port());
    CHECK(other.ask(get_request("/hello")).body == "Hello, World!");
}

bool is_of_body(error failure) {
    return failure == error::bad_chunk || failure == error::chunk_extension_too_long ||
           failure == error::trailers_too_large;
}

server_setup with_endless_log() {
    server_setup setup;
    setup.limits.log_lines_per_minute_max = 1'000'000;
    return setup;
}

// How much a server may have logged since then, with one line a minute; each may be followed by one
// that says how many were left out.
std::size_t log_lines_max(std::chrono::steady_clock::time_point since) {
    const auto took = std::chrono::steady_clock::now() - since;
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(took).count();
    return 2 * (1 + static_cast<std::size_t>(minutes) + 1);
}

}  // namespace

TEST_CASE("server: answers each bad request with its status, and closes", "[http][server]") {
    const captured_log log;
    const test_server server(make_test_routes(), with_endless_log());
    std::size_t sent = 0;
    for (const bad_sample& each : bad_samples()) {
        CAPTURE(each.what);
        if (is_of_body(each.expected)) { continue; }  // Told by the handler, if it reads.
        raw_client client(server.port());
        client.send(each.bytes);
        client.end_sending();
        // Requests before the bad one are answered as well.
        reply last;
        for (reply got = client.read(); got.status != 0; got = client.read()) { last = got; }
        CHECK(last.status == static_cast<int>(code(status_of(each.expected))));
        CHECK(last.closes());
        CHECK(last.header("content-type") == "application/problem+json");
        CHECK(last.body.find(message(each.expected)) != std::string::npos);
        ++sent;
    }
    REQUIRE(sent > 50);
    check_still_serves(server);
    // One line each.
    CHECK(log.count("http: 127.0.0.1:") == sent);
}

TEST_CASE("server: a bad or slow request by HEAD is refused without a body", "[http][server]") {
    server_setup setup = with_endless_log();
    setup.limits.head_timeout = 50ms;
    const test_server server(make_test_routes(), setup);
    for (const auto& [bytes, status] : {std::pair{"HEAD /hello HTTP/1.1\r\n\r\n", 400},
                                        {"HEAD /hello HTTP/1.1\r\nHost : a\r\n\r\n", 400},
                                        {"HEAD /hello HTTP/2.1\r\nHost: a\r\n\r\n", 505},
                                        {"HEAD /hello HTTP/1.1\r\nHost: a\r\n", 408}}) {
        CAPTURE(bytes);
        raw_client client(server.port());
        client.send(bytes);
        const reply got = client.read(true);
        CHECK(got.status == status);
        CHECK(got.closes());
        CHECK(client.read_rest().empty());
    }
    check_still_serves(server);
}

TEST_CASE("server: refuses what is too large", "[http][server]") {
    server_setup setup = with_endless_log();
    setup.limits.request_line_bytes_max = 100;
    setup.limits.head_bytes_max = 400;
    setup.limits.headers_max = 5;
    setup.limits.body_bytes_max = 1000;
    setup.limits.streamed_body_bytes_max = 100'000;
    const captured_log log;
    const test_server server(make_test_routes(), setup);
    const std::string begin_chunked = " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct sample {
        std::string name;
        std::string request;
        int status;
    };
    const std::vector<sample> samples{
        {"request line", get_request("/" + std::string(200, 'x')), 414},
        {"endless request line", "GET /" + std::string(600, 'x'), 414},
        {"head", get_request("/hello", "X: " + std::string(400, 'x') + "\r\n"), 431},
        {"endless head", "GET / HTTP/1.1\r\nX: " + std::string(2000, 'x'), 431},
        {"headers", get_request("/hello", "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n"), 431},
        {"body to be gathered", post_request("/length", std::string(1001, 'x')), 413},
        {"streamed body", post_request("/echo", std::string(100'001, 'x')), 413},
        {"chunk to be gathered",
         "POST /length" + begin_chunked + "3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n",
         413},
        {"streamed chunk", "POST /length" + begin_chunked + "ffffffff\r\n", 413},
        {"chunk extension", "POST /length" + begin_chunked + "1;" + std::string(300, 'x'), 400},
        {"trailers", "POST /length" + begin_chunked + "0\r\nT: " + std::string(5000, 'x'), 431},
        {"chunk size", "POST /length" + begin_chunked + "11111111111111111\r\n", 400},
    };
    for (const sample& each : samples) {
        CAPTURE(each.name);
        raw_client client(server.port());
        client.send(each.request);
        const reply got = client.read();
        CHECK(got.status == each.status);
        CHECK(got.complete);
        client.end_sending();
        CHECK(client.at_end());
        CHECK_FALSE(client.was_reset());
    }
    check_still_serves(server);
}

TEST_CASE("server: a client that sends a huge body is told 413 before it is cut off",
          "[http][server]") {
    const captured_log log;
    const test_server server(make_test_routes());
    raw_client client(server.port());
    const std::string part(64 * 1024, 'x');
    client.send("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n");
    // Far less than was announced is taken.
    const std::size_t sent = client.send_until_blocked(part, 900'000'000, 3'000);
    CHECK(sent < 100'000'000);
    const reply got = client.read();
    CHECK(got.status == 413);
    CHECK(got.closes());
}

TEST_CASE("server: answers a bad body through the handler, and closes", "[http][server]") {
    const captured_log log;
    const test_server server(make_test_routes(), with_endless_log());
    const std::string begin = " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const char* path : {"/length", "/echo", "/ignore"}) {
        CAPTURE(path);
        raw_client client(server.port());
        client.send("POST " + std::string(path) + begin + "nonsense\r\n");
        const reply got = client.read();
        // Who does not read the body cannot know.
        CHECK(got.status == (std::string_view(path) == "/ignore" ? 200 : 400));
        CHECK(client.at_end());
    }
    // What was sent already cannot be taken back: the chunked response is not ended.
    raw_client client(server.port());
    client.send("POST /echo" + begin + "2\r\nab\r\nnonsense\r\n");
    CHECK_FALSE(client.read().complete);
    CHECK(log.count("The chunked body is malformed.") == 4);
    check_still_serves(server);
}

TEST_CASE("server: survives clients that disappear in the middle", "[http][server]") {
    const captured_log log;
    const test_server server(make_test_routes());
    const std::vector<std::string> beginnings{
        "",
        "G",
        "GET /hello HTTP/1.1\r\nHost: a\r\n",
        "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        "POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        get_request("/later"),
        get_request("/stream/10000"),
        get_request("/big/10000000"),
        get_request("/hello") + get_request("/later") + "GET",
    };
    for (const std::string& each : beginnings) {
        for (const char* how : {"close", "reset", "end"}) {
            CAPTURE(each, how);
            raw_client client(server.port());
            CHECK(client.send(each));
            if (how == std::string_view("reset")) {
                client.reset();
            } else if (how == std::string_view("end")) {
                client.end_sending();
                const std::string answers = client.read_rest();
                // Only a stream that cannot be ended is cut by a reset.
                CHECK(client.was_reset() == (answers.find("chunked") != std::string::npos &&
                                             !answers.ends_with("0\r\n\r\n")));
            }
        }
    }
    check_still_serves(server);
}

TEST_CASE("server: random bytes get an answer or a close", "[http][server]") {
    server_setup setup;
    setup.limits.log_lines_per_minute_max = 1;
    const captured_log log;
    const auto begun = std::chrono::steady_clock::now();
    const test_server server(make_test_routes(), setup);
    std::mt19937 random(7);
    const std::string_view alphabet = "GET POST/hello HTTP/1.1\r\n\r\nHost:: ,;=0123456789abcdef\t";
    for (int i = 0; i < 300; ++i) {
        std::string bytes(1 + random() % 600, '\0');
        for (char& c : bytes) {
            c = i % 2 == 0 ? static_cast<char>(random() % 256)
                           : alphabet[random() % alphabet.size()];
        }
        CAPTURE(i);
        raw_client client(server.port());
        client.send(bytes);
        client.end_sending();
        const std::string answer = client.read_rest();
        CHECK((answer.empty() || answer.starts_with("HTTP/1.1 ")));
        CHECK_FALSE(client.was_reset());
    }
    check_still_serves(server);
    CHECK(log.lines().size() <= log_lines_max(begun));
}

TEST_CASE("server: truncated requests end cleanly at any byte", "[http][server]") {
    const captured_log log;
    const test_server server(make_test_routes());
    const std::string request =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\n\r\n";
    for (std::size_t size = 0; size < request.size(); ++size) {
        CAPTURE(size);
        raw_client client(server.port());
        client.send(std::string_view(request).substr(0, size));
        client.end_sending();
        const reply got = client.read();
        CHECK((got.status == 0 || got.status == 400 || !got.complete));
    }
    check_still_serves(server);
}

TEST_CASE("server: what a handler throws is logged, and answered without details",
          "[http][server]") {
    const captured_log log;
    const test_server server(make_test_routes());
    raw_client client(server.port());
    for (const char* path : {"/throw", "/throw-later", "/early-cut"}) {
        CAPTURE(path);
        const reply got = client.ask(get_request(path));
        CHECK(got.status == 500);
        CHECK(got.complete);
        CHECK(got.header("content-type") == "application/problem+json");
        CHECK(got.body.find("secret") == std::string::npos);
    }
    const reply bad = client.ask(get_request("/bad-header"));
    CHECK(bad.status == 500);
    CHECK(bad.body.find("lines") == std::string::npos);
    CHECK(client.ask(get_request("/hello")).status == 200);
    CHECK(log.count("the handler's secret") == 2);
    CHECK(log.count("the producer's secret") == 1);
    CHECK(log.count("has a header that cannot be sent") == 1);
}

TEST_CASE("server: a stream that fails half-way is cut, and cannot be taken for whole",
          "[http][server]") {
    const captured_log log;
    router routes = make_test_routes();
    const auto two_pieces = [](body_writer& to) -> heph::task<std::expected<void, error>> {
        for (int i = 0; i < 2; ++i) {
            const auto written = co_await to.write("four");
            if (!written) { co_return written; }
        }
        co_return std::expected<void, error>();
    };
    routes.get("/too-short", [two_pieces](request&) {
        return response::stream("text/plain", two_pieces).set_content_length(100);
    });
    routes.get("/too-long", [two_pieces](request&) {
        return response::stream("text/plain", two_pieces).set_content_length(6);
    });
    routes.get("/exact", [two_pieces](request&) {
        return response::stream("text/plain", two_pieces).set_content_length(8);
    });
    const test_server server(std::move(routes));
    for (const char* path : {"/cut", "/too-short", "/too-long"}) {
        CAPTURE(path);
        raw_client client(server.port());
        const reply got = client.ask(get_request(path));
        CHECK(got.status == 200);
        CHECK_FALSE(got.complete);
    }
    raw_client old(server.port());
    // Without chunks only a reset tells the end from a cut.
    CHECK_FALSE(old.ask("GET /cut HTTP/1.0\r\n\r\n").complete);
    raw_client client(server.port());
    const reply exact = client.ask(get_request("/exact"));
    CHECK(exact.complete);
    CHECK(exact.body == "fourfour");
    CHECK(log.count("does not have the length that was announced") == 2);
}

TEST_CASE("server: a flood of bad clients does not fill the log", "[http][server]") {
    server_setup setup;
    setup.limits.log_lines_per_minute_max = 1;
    const captured_log log;
    const auto begun = std::chrono::steady_clock::now();
    {
        const test_server server(make_test_routes(), setup);
        for (int i = 0; i < 200; ++i) {
            raw_client client(server.port());
            CHECK(client.ask("nonsense\r\n\r\n").status == 400);
        }
    }
    CHECK(log.lines().size() <= log_lines_max(begun));
    CHECK(log.count("http: 127.0.0.1:") >= 1);
}

TEST_CASE("server: bad clients do not keep failures of handlers out of the log", "[http][server]") {
    server_setup setup;
    setup.limits.log_lines_per_minute_max = 1;
    const captured_log log;
    const test_server server(make_test_routes(), setup);
    for (int i = 0; i < 20; ++i) {
        raw_client client(server.port());
        CHECK(client.ask("nonsense\r\n\r\n").status == 400);
    }
    raw_client client(server.port());
    CHECK(client.ask(get_request("/throw")).status == 500);
    CHECK(log.count("the handler's secret") == 1);
}

TEST_CASE("server: the line about a failed handler says what was asked, and by whom",
          "[http][server]") {
    const captured_log log;
    const test_server server(make_test_routes());
    raw_client client(server.port());
    CHECK(client.ask(get_request("/throw?a=\"" + std::string(5'000, 'x'))).status == 500);
    CHECK(log.count("http: a handler failed: GET /throw?a=\\x22xxx") == 1);
    CHECK(log.count("xxx... for 127.0.0.1:") == 1);
    for (const std::string& line : log.lines()) { CHECK(line.size() < 1'000); }
}

TEST_CASE(
    "server: a broken body before a change of protocol is refused behind what was asked before",
    "[http][server]") {
    const captured_log log;
    router routes = make_test_routes();
    routes.post("/up", [](request&) {
        return response::upgrade("x", [](upgraded_stream&) -> heph::task<void> { co_return; });
    });
    const test_server server(std::move(routes));
    raw_client client(server.port());
    client.send(get_request("/hello") +
                "POST /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
                "Transfer-Encoding: chunked\r\n\r\nzz\r\n");
    CHECK(client.read().status == 200);
    const auto refused = client.read();
    CHECK(refused.status == 400);
    CHECK(refused.closes());
}
