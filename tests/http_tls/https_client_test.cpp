// Fetching over https.

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "http/relay_proxy.hpp"
#include "https_setting.hpp"

using namespace heph_tests;
using http::test::test_server;

TEST_CASE("https client: several requests go over one verified connection", "[https]") {
    const https_setting with;
    test_server server(http::test::make_test_routes(), with.server());
    std::string log;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client asked, std::string base, std::string* to) -> task<> {
                *to += co_await fetch(asked, base + "/hello") + "\n";
                *to += co_await fetch(asked, base + "/hello/you") + "\n";
                *to += std::to_string(asked.idle_connections()) + "\n";
                const std::string big = co_await fetch(asked, base + "/big/3000000");
                *to += std::to_string(big.size()) + "\n";
                http::client_request sent(http::method::post, base + "/length");
                sent.set_body(std::string(900'000, 'x'));
                auto got = co_await asked.send(std::move(sent));
                REQUIRE(got);
                const auto length = co_await got->read_body();
                *to += length.value_or("nothing") + "\n";
                *to += std::to_string(asked.idle_connections()) + "\n";
            }(std::move(client), https_url(server, ""), &log);
        },
        with.client());
    CHECK(log == "200 Hello, World!\n200 Hello, you!\n1\n3000004\n900000\n1\n");
}

TEST_CASE("https client: a server that cannot prove its name is told nothing", "[https]") {
    const https_setting with;
    const authority stranger("stranger");
    std::atomic<int> asked{0};
    http::router routes;
    routes.get("/", [&asked](http::request&) {
        ++asked;
        return http::response::text("x");
    });
    test_server server(std::move(routes), with.server());
    CHECK(fetch_all({https_url(server, "/")}, https_setting::client(trust_in(stranger))) ==
          std::vector{text_of(tls::errc::unknown_authority)});
    CHECK(fetch_all({https_url(server, "/")}, https_setting::client(tls::client_config())) ==
          std::vector{text_of(tls::errc::unknown_authority)});
    auto options = with.client();
    options.resolve = [](std::string /*host*/, std::uint16_t port)
        -> task<std::expected<std::vector<heph::rt::net::endpoint>, std::error_code>> {
        std::vector<heph::rt::net::endpoint> found(1, heph::rt::net::endpoint::loopback(port));
        co_return std::expected<std::vector<heph::rt::net::endpoint>, std::error_code>(
            std::move(found));
    };
    CHECK(fetch_all({"https://other.test:" + std::to_string(server.port())}, options) ==
          std::vector{text_of(tls::errc::host_mismatch)});
    CHECK(asked == 0);
    CHECK(fetch_all({https_url(server, "/")}, with.client()) == std::vector<std::string>{"200 x"});
}

TEST_CASE("https client: a plain server is told from a secure one", "[https]") {
    const https_setting with;
    test_server plain(http::test::make_test_routes());
    CHECK(fetch_all({https_url(plain, "/hello")}, with.client()) ==
          std::vector{text_of(tls::errc::plain_text_peer)});
}

TEST_CASE("https client: plain and secure connections to one host are kept apart", "[https]") {
    const https_setting with;
    test_server secure(http::test::make_test_routes(), with.server());
    test_server plain(http::test::make_test_routes());
    const std::string to_plain = "http://127.0.0.1:" + std::to_string(plain.port()) + "/hello";
    const std::string hello = "200 Hello, World!";
    CHECK(fetch_all({to_plain, https_url(secure, "/hello"), to_plain, https_url(secure, "/hello")},
                    with.client()) == std::vector{hello, hello, hello, hello});
}

TEST_CASE("https client: a redirect leads from http to https, and never back", "[https]") {
    const https_setting with;
    // Written when the servers run already.
    std::atomic<std::uint16_t> secure_port = 0;
    std::atomic<std::uint16_t> plain_port = 0;
    const auto routes = [](std::string scheme, const std::atomic<std::uint16_t>* port) {
        http::router made;
        made.get("/there", [](http::request& request) {
            return http::response::text(request.is_secure() ? "secure" : "plain");
        });
        made.get("/go", [to = scheme + "://127.0.0.1:", port](http::request&) {
            http::response moved(http::status::found);
            moved.set_header("Location", to + std::to_string(port->load()) + "/there");
            return moved;
        });
        return made;
    };
    test_server secure(routes("http", &plain_port), with.server());
    test_server plain(routes("https", &secure_port));
    secure_port = secure.port();
    plain_port = plain.port();
    const std::string to_plain = "http://127.0.0.1:" + std::to_string(plain.port()) + "/there";
    auto options = with.client();
    options.redirects_max = 5;
    CHECK(fetch_all({"http://127.0.0.1:" + std::to_string(plain.port()) + "/go",
                     https_url(secure, "/go"), to_plain},
                    options) == std::vector<std::string>{"200 secure", "302 ", "200 plain"});
}

TEST_CASE("https client: a server that does not shake hands is given up", "[https]") {
    const https_setting with;
    auto listener = heph::rt::net::tcp_listener::bind(heph::rt::net::endpoint::loopback(0));
    REQUIRE(listener);
    const std::string url =
        "https://127.0.0.1:" + std::to_string(listener->local_endpoint()->port()) + "/";
    auto options = with.client();
    options.handshake_timeout = std::chrono::milliseconds(30);
    CHECK(fetch_all({url}, options) ==
          std::vector{text_of(std::make_error_code(std::errc::timed_out))});
}

TEST_CASE("https client: a tunnel ends at the origin, which proves its name, and is kept",
          "[https]") {
    const https_setting with;
    test_server server(http::test::make_test_routes(), with.server());
    http::test::relay_proxy relay;
    http::proxy known("127.0.0.1", relay.port());
    REQUIRE(known.authenticate("user", "secret"));
    auto options = with.client();
    options.proxies = http::proxy_rules(known);
    const std::string port = std::to_string(server.port());
    const std::string big = "200 " + std::string(3'000'000, 'b');
    CHECK(fetch_all({https_url(server, "/hello"), https_url(server, "/big/3000000"),
                     // It is for the proxy to find what the name stands for.
                     "https://localhost:" + port + "/hello", "https://other.test:" + port + "/"},
                    options) == std::vector{std::string("200 Hello, World!"), big,
                                            std::string("200 Hello, World!"),
                                            text_of(tls::errc::host_mismatch)});
    relay.stop();
    std::vector<std::string> asked;
    for (const std::string& head : relay.heads()) {
        asked.push_back(head.substr(0, head.find(' ', 8)));
        CHECK(head.find("\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n") !=
              std::string::npos);
    }
    CHECK(asked == std::vector<std::string>{"CONNECT 127.0.0.1:" + port,
                                            "CONNECT localhost:" + port,
                                            "CONNECT other.test:" + port});
}
