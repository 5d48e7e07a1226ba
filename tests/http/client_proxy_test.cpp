// A client that goes through proxies: which one, what it is told, what may go wrong there.

#include <chrono>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/http/h1/request_writer.hpp>
#include <heph/http/proxy.hpp>
#include <heph/http/security.hpp>

#include "client_run.hpp"
#include "relay_proxy.hpp"
#include "scripted_server.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::fetch_all;
using http::test::relay_proxy;
using http::test::scripted_server;
using http::test::scripted_step;
using http::test::test_server;
using http::test::text_of;
using http::test::with_client;
using namespace std::chrono_literals;

namespace {

const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Where a proxy is, or what is wrong with its text.
std::string show(std::string_view text) {
    const auto read = http::proxy::parse(text);
    if (!read) { return std::string(message(read.error())); }
    return read->host() + " " + std::to_string(read->port()) +
           (read->authorization().empty() ? "" : " " + read->authorization());
}

http::proxy local(std::uint16_t port) { return http::proxy("127.0.0.1", port); }

http::client_options through(std::uint16_t port) {
    http::client_options options;
    options.proxies = http::proxy_rules(local(port));
    return options;
}

/// Security that only has to be there: nothing gets as far as a handshake.
class no_security final : public http::client_security {
public:
    [[nodiscard]] std::expected<std::unique_ptr<http::secure_channel>, std::error_code> connect(
        heph::rt::net::tcp_stream /*stream*/, const std::string& host) const override {
        return std::unexpected(std::make_error_code(
            host == "origin.test" ? std::errc::protocol_error : std::errc::invalid_argument));
    }
};

/// What comes of asking for an https URL through a proxy that answers CONNECT so.
std::string tunnel_outcome(const std::string& answer, std::string* head = nullptr) {
    scripted_server proxy({{scripted_step{answer, true}}});
    http::client_options options = through(proxy.port());
    options.tls = std::make_shared<no_security>();
    options.limits.head_bytes_max = 2000;
    const auto all = fetch_all({"https://origin.test/secret"}, options);
    proxy.stop();
    if (head != nullptr && !proxy.heads().empty()) { *head = proxy.heads()[0]; }
    return all[0];
}

http::proxy_rules::variables variables(std::map<std::string, std::string> values) {
    return [all = std::move(values)](const char* name) -> std::optional<std::string> {
        const auto found = all.find(name);
        return found == all.end() ? std::nullopt : std::optional(found->second);
    };
}

/// The proxies for an http and an https URL.
std::string chosen(std::map<std::string, std::string> values) {
    const auto rules = http::proxy_rules::from(variables(std::move(values)));
    if (!rules) { return std::string(message(rules.error())); }
    std::string told;
    for (const char* url : {"http://a.test/", "https://a.test/"}) {
        const http::proxy* found = rules->find(*http::url::parse(url));
        told += found == nullptr ? "- " : found->host() + " ";
    }
    return told;
}

}  // namespace

TEST_CASE("proxy: a URL tells where it is and who we are", "[http][proxy]") {
    CHECK(show("http://proxy.test:3128") == "proxy.test 3128");
    CHECK(show("HTTP://Proxy.Test/") == "proxy.test 80");
    CHECK(show("proxy.test:8080") == "proxy.test 8080");
    CHECK(show("http://[::1]:3128") == "::1 3128");
    CHECK(show("https://proxy.test") == "proxy.test 443");
    CHECK(show("https://proxy.test:80") == "proxy.test 80");
    CHECK(show("socks5://proxy.test") == "proxy.test 1080");
    CHECK(show("SOCKS5H://[::1]:443/") == "::1 443");
    CHECK(show("http://user:secret@proxy.test") == "proxy.test 80 Basic dXNlcjpzZWNyZXQ=");
    CHECK(show("user@proxy.test") == "proxy.test 80 Basic dXNlcjo=");
    CHECK(show("http://a%40b:c%3ad%2f@proxy.test") == "proxy.test 80 Basic YUBiOmM6ZC8=");
    const std::string scheme = text_of(http::error::unsupported_scheme);
    CHECK(show("socks4://proxy.test") == scheme);
    CHECK(show("ftp://proxy.test") == scheme);
    for (const char* text :
         {"http://proxy.test/path", "proxy.test?", "proxy.test/?a", "http://a%3ab:c@proxy.test",
          "http://a%0d%0a:b@proxy.test", "http://a:%0@proxy.test", "https://a%3ab:c@proxy.test",
          "socks5://:secret@proxy.test"}) {
        CAPTURE(text);
        CHECK(show(text) == text_of(http::error::bad_target));
    }
    for (const char* text : {"", "http://", "http://:80", "proxy.test:0", "proxy.test:99999"}) {
        CAPTURE(text);
        CHECK(show(text) == text_of(http::error::bad_host));
    }
}

TEST_CASE("proxy: who we are to SOCKS is told apart from who we are to HTTP", "[http][proxy]") {
    const auto socks = http::proxy::parse("socks5h://a%3ab:c%0d@proxy.test");
    REQUIRE(socks);
    CHECK(socks->kind() == http::proxy_kind::socks5h);
    CHECK(socks->is_socks());
    CHECK(socks->user() == "a:b");
    CHECK(socks->password() == "c\r");
    CHECK(socks->authorization().empty());
    const auto secure = http::proxy::parse("https://user:secret@proxy.test");
    REQUIRE(secure);
    CHECK(secure->kind() == http::proxy_kind::https);
    CHECK_FALSE(secure->is_socks());
    CHECK(secure->user().empty());
    CHECK(secure->authorization() == "Basic dXNlcjpzZWNyZXQ=");
    http::proxy long_named(http::proxy_kind::socks5, "proxy.test", 1080);
    CHECK(long_named.authenticate(std::string(255, 'x'), std::string(255, 'y')));
    CHECK_FALSE(long_named.authenticate(std::string(256, 'x'), "y"));
    CHECK_FALSE(long_named.authenticate("x", std::string(256, 'y')));
}

TEST_CASE("proxy: hosts that are excluded are asked directly", "[http][proxy]") {
    struct sample {
        const char* list;
        const char* url;
        bool excluded;
    };
    for (const auto& [list, url, excluded] : {
             sample{"", "http://a.test/", false},
             {"*", "http://a.test/", true},
             {"b.test, a.test", "http://a.test/", true},
             {"b.test a.test", "https://a.test:8443/", true},
             {"A.Test", "http://a.test/", true},
             {"a.test", "http://b.a.test/", true},
             {".a.test", "http://b.a.test/", true},
             {".a.test", "http://a.test/", true},
             {"*.a.test", "http://b.a.test/", true},
             {"a.test.", "http://a.test/", true},
             {"a.test", "http://a.test./", true},
             {"a.test", "http://ba.test/", false},
             {"a.test", "http://test/", false},
             {"a.test:8080", "http://a.test:8080/", true},
             {"a.test:8080", "http://a.test/", false},
             {"a.test:443", "https://a.test/", true},
             {"127.0.0.1", "http://127.0.0.1:80/", true},
             {"127.0.0.1:81", "http://127.0.0.1:80/", false},
             {"10.0.0.0/8", "http://10.255.1.2/", true},
             {"10.0.0.0/8", "http://11.0.0.1/", false},
             {"10.0.0.0/9", "http://10.127.0.1/", true},
             {"10.0.0.0/9", "http://10.128.0.1/", false},
             {"0.0.0.0/0", "http://1.2.3.4/", true},
             {"0.0.0.0/0", "http://[fd00::1]/", false},
             {"fd00::/8", "http://[fdff::1]/", true},
             {"fd00::/8", "http://[fe00::1]/", false},
             {"::1", "http://[::1]/", true},
             {"[::1]:80", "http://[::1]/", true},
             {"[::1]:81", "http://[::1]/", false},
             {"10.0.0.0/8", "http://ten.test/", false},
             {"0.1", "http://10.0.0.1/", false},
         }) {
        CAPTURE(list, url);
        http::proxy_rules rules(local(1));
        CHECK(rules.exclude(list));
        const auto to = http::url::parse(url);
        REQUIRE(to);
        CHECK((rules.find(*to) == nullptr) == excluded);
    }
    for (const char* list : {"a.test:0", "a.test:x", "10.0.0.0/33", "10.0.0.0/", "a.test/8",
                             "fd00::/129", ".", "a:b:c:z", "[::1", "a test@"}) {
        CAPTURE(list);
        http::proxy_rules rules(local(1));
        const auto done = rules.exclude(list);
        REQUIRE_FALSE(done);
        CHECK(done.error() == http::error::bad_host);
    }
}

TEST_CASE("proxy: the environment chooses as it does for curl", "[http][proxy]") {
    CHECK(chosen({}) == "- - ");
    CHECK(chosen({{"http_proxy", "one"}}) == "one - ");
    CHECK(chosen({{"https_proxy", "one"}, {"HTTPS_PROXY", "two"}}) == "- one ");
    CHECK(chosen({{"HTTPS_PROXY", "two"}}) == "- two ");
    CHECK(chosen({{"ALL_PROXY", "all"}, {"https_proxy", "one"}}) == "all one ");
    CHECK(chosen({{"all_proxy", "all"}, {"http_proxy", ""}}) == "all all ");
    // A CGI server makes it of a request's header.
    CHECK(chosen({{"HTTP_PROXY", "evil"}}) == "- - ");
    CHECK(chosen({{"all_proxy", "all"}, {"NO_PROXY", "a.test"}}) == "- - ");
    CHECK(chosen({{"all_proxy", "all"}, {"no_proxy", "b.test"}, {"NO_PROXY", "a.test"}}) ==
          "all all ");
    CHECK(chosen({{"https_proxy", "socks5://x"}, {"ALL_PROXY", "https://y"}}) == "y x ");
    CHECK(chosen({{"https_proxy", "socks4://x"}}) == text_of(http::error::unsupported_scheme));
    CHECK(chosen({{"all_proxy", "all"}, {"no_proxy", "a/b"}}) == text_of(http::error::bad_host));
}

TEST_CASE("client: a plain request through a proxy names all of its URL", "[http][client][proxy]") {
    scripted_server proxy({{scripted_step{ok}, scripted_step{ok}}, {scripted_step{ok}}});
    http::proxy known = local(proxy.port());
    REQUIRE(known.authenticate("user", "secret"));
    http::client_options options;
    options.proxies = http::proxy_rules(known);
    options.user_agent = "";
    // Connections are kept for each origin.
    CHECK(fetch_all({"http://a.test/x?y", "http://a.test/z", "http://b.test:8080"}, options) ==
          std::vector<std::string>(3, "200 ok"));
    proxy.stop();
    const std::string to_a = " HTTP/1.1\r\nHost: a.test\r\n";
    const std::string secret = "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n";
    CHECK(proxy.heads() ==
          std::vector<std::string>{
              "GET http://a.test/x?y" + to_a + secret, "GET http://a.test/z" + to_a + secret,
              "GET http://b.test:8080/ HTTP/1.1\r\nHost: b.test:8080\r\n" + secret});
}

TEST_CASE("client: what a proxy is told stays between the two", "[http][client][proxy]") {
    // The proxy leads to an origin that is asked directly, and that back to another proxy's.
    scripted_server origin({{scripted_step{
        "HTTP/1.1 302 Found\r\nLocation: http://c.test/\r\nContent-Length: 0\r\n\r\n"}}});
    scripted_server proxy({{scripted_step{"HTTP/1.1 302 Found\r\nLocation: " +
                                          origin.url("/direct") + "\r\nContent-Length: 0\r\n\r\n"}},
                           {scripted_step{ok}}});
    http::proxy known = local(proxy.port());
    REQUIRE(known.authenticate("user", "secret"));
    http::client_options options;
    options.proxies = http::proxy_rules(known);
    REQUIRE(options.proxies.exclude("127.0.0.1"));
    options.redirects_max = 5;
    std::string came;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string* to) -> task<> {
                http::client_request request(http::method::get, "http://a.test/");
                request.set_header("Proxy-Authorization", "by hand");
                auto got = co_await with.send(std::move(request));
                *to = co_await http::test::outcome(std::move(got));
            }(std::move(client), &came);
        },
        options);
    CHECK(came == "200 ok");
    origin.stop();
    proxy.stop();
    REQUIRE(origin.heads().size() == 1);
    CHECK(origin.heads()[0].starts_with("GET /direct HTTP/1.1\r\n"));
    CHECK(origin.heads()[0].find("Proxy-") == std::string::npos);
    REQUIRE(proxy.heads().size() == 2);
    for (const std::string& head : proxy.heads()) {
        CHECK(head.find("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n") != std::string::npos);
        CHECK(head.find("by hand") == std::string::npos);
    }
}

TEST_CASE("client: a proxy that wants to know who we are is an error", "[http][client][proxy]") {
    const std::string answer =
        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nwho";
    const std::string who = text_of(http::error::proxy_authentication_required);
    scripted_server proxy({{scripted_step{answer}}, {scripted_step{ok}}});
    CHECK(fetch_all({"http://a.test/", "http://a.test/"}, through(proxy.port())) ==
          std::vector<std::string>{who, "200 ok"});
    CHECK(tunnel_outcome(answer) == who);
    // From an origin it is an answer as any other.
    scripted_server origin({{scripted_step{answer}}});
    CHECK(fetch_all({origin.url()}) == std::vector<std::string>{"407 who"});
}

TEST_CASE("client: a tunnel is asked for, and only a good answer opens it",
          "[http][client][proxy]") {
    // The handshake is what comes next, with the origin's name.
    const std::string shakes = text_of(std::errc::protocol_error);
    std::string head;
    CHECK(tunnel_outcome("HTTP/1.1 200 Connection established\r\n\r\n", &head) == shakes);
    CHECK(head ==
          "CONNECT origin.test:443 HTTP/1.1\r\nHost: origin.test:443\r\nUser-Agent: "
          "heph-http\r\n\r\n");
    CHECK(tunnel_outcome("HTTP/1.0 200 Connection established\r\n\r\n") == shakes);
    CHECK(tunnel_outcome("HTTP/1.1 204\r\n\r\n") == shakes);
    // No body stands behind it, whatever it says (RFC 9110, 9.3.6).
    CHECK(tunnel_outcome("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") == shakes);
    CHECK(tunnel_outcome("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") == shakes);
    const std::string refused = text_of(http::error::proxy_refused);
    for (const char* status :
         {"101 Switching Protocols", "301 Moved", "403 Forbidden", "502 Bad Gateway", "999 What"}) {
        CAPTURE(status);
        CHECK(tunnel_outcome("HTTP/1.1 " + std::string(status) +
                             "\r\nContent-Length: 2\r\n\r\nno") == refused);
    }
    CHECK(tunnel_outcome("HTTP/1.1 200 OK\r\n\r\nearly") == refused);
    CHECK(tunnel_outcome("") == text_of(http::error::connection_lost));
    CHECK(tunnel_outcome("HTTP/1.1 200 OK\r\nX:") == text_of(http::error::connection_lost));
    CHECK(tunnel_outcome("SSH-2.0-OpenSSH_9.2\r\n\r\n") == text_of(http::error::bad_status_line));
    CHECK(tunnel_outcome("HTTP/1.1 200 OK\r\nX: " + std::string(2000, 'x') + "\r\n\r\n") ==
          text_of(http::error::head_too_large));
}

TEST_CASE("client: a proxy that does not answer is left after the time for connecting",
          "[http][client][proxy]") {
    scripted_server proxy({{scripted_step{"", false, false, true}}});
    http::client_options options = through(proxy.port());
    options.tls = std::make_shared<no_security>();
    options.connect_timeout = 50ms;
    CHECK(fetch_all({"https://origin.test/"}, options) ==
          std::vector<std::string>{text_of(std::errc::timed_out)});
}

TEST_CASE("client: another protocol goes through a tunnel, as proxies pass no Upgrade on",
          "[http][client][proxy]") {
    const test_server origin(http::test::make_test_routes());
    relay_proxy proxy;
    std::string came;
    const std::string authority = "origin.test:" + std::to_string(origin.port());
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client with, std::string url, std::string* to) -> task<> {
                // The server knows no such protocol: it answers as to any request.
                http::client_request request(http::method::get, url);
                request.set_header("Upgrade", "other");
                auto got = co_await with.send(std::move(request));
                *to = co_await http::test::outcome(std::move(got));
            }(std::move(client), "http://" + authority + "/hello", &came);
        },
        through(proxy.port()));
    CHECK(came == "200 Hello, World!");
    proxy.stop();
    REQUIRE(proxy.heads().size() == 1);
    CHECK(proxy.heads()[0].starts_with("CONNECT " + authority + " HTTP/1.1\r\n"));
}

TEST_CASE("request writer: what a proxy is told stands behind Host", "[http][request_writer]") {
    http::h1::request_writer writer;
    http::client_request request(http::method::get, "");
    std::string out;
    REQUIRE(writer.write(out, request, "http://a.test/", "a.test", "Basic abc"));
    CHECK(out ==
          "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nProxy-Authorization: Basic abc\r\n\r\n");
    out.clear();
    CHECK_FALSE(writer.write(out, request, "http://a.test/", "a.test", "a\r\nb"));
    CHECK(out.empty());
    // A whole URL says where to go; a name of one's own could only contradict it.
    request.set_header("Host", "b.test");
    REQUIRE(writer.write(out, request, "http://a.test/", "a.test"));
    CHECK(out == "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n");
    out.clear();
    REQUIRE(writer.write(out, request, "/", "a.test"));
    CHECK(out == "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n");
}
