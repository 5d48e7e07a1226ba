#include <string>

#include <catch2/catch.hpp>

#include <heph/http/cookie.hpp>
#include <heph/http/date.hpp>

namespace http = heph::http;
using namespace std::chrono_literals;

namespace {

std::string all(std::string_view list) {
    std::string text;
    while (const auto found = http::next_cookie(list)) {
        text += std::string(found->name) + "=[" + std::string(found->value) + "]";
    }
    return text;
}

http::set_cookie named(std::string name, std::string value = "v") {
    http::set_cookie made;
    made.name = std::move(name);
    made.value = std::move(value);
    return made;
}

std::string written(const http::set_cookie& cookie) {
    const auto text = cookie.to_string();
    return text ? *text : std::string(http::to_string(text.error()));
}

}  // namespace

TEST_CASE("cookie: those of a request are read in order", "[http][cookie]") {
    CHECK(all("a=1; b=2") == "a=[1]b=[2]");
    CHECK(all("a=1;b=2;a=3") == "a=[1]b=[2]a=[3]");
    CHECK(all(" a = 1 ;; ; b=") == "a=[1]b=[]");
    CHECK(all("a=x=y") == "a=[x=y]");
    CHECK(all("a=\"1\"") == "a=[\"1\"]");
    CHECK(all("") == "");
    CHECK(all("nothing; =1; a b=2; c=3") == "c=[3]");
}

TEST_CASE("cookie: one is found by its exact name, over all lines", "[http][cookie]") {
    http::headers request;
    request.append("Cookie", "a=1; B=2");
    request.append("cookie", "c=3; a=4");
    CHECK(http::find_cookie(request, "a") == "1");
    CHECK(http::find_cookie(request, "c") == "3");
    CHECK_FALSE(http::find_cookie(request, "b").has_value());
    CHECK_FALSE(http::find_cookie(http::headers(), "a").has_value());
}

TEST_CASE("cookie: what is set has safe defaults", "[http][cookie]") {
    CHECK(written(named("a", "1")) == "a=1; Path=/; HttpOnly; SameSite=Lax");
    auto full = named("a", "1");
    full.domain = "example.com";
    full.max_age = 60s;
    full.expires = *http::parse_date("Sun, 06 Nov 1994 08:49:37 GMT");
    full.secure = true;
    full.same_site = http::same_site::none;
    full.partitioned = true;
    CHECK(written(full) ==
          "a=1; Path=/; Domain=example.com; Max-Age=60; Expires=Sun, 06 Nov 1994 08:49:37 GMT; "
          "Secure; HttpOnly; SameSite=None; Partitioned");
    auto bare = named("a", "");
    bare.path.clear();
    bare.http_only = false;
    bare.same_site = http::same_site::unset;
    CHECK(written(bare) == "a=");
}

TEST_CASE("cookie: times beyond what a date can say are the first and the last one",
          "[http][cookie]") {
    // They were written with the last four digits of their year.
    auto cookie = named("a");
    cookie.expires = std::chrono::sys_seconds::max();
    CHECK(written(cookie) ==
          "a=v; Path=/; Expires=Fri, 31 Dec 9999 23:59:59 GMT; HttpOnly; SameSite=Lax");
    cookie.expires = std::chrono::sys_seconds::min();
    CHECK(written(cookie) ==
          "a=v; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax");
    cookie.expires.reset();
    cookie.max_age = std::chrono::seconds(-5);
    CHECK(written(cookie) == "a=v; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
}

TEST_CASE("cookie: what a browser would misread is refused", "[http][cookie]") {
    using http::cookie_error;
    const auto error = [](const http::set_cookie& cookie) {
        const auto text = cookie.to_string();
        REQUIRE_FALSE(text.has_value());
        return text.error();
    };
    for (const char* name : {"", "a b", "a=b", "a;b", "a\r\n"}) {
        CHECK(error(named(name)) == cookie_error::bad_name);
    }
    for (const char* value :
         {"a b", "a;b", "a,b", "a\"b", "a\\b", "a\r\nSet-Cookie: x=y", "\xc3\xa4"}) {
        CHECK(error(named("a", value)) == cookie_error::bad_value);
    }
    auto path = named("a");
    path.path = "/a; Domain=evil.example";
    CHECK(error(path) == cookie_error::bad_path);
    path.path = "a";
    CHECK(error(path) == cookie_error::bad_path);
    auto domain = named("a");
    domain.domain = "a.example; Path=/";
    CHECK(error(domain) == cookie_error::bad_domain);
    CHECK(error(named("__Secure-a")) == cookie_error::insecure);
    CHECK(error(named("__host-a")) == cookie_error::insecure);
    auto host = named("__Host-a");
    host.secure = true;
    CHECK(host.to_string().has_value());
    host.path = "/x";
    CHECK(error(host) == cookie_error::bad_prefix);
    host.path = "/";
    host.domain = "a.example";
    CHECK(error(host) == cookie_error::bad_prefix);
    auto none = named("a");
    none.same_site = http::same_site::none;
    CHECK(error(none) == cookie_error::insecure);
}

TEST_CASE("cookie: a removal is long past, and as secure as its name asks", "[http][cookie]") {
    CHECK(written(http::set_cookie::removal("a")) ==
          "a=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax");
    CHECK(written(http::set_cookie::removal("__Host-a")).find("; Secure") != std::string::npos);
}
