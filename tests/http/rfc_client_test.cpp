// What RFC 9110 and RFC 9112 demand of a client, seen by its server: what it sends, and what it
// takes. The list that these belong to is heph-http/docs/rfc-requirements.md.

#include <cstddef>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>

#include "client_run.hpp"
#include "scripted_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::fetch_all;
using http::test::outcome;
using http::test::scripted_server;
using http::test::scripted_step;
using http::test::text_of;
using http::test::with_client;

namespace {

using lines = std::vector<std::string>;

const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a server gets of a request, and what came of it.
lines sent(const std::function<void(http::client_request&)>& prepare,
           http::method method = http::method::get, const std::string& target = "/") {
    // A step for a body that may come behind the head, which is not to be waited for.
    scripted_server server({{scripted_step{ok, true}}});
    http::client_options options;
    options.user_agent = "";
    std::string came;
    http::client_request request(method, server.url(target));
    prepare(request);
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, http::client_request asked, std::string* to) -> task<> {
                auto got = co_await with.send(std::move(asked));
                *to = co_await outcome(std::move(got));
            }(std::move(client), std::move(request), &came);
        },
        options);
    server.stop();
    lines all{came};
    for (std::string head : server.heads()) {
        const std::string port = ":" + std::to_string(server.port());
        if (const std::size_t at = head.find(port); at != std::string::npos) {
            head.erase(at, port.size());
        }
        all.push_back(std::move(head));
    }
    return all;
}

const std::string refused = text_of(http::error::bad_outgoing_request);

/// Where a field of one's own makes a request of.
lines with_field(std::string_view name, std::string_view value) {
    return sent([&](http::client_request& request) { request.set_header(name, value); });
}

std::string got_for(const std::string& answer) {
    scripted_server server({{scripted_step{answer, true}}});
    return fetch_all({server.url()})[0];
}

}  // namespace

TEST_CASE("rfc client: a request names its host, has a path, and nothing around it",
          "[http][client][rfc]") {
    const auto nothing = [](http::client_request&) {};
    // RFC 9112, 2.2, 3.2, 3.2.1; RFC 9110, 7.2.
    CHECK(sent(nothing) == lines{"200 ok", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"});
    CHECK(sent(nothing, http::method::get, "") ==
          lines{"200 ok", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"});
    CHECK(sent(nothing, http::method::get, "?x") ==
          lines{"200 ok", "GET /?x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"});
    // RFC 9112, 3.2: a fragment is not for servers.
    CHECK(sent(nothing, http::method::get, "/a#b") ==
          lines{"200 ok", "GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"});
    // RFC 9110, 4.2.4.
    CHECK(fetch_all({"http://user:secret@127.0.0.1/"}) == lines{text_of(http::error::bad_target)});
    // RFC 9110, 4.2.2: never in plain text.
    CHECK(fetch_all({"https://127.0.0.1/"}) == lines{text_of(http::error::unsupported_scheme)});
}

TEST_CASE("rfc client: fields that would break a request, or do not hold for it, are not sent",
          "[http][client][rfc]") {
    const std::string head = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    // RFC 9110, 5.1 and 5.5; RFC 9112, 5.2.
    for (const auto& [name, value] : {std::pair{"X", "a\r\nY: b"},
                                      {"X", "a\r\n b"},
                                      {"X", "a\nb"},
                                      {"X", "a\rb"},
                                      {"X Y", "a"},
                                      {"X:", "a"},
                                      {"", "a"},
                                      // RFC 9112, 6.1, 6.3 and 9.6: these are the client's to say.
                                      {"Content-Length", "5"},
                                      {"Transfer-Encoding", "chunked"},
                                      {"Connection", "X-Private"},
                                      // RFC 9110, 10.1.4: this one is always taken.
                                      {"TE", "trailers, chunked"}}) {
        CAPTURE(name, value);
        CHECK(with_field(name, value) == lines{refused});
    }
    // RFC 9110, 10.1.1 and 13.1.5.
    CHECK(with_field("Expect", "100-continue") == lines{"200 ok", head + "\r\n"});
    CHECK(with_field("If-Range", "\"a\"") == lines{"200 ok", head + "\r\n"});
    CHECK(sent([](http::client_request& request) {
              request.set_header("If-Range", "\"a\"").set_header("Range", "bytes=1-");
          }) == lines{"200 ok", head + "If-Range: \"a\"\r\nRange: bytes=1-\r\n\r\n"});
    // RFC 9110, 7.6.1, 7.8 and 10.1.4.
    CHECK(with_field("TE", "trailers") ==
          lines{"200 ok", head + "TE: trailers\r\nConnection: TE\r\n\r\n"});
    CHECK(with_field("Upgrade", "other") ==
          lines{"200 ok", head + "Upgrade: other\r\nConnection: upgrade\r\n\r\n"});
    // RFC 9110, 9.3.8.
    CHECK(sent([](http::client_request& request) { request.set_body("x"); }, http::method::trace) ==
          lines{refused});
}

TEST_CASE("rfc client: a body is framed, and cut where its length is not kept",
          "[http][client][rfc]") {
    const auto begin = [](const lines& all) {
        return all.size() < 2 ? std::string() : all[1].substr(0, all[1].find("\r\n\r\n"));
    };
    const std::string put = "PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    // RFC 9112, 6.3; RFC 9110, 8.6.
    CHECK(begin(sent([](http::client_request& request) { request.set_body("abc"); },
                     http::method::put)) == put + "Content-Length: 3");
    CHECK(begin(sent([](http::client_request&) {}, http::method::put)) ==
          put + "Content-Length: 0");
    CHECK(begin(sent(
              [](http::client_request& request) {
                  request.set_stream([](http::body_writer& to) { return to.write("abc"); });
              },
              http::method::put)) == put + "Transfer-Encoding: chunked");
    // RFC 9112, 8: what is too short is not taken for whole.
    scripted_server server({{scripted_step{"", false, false, true}}});
    std::string came;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, std::string* to) -> task<> {
            http::client_request request(http::method::put, url);
            request.set_stream([](http::body_writer& out) { return out.write("abc"); }, 4);
            auto got = co_await with.send(std::move(request));
            *to = co_await outcome(std::move(got));
        }(std::move(client), server.url(), &came);
    });
    CHECK(came == refused);
}

TEST_CASE("rfc client: an answer is read as its status and its framing have it",
          "[http][client][rfc]") {
    struct sample {
        const char* rule;
        std::string answer;
        std::string came;
    };
    const std::string lost = text_of(http::error::connection_lost);
    const std::string length = "Content-Length: ";
    const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const auto& [rule, answer, came] : std::vector<sample>{
             // A status that is not known is one of its class.
             {"9110 15", "HTTP/1.1 299 What\r\n" + length + "2\r\n\r\nok", "299 ok"},
             {"9110 15", "HTTP/1.1 471 \r\n" + length + "2\r\n\r\nno", "471 no"},
             {"9110 15.2", "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 199 What\r\n\r\n" + ok,
              "200 ok"},
             {"9110 15.3.5", "HTTP/1.1 204 None\r\n" + length + "2\r\n\r\n", "204 "},
             {"9110 15.4.5", "HTTP/1.1 304 Same\r\n" + length + "2\r\n\r\n", "304 "},
             {"9112 4", "HTTP/1.1 200 \r\n" + length + "2\r\n\r\nok", "200 ok"},
             {"9112 5.2", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n" + length + "2\r\n\r\nok", "200 ok"},
             {"9112 6.3", "HTTP/1.1 200 OK\r\n\r\nto the end", "200 to the end"},
             {"9112 6.3", "HTTP/1.1 200 OK\r\n" + length + "5\r\n\r\nok", "200 " + lost},
             {"9112 6.3", "HTTP/1.1 200 OK\r\n" + length + "x\r\n\r\nok",
              text_of(http::error::bad_content_length)},
             {"9112 6.3", "HTTP/1.1 200 OK\r\n" + length + "2, 3\r\n\r\nok",
              text_of(http::error::bad_content_length)},
             {"9112 6.3", "HTTP/1.1 200 OK\r\n" + length + "2\r\n" + length + "3\r\n\r\nok",
              text_of(http::error::repeated_content_length)},
             {"9110 5.5", "HTTP/1.1 200 OK\r\nX: a\rb\r\n" + length + "2\r\n\r\nok",
              text_of(http::error::bad_line_ending)},
             {"9112 7.1", chunked + "2;x=\"y\"\r\nok\r\n0\r\nX: y\r\n\r\n", "200 ok"},
             {"9112 7.1", chunked + "fffffffffffffffff\r\nok\r\n0\r\n\r\n",
              "200 " + text_of(http::error::bad_chunk)},
             {"9112 8", chunked + "2\r\nok\r\n", "200 " + lost},
         }) {
        CAPTURE(rule, answer);
        CHECK(got_for(answer) == came);
    }
}

TEST_CASE("rfc client: a trailer never counts as a header", "[http][client][rfc]") {
    scripted_server server(
        {{scripted_step{"HTTP/1.1 200 OK\r\nX: header\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "0\r\nX: trailer\r\nContent-Length: 5\r\n\r\n"}}});
    lines told;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, lines* to) -> task<> {
            auto got = co_await with.get(url);
            if (!got) { co_return; }
            (void)co_await got->read_body();
            to->push_back(std::string(got->header("X").value_or("none")));
            to->push_back(std::string(got->trailers().get("X").value_or("none")));
            to->push_back(std::string(got->header("Content-Length").value_or("none")));
        }(std::move(client), server.url(), &told);
    });
    CHECK(told == lines{"header", "trailer", "none"});
}

TEST_CASE("rfc client: a connection is used again only where both sides said so",
          "[http][client][rfc]") {
    const std::string second = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew";
    for (const auto& [rule, answer] :
         {std::pair<const char*, std::string>{
              "9112 9.6", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"},
          {"9112 9.6", "HTTP/1.1 200 OK\r\nConnection: x, , CLOSE\r\nContent-Length: 2\r\n\r\nok"},
          {"9112 9.3", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
          {"9112 6.1",
           "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
           "2\r\nok\r\n0\r\n\r\n"},
          {"9112 2.2", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"},
          {"9112 2.2", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\n\r\n"},
          {"9112 5.1", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"},
          {"9112 6.3", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"},
          // RFC 9112, 6.3: what was not asked for is no answer to the next request.
          {"9112 6.3", ok + second}}) {
        CAPTURE(rule, answer);
        scripted_server server(
            {{scripted_step{answer}, scripted_step{ok}}, {scripted_step{second}}});
        CHECK(fetch_all({server.url("/1"), server.url("/2")}) == lines{"200 ok", "200 new"});
    }
    scripted_server old({{scripted_step{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
                                        "Content-Length: 2\r\n\r\nok"},
                          scripted_step{second}}});
    CHECK(fetch_all({old.url("/1"), old.url("/2")}) == lines{"200 ok", "200 new"});
    CHECK(old.connections() == 1);
}
