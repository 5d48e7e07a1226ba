// What a client makes of compressed answers.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/http/middleware/compression.hpp>
#include <heph/http/router.hpp>
#include <heph/rt/timer.hpp>

#include "client_run.hpp"
#include "compressed.hpp"
#include "scripted_server.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::fetch_all;
using http::test::gzip;
using http::test::scripted_server;
using http::test::scripted_step;
using http::test::test_server;
using http::test::text_of;
using http::test::with_client;
using namespace std::chrono_literals;

namespace {

http::client_options decompressing() {
    http::client_options options;
    options.decompress = true;
    return options;
}

/// An answer with a length and a coding.
std::string reply(std::string_view coding, std::string_view body,
                  std::string_view status = "200 OK") {
    return "HTTP/1.1 " + std::string(status) + "\r\nContent-Encoding: " + std::string(coding) +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string chunked_reply(std::string_view body) {
    std::string all =
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const char c : body) { all += std::string("1\r\n") + c + "\r\n"; }
    return all + "0\r\n\r\n";
}

std::string show(const http::client_response& answer, std::string_view name) {
    return std::string(answer.header(name).value_or("-"));
}

/// Sends a request and tells of the answer: status, headers, whether it was decompressed, body.
task<> describe(http::client with, http::client_request request, std::string* to) {
    auto got = co_await with.send(std::move(request));
    if (!got) {
        *to += got.error().message();
        co_return;
    }
    *to += std::to_string(code(got->status())) + " " + show(*got, "Content-Encoding") + " " +
           show(*got, "Content-Length") + (got->is_decompressed() ? " decompressed " : " as is ");
    const auto body = co_await got->read_body();
    *to += body ? *body : body.error().message();
    *to += " kept " + std::to_string(with.idle_connections());
}

std::string describe(const scripted_server& server, http::client_options options,
                     http::method method = http::method::get, std::string_view name = {},
                     std::string_view value = {}) {
    std::string told;
    with_client(
        [&](http::client client) {
            http::client_request request(method, server.url());
            if (!name.empty()) { request.set_header(name, value); }
            return describe(std::move(client), std::move(request), &told);
        },
        std::move(options));
    return told;
}

std::string line(int number) { return std::to_string(number) + std::string(3000, ' ') + "\n"; }

/// Writes lines, the last half once somebody was seen.
task<std::expected<void, http::error>> write_lines(http::body_writer& to,
                                                   const std::atomic<std::size_t>& seen) {
    for (int i = 0; i < 300; ++i) {
        while (i == 150 && seen == 0) { co_await heph::rt::timer(1ms); }
        const std::string piece = line(i);
        const auto written = co_await to.write(piece);
        if (!written) { co_return written; }
    }
    co_return std::expected<void, http::error>();
}

}  // namespace

TEST_CASE("client decompression: it is asked for when it is on, and what comes is given plain",
          "[http][client]") {
    scripted_server server(
        {{scripted_step{reply("gzip", gzip("plain"))}, scripted_step{chunked_reply(gzip("pieces"))},
          scripted_step{reply("br", http::test::brotli("small"))}},
         {scripted_step{reply("gzip", gzip("plain"))}}});
    const auto all = fetch_all({server.url(), server.url(), server.url()}, decompressing());
    CHECK(all == std::vector<std::string>{"200 plain", "200 pieces", "200 small"});
    CHECK(describe(server, decompressing()) == "200 - - decompressed plain kept 1");
    server.stop();
    REQUIRE(server.heads().size() == 4);
    CHECK(server.heads()[0].find("\r\nAccept-Encoding: gzip, deflate, br\r\n") !=
          std::string::npos);
}

TEST_CASE("client decompression: it is off by default, and for who asks for a coding or a range",
          "[http][client]") {
    const std::string body = gzip("as it is");
    const std::string given = "200 gzip " + std::to_string(body.size()) + " as is " + body;
    scripted_server server({{scripted_step{reply("gzip", body)}},
                            {scripted_step{reply("gzip", body)}},
                            {scripted_step{reply("gzip", body)}},
                            {scripted_step{reply("gzip", body, "206 Partial Content")}}});
    CHECK(describe(server, {}) == given + " kept 1");
    CHECK(describe(server, decompressing(), http::method::get, "accept-encoding", "br, gzip") ==
          given + " kept 1");
    CHECK(describe(server, decompressing(), http::method::get, "Range", "bytes=0-") ==
          given + " kept 1");
    // A part that nobody asked for is none of a whole either.
    CHECK(describe(server, decompressing()) == "206" + given.substr(3) + " kept 1");
    server.stop();
    REQUIRE(server.heads().size() == 4);
    CHECK(server.heads()[0].find("Accept-Encoding") == std::string::npos);
    CHECK(server.heads()[1].find("\r\naccept-encoding: br, gzip\r\n") != std::string::npos);
    CHECK(server.heads()[2].find("Accept-Encoding") == std::string::npos);
}

TEST_CASE("client decompression: an answer without a body keeps its headers", "[http][client]") {
    scripted_server server(
        {{scripted_step{"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99\r\n\r\n"}},
         {scripted_step{"HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n"}},
         {scripted_step{"HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\n\r\n"}},
         {scripted_step{reply("gzip", "")}},
         {scripted_step{reply("identity", "plain")}}});
    CHECK(describe(server, decompressing(), http::method::head) == "200 gzip 99 as is  kept 1");
    CHECK(describe(server, decompressing()) == "204 gzip - as is  kept 1");
    CHECK(describe(server, decompressing()) == "304 gzip - as is  kept 1");
    CHECK(describe(server, decompressing()) == "200 - - decompressed  kept 1");
    CHECK(describe(server, decompressing()) == "200 identity 5 as is plain kept 1");
}

TEST_CASE("client decompression: what cannot be decoded is an error behind the head",
          "[http][client]") {
    const std::string good = gzip("some text that is long enough to be cut off");
    const std::string bomb = gzip(std::string(8'000'000, ' '));
    scripted_server server(
        {{scripted_step{reply("zstd", "frames")}},
         {scripted_step{reply("gzip", good.substr(0, good.size() - 1))}},
         {scripted_step{reply("gzip", good + "garbage")}},
         {scripted_step{chunked_reply("no gzip")}},
         {scripted_step{"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + good.substr(0, 30),
                        true}},
         {scripted_step{reply("gzip", bomb)}}});
    http::client_options options = decompressing();
    options.limits.body_bytes_max = 4'000'000;
    const auto all = fetch_all(std::vector<std::string>(6, server.url()), options);
    const std::string bad = "200 " + text_of(http::error::bad_content_encoding);
    CHECK(all == std::vector<std::string>{"200 " + text_of(http::error::unknown_content_encoding),
                                          bad, bad, bad, bad,
                                          "200 " + text_of(http::error::decompression_bomb)});
}

TEST_CASE("client decompression: an unknown coding keeps its headers, for who looks",
          "[http][client]") {
    scripted_server server({{scripted_step{reply("zstd", "frames")}}});
    CHECK(describe(server, decompressing()) ==
          "200 zstd 6 as is " + text_of(http::error::unknown_content_encoding) + " kept 0");
}

TEST_CASE("client decompression: limits count what is decompressed", "[http][client]") {
    const std::string text(10'000, 'x');
    scripted_server server({{scripted_step{reply("gzip", gzip(text))}},
                            {scripted_step{reply("gzip", gzip(text))}},
                            {scripted_step{reply("gzip", gzip(text))}}});
    http::client_options options = decompressing();
    options.limits.body_bytes_max = text.size() - 1;
    CHECK(fetch_all({server.url()}, options) ==
          std::vector{"200 " + text_of(http::error::body_too_large)});
    options.limits.body_bytes_max = text.size();
    CHECK(fetch_all({server.url()}, options) == std::vector{"200 " + text});
    options.decoding.bytes_max = text.size() - 1;
    CHECK(fetch_all({server.url()}, options) ==
          std::vector{"200 " + text_of(http::error::body_too_large)});
}

TEST_CASE("client decompression: a redirect's own body does not matter", "[http][client]") {
    scripted_server server(
        {{scripted_step{"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Encoding: gzip\r\n"
                        "Content-Length: 7\r\n\r\ngarbage"}},
         {scripted_step{reply("gzip", gzip("there"))}}});
    http::client_options options = decompressing();
    options.redirects_max = 1;
    CHECK(fetch_all({server.url()}, options) == std::vector<std::string>{"200 there"});
}

TEST_CASE("client decompression: a wait that is given up loses nothing", "[http][client]") {
    // The server goes on when the client has given up once.
    std::atomic<std::size_t> given_up = 0;
    http::router routes;
    routes.use(http::compression());
    routes.get("/", [&given_up](http::request&) {
        return http::response::stream("text/plain", [seen = &given_up](http::body_writer& to) {
            return write_lines(to, *seen);
        });
    });
    test_server server(std::move(routes));
    std::string all;
    std::size_t largest = 0;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string url, std::string* to, std::size_t* most,
                      std::atomic<std::size_t>* lost) -> task<> {
                auto got = co_await with.get(url);
                while (got) {
                    const auto piece = co_await heph::rt::deadline(0ms, got->next());
                    if (!piece) {
                        ++*lost;
                        co_await heph::rt::timer(1ms);
                        continue;
                    }
                    if (!*piece || (*piece)->empty()) { break; }
                    *most = std::max(*most, (*piece)->size());
                    *to += **piece;
                }
            }(std::move(client), "http://127.0.0.1:" + std::to_string(server.port()) + "/", &all,
                                                      &largest, &given_up);
        },
        decompressing());
    std::string expected;
    for (int i = 0; i < 300; ++i) { expected += line(i); }
    CHECK(all == expected);
    CHECK(largest <= 16 * 1024);
    CHECK(given_up > 0);
}
