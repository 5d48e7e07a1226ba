// Fetching through proxies that are spoken to in TLS, and https through SOCKS.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/relay_proxy.hpp"
#include "http/socks_proxy.hpp"
#include "https_setting.hpp"

using namespace heph_tests;
using http::proxy_kind;
using http::test::relay_link;
using http::test::relay_proxy;
using http::test::test_server;

namespace {

using lines = std::vector<std::string>;

/// A proxy's secured connection to its client.
class secured_link final : public relay_link {
public:
    secured_link(int socket, tls::engine secured)
        : relay_link(socket), engine_(std::move(secured)) {}

    bool send(std::string_view bytes) override {
        return engine_.write(std::as_bytes(std::span(bytes))).has_value() && flush();
    }
    std::optional<std::string> receive() override {
        const auto received = relay_link::receive();
        if (!received) { return std::nullopt; }
        const bool good = engine_.feed(std::as_bytes(std::span(*received))).has_value();
        if (!flush() || !good) { return std::nullopt; }
        std::string text;
        for (;;) {
            std::string piece(16384, '\0');
            const auto size = engine_.read(std::as_writable_bytes(std::span(piece)));
            if (!size || (*size == 0 && engine_.peer_closed())) { return std::nullopt; }
            if (*size == 0) { return text; }
            text.append(piece, 0, *size);
        }
    }

private:
    bool flush() {
        const auto out = engine_.take_output();
        return relay_link::send(
            std::string_view(reinterpret_cast<const char*>(out.bytes().data()), out.size()));
    }

    tls::engine engine_;
};

relay_proxy::link_maker secured(const tls::server_context& context) {
    return [context](int socket) -> std::unique_ptr<relay_link> {
        return std::make_unique<secured_link>(socket, context.accept().value());
    };
}

/// The server's and the proxy's certificates are of two authorities.
struct two_authorities {
    https_setting origin;
    https_setting proxy{"proxy authority"};

    [[nodiscard]] http::client_options client(std::uint16_t port) const {
        http::client_options options = origin.client();
        options.proxy_tls = proxy.client().tls;
        options.proxies = http::proxy_rules(known(port));
        return options;
    }
    [[nodiscard]] static http::proxy known(std::uint16_t port) {
        http::proxy made(proxy_kind::https, "127.0.0.1", port);
        REQUIRE(made.authenticate("user", "secret"));
        return made;
    }
};

}  // namespace

TEST_CASE("https proxy: a tunnel within TLS ends at the origin, which proves its name, and is kept",
          "[https]") {
    const two_authorities with;
    test_server server(http::test::make_test_routes(), with.origin.server());
    relay_proxy relay(http::test::open_by_connect, secured(with.proxy.context));
    const std::string port = std::to_string(server.port());
    const std::string big = "200 " + std::string(3'000'000, 'b');
    CHECK(fetch_all({https_url(server, "/hello"), https_url(server, "/big/3000000"),
                     "https://localhost:" + port + "/hello", "https://other.test:" + port + "/"},
                    with.client(relay.port())) ==
          lines{"200 Hello, World!", big, "200 Hello, World!", text_of(tls::errc::host_mismatch)});
    relay.stop();
    lines asked;
    for (const std::string& head : relay.heads()) {
        asked.push_back(head.substr(0, head.find(' ', 8)));
        CHECK(head.find("\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n") !=
              std::string::npos);
    }
    CHECK(asked == lines{"CONNECT 127.0.0.1:" + port, "CONNECT localhost:" + port,
                         "CONNECT other.test:" + port});
}

TEST_CASE("https proxy: both directions of a tunnel within TLS flow at the same time", "[https]") {
    const two_authorities with;
    test_server server(http::test::make_test_routes(), with.origin.server());
    relay_proxy relay(http::test::open_by_connect, secured(with.proxy.context));
    const std::string body(2 * 1024 * 1024, 'x');
    bool same = false;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client asked, std::string url, const std::string* sent,
                      bool* equal) -> task<> {
                http::client_request request(http::method::post, url);
                request.set_body(*sent);
                auto got = co_await asked.send(std::move(request));
                if (!got) { co_return; }
                const auto back = co_await got->read_body();
                *equal = back && *back == *sent;
            }(std::move(client), https_url(server, "/echo"), &body, &same);
        },
        with.client(relay.port()));
    CHECK(same);
}

TEST_CASE("https proxy: one that cannot prove its name is told nothing", "[https]") {
    const two_authorities with;
    std::atomic<int> asked{0};
    relay_proxy relay(
        [&asked](relay_link& client, std::string& told) {
            const auto first = client.receive();
            if (first && !first->empty()) { ++asked; }
            (void)told;
            return -1;
        },
        secured(with.proxy.context));
    auto options = with.client(relay.port());
    // What vouches for origins does not vouch for proxies.
    options.proxy_tls = options.tls;
    const std::string unknown = text_of(tls::errc::unknown_authority);
    CHECK(fetch_all({"https://a.test/", "http://a.test/"}, options) == lines{unknown, unknown});
    // Without trust options of its own, those of the client count.
    options.proxy_tls = nullptr;
    CHECK(fetch_all({"http://a.test/"}, options) == lines{unknown});
    options.tls = nullptr;
    CHECK(fetch_all({"http://a.test/"}, options) ==
          lines{std::string(message(http::error::unsupported_scheme))});
    CHECK(asked == 0);
}

TEST_CASE("https proxy: a plain request is passed on by it, with all of its URL", "[https]") {
    const two_authorities with;
    http::router routes;
    routes.get("/x", [](http::request& request) {
        return http::response::text(
            std::string(request.head().authority()) + " " +
            std::string(request.header("Proxy-Authorization").value_or("nobody")));
    });
    // Our server takes whole URLs as well, and stands for the proxy.
    test_server proxy(std::move(routes), with.proxy.server());
    CHECK(fetch_all({"http://a.test/x", "http://b.test:8080/x"}, with.client(proxy.port())) ==
          lines{"200 a.test Basic dXNlcjpzZWNyZXQ=", "200 b.test:8080 Basic dXNlcjpzZWNyZXQ="});
}

TEST_CASE("https proxy: a server that speaks plain text is no such proxy", "[https]") {
    const two_authorities with;
    test_server plain(http::test::make_test_routes());
    CHECK(fetch_all({"https://a.test/"}, with.client(plain.port())) ==
          lines{text_of(tls::errc::plain_text_peer)});
}

TEST_CASE("https proxy: one that does not shake hands is left after the time for connecting",
          "[https]") {
    const two_authorities with;
    auto listener = heph::rt::net::tcp_listener::bind(heph::rt::net::endpoint::loopback(0));
    REQUIRE(listener);
    auto options = with.client(listener->local_endpoint()->port());
    options.connect_timeout = std::chrono::milliseconds(30);
    CHECK(fetch_all({"https://a.test/"}, options) ==
          lines{text_of(std::make_error_code(std::errc::timed_out))});
}

TEST_CASE("https client: an end that TLS does not announce does not end a body", "[https]") {
    const https_setting with;
    // It closes the connection in the middle, or at the end, as an attacker could.
    const auto answer = [&with](const std::string& text) {
        relay_proxy server(
            [text](relay_link& client, std::string& told) {
                while (told.find("\r\n\r\n") == std::string::npos) {
                    const auto more = client.receive();
                    if (!more) { return -1; }
                    told += *more;
                }
                (void)client.send(text);
                return -1;
            },
            secured(with.context));
        return fetch_all({"https://127.0.0.1:" + std::to_string(server.port()) + "/"},
                         with.client())[0];
    };
    CHECK(answer("HTTP/1.1 200 OK\r\n\r\nall, or a part") ==
          "200 " + text_of(tls::errc::truncated));
    CHECK(answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall") == "200 all");
    CHECK(answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nall") ==
          "200 " + text_of(tls::errc::truncated));
}

TEST_CASE("https client: a SOCKS proxy carries TLS to the origin, which proves its name",
          "[https]") {
    const https_setting with;
    test_server server(http::test::make_test_routes(), with.server());
    relay_proxy relay(http::test::open_by_socks());
    auto options = with.client();
    options.proxies =
        http::proxy_rules(http::proxy(proxy_kind::socks5h, "127.0.0.1", relay.port()));
    const std::string port = std::to_string(server.port());
    CHECK(fetch_all({"https://localhost:" + port + "/hello", "https://other.test:" + port + "/"},
                    options) == lines{"200 Hello, World!", text_of(tls::errc::host_mismatch)});
    relay.stop();
    CHECK(relay.heads() == lines{"name localhost " + port, "name other.test " + port});
}
