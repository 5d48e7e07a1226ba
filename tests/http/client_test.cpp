#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/core/join.hpp>
#include <heph/http/client.hpp>
#include <heph/http/server.hpp>

#include "client_run.hpp"
#include "rt/on_runtime.hpp"
#include "scripted_server.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::fetch;
using http::test::fetch_all;
using http::test::outcome;
using http::test::scripted_server;
using http::test::scripted_step;
using http::test::test_server;
using http::test::text_of;
using http::test::with_client;
using namespace std::chrono_literals;

namespace {

constexpr auto ok_reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Gives up after a while, and counts that.
task<std::string> fetch_within(std::chrono::milliseconds after, http::client client,
                               std::string url, std::atomic<int>* over) {
    auto got = co_await heph::rt::deadline(after, fetch(std::move(client), std::move(url)));
    ++*over;
    co_return got ? *got : std::string("dropped");
}

task<std::expected<void, http::error>> write_without_end(http::body_writer& to,
                                                         const std::string& piece) {
    for (;;) {
        auto written = co_await to.write(piece);
        if (!written) { co_return written; }
    }
}

}  // namespace

TEST_CASE("client: requests go over one connection and their bodies come back", "[http][client]") {
    test_server server(http::test::make_test_routes());
    const std::string base = "http://127.0.0.1:" + std::to_string(server.port());
    std::string log;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, std::string* to) -> task<> {
            *to += co_await fetch(with, url + "/hello") + "\n";
            *to += std::to_string(with.idle_connections()) + "\n";
            http::client_request sent(http::method::post, url + "/length");
            sent.set_body(std::string(100'000, 'x'));
            auto got = co_await with.send(std::move(sent));
            *to += co_await outcome(std::move(got)) + "\n";
            *to += co_await fetch(with, url + "/nowhere") + "\n";
            http::client_request head(http::method::head, url + "/hello");
            auto headed = co_await with.send(std::move(head));
            *to += co_await outcome(std::move(headed)) + "\n";
            *to += std::to_string(with.idle_connections()) + "\n";
        }(std::move(client), base, &log);
    });
    CHECK(log ==
          "200 Hello, World!\n1\n200 100000\n404 {\"status\":404,\"title\":\"Not Found\"}\n\n"
          "200 \n1\n");
}

TEST_CASE("client: a streamed body goes out while its answer comes in", "[http][client]") {
    test_server server(http::test::make_test_routes());
    const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/echo";
    std::uint64_t received = 0;
    std::size_t idle = 0;
    bool good = false;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string to, std::uint64_t* count, std::size_t* kept,
                  bool* same) -> task<> {
            http::client_request sent(http::method::post, to);
            sent.set_stream([](http::body_writer& out) -> task<std::expected<void, http::error>> {
                const std::string piece(10'000, 'y');
                for (int i = 0; i < 500; ++i) {
                    const auto written = co_await out.write(piece);
                    if (!written) { co_return written; }
                }
                co_return std::expected<void, http::error>();
            });
            // The echo answers as soon as it has the first piece.
            auto got = co_await with.send(std::move(sent));
            *same = got.has_value();
            while (*same) {
                const auto piece = co_await got->next();
                *same = piece && piece->find_first_not_of('y') == std::string_view::npos;
                if (!*same || piece->empty()) { break; }
                *count += piece->size();
            }
            *kept = with.idle_connections();
        }(std::move(client), url, &received, &idle, &good);
    });
    CHECK(good);
    CHECK(received == 5'000'000);
    CHECK(idle == 1);
}

TEST_CASE("client: what is no URL for it is told at once", "[http][client]") {
    const auto all = fetch_all({"nonsense", "http://user@a/", "https://127.0.0.1/",
                                "http://name.that.nobody.looks.up.invalid/"});
    REQUIRE(all.size() == 4);
    CHECK(all[0] == text_of(http::error::bad_target));
    CHECK(all[1] == text_of(http::error::bad_target));
    CHECK(all[2] == text_of(http::error::unsupported_scheme));
    CHECK(all[3] == text_of(http::error::unknown_host));
}

TEST_CASE("client: a port where nobody listens refuses", "[http][client]") {
    scripted_server gone({});
    const std::string url = gone.url();
    gone.stop();
    const auto all = fetch_all({url});
    CHECK(all == std::vector{text_of(std::errc::connection_refused)});
}

TEST_CASE("client: a name is found by the resolver that is given", "[http][client]") {
    scripted_server server({{scripted_step{ok_reply, true}}});
    http::client_options options;
    options.resolve = [port = server.port()](std::string host, std::uint16_t asked)
        -> task<std::expected<std::vector<heph::rt::net::endpoint>, std::error_code>> {
        std::vector<heph::rt::net::endpoint> found;
        if (host == "service.example" && asked == 99) {
            found.push_back(heph::rt::net::endpoint::loopback(port));
        }
        co_return std::expected<std::vector<heph::rt::net::endpoint>, std::error_code>(
            std::move(found));
    };
    const auto all = fetch_all({"http://service.example:99/x"}, options);
    CHECK(all == std::vector<std::string>{"200 ok"});
    server.stop();
    REQUIRE(server.heads().size() == 1);
    CHECK(server.heads()[0] ==
          "GET /x HTTP/1.1\r\nHost: service.example:99\r\nUser-Agent: heph-http\r\n\r\n");
}

TEST_CASE("client: a kept connection that ended is replaced, once, when that is safe",
          "[http][client]") {
    SECTION("closed while it was kept") {
        scripted_server server({{scripted_step{ok_reply, true}}, {scripted_step{ok_reply, true}}});
        const auto all = fetch_all({server.url("/1"), server.url("/2")});
        CHECK(all == std::vector<std::string>{"200 ok", "200 ok"});
        CHECK(server.connections() == 2);
    }
    SECTION("closed when the next request came") {
        scripted_server server(
            {{scripted_step{ok_reply}, scripted_step{"", true}}, {scripted_step{ok_reply, true}}});
        const auto all = fetch_all({server.url("/1"), server.url("/2")});
        CHECK(all == std::vector<std::string>{"200 ok", "200 ok"});
        CHECK(server.connections() == 2);
    }
    SECTION("a new connection is not replaced") {
        scripted_server server({{scripted_step{"", true}}, {scripted_step{ok_reply, true}}});
        const auto all = fetch_all({server.url("/1")});
        CHECK(all == std::vector{text_of(http::error::connection_lost)});
        CHECK(server.connections() == 1);
    }
    SECTION("half an answer is not asked for again") {
        scripted_server server({{scripted_step{ok_reply}, scripted_step{"HTTP/1.1 200", true}},
                                {scripted_step{ok_reply, true}}});
        const auto all = fetch_all({server.url("/1"), server.url("/2")});
        CHECK(all == std::vector<std::string>{"200 ok", text_of(http::error::connection_lost)});
    }
}

TEST_CASE("client: a POST is never sent twice", "[http][client]") {
    scripted_server server(
        {{scripted_step{ok_reply}, scripted_step{"", true}}, {scripted_step{ok_reply, true}}});
    std::string log;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, std::string* to) -> task<> {
            *to += co_await fetch(with, url) + "|";
            http::client_request sent(http::method::post, url);
            auto got = co_await with.send(std::move(sent));
            *to += co_await outcome(std::move(got));
        }(std::move(client), server.url(), &log);
    });
    CHECK(log == "200 ok|" + text_of(http::error::connection_lost));
    CHECK(server.connections() == 1);
}

TEST_CASE("client: what a server sends unasked makes the connection unusable", "[http][client]") {
    scripted_server server({{scripted_step{std::string(ok_reply) + ok_reply}},
                            {scripted_step{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"}}});
    const auto all = fetch_all({server.url("/1"), server.url("/2")});
    CHECK(all == std::vector<std::string>{"200 ok", "200 new"});
}

TEST_CASE("client: bad answers are errors, and end the connection", "[http][client]") {
    scripted_server server(
        {{scripted_step{"SSH-2.0-OpenSSH\r\n"}},
         {scripted_step{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n"}},
         {scripted_step{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n123", true}},
         {scripted_step{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"}},
         {scripted_step{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n123", false, true}},
         {scripted_step{"HTTP/1.0 200 OK\r\n\r\nto the end", true}}});
    const auto all = fetch_all(std::vector<std::string>(6, server.url()));
    REQUIRE(all.size() == 6);
    CHECK(all[0] == text_of(http::error::bad_status_line));
    CHECK(all[1] == text_of(http::error::length_and_transfer_encoding));
    CHECK(all[2] == "200 " + text_of(http::error::connection_lost));
    CHECK(all[3] == "200 " + text_of(http::error::bad_chunk));
    // What came before the reset may be lost with it.
    CHECK((all[4] == "200 " + text_of(std::errc::connection_reset) ||
           all[4] == text_of(std::errc::connection_reset)));
    CHECK(all[5] == "200 to the end");
}

TEST_CASE("client: a server that says nothing is left after a while", "[http][client]") {
    scripted_server server(
        {{scripted_step{"", false, false, true}},
         {scripted_step{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n123", false, false, true}}});
    http::client_options options;
    options.response_timeout = 50ms;
    CHECK(fetch_all({server.url()}, options) ==
          std::vector<std::string>{text_of(std::errc::timed_out)});
    http::client_options pausing;
    pausing.pause_timeout = 50ms;
    CHECK(fetch_all({server.url()}, pausing) ==
          std::vector<std::string>{"200 " + text_of(std::errc::timed_out)});
}

TEST_CASE("client: an answer before the request's end is taken", "[http][client]") {
    scripted_server server({{scripted_step{
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno", false, false, true}}});
    std::string log;
    with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, std::string* to) -> task<> {
            http::client_request sent(http::method::post, url);
            sent.set_body(std::string(64 * 1024 * 1024, 'x'));
            auto got = co_await with.send(std::move(sent));
            *to += co_await outcome(std::move(got));
            *to += "|" + std::to_string(with.idle_connections());
        }(std::move(client), server.url(), &log);
    });
    CHECK(log == "413 no|0");
}

TEST_CASE("client: a server may answer with a body while it still reads the request's",
          "[http][client]") {
    // More than the sockets between them hold, so that neither can be done before the other.
    test_server server(http::test::make_test_routes());
    const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/echo";
    const std::string body(16 * 1024 * 1024, 'x');
    bool same = false;
    with_client([&](http::client client) -> task<> {
        return
            [](http::client with, std::string to, const std::string* sent, bool* equal) -> task<> {
                http::client_request request(http::method::post, to);
                request.set_body(*sent);
                auto got = co_await with.send(std::move(request));
                if (!got) { co_return; }
                const auto back = co_await got->read_body(sent->size());
                *equal = back && *back == *sent;
            }(std::move(client), url, &body, &same);
    });
    CHECK(same);
}

TEST_CASE("client: a redirect may come while a body is still produced", "[http][client]") {
    scripted_server server({{scripted_step{"HTTP/1.1 303 See Other\r\nLocation: /done\r\n"
                                           "Content-Length: 4\r\n\r\nmove",
                                           false, false, true}},
                            {scripted_step{ok_reply}}});
    http::client_options options;
    options.redirects_max = 1;
    std::string log;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string url, std::string* to) -> task<> {
                http::client_request sent(http::method::post, url);
                // What the producer refers to has to last for as long as it runs.
                sent.set_stream([piece = std::string(100'000, 'x')](http::body_writer& writer) {
                    return write_without_end(writer, piece);
                });
                auto got = co_await with.send(std::move(sent));
                *to = co_await outcome(std::move(got));
            }(std::move(client), server.url(), &log);
        },
        options);
    CHECK(log == "200 ok");
    server.stop();
    REQUIRE(server.heads().size() == 2);
    CHECK(server.heads()[1].starts_with("GET /done HTTP/1.1\r\n"));
}

TEST_CASE("client: nothing that tells of content is left where a redirect made a GET",
          "[http][client]") {
    scripted_server server({{scripted_step{"HTTP/1.1 303 See Other\r\nLocation: /done\r\n"
                                           "Content-Length: 0\r\n\r\n"},
                             scripted_step{ok_reply}}});
    http::client_options options;
    options.redirects_max = 1;
    std::string log;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string url, std::string* to) -> task<> {
                http::client_request sent(http::method::post, url);
                sent.set_body("text");
                for (const char* name : {"Content-Disposition", "content-md5", "Content-Digest",
                                         "Repr-Digest", "Digest", "Want-Content-Digest"}) {
                    sent.set_header(name, "x");
                }
                auto got = co_await with.send(std::move(sent));
                *to = co_await outcome(std::move(got));
            }(std::move(client), server.url(), &log);
        },
        options);
    CHECK(log == "200 ok");
    server.stop();
    REQUIRE(server.heads().size() == 2);
    const std::string_view second = server.heads()[1];
    CHECK(second.starts_with("GET /done HTTP/1.1\r\n"));
    CHECK(second.find("Want-Content-Digest: x\r\n") != std::string_view::npos);
    for (const char* name : {"Disposition", "md5", "\r\nContent-", "\r\nDigest", "Repr-Digest"}) {
        CAPTURE(name);
        CHECK(second.find(name) == std::string_view::npos);
    }
}

TEST_CASE("client: requests beyond the connections of an origin wait their turn",
          "[http][client]") {
    test_server server(http::test::make_test_routes());
    const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/later";
    http::client_options options;
    options.connections_per_origin_max = 2;
    std::vector<std::string> all;
    std::size_t idle = 0;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string from, std::vector<std::string>* to,
                      std::size_t* kept) -> task<> {
                auto [a, b, c, d, e] =
                    co_await heph::join(fetch(with, from), fetch(with, from), fetch(with, from),
                                        fetch(with, from), fetch(with, from));
                for (const auto& each : {a, b, c, d, e}) { to->push_back(each); }
                *kept = with.idle_connections();
            }(std::move(client), url, &all, &idle);
        },
        options);
    CHECK(all == std::vector<std::string>(5, "200 later"));
    CHECK(idle == 2);
}

TEST_CASE("client: dropping who waits, or who is answered, leaves the others their turn",
          "[http][client]") {
    // Nothing is answered before both have given up.
    const auto dropped = std::make_shared<std::atomic<int>>(0);
    http::router routes;
    routes.get("/gate", [dropped](http::request&) {
        return [](std::shared_ptr<std::atomic<int>> count) -> task<http::response> {
            while (*count < 2) { co_await heph::rt::timer(1ms); }
            co_return http::response::text("later");
        }(dropped);
    });
    test_server server(std::move(routes));
    const std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/gate";
    http::client_options options;
    options.connections_per_origin_max = 1;
    std::string log;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string from, std::string* to,
                      std::atomic<int>* over) -> task<> {
                auto [a, b, c] =
                    co_await heph::join(fetch_within(5ms, with, from, over),
                                        fetch_within(1ms, with, from, over), fetch(with, from));
                *to += a + " " + b + " " + c;
            }(std::move(client), url, &log, dropped.get());
        },
        options);
    CHECK(log == "dropped dropped 200 later");
}

TEST_CASE("client: redirects are followed up to the limit, as RFC 9110 has it", "[http][client]") {
    const auto to = [](const char* status, const std::string& where) {
        return scripted_step{"HTTP/1.1 " + std::string(status) + " x\r\nLocation: " + where +
                             "\r\nContent-Length: 4\r\n\r\nmove"};
    };
    http::client_options options;
    options.redirects_max = 3;
    SECTION("relative, and absolute, and the last one when there are too many") {
        scripted_server server(
            {{to("302", "/b"), to("301", "c?d"), to("307", "/e"), scripted_step{ok_reply},
              to("308", "/1"), to("308", "/2"), to("308", "/3"), to("308", "/4")}});
        const auto all = fetch_all({server.url("/a"), server.url("/0")}, options);
        CHECK(all == std::vector<std::string>{"200 ok", "308 move"});
        server.stop();
        REQUIRE(server.heads().size() == 8);
        CHECK(server.heads()[2].starts_with("GET /c?d HTTP/1.1\r\n"));
        CHECK(server.heads()[3].starts_with("GET /e HTTP/1.1\r\n"));
        CHECK(server.heads()[7].starts_with("GET /3 HTTP/1.1\r\n"));
    }
    SECTION("none without leave") {
        scripted_server server({{to("302", "/b")}});
        CHECK(fetch_all({server.url()}) == std::vector<std::string>{"302 move"});
    }
    SECTION("POST becomes GET, and secrets stay behind at another origin") {
        scripted_server other({{scripted_step{ok_reply}}});
        scripted_server server({{to("307", "/again"), to("303", other.url("/x"))}});
        std::string log;
        with_client(
            [&](http::client client) -> task<> {
                return [](http::client with, std::string url, std::string* out) -> task<> {
                    http::client_request sent(http::method::post, url);
                    sent.set_body("body").set_header("Authorization", "secret");
                    sent.set_header("Content-Type", "text/plain");
                    auto got = co_await with.send(std::move(sent));
                    *out = co_await outcome(std::move(got));
                }(std::move(client), server.url(), &log);
            },
            options);
        CHECK(log == "200 ok");
        server.stop();
        other.stop();
        REQUIRE(server.heads().size() == 2);
        CHECK(server.heads()[1].starts_with("POST /again HTTP/1.1\r\n"));
        CHECK(server.heads()[1].find("Authorization: secret") != std::string::npos);
        REQUIRE(other.heads().size() == 1);
        CHECK(other.heads()[0] ==
              "GET /x HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(other.port()) +
                  "\r\nUser-Agent: heph-http\r\n\r\n");
    }
}

TEST_CASE("client: a redirect whose body ends with the connection is not waited for",
          "[http][client]") {
    // Its end would not come, and a long one is of no use.
    scripted_server server(
        {{scripted_step{"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\nmoved", false, false, true}},
         {scripted_step{"HTTP/1.1 302 Found\r\nLocation: /c\r\n"
                        "Content-Length: 1000000\r\n\r\nmoved",
                        false, false, true}},
         {scripted_step{ok_reply}}});
    http::client_options options;
    options.redirects_max = 3;
    options.connections_per_origin_max = 1;
    options.pause_timeout = 10min;
    CHECK(fetch_all({server.url("/a")}, options) == std::vector<std::string>{"200 ok"});
}

TEST_CASE("client: a redirect whose body does not come is followed all the same",
          "[http][client]") {
    // Each byte of it had the whole `pause_timeout`.
    scripted_server server({{scripted_step{"HTTP/1.1 302 Found\r\nLocation: /b\r\n"
                                           "Content-Length: 10\r\n\r\nmoved",
                                           false, false, true}},
                            {scripted_step{"HTTP/1.1 302 Found\r\nLocation: /c\r\n"
                                           "Transfer-Encoding: chunked\r\n\r\n5\r\nmoved\r\n",
                                           false, false, true}},
                            {scripted_step{ok_reply}}});
    http::client_options options;
    options.redirects_max = 3;
    options.connections_per_origin_max = 1;
    options.response_timeout = 100ms;
    options.pause_timeout = 10min;
    CHECK(fetch_all({server.url("/a")}, options) == std::vector<std::string>{"200 ok"});
}

TEST_CASE("client: a body beyond the limit is refused", "[http][client]") {
    scripted_server server({{scripted_step{ok_reply}}, {scripted_step{ok_reply}}});
    http::client_options options;
    options.limits.body_bytes_max = 1;
    CHECK(fetch_all({server.url()}, options) ==
          std::vector{"200 " + text_of(http::error::body_too_large)});
    options.limits.body_bytes_max = 2;
    CHECK(fetch_all({server.url()}, options) == std::vector<std::string>{"200 ok"});
}

TEST_CASE("client: at a stop, nothing waits for connections that are only kept", "[http][client]") {
    scripted_server server({{scripted_step{ok_reply}, scripted_step{ok_reply}}});
    http::client_options options;
    options.idle_timeout = std::chrono::hours(1);
    auto setup = heph::test::quiet_setup();
    setup.stop_grace(std::chrono::hours(1));
    std::optional<http::client> outliving;
    std::string log;
    heph::test::run_on_worker(setup, [&](heph::rt::worker& worker) {
        outliving.emplace(worker, options);
        worker.spawn_future(
            [](http::client with, std::string url, heph::rt::worker on, std::string* to) -> task<> {
                *to += co_await fetch(with, url);
                *to += " kept " + std::to_string(with.idle_connections());
                on.request_stop();
                *to += " " + co_await fetch(with, url);
                *to += " kept " + std::to_string(with.idle_connections());
            }(*outliving, server.url(), worker, &log));
    });
    CHECK(log == "200 ok kept 1 200 ok kept 0");
    CHECK(outliving->idle_connections() == 0);
}

TEST_CASE("client: kept connections are closed after their time, and the runtime ends",
          "[http][client]") {
    scripted_server server({{scripted_step{ok_reply, false, false, true}}});
    http::client_options options;
    options.idle_timeout = 20ms;
    std::size_t kept = 99;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string url, std::size_t* left) -> task<> {
                (void)co_await fetch(with, url);
                while (with.idle_connections() > 0) { co_await heph::rt::timer(5ms); }
                *left = with.idle_connections();
            }(std::move(client), server.url(), &kept);
        },
        options);
    CHECK(kept == 0);
    server.stop();  // It returns only because the connection was closed.
}
