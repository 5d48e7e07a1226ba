// What RFC 9110 and RFC 9112 demand of a server, seen from outside: bytes in, bytes out. The list
// that these belong to is heph-http/docs/rfc-requirements.md.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/core/task.hpp>
#include <heph/http/middleware/conditional.hpp>
#include <heph/http/response.hpp>
#include <heph/http/router.hpp>
#include <heph/http/upgrade.hpp>

#include "raw_client.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;

namespace {

using texts = std::vector<std::string>;

/// What is sent over a connection of its own, and what must be, and must not be, in all that comes.
struct probe {
    std::string rule;  ///< RFC and section.
    std::string sent;
    texts has;    ///< Of which the first is how it begins.
    texts lacks;  ///< None of which is there.
};

response tagged(request&) {
    return response::text("0123456789")
        .set_header("ETag", "\"a\"")
        .set_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        .set_header("Cache-Control", "max-age=5")
        .set_header("Vary", "Accept");
}

heph::task<void> tell_what_comes(upgraded_stream& over) {
    std::string all = "heard ";
    for (;;) {
        const auto piece = co_await over.read();
        if (!piece || piece->empty()) { break; }
        all += *piece;
    }
    const auto written = co_await over.write(all);
    (void)written;
}

router rfc_routes() {
    router routes = make_test_routes();
    routes.use(conditional());
    routes.get("/tagged", tagged).put("/tagged", tagged).post("/tagged", tagged);
    routes.get("/no-content", [](request&) { return response::empty(); });
    routes.get("/reset",
               [](request&) { return response::text("not sent", status::reset_content); });
    routes.get("/strange", [](request&) { return response::text("x", static_cast<status>(299)); });
    routes.get("/switch", [](request&) { return response::upgrade("other", tell_what_comes); });
    routes.get("/whole", [](request& request) {
        return response::text(std::string(request.head().authority()));
    });
    return routes;
}

std::size_t count(std::string_view text, std::string_view part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos;
         at = text.find(part, at + part.size())) {
        ++found;
    }
    return found;
}

void check(const test_server& server, const std::vector<probe>& probes) {
    for (const probe& each : probes) {
        CAPTURE(each.rule, each.sent);
        raw_client client(server.port());
        REQUIRE(client.send(each.sent));
        client.end_sending();
        const std::string came = client.read_rest();
        CAPTURE(came);
        REQUIRE_FALSE(each.has.empty());
        CHECK(came.starts_with(each.has.front()));
        for (const std::string& text : each.has) {
            CAPTURE(text);
            CHECK(came.find(text) != std::string::npos);
        }
        for (const std::string& text : each.lacks) {
            CAPTURE(text);
            CHECK(came.find(text) == std::string::npos);
        }
    }
}

const std::string ok = "HTTP/1.1 200 OK\r\n";
const std::string bad = "HTTP/1.1 400 Bad Request\r\n";
const std::string close_line = "\r\nConnection: close\r\n";
const std::string chunked_line = "Transfer-Encoding: chunked\r\n";

std::string get(std::string_view target, std::string_view lines = {}) {
    return get_request(target, lines);
}

}  // namespace

TEST_CASE("rfc server: requests name their host once and well, and whole URLs win over it",
          "[http][server][rfc]") {
    const test_server server(rfc_routes());
    check(server,
          {{"9112 3.2", "GET /whole HTTP/1.1\r\n\r\n", {bad, close_line}, {}},
           {"9112 3.2", "GET /whole HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", {bad, close_line}, {}},
           {"9112 3.2", "GET /whole HTTP/1.1\r\nHost: a b\r\n\r\n", {bad, close_line}, {}},
           {"9112 3.2", "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", {"HTTP/1.1 204 "}, {}},
           {"9112 3.2", "GET /whole HTTP/1.1\r\nHost:\r\n\r\n", {bad, close_line}, {}},
           {"9112 3.2", "OPTIONS * HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n", {bad, close_line}, {}},
           {"9112 3.2.2",
            "GET http://b.test/whole HTTP/1.1\r\nHost:\r\n\r\n",
            {ok, "\r\n\r\nb.test"},
            {}},
           {"9112 3.2.2",
            "GET http://b.test:81/whole HTTP/1.1\r\nHost: a\r\n\r\n",
            {ok, "\r\n\r\nb.test:81"},
            {}},
           {"9112 3.2.2",
            "GET HTTP://b.test/whole HTTP/1.1\r\nHost: a\r\n\r\n",
            {ok, "\r\n\r\nb.test"},
            {}},
           {"9110 4.2.4",
            "GET http://u:p@a/whole HTTP/1.1\r\nHost: a\r\n\r\n",
            {bad, close_line},
            {}},
           {"9110 7.4",
            "GET https://a/whole HTTP/1.1\r\nHost: a\r\n\r\n",
            {"HTTP/1.1 421 Misdirected Request\r\n"},
            {}},
           {"9110 7.4",
            "OPTIONS HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n",
            {"HTTP/1.1 421 Misdirected Request\r\n"},
            {}},
           {"9112 3.2.4", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", {"HTTP/1.1 204 "}, {}},
           {"9112 3.2.4", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", {bad, close_line}, {}}});
}

TEST_CASE("rfc server: methods are what they are written as", "[http][server][rfc]") {
    const test_server server(rfc_routes());
    check(server, {{"9110 9.1",
                    "get /hello HTTP/1.1\r\nHost: a\r\n\r\n",
                    {"HTTP/1.1 501 Not Implemented\r\n"},
                    {}},
                   {"9110 9.1",
                    "BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n",
                    {"HTTP/1.1 501 Not Implemented\r\n"},
                    {}},
                   {"9110 9.3.2",
                    "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n",
                    {ok, "\r\nContent-Length: 13\r\n"},
                    {"Hello"}},
                   {"9110 9.3.2",
                    "HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
                    {"HTTP/1.1 404 Not Found\r\n"},
                    {"\r\n\r\n{"}},
                   {"9110 9.3.2", "HEAD /stream/3 HTTP/1.1\r\nHost: a\r\n\r\n", {ok}, {"piece"}},
                   {"9110 9.3.6", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", {bad}, {}},
                   {"9110 9.3.6", "CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n", {bad}, {}},
                   {"9110 9.3.6", "CONNECT a:0 HTTP/1.1\r\nHost: a\r\n\r\n", {bad}, {}},
                   {"9110 9.3.6", "CONNECT a:99999 HTTP/1.1\r\nHost: a\r\n\r\n", {bad}, {}},
                   {"9110 9.3.6",
                    "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
                    {"HTTP/1.1 501 Not Implemented\r\n", close_line},
                    {}},
                   {"9110 9.3.8",
                    "TRACE /hello HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n",
                    {"HTTP/1.1 405 Method Not Allowed\r\n"},
                    {"secret"}},
                   {"9110 10.2.1, 15.5.6",
                    "PUT /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                    {"HTTP/1.1 405 Method Not Allowed\r\n", "\r\nAllow: GET, HEAD, OPTIONS\r\n"},
                    {}}});
}

TEST_CASE("rfc server: lines that could be read in two ways are refused", "[http][server][rfc]") {
    const test_server server(rfc_routes());
    const std::string nul(1, '\0');
    std::vector<probe> probes{
        {"9112 2.2", "\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n", {ok}, {}},
        {"9112 2.2", "GET /hello HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", {bad, close_line}, {}},
        {"9112 2.2", "GET /hello HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", {bad, close_line}, {}},
        {"9112 2.3", "GET /hello http/1.1\r\nHost: a\r\n\r\n", {bad, close_line}, {}},
        {"9112 3",
         "GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
         {"HTTP/1.1 414 URI Too Long\r\n", close_line},
         {}},
        {"9112 5.1", get("/hello", "X : y\r\n"), {bad, close_line}, {}},
        {"9112 5.1", get("/hello", "Content-Length\t: 0\r\n"), {bad, close_line}, {}},
        {"9112 5.2", get("/hello", "X: y\r\n z\r\n"), {bad, close_line}, {}},
        {"9110 5.5", get("/hello", "X: y" + nul + "z\r\n"), {bad, close_line}, {}},
        {"9110 5.6.1.2", get("/hello", "Connection: , ,close,,\r\n"), {ok, close_line}, {}},
        {"9110 5.1", get("/hello", "X-Anything-Else: y\r\n"), {ok}, {}}};
    check(server, probes);
}

TEST_CASE("rfc server: where a body ends is certain, or the connection does",
          "[http][server][rfc]") {
    const test_server server(rfc_routes());
    const auto post = [](std::string_view lines, std::string_view body) {
        return "POST /length HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n" +
               std::string(body);
    };
    // What would be taken for a request of its own by who reads the body's end elsewhere.
    const std::string next = get("/hello");
    check(
        server,
        {{"9112 6.1",
          post(chunked_line + "Content-Length: 5\r\n", "0\r\n\r\n" + next),
          {bad, close_line},
          {"Hello"}},
         {"9112 6.1",
          "POST /length HTTP/1.0\r\n" + chunked_line + "\r\n0\r\n\r\n" + next,
          {bad, close_line},
          {"Hello"}},
         {"9112 6.1",
          post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n" + next),
          {"HTTP/1.1 501 Not Implemented\r\n", close_line},
          {"Hello"}},
         {"9112 6.3",
          post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n" + next),
          {bad, close_line},
          {"Hello"}},
         {"9112 6.1",
          post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n" + next),
          {bad, close_line},
          {"Hello"}},
         {"9112 6.3",
          post("Content-Length: 5, 6\r\n", "hello" + next),
          {bad, close_line},
          {"Hello"}},
         {"9112 6.3", post("Content-Length: +5\r\n", "hello" + next), {bad, close_line}, {"Hello"}},
         {"9110 8.6",
          post("Content-Length: 99999999999999999999999\r\n", "hello" + next),
          {bad, close_line},
          {"Hello"}},
         {"9112 6.3", post("", next), {ok, "\r\n\r\n0HTTP/1.1 200 OK\r\n", "Hello"}, {}},
         {"9112 6.3", post("Content-Length: 9\r\n", "hello"), {bad, close_line}, {"\r\n\r\n5"}},
         {"9112 7.1.1",
          post(chunked_line, "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n"),
          {ok, "\r\n\r\n5"},
          {}},
         {"9112 7.1",
          post(chunked_line, "A\r\n0123456789\r\n0\r\nX: y\r\n\r\n"),
          {ok, "\r\n\r\n10"},
          {}},
         {"9112 7.1",
          post(chunked_line, "fffffffffffffffff\r\nhello\r\n0\r\n\r\n" + next),
          {bad, close_line},
          {"Hello"}},
         {"9112 7.1.2",
          post(chunked_line, "0\r\nContent-Length: 5\r\n\r\n"),
          {ok, "\r\n\r\n0"},
          {}}});
}

TEST_CASE("rfc server: expectations and upgrades of HTTP/1.0 are not heard",
          "[http][server][rfc]") {
    const test_server server(rfc_routes());
    const std::string upgrade =
        "Host: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    check(server,
          {{"9110 10.1.1",
            "POST /length HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
            {ok, "\r\n\r\n5"},
            {" 100 "}},
           {"9110 10.1.1",
            get("/hello", "Expect: 200-ok\r\n"),
            {"HTTP/1.1 417 Expectation Failed\r\n"},
            {}},
           {"9110 7.8", "GET /hello HTTP/1.0\r\n" + upgrade, {ok}, {" 101 "}},
           {"9110 7.8", "GET /hello HTTP/1.1\r\n" + upgrade, {ok}, {" 101 "}},
           {"9112 6.1",
            "GET /stream/3 HTTP/1.0\r\n\r\n",
            {ok, "\r\n\r\npiece 0\n"},
            {"Transfer-Encoding"}},
           {"9112 9.3", "GET /hello HTTP/1.0\r\n\r\n", {ok, close_line}, {}},
           {"9110 6.2", "GET /hello HTTP/1.0\r\n\r\n", {ok}, {"HTTP/1.0"}},
           {"9110 15.6.6",
            "GET /hello HTTP/2.0\r\nHost: a\r\n\r\n",
            {"HTTP/1.1 505 HTTP Version Not Supported\r\n"},
            {}}});
}

TEST_CASE("rfc server: another protocol begins behind the request, and a 100 that is waited for",
          "[http][server][rfc]") {
    const test_server server(rfc_routes());
    const std::string head =
        "GET /switch HTTP/1.1\r\nHost: a\r\nUpgrade: other\r\n"
        "Connection: upgrade\r\nContent-Length: 3\r\n";
    check(server, {{"9110 7.8",
                    head + "\r\nabchello",
                    {"HTTP/1.1 101 Switching Protocols\r\n", "\r\nUpgrade: other\r\n",
                     "\r\nConnection: upgrade\r\n", "\r\n\r\nheard hello"},
                    {"abc"}}});
    raw_client client(server.port());
    CHECK(client.ask(head + "Expect: 100-continue\r\n\r\n").status == 100);
    CHECK(client.ask("abchello").status == 101);
    client.end_sending();
    CHECK(client.read_rest() == "heard hello");
}

TEST_CASE("rfc server: statuses have the fields and the content that belong to them",
          "[http][server][rfc]") {
    const test_server server(rfc_routes());
    check(server, {{"9110 6.6.1", get("/hello"), {ok, "\r\nDate: ", " GMT\r\n"}, {}},
                   {"9110 6.6.1", get("/nowhere"), {"HTTP/1.1 404 ", "\r\nDate: ", " GMT\r\n"}, {}},
                   {"9110 6.6.1", "nonsense\r\n\r\n", {bad, "\r\nDate: ", " GMT\r\n"}, {}},
                   {"9110 15.3.5, 8.6",
                    get("/no-content"),
                    {"HTTP/1.1 204 No Content\r\n"},
                    {"Content-Length", "Transfer-Encoding"}},
                   {"9110 15.3.6",
                    get("/reset"),
                    {"HTTP/1.1 205 Reset Content\r\n", "\r\nContent-Length: 0\r\n"},
                    {"not sent"}},
                   {"9112 4", get("/strange"), {"HTTP/1.1 299 \r\n"}, {}},
                   {"9110 15.4.5",
                    get("/tagged", "If-None-Match: \"a\"\r\n"),
                    {"HTTP/1.1 304 Not Modified\r\n", "\r\nDate: ", "\r\nETag: \"a\"\r\n",
                     "\r\nCache-Control: max-age=5\r\n", "\r\nVary: Accept\r\n"},
                    {"0123456789", "Transfer-Encoding"}},
                   {"9110 15.3.7",
                    get("/tagged", "Range: bytes=2-4\r\n"),
                    {"HTTP/1.1 206 Partial Content\r\n", "\r\nContent-Range: bytes 2-4/10\r\n",
                     "\r\nETag: \"a\"\r\n", "\r\nCache-Control: max-age=5\r\n",
                     "\r\nVary: Accept\r\n", "\r\nDate: ", "\r\n\r\n234"},
                    {"multipart"}},
                   {"9110 15.3.7.2",
                    get("/tagged", "Range: bytes=0-1,8-9\r\n"),
                    {"HTTP/1.1 206 Partial Content\r\n", "multipart/byteranges",
                     "\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n",
                     "\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n"},
                    {}},
                   {"9110 15.5.17",
                    get("/tagged", "Range: bytes=10-\r\n"),
                    {"HTTP/1.1 416 Range Not Satisfiable\r\n", "\r\nContent-Range: bytes */10\r\n"},
                    {}}});
}

TEST_CASE("rfc server: conditions are heard in their order, and only where they mean something",
          "[http][server][rfc]") {
    const test_server server(rfc_routes());
    const std::string failed = "HTTP/1.1 412 Precondition Failed\r\n";
    const std::string unchanged = "HTTP/1.1 304 Not Modified\r\n";
    const auto tagged_get = [](std::string_view lines) { return get("/tagged", lines); };
    const std::string since = "If-Modified-Since: ";
    check(
        server,
        {{"9110 5.6.7", tagged_get(since + "Sun, 06 Nov 1994 08:49:37 GMT\r\n"), {unchanged}, {}},
         {"9110 5.6.7", tagged_get(since + "Sunday, 06-Nov-94 08:49:37 GMT\r\n"), {unchanged}, {}},
         {"9110 5.6.7", tagged_get(since + "Sun Nov  6 08:49:37 1994\r\n"), {unchanged}, {}},
         {"9110 13.1.1", tagged_get("If-Match: \"b\"\r\n"), {failed}, {"0123456789"}},
         {"9110 13.1.1", tagged_get("If-Match: W/\"a\"\r\n"), {failed}, {"0123456789"}},
         {"9110 13.1.2", tagged_get("If-None-Match: W/\"a\"\r\n"), {unchanged}, {}},
         {"9110 13.1.3", tagged_get(since + "yesterday\r\n"), {ok}, {}},
         {"9110 13.1.3",
          tagged_get("If-None-Match: \"b\"\r\n" + since + "Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
          {ok},
          {}},
         {"9110 13.1.4", tagged_get("If-Unmodified-Since: yesterday\r\n"), {ok}, {}},
         {"9110 13.1.4",
          tagged_get("If-Match: \"a\"\r\nIf-Unmodified-Since: Sat, 05 Nov 1994 08:49:37 GMT\r\n"),
          {ok},
          {}},
         {"9110 13.1.5", tagged_get("If-Range: \"b\"\r\n"), {ok, "0123456789"}, {}},
         {"9110 13.1.5",
          tagged_get("Range: bytes=2-4\r\nIf-Range: \"b\"\r\n"),
          {ok, "0123456789"},
          {"Content-Range"}},
         {"9110 13.1.5",
          tagged_get("Range: bytes=2-4\r\nIf-Range: W/\"a\"\r\n"),
          {ok, "0123456789"},
          {"Content-Range"}},
         {"9110 13.2.1", get("/nowhere", "If-None-Match: *\r\n"), {"HTTP/1.1 404 "}, {}},
         {"9110 13.2.1", get("/nowhere", "If-Match: \"b\"\r\n"), {"HTTP/1.1 404 "}, {}},
         {"9110 14.2", tagged_get("Range: lines=1-2\r\n"), {ok, "0123456789"}, {"Content-Range"}},
         {"9110 14.2",
          "HEAD /tagged HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\n\r\n",
          {ok, "\r\nContent-Length: 10\r\n"},
          {"Content-Range"}},
         {"9110 14.2",
          "POST /tagged HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\nContent-Length: 0\r\n\r\n",
          {ok, "0123456789"},
          {"Content-Range"}}});
}

TEST_CASE("rfc server: answers come in order, and none behind the last", "[http][server][rfc]") {
    const test_server server(rfc_routes());
    const auto ask = [&](const std::string& bytes) {
        raw_client client(server.port());
        (void)client.send(bytes);
        client.end_sending();
        return client.read_rest();
    };
    // RFC 9112, 9.3.2: the slow one is first.
    const std::string both = ask(get("/later") + get("/hello"));
    CHECK(count(both, "HTTP/1.1 200 OK") == 2);
    CHECK(both.find("later") < both.find("Hello"));
    // RFC 9112, 9.6: what stands behind `close` is not looked at.
    const std::string last = ask(get("/hello", "Connection: close\r\n") + get("/later"));
    CHECK(count(last, "HTTP/1.1 ") == 1);
    CHECK(last.find(close_line) != std::string::npos);
    // RFC 9112, 9.3: a body that nobody wanted is read, or the connection closed.
    const std::string short_body = ask(post_request("/ignore", "GET /x") + get("/hello"));
    CHECK(count(short_body, "HTTP/1.1 200 OK") == 2);
    const std::string long_body =
        ask(post_request("/ignore", std::string(1'000'000, 'x')) + get("/hello"));
    CHECK(count(long_body, "HTTP/1.1 ") == 1);
    CHECK(long_body.find(close_line) != std::string::npos);
}
