// What servers tell about how long, and how often, their connections may be used.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/rt/timer.hpp>

#include "client_run.hpp"
#include "keep_alive.hpp"
#include "scripted_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::fetch;
using http::test::fetch_all;
using http::test::scripted_server;
using http::test::scripted_step;
using http::test::with_client;
using namespace std::chrono_literals;

namespace {

scripted_step answering(const std::string& keep_alive, const std::string& body = "ok") {
    return scripted_step{"HTTP/1.1 200 OK\r\nKeep-Alive: " + keep_alive +
                         "\r\nContent-Length: 2\r\n\r\n" + body};
}

}  // namespace

TEST_CASE("keep-alive: the terms are read from any honest spelling, and from no other",
          "[http][keep_alive]") {
    struct sample {
        const char* value;
        std::optional<std::uint64_t> timeout;
        std::optional<std::uint64_t> uses;
    };
    for (const auto& [value, timeout, uses] : {
             sample{"timeout=5, max=100", 5, 100},
             {"timeout=5", 5, {}},
             {"MAX=3,Timeout=60", 60, 3},
             {" max = 3 , timeout = 60 ", 60, 3},
             {"timeout=0, max=0", 0, 0},
             {"timeout=9, timeout=5, timeout=7", 5, {}},
             {"", {}, {}},
             {"timeout", {}, {}},
             {"timeout=", {}, {}},
             {"timeout=-1", {}, {}},
             {"timeout=5s, max=2", {}, 2},
             {"timeout=99999999999999999999999", {}, {}},
             {"timeout=9000000000000000000", {}, {}},
             {"time=5, maximum=3, 7", {}, {}},
         }) {
        CAPTURE(value);
        http::headers fields;
        fields.append("Keep-Alive", value);
        const auto terms = http::detail::read_keep_alive(fields);
        CHECK(terms.uses == uses);
        CHECK(terms.timeout.has_value() == timeout.has_value());
        if (timeout && terms.timeout) {
            CHECK(terms.timeout->count() == static_cast<std::int64_t>(*timeout));
        }
    }
    http::headers twice;
    twice.append("Keep-Alive", "timeout=5");
    twice.append("keep-alive", "max=7, timeout=3");
    const auto terms = http::detail::read_keep_alive(twice);
    CHECK(terms.timeout == 3s);
    CHECK(terms.uses == 7U);
}

TEST_CASE("keep-alive: a connection is used for less than the server's time-out",
          "[http][keep_alive]") {
    http::detail::keep_alive_terms terms;
    CHECK(terms.usable_for(30s) == 30s);
    terms.timeout = 5s;
    CHECK(terms.usable_for(30s) == 4s);
    CHECK(terms.usable_for(3s) == 3s);
    terms.timeout = 1s;
    CHECK(terms.usable_for(30s) == 500ms);
    terms.timeout = 0s;
    CHECK(terms.usable_for(30s) == 0s);
}

TEST_CASE("client: a connection is not used more often than the server allows",
          "[http][client][keep_alive]") {
    SECTION("the count of one answer holds for those behind it") {
        scripted_server server(
            {{answering("max=1"), answering("timeout=60"), answering("max=1", "no")},
             {answering("max=9", "2.")}});
        CHECK(fetch_all(std::vector<std::string>(3, server.url())) ==
              std::vector<std::string>{"200 ok", "200 ok", "200 2."});
    }
    SECTION("a server may count down, or tell the whole count each time") {
        scripted_server server(
            {{answering("max=2"), answering("max=1"), answering("max=0"), answering("max=0", "no")},
             {answering("max=1", "2."), answering("max=1", "2."), answering("max=1", "no")},
             {answering("max=1", "3.")}});
        CHECK(fetch_all(std::vector<std::string>(6, server.url())) ==
              std::vector<std::string>{"200 ok", "200 ok", "200 ok", "200 2.", "200 2.", "200 3."});
    }
    SECTION("none at all") {
        scripted_server server({{answering("timeout=0"), answering("", "no")},
                                {answering("max=0", "2."), answering("", "no")},
                                {answering("", "3.")}});
        CHECK(fetch_all(std::vector<std::string>(3, server.url())) ==
              std::vector<std::string>{"200 ok", "200 2.", "200 3."});
    }
}

TEST_CASE(
    "client: a kept connection is closed before its server's time-out, whatever is kept longer",
    "[http][client][keep_alive]") {
    scripted_server lasting({{answering("max=5")}});
    scripted_server brief({{answering("timeout=1")}});
    http::client_options options;
    options.idle_timeout = 1h;
    std::vector<std::size_t> kept;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string first, std::string second,
                      std::vector<std::size_t>* counts) -> task<> {
                (void)co_await fetch(with, first);
                (void)co_await fetch(with, second);
                counts->push_back(with.idle_connections());
                const auto end = heph::rt::clock::now() + 20s;
                while (with.idle_connections() > 1 && heph::rt::clock::now() < end) {
                    co_await heph::rt::timer(5ms);
                }
                counts->push_back(with.idle_connections());
            }(std::move(client), lasting.url(), brief.url(), &kept);
        },
        options);
    CHECK(kept == std::vector<std::size_t>{2, 1});
}

TEST_CASE("client: time-outs that the clock cannot hold end no request, and keep its connection",
          "[http][client][keep_alive][regression]") {
    constexpr auto for_ever = std::chrono::milliseconds::max();
    http::client_options options;
    options.idle_timeout = for_ever;
    options.connect_timeout = for_ever;
    options.handshake_timeout = for_ever;
    options.response_timeout = for_ever;
    options.pause_timeout = for_ever;
    scripted_server server(
        {{answering("max=5"), answering("max=5", "2.")}, {answering("max=5", "no")}});
    CHECK(fetch_all(std::vector<std::string>(2, server.url()), options) ==
          std::vector<std::string>{"200 ok", "200 2."});
    CHECK(server.connections() == 1);
}
