#include <heph/http/cookie_jar.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>

#include "client_run.hpp"
#include "scripted_server.hpp"

namespace http = heph::http;
using namespace std::chrono_literals;
using http::test::fetch;
using http::test::scripted_server;
using http::test::scripted_step;
using http::test::with_client;

namespace {

constexpr std::chrono::sys_seconds now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 26);

/// A jar in which cookies are set by one URL and asked for by others.
class jar {
public:
    explicit jar(http::cookie_jar_limits within = {}) : kept(within) {}

    jar& set(std::string_view url, std::string_view line) {
        http::headers answer;
        answer.append("Set-Cookie", line);
        kept.store(*http::url::parse(url), answer, time);
        return *this;
    }
    std::string get(std::string_view url) { return kept.header_for(*http::url::parse(url), time); }

    http::cookie_jar kept;
    std::chrono::sys_seconds time = now;
};

}  // namespace

TEST_CASE("cookie jar: a cookie goes back to the host that set it, and to no other",
          "[http][cookie]") {
    jar some;
    some.set("http://a.example.org/", "a=1").set("http://a.example.org/", "b = 2 ; X; Y=z");
    CHECK(some.get("http://a.example.org/") == "a=1; b=2");
    CHECK(some.get("http://A.Example.org:8080/x?y") == "a=1; b=2");
    CHECK(some.get("http://example.org/").empty());
    CHECK(some.get("http://b.a.example.org/").empty());
    CHECK(some.get("http://xa.example.org/").empty());
    some.set("http://a.example.org/", "a=3");
    CHECK(some.get("http://a.example.org/") == "a=3; b=2");
    for (const char* none : {"", "a", "=1", ";a=1", " = ", "; Path=/"}) {
        CHECK(jar().set("http://a.example.org/", none).get("http://a.example.org/").empty());
    }
    CHECK(jar().set("http://a.b/", "a=").get("http://a.b/") == "a=");
    CHECK(jar().set("http://a.b/", "a=\"b c\"=d").get("http://a.b/") == "a=\"b c\"=d");
}

TEST_CASE("cookie jar: a domain is that of the host, and wider than one label", "[http][cookie]") {
    jar wide;
    wide.set("http://a.example.org/", "w=1; Domain=.Example.ORG");
    CHECK(wide.get("http://example.org/") == "w=1");
    CHECK(wide.get("http://b.c.example.org/") == "w=1");
    CHECK(wide.get("http://notexample.org/").empty());
    for (const char* domain :
         {"org", ".org", "b.example.org", "x.a.example.org", "ample.org", "example.com", "other"}) {
        CAPTURE(domain);
        jar refused;
        refused.set("http://a.example.org/", std::string("w=1; Domain=") + domain);
        CHECK(refused.kept.cookies().empty());
    }
    // Nothing is below an address, or a name without a dot.
    CHECK(jar().set("http://127.0.0.1/", "a=1; Domain=0.0.1").kept.cookies().empty());
    jar local;
    local.set("http://127.0.0.1/", "a=1; Domain=127.0.0.1")
        .set("http://localhost/", "b=1; Domain=localhost");
    CHECK(local.get("http://127.0.0.1/") == "a=1");
    CHECK(local.get("http://localhost/") == "b=1");
    CHECK(local.get("http://a.localhost/").empty());
    CHECK(jar().set("http://[::1]/", "a=1").get("http://[::1]/") == "a=1");
    // A dot at the end makes no other host, neither a wider domain nor a name of an address.
    for (const char* url : {"http://evil.com./", "http://evil.com/"}) {
        for (const char* domain : {"com.", "com", "com..", ".com.", "vil.com."}) {
            CAPTURE(url, domain);
            jar refused;
            refused.set(url, std::string("w=1; Domain=") + domain);
            CHECK(refused.kept.cookies().empty());
        }
    }
    CHECK(jar().set("http://10.0.0.1./", "a=1; Domain=0.0.1.").kept.cookies().empty());
    CHECK(jar().set("http://10.0.0.1./", "a=1; Domain=0.0.1").kept.cookies().empty());
    jar address;
    address.set("http://10.0.0.1./", "a=1; Domain=10.0.0.1");
    CHECK(address.get("http://10.0.0.1/") == "a=1");
    const http::url below{"http", "x.10.0.0.1", 80, "/"};  // What `parse` refuses.
    CHECK(address.kept.header_for(below, now).empty());
    jar full;
    full.set("http://a.b./", "a=1; Domain=a.b").set("http://a.b/", "b=1");
    CHECK(full.get("http://a.b/") == "a=1; b=1");
    CHECK(full.get("http://c.a.b./") == "a=1");
    // And `Domain` has none: no host ends with it (RFC 6265, 5.1.3).
    CHECK(jar().set("http://a.b/", "a=1; Domain=a.b.").kept.cookies().empty());
    CHECK(jar().set("http://c.a.b/", "a=1; Domain=.a.b.").kept.cookies().empty());
    // An empty one, and the last one that counts.
    CHECK(jar().set("http://a.b/", "a=1; Domain=").get("http://c.a.b/").empty());
    CHECK(jar().set("http://a.b/", "a=1; Domain=x; Domain=a.b").get("http://c.a.b/") == "a=1");
}

TEST_CASE("cookie jar: a path covers what is below it, and the longer one comes first",
          "[http][cookie]") {
    jar some;
    some.set("http://a.b/x/y?/z", "own=1").set("http://a.b/", "deep=1; Path=/x/y/z");
    some.set("http://a.b/q", "root=1").set("http://a.b/x/y", "bad=1; Path=x");
    some.set("http://a.b/", "slash=1; Path=/x/");
    CHECK(some.get("http://a.b/") == "root=1");
    CHECK(some.get("http://a.b/x") == "own=1; bad=1; root=1");
    CHECK(some.get("http://a.b/xy") == "root=1");
    CHECK(some.get("http://a.b/x/y?p=/x/y/z") == "slash=1; own=1; bad=1; root=1");
    CHECK(some.get("http://a.b/x/y/z/1") == "deep=1; slash=1; own=1; bad=1; root=1");
    // The same name with another path is another cookie.
    jar twice;
    twice.set("http://a.b/", "n=1; Path=/").set("http://a.b/", "n=2; Path=/x");
    CHECK(twice.get("http://a.b/x") == "n=2; n=1");
}

TEST_CASE("cookie jar: a cookie ends when it expires, and Max-Age counts for more",
          "[http][cookie]") {
    const auto lives = [](std::string_view attributes, std::chrono::seconds later) {
        jar some;
        some.set("http://a.b/", "a=1; " + std::string(attributes));
        some.time += later;
        return some.get("http://a.b/") == "a=1";
    };
    CHECK(lives("", 399 * 24h));
    CHECK(lives("Max-Age=10", 9s));
    CHECK_FALSE(lives("Max-Age=10", 10s));
    CHECK_FALSE(lives("Max-Age=0", 0s));
    CHECK_FALSE(lives("Max-Age=-1", 0s));
    CHECK(lives("Max-Age=1x", 100s));
    CHECK(lives("Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 9s));
    CHECK_FALSE(lives("Expires=Fri, 01 Jan 2027 00:00:00 GMT; Max-Age=10", 10s));
    CHECK(lives("Max-Age=99999999999999999999", 399 * 24h));
    CHECK_FALSE(lives("Max-Age=99999999999999999999", 401 * 24h));
    CHECK_FALSE(lives("Expires=Fri, 01 Jan 2100 00:00:00 GMT", 401 * 24h));
    for (const char* date : {"Thu, 26 Nov 2026 00:00:10 GMT", "Thursday, 26-Nov-26 00:00:10 GMT",
                             "Thu, 26-Nov-2026 00:00:10 GMT", "Thu Nov 26 00:00:10 2026",
                             "26 november 2026 0:0:10", "00:00:10 2026 26 Nov"}) {
        CAPTURE(date);
        CHECK(lives(std::string("Expires=") + date, 9s));
        CHECK_FALSE(lives(std::string("Expires=") + date, 10s));
    }
    // What is no date is as if it were not there.
    for (const char* date :
         {"", "tomorrow", "Thu, 31 Feb 2026 00:00:00 GMT", "26 Nov 2026", "26 Nov 2026 24:00:00",
          "26 Nov 1600 00:00:00", "26 Nov 20260 00:00:00"}) {
        CAPTURE(date);
        CHECK(lives(std::string("Expires=") + date, 1000s));
    }
    jar removed;
    removed.set("http://a.b/", "a=1").set("http://a.b/", "a=; Max-Age=0");
    CHECK(removed.kept.cookies().empty());
}

TEST_CASE("cookie jar: a line with control characters is not kept", "[http][cookie]") {
    // It was, and no request to that host could be sent from then on.
    using namespace std::string_literals;
    for (const std::string& line :
         {"a=1\r\nX: y"s, "a=\x01"s, "a=b\0c"s, "a\x7f=1"s, "a=1; Path=/\n"s}) {
        CAPTURE(line);
        CHECK(jar().set("http://a.b/", line).kept.cookies().empty());
    }
    CHECK(jar().set("http://a.b/", "a=1\t2; Path=/").get("http://a.b/") == "a=1\t2");
}

TEST_CASE("cookie jar: a time that is none is not passed over for another one", "[http][cookie]") {
    // RFC 6265, 5.1.1: what looks like the time is taken for it, and the whole date is none then.
    for (const char* date :
         {"Sat, 15-Apr-17 91:22:33 21:01:22", "Sat, 15-Apr-17 21:60:00", "15 Apr 2017 24:00:00",
          "15 Apr 2017 00:00:60", "15 Apr 2017 1:2", "31 Apr 2017 21:01:22", "15 Apr 21:01:22"}) {
        CAPTURE(date);
        jar some;
        some.set("http://a.b/", std::string("a=1; Expires=") + date);
        REQUIRE(some.kept.cookies().size() == 1);
        CHECK(some.kept.cookies().front().expires == std::chrono::sys_seconds::max());
    }
    jar past;
    past.set("http://a.b/", "a=1; Expires=Sat, 15-Apr-17 1:2:3 GMT");
    CHECK(past.kept.cookies().empty());
}

TEST_CASE("cookie jar: what is secure stays so", "[http][cookie]") {
    jar some;
    some.set("https://a.b/", "s=1; Secure");
    CHECK(some.get("https://a.b/") == "s=1");
    CHECK(some.get("http://a.b/").empty());
    some.set("http://a.b/", "s=2");
    some.set("http://a.b/", "t=2; Secure");
    some.set("http://x.a.b/", "s=2; Domain=a.b");
    CHECK(some.kept.cookies().size() == 1);
    CHECK(some.get("https://a.b/") == "s=1");
    some.set("https://a.b/", "s=3");
    CHECK(some.get("http://a.b/") == "s=3");
    // But not beyond its time.
    some.set("https://a.b/", "short=1; Secure; Max-Age=10").set("http://a.b/", "short=2");
    CHECK(some.get("http://a.b/") == "s=3");
    some.time += 10s;
    some.set("http://a.b/", "short=2");
    CHECK(some.get("http://a.b/") == "s=3; short=2");
    for (const char* refused :
         {"__Secure-a=1", "__secure-a=1", "__Host-a=1; Secure", "__Host-a=1; Path=/",
          "__Host-a=1; Secure; Path=/; Domain=a.b", "__Host-a=1; Secure; Path=/x"}) {
        CAPTURE(refused);
        CHECK(jar().set("https://a.b/", refused).kept.cookies().empty());
    }
    CHECK(jar().set("https://a.b/", "__Host-a=1; Secure; Path=/").get("https://a.b/") ==
          "__Host-a=1");
    CHECK(jar().set("http://a.b/", "__Secure-a=1; Secure").kept.cookies().empty());
}

TEST_CASE("cookie jar: it keeps no more than its limits, and drops what was not used for longest",
          "[http][cookie]") {
    http::cookie_jar_limits within;
    within.cookies_max = 4;
    within.cookies_per_domain_max = 2;
    within.cookie_bytes_max = 10;
    jar some(within);
    some.set("http://a.b/", "a=1; Path=/x").set("http://a.b/", "b=1; Path=/y");
    CHECK(some.get("http://a.b/x") == "a=1");
    some.set("http://a.b/", "c=1; Path=/");
    CHECK(some.get("http://a.b/x") == "a=1; c=1");
    CHECK(some.get("http://a.b/y") == "c=1");
    some.set("http://c.d/", "a=1").set("http://e.f/", "a=1").set("http://g.h/", "a=1");
    CHECK(some.kept.cookies().size() == 4);
    CHECK(some.get("http://a.b/x") == "c=1");
    some.set("http://i.j/", "name=567890").set("http://k.l/", "name=5678901");
    CHECK(some.get("http://i.j/") == "name=567890");
    CHECK(some.get("http://k.l/").empty());
    within.cookies_max = 0;
    CHECK(jar(within).set("http://a.b/", "a=1").kept.cookies().empty());
}

TEST_CASE("cookie jar: what plain http sets drives no secure cookie out", "[http][cookie]") {
    http::cookie_jar_limits within;
    within.cookies_max = 3;
    within.cookies_per_domain_max = 2;
    jar some(within);
    some.set("https://a.b/", "s=1; Secure").set("https://a.b/", "p=1");
    // The secure one is older, and was used before the other.
    some.set("http://a.b/", "q=1");
    CHECK(some.get("https://a.b/") == "s=1; q=1");
    some.set("https://a.b/", "t=1; Secure");
    CHECK(some.get("https://a.b/") == "s=1; t=1");
    some.set("http://a.b/", "r=1");
    CHECK(some.get("https://a.b/") == "s=1; t=1");
    some.set("https://c.d/", "u=1; Secure").set("http://e.f/", "r=1");
    CHECK(some.get("http://e.f/").empty());
    CHECK(some.get("https://c.d/") == "u=1");
    // Among secure ones the oldest goes, for what comes over https.
    some.set("https://e.f/", "v=1; Secure");
    CHECK(some.get("https://a.b/") == "t=1");
    CHECK(some.get("https://e.f/") == "v=1");
}

TEST_CASE("cookie jar: a client keeps cookies, also over redirects, but for a request with its own",
          "[http][client]") {
    constexpr std::string_view empty = "Content-Length: 0\r\n\r\n";
    const std::string moved =
        "HTTP/1.1 302 Found\r\nLocation: /in\r\nSet-Cookie: s=1\r\n" + std::string(empty);
    const std::string good =
        "HTTP/1.1 200 OK\r\nSet-Cookie: t=2; Path=/in\r\n" + std::string(empty);
    scripted_server server(
        {{scripted_step{moved}, scripted_step{good}, scripted_step{good}, scripted_step{good}}});
    http::client_options options;
    options.redirects_max = 1;
    options.cookies = std::make_shared<http::cookie_jar>();
    with_client(
        [&](http::client client) -> heph::task<> {
            return [](http::client with, std::string first, std::string second) -> heph::task<> {
                (void)co_await fetch(with, first);
                (void)co_await fetch(with, second);
                http::client_request own(http::method::get, second);
                own.set_header("Cookie", "mine=1");
                (void)co_await with.send(std::move(own));
            }(std::move(client), server.url("/login"), server.url("/in/side"));
        },
        options);
    server.stop();
    const auto& asked = server.heads();
    REQUIRE(asked.size() == 4);
    const auto cookie = [&](std::size_t i) {
        const std::size_t at = asked[i].find("Cookie: ");
        return at == std::string::npos
                   ? "-"
                   : asked[i].substr(at + 8, asked[i].find("\r\n", at) - at - 8);
    };
    CHECK(cookie(0) == "-");
    CHECK(cookie(1) == "s=1");
    CHECK(cookie(2) == "t=2; s=1");
    CHECK(cookie(3) == "mine=1");
    CHECK(options.cookies->cookies().size() == 2);
}
