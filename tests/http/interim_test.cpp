// What goes ahead of an answer and what stands behind a body: interim responses and trailers.

#include <chrono>
#include <expected>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/http/middleware/compression.hpp>
#include <heph/http/router.hpp>

#include "ask_router.hpp"
#include "client_run.hpp"
#include "compressed.hpp"
#include "raw_client.hpp"
#include "scripted_server.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::get_request;
using http::test::outcome;
using http::test::raw_client;
using http::test::scripted_server;
using http::test::scripted_step;
using http::test::test_server;
using http::test::with_client;
using namespace std::chrono_literals;

namespace {

using written = std::expected<void, http::error>;

http::headers hints() {
    http::headers fields;
    fields.append("Link", "</style.css>; rel=preload");
    return fields;
}

std::string told(const written& sent) { return sent ? "sent" : std::string(message(sent.error())); }

task<http::response> hint(http::request& request) {
    const http::headers fields = hints();
    const http::headers none{};
    const auto first = co_await request.send_interim(http::status::early_hints, fields);
    const auto second = co_await request.send_interim(http::status::processing, none);
    co_return http::response::text(told(first) + ", " + told(second));
}

task<http::response> hint_badly(http::request& request) {
    http::headers fields;
    const http::headers none{};
    fields.append("X", "a\r\nb: c");
    const auto bad = co_await request.send_interim(http::status::early_hints, fields);
    const auto final = co_await request.send_interim(http::status::ok, none);
    const auto tunnel = co_await request.send_interim(http::status::switching_protocols, none);
    co_return http::response::text(told(bad) + "\n" + told(final) + "\n" + told(tunnel));
}

task<written> hint_too_late(http::request& request, http::body_writer& to) {
    const http::headers none{};
    const auto sent = co_await request.send_interim(http::status::early_hints, none);
    const std::string text = told(sent);
    const auto done = co_await to.write(text);
    co_return done;
}

/// Reads the body, and answers with its trailers, as trailers.
task<written> mirror(http::request& request, http::body_writer& to) {
    for (;;) {
        const auto piece = co_await request.body().next();
        if (!piece) { co_return std::unexpected(piece.error()); }
        if (piece->empty()) { break; }
        const auto sent = co_await to.write(*piece);
        if (!sent) { co_return sent; }
    }
    for (const http::header field : request.trailers()) {
        const auto added = to.add_trailer(field.name, field.value);
        if (!added) { co_return added; }
    }
    const auto refused = to.add_trailer("Content-Length", "1");
    co_return to.add_trailer("Refused", told(refused));
}

http::router routes() {
    http::router made;
    made.get("/hint", hint).get("/bad", hint_badly);
    made.get("/late", [](http::request& request) {
        return http::response::stream(
            "text/plain", [&request](http::body_writer& to) { return hint_too_late(request, to); });
    });
    made.post("/mirror", [](http::request& request) {
        return http::response::stream(
                   "text/plain", [&request](http::body_writer& to) { return mirror(request, to); })
            .set_header("Trailer", "X-Sum, Refused");
    });
    return made;
}

constexpr std::string_view chunked_post =
    " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "2\r\nab\r\n0\r\nX-Sum: 99\r\nHost: evil\r\nx-more: \r\n\r\n";

const std::string refused_line =
    "Refused: " + std::string(message(http::error::bad_response)) + "\r\n";

/// Lets a client send a body with a trailer, and tells what comes back.
task<> send_with_trailers(http::client with, std::string url, std::string* to) {
    http::client_request sent(http::method::post, url);
    sent.set_header("Trailer", "X-Sum");
    sent.set_stream([](http::body_writer& out) -> task<written> {
        const auto done = co_await out.write("body");
        if (!done) { co_return done; }
        co_return out.add_trailer("X-Sum", "42");
    });
    auto got = co_await with.send(std::move(sent));
    if (!got) { co_return; }
    *to += std::to_string(got->trailers().size()) + " ";
    const auto body = co_await got->read_body();
    *to += body ? *body : body.error().message();
    for (const http::header field : got->trailers()) {
        *to += " " + std::string(field.name) + "=" + std::string(field.value);
    }
    *to += " kept " + std::to_string(with.idle_connections());
}

task<> ask_and_tell(http::client with, std::string url, std::string* to) {
    http::client_request sent(http::method::get, url);
    sent.on_interim([to](const http::response_head& head) {
        *to += std::to_string(code(head.status())) + " " +
               std::string(head.headers().get("Link").value_or("-")) + "\n";
    });
    auto got = co_await with.send(std::move(sent));
    *to += co_await outcome(std::move(got));
}

task<> ask_and_throw(http::client with, std::string url, std::string* to) {
    http::client_request sent(http::method::get, url);
    sent.on_interim([](const http::response_head&) { throw std::runtime_error("enough"); });
    try {
        const auto got = co_await with.send(std::move(sent));
        *to += got ? "answered" : got.error().message();
    } catch (const std::runtime_error& thrown) { *to += thrown.what(); }
    *to += " kept " + std::to_string(with.idle_connections());
}

}  // namespace

TEST_CASE("interim: what a handler sends ahead comes before the answer, at once",
          "[http][server]") {
    const test_server server(routes());
    raw_client client(server.port());
    client.send(get_request("/hint") + get_request("/hint"));
    for (int i = 0; i < 2; ++i) {
        const auto first = client.read();
        CHECK(first.head == "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload");
        CHECK(client.read().head == "HTTP/1.1 102 Processing");
        CHECK(client.read().body == "sent, sent");
    }
}

TEST_CASE("interim: HTTP/1.0 gets none, and neither does a request that a test made",
          "[http][server]") {
    const test_server server(routes());
    raw_client client(server.port());
    const auto got = client.ask("GET /hint HTTP/1.0\r\n\r\n");
    CHECK(got.status == 200);
    CHECK(got.body == "sent, sent");
    CHECK(http::test::ask(routes(), "/hint").body() == "sent, sent");
}

TEST_CASE("interim: what is none, breaks the message, or comes too late is not sent",
          "[http][server]") {
    const test_server server(routes());
    raw_client client(server.port());
    const std::string no(message(http::error::bad_response));
    const auto bad = client.ask(get_request("/bad"));
    CHECK(bad.status == 200);
    CHECK(bad.body == no + "\n" + no + "\n" + no);
    const auto late = client.ask(get_request("/late"));
    CHECK(late.status == 200);
    CHECK(late.body == no);
}

TEST_CASE("interim: a client passes over them, and tells who wants to know", "[http][client]") {
    const std::string answer =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    scripted_server server({{scripted_step{answer}}, {scripted_step{answer}}});
    std::string log;
    with_client(
        [&](http::client client) { return ask_and_tell(std::move(client), server.url(), &log); });
    CHECK(log == "100 -\n103 <a>\n200 ok");
    log.clear();
    with_client(
        [&](http::client client) { return ask_and_throw(std::move(client), server.url(), &log); });
    CHECK(log == "enough kept 0");
}

TEST_CASE("trailers: a handler sees those of the request, and sends its own", "[http][server]") {
    const test_server server(routes());
    raw_client client(server.port());
    client.send("POST /mirror" + std::string(chunked_post) + get_request("/hint"));
    client.end_sending();
    const std::string all = client.read_rest();
    const std::size_t head = all.find("\r\n\r\n");
    REQUIRE(head != std::string::npos);
    CHECK(all.substr(0, head).find("\r\nTrailer: X-Sum, Refused\r\n") != std::string::npos);
    CHECK(all.substr(head + 4).starts_with("2\r\nab\r\n0\r\nX-Sum: 99\r\nx-more: \r\n" +
                                           refused_line + "\r\nHTTP/1.1 103 "));
}

TEST_CASE("trailers: they do not stay for the next request of a connection", "[http][server]") {
    const test_server server(routes());
    raw_client client(server.port());
    client.send("POST /mirror" + std::string(chunked_post) +
                "POST /mirror HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                "2\r\ncd\r\n0\r\n\r\n");
    client.end_sending();
    CHECK(client.read_rest().ends_with("2\r\ncd\r\n0\r\n" + refused_line + "\r\n"));
}

TEST_CASE("trailers: a body without chunks has no place for them", "[http][server]") {
    const test_server server(routes());
    raw_client client(server.port());
    client.send("POST /mirror HTTP/1.0\r\nContent-Length: 2\r\n\r\nab");
    const std::string all = client.read_rest();
    CHECK(all.ends_with("\r\n\r\nab"));
    CHECK(all.find("Trailer") == std::string::npos);
}

TEST_CASE("trailers: they pass through compression", "[http][server]") {
    http::router compressed;
    compressed.use(http::compression());
    compressed.mount("/z", routes());
    const test_server server(std::move(compressed));
    raw_client client(server.port());
    std::string post(chunked_post);
    post.insert(post.find("Transfer"), "Accept-Encoding: gzip\r\n");
    client.send("POST /z/mirror" + post);
    client.end_sending();
    const std::string all = client.read_rest();
    CHECK(all.find("\r\nContent-Encoding: gzip\r\n") != std::string::npos);
    CHECK(all.ends_with("\r\n0\r\nX-Sum: 99\r\nx-more: \r\n" + refused_line + "\r\n"));
}

TEST_CASE("trailers: a client sends its own, and gives those of the answer", "[http][client]") {
    const test_server server(routes());
    std::string log;
    with_client([&](http::client client) {
        return send_with_trailers(std::move(client),
                                  "http://127.0.0.1:" + std::to_string(server.port()) + "/mirror",
                                  &log);
    });
    CHECK(log ==
          "0 body X-Sum=42 Refused=" + std::string(message(http::error::bad_response)) + " kept 1");
}
