// Who the client is, behind proxies.

#include <heph/http/middleware/trusted_proxies.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include <heph/http/router.hpp>

#include "raw_client.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using http::trusted_proxies_options;

namespace {

/// Tells whom a server takes for its client, asked from 127.0.0.1 with these headers.
std::string client_of(std::string_view fields, trusted_proxies_options options = {}) {
    http::router routes;
    routes.use(http::trusted_proxies(std::move(options)));
    routes.get("/", [](http::request& asked) {
        const auto peer = asked.peer();
        std::string told = peer ? peer->address_string() : "nobody";
        if (peer && peer->port() > 0 && peer->port() < 1000) {
            told += " " + std::to_string(peer->port());
        }
        return http::response::text(told + (asked.is_secure() ? " secure" : ""));
    });
    const http::test::test_server server(std::move(routes));
    http::test::raw_client client(server.port());
    return client.ask(http::test::get_request("/", fields)).body;
}

trusted_proxies_options by_forwarded() {
    trusted_proxies_options options;
    options.header = http::forwarded_by::forwarded;
    return options;
}

}  // namespace

TEST_CASE("trusted proxies: the last address that is no proxy is the client",
          "[http][server][middleware]") {
    trusted_proxies_options options;
    options.networks = {"127.0.0.1", "10.0.0.0/8", "fd00::/8", "::ffff:192.168.1.1"};
    struct sample {
        const char* fields;
        const char* client;
    };
    for (const auto& [fields, client] : {
             sample{"", "127.0.0.1"},
             {"X-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4"},
             {"X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n", "1.2.3.4"},
             {"X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.255.0.1\r\n", "1.2.3.4"},
             {"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4,fd12::1\r\n", "1.2.3.4"},
             {"X-Forwarded-For: 1.2.3.4, 192.168.1.1\r\n", "1.2.3.4"},
             {"X-Forwarded-For: 1.2.3.4, ::ffff:10.0.0.1\r\n", "1.2.3.4"},
             {"X-Forwarded-For: 1.2.3.4, 192.168.1.2\r\n", "192.168.1.2"},
             {"X-Forwarded-For: 10.0.0.2, 10.0.0.3\r\n", "10.0.0.2"},
             {"X-Forwarded-For: 1.2.3.4:80, unknown, 10.0.0.3\r\n", "10.0.0.3"},
             {"X-Forwarded-For: nonsense\r\n", "127.0.0.1"},
             {"X-Forwarded-For: \", 1.2.3.4\r\n", "1.2.3.4"},
             {"X-Forwarded-For: 1.2.3.4, ,\r\nX-Forwarded-For: \r\n", "1.2.3.4"},
             {"X-Forwarded-For: 1.2.3.4:80\r\n", "1.2.3.4 80"},
             {"X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"},
             {"X-Forwarded-For: [2001:db8::1]:80\r\n", "2001:db8::1 80"},
             {"X-Forwarded-For: [2001:db8::1]\r\n", "2001:db8::1"},
             {"Forwarded: for=1.2.3.4\r\n", "127.0.0.1"},
             {"X-Forwarded-Proto: https\r\n", "127.0.0.1 secure"},
             {"X-Forwarded-Proto: https, http\r\n", "127.0.0.1"},
             {"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: HTTPS\r\n", "1.2.3.4 secure"},
         }) {
        CAPTURE(fields);
        CHECK(client_of(fields, options) == client);
    }
}

TEST_CASE("trusted proxies: Forwarded is read as RFC 7239 writes it, when it is asked for",
          "[http][server][middleware]") {
    struct sample {
        const char* fields;
        const char* client;
    };
    for (const auto& [fields, client] : {
             sample{"Forwarded: for=1.2.3.4\r\n", "1.2.3.4"},
             {"Forwarded: For=\"[2001:db8::1]:80\";proto=https\r\n", "2001:db8::1 80 secure"},
             {"Forwarded: for=6.6.6.6, for=\"1.2.3.4:80\" ; by=\"_a,;b\"\r\n", "1.2.3.4 80"},
             {"Forwarded: for=1.2.3.4;proto=https, for=127.0.0.9;proto=http\r\n", "1.2.3.4 secure"},
             {"Forwarded: for=6.6.6.6;proto=https;x=\", for=1.2.3.4;proto=http\r\n", "1.2.3.4"},
             {"Forwarded: for=6.6.6.6;x=\"\\\", for=\"1.2.3.4:80\"\r\n", "1.2.3.4 80"},
             {"Forwarded: for=_hidden\r\n", "127.0.0.1"},
             {"Forwarded: by=1.2.3.4\r\n", "127.0.0.1"},
             {"X-Forwarded-For: 1.2.3.4\r\n", "127.0.0.1"},
         }) {
        CAPTURE(fields);
        CHECK(client_of(fields, by_forwarded()) == client);
    }
}

TEST_CASE("trusted proxies: who is none says what he likes", "[http][server][middleware]") {
    trusted_proxies_options options;
    options.networks = {"10.0.0.0/8", "127.0.0.2/32"};
    CHECK(client_of("X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", options) ==
          "127.0.0.1");
    for (const char* wrong : {"", "localhost", "10.0.0.0/33", "::1/129", "10.0.0.0/", "1.2.3.4/8x",
                              "10.0.0/8", "[::1]", "10.0.0.1:80"}) {
        CAPTURE(wrong);
        options.networks = {wrong};
        CHECK_THROWS_AS(http::trusted_proxies(options), std::invalid_argument);
    }
}
