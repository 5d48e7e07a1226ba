// Fetching through a SOCKS 5 proxy.

#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/http/proxy.hpp>

#include "client_run.hpp"
#include "scripted_server.hpp"
#include "socks_proxy.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using heph::rt::net::endpoint;
using http::proxy_kind;
using http::test::fetch_all;
using http::test::open_by_socks;
using http::test::relay_proxy;
using http::test::scripted_server;
using http::test::scripted_step;
using http::test::socks_rules;
using http::test::test_server;
using http::test::text_of;
using http::test::with_client;
using namespace std::chrono_literals;

namespace {

using lines = std::vector<std::string>;

http::client_options by_socks(proxy_kind kind, const relay_proxy& proxy) {
    http::client_options options;
    options.proxies = http::proxy_rules(http::proxy(kind, "127.0.0.1", proxy.port()));
    return options;
}

/// A resolver that knows a few names.
http::resolver knowing(std::map<std::string, std::vector<std::string>> hosts) {
    return [all = std::move(hosts)](
               std::string host,
               std::uint16_t port) -> task<std::expected<std::vector<endpoint>, std::error_code>> {
        std::vector<endpoint> found;
        const auto entry = all.find(host);
        if (entry != all.end()) {
            for (const std::string& each : entry->second) {
                found.push_back(endpoint::parse(each + ":" + std::to_string(port)).value());
            }
        }
        co_return std::expected<std::vector<endpoint>, std::error_code>(std::move(found));
    };
}

std::string to(const std::string& host, const test_server& server, const std::string& path) {
    return "http://" + host + ":" + std::to_string(server.port()) + path;
}

}  // namespace

TEST_CASE("client: a SOCKS proxy that finds addresses is told names, and serves what follows",
          "[http][client][socks5]") {
    const test_server origin(http::test::make_test_routes());
    relay_proxy proxy(open_by_socks());
    auto options = by_socks(proxy_kind::socks5h, proxy);
    options.resolve = knowing({});
    const std::string hello = "200 Hello, World!";
    options.limits.body_bytes_max = 10'000'000;
    CHECK(fetch_all({to("a.test", origin, "/hello"), to("a.test", origin, "/hello"),
                     to("b.test", origin, "/big/3000000"), to("127.0.0.1", origin, "/hello"),
                     to("[::1]", origin, "/hello"), to("localhost", origin, "/hello")},
                    options) ==
          lines{hello, hello, "200 " + std::string(3'000'000, 'b'), hello, hello, hello});
    proxy.stop();
    const std::string port = " " + std::to_string(origin.port());
    // A tunnel for each origin, which is kept.
    CHECK(proxy.heads() == lines{"name a.test" + port, "name b.test" + port, "v4 127.0.0.1" + port,
                                 "v6 ::1" + port, "name localhost" + port});
}

TEST_CASE("client: a SOCKS proxy that is told addresses gets each until one does",
          "[http][client][socks5]") {
    const test_server origin(http::test::make_test_routes());
    const auto proxied = [&](socks_rules rules, const std::string& host) {
        relay_proxy proxy(open_by_socks(std::move(rules)));
        auto options = by_socks(proxy_kind::socks5, proxy);
        options.resolve =
            knowing({{"one.test", {"10.0.0.1"}},
                     {"many.test", {"[fd00::1]", "10.0.0.1", "10.0.0.2"}},
                     {"more.test", {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}}});
        lines came = fetch_all({to(host, origin, "/hello")}, options);
        proxy.stop();
        for (const std::string& each : proxy.heads()) {
            came.push_back(each.substr(0, each.rfind(' ')));
        }
        return came;
    };
    const std::string hello = "200 Hello, World!";
    CHECK(proxied({}, "one.test") == lines{hello, "v4 10.0.0.1"});
    socks_rules picky;
    picky.reply = [](const std::string& host) {
        return static_cast<std::uint8_t>(host == "fd00::1" ? 8 : host == "10.0.0.1" ? 4 : 0);
    };
    CHECK(proxied(picky, "many.test") == lines{hello, "v6 fd00::1", "v4 10.0.0.1", "v4 10.0.0.2"});
    socks_rules dead;
    dead.reply = [](const std::string& /*host*/) { return std::uint8_t{4}; };
    CHECK(proxied(dead, "more.test") == lines{text_of(http::error::socks_host_unreachable),
                                              "v4 10.0.0.1", "v4 10.0.0.2", "v4 10.0.0.3",
                                              "v4 10.0.0.4"});
    // That is not for an address to change.
    socks_rules forbidden;
    forbidden.reply = [](const std::string& /*host*/) { return std::uint8_t{2}; };
    CHECK(proxied(forbidden, "many.test") ==
          lines{text_of(http::error::socks_not_allowed), "v6 fd00::1"});
    CHECK(proxied({}, "unknown.test") == lines{text_of(http::error::unknown_host)});
}

TEST_CASE("client: a SOCKS proxy that wants to know who we are is told, or refuses",
          "[http][client][socks5]") {
    const test_server origin(http::test::make_test_routes());
    const auto proxied = [&](const std::string& who) {
        relay_proxy proxy(open_by_socks({"us:er", "sec ret", {}}));
        http::client_options options;
        const auto known =
            http::proxy::parse("socks5h://" + who + "127.0.0.1:" + std::to_string(proxy.port()));
        REQUIRE(known);
        options.proxies = http::proxy_rules(*known);
        return fetch_all({to("a.test", origin, "/hello")}, options)[0];
    };
    const std::string refused = text_of(http::error::proxy_authentication_required);
    CHECK(proxied("us%3Aer:sec%20ret@") == "200 Hello, World!");
    CHECK(proxied("us%3Aer:wrong@") == refused);
    CHECK(proxied("user@") == refused);
    CHECK(proxied("") == refused);
}

TEST_CASE("client: what a SOCKS proxy refuses, or says wrong, is told", "[http][client][socks5]") {
    relay_proxy refusing(open_by_socks());
    scripted_server nobody({});
    nobody.stop();
    CHECK(fetch_all({nobody.url()}, by_socks(proxy_kind::socks5, refusing)) ==
          lines{text_of(http::error::socks_connection_refused)});
    CHECK(fetch_all({"http://" + std::string(300, 'a') + "/"},
                    by_socks(proxy_kind::socks5h, refusing)) ==
          lines{text_of(http::error::bad_outgoing_request)});
    // It takes the greeting for nothing, and ends.
    relay_proxy ending([](http::test::relay_link& client, std::string& /*told*/) {
        (void)client.receive();
        return -1;
    });
    CHECK(fetch_all({"http://a.test/"}, by_socks(proxy_kind::socks5h, ending)) ==
          lines{text_of(http::error::connection_lost)});
    relay_proxy other([](http::test::relay_link& client, std::string& /*told*/) {
        (void)client.receive();
        (void)client.send("HTTP/1.1 400 Bad Request\r\n\r\n");
        (void)client.receive();
        return -1;
    });
    CHECK(fetch_all({"http://a.test/"}, by_socks(proxy_kind::socks5h, other)) ==
          lines{text_of(http::error::bad_socks_answer)});
}

TEST_CASE("client: a SOCKS proxy that says nothing is left after the time for connecting",
          "[http][client][socks5]") {
    relay_proxy silent([](http::test::relay_link& client, std::string& /*told*/) {
        while (client.receive()) {}
        return -1;
    });
    auto options = by_socks(proxy_kind::socks5h, silent);
    options.connect_timeout = 50ms;
    CHECK(fetch_all({"http://a.test/"}, options) == lines{text_of(std::errc::timed_out)});
}

TEST_CASE("client: another protocol goes through SOCKS as well", "[http][client][socks5]") {
    const test_server origin(http::test::make_test_routes());
    relay_proxy proxy(open_by_socks());
    std::string came;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string url, std::string* out) -> task<> {
                http::client_request request(http::method::get, url);
                request.set_header("Upgrade", "other");
                auto got = co_await with.send(std::move(request));
                *out = co_await http::test::outcome(std::move(got));
            }(std::move(client), to("a.test", origin, "/hello"), &came);
        },
        by_socks(proxy_kind::socks5h, proxy));
    CHECK(came == "200 Hello, World!");
}

TEST_CASE("client: what is excluded goes past a SOCKS proxy", "[http][client][socks5]") {
    const test_server origin(http::test::make_test_routes());
    const auto rules = http::proxy_rules::from([](const char* name) {
        const std::map<std::string, std::string> all{{"ALL_PROXY", "socks5h://127.0.0.1:1"},
                                                     {"NO_PROXY", "127.0.0.0/8"}};
        const auto found = all.find(name);
        return found == all.end() ? std::nullopt : std::optional(found->second);
    });
    REQUIRE(rules);
    http::client_options options;
    options.proxies = *rules;
    CHECK(fetch_all({to("127.0.0.1", origin, "/hello"), "http://a.test/"}, options) ==
          lines{"200 Hello, World!", text_of(std::errc::connection_refused)});
}
