#include <string>

#include <catch2/catch.hpp>

#include <heph/http/uri.hpp>

namespace http = heph::http;

TEST_CASE("uri: a target is taken apart by its method", "[http][uri]") {
    const auto origin = http::parse_target(http::method::get, "/a%20b?c?d=/e");
    REQUIRE(origin.has_value());
    CHECK(origin->form == http::target_form::origin);
    CHECK(origin->path == "/a%20b");
    CHECK(origin->query == "c?d=/e");

    const auto absolute = http::parse_target(http::method::get, "HTTPS://[::1]:443/x");
    REQUIRE(absolute.has_value());
    CHECK(absolute->form == http::target_form::absolute);
    CHECK(absolute->authority == "[::1]:443");
    CHECK(absolute->path == "/x");

    const auto authority = http::parse_target(http::method::connect, "[::1]:443");
    REQUIRE(authority.has_value());
    CHECK(authority->form == http::target_form::authority);
    CHECK(authority->authority == "[::1]:443");
    CHECK_FALSE(http::parse_target(http::method::connect, "[::1]").has_value());
    CHECK_FALSE(http::parse_target(http::method::connect, "a:").has_value());

    CHECK(http::parse_target(http::method::options, "*").has_value());
    CHECK(http::parse_target(http::method::get, "*").error() == http::error::bad_target);
    CHECK(http::parse_target(http::method::get, "").error() == http::error::bad_target);
}

TEST_CASE("uri: dots are refused only as whole segments", "[http][uri]") {
    for (const char* good : {"/...", "/a.b", "/.a", "/a..", "/..a/", "/%2e%2e%2e", "/a?b=/../c"}) {
        CAPTURE(good);
        CHECK(http::parse_target(http::method::get, good).has_value());
    }
    for (const char* bad : {"/.", "/..", "/a/./b", "/a/..", "/%2e", "/.%2E/a", "/a/%2e%2e"}) {
        CAPTURE(bad);
        CHECK(http::parse_target(http::method::get, bad).error() == http::error::bad_target);
    }
}

TEST_CASE("uri: hosts are told from what is none", "[http][uri]") {
    for (const char* good : {"a", "a.b", "1.2.3.4:80", "a:", "[::1]", "[::ffff:1.2.3.4]:1", "a_b",
                             "xn--bcher-kva.example", "a%2db"}) {
        CAPTURE(good);
        CHECK(http::is_host(good));
    }
    for (const char* bad : {"", ":80", "a b", "a/b", "a?b", "a@b", "a:b", "a:123456", "[", "[]",
                            "[::1", "[::1]x", "[g]", "a%2", "a%zz", "a%00", "a\"b", "a,b:c"}) {
        CAPTURE(bad);
        CHECK_FALSE(http::is_host(bad));
    }
}

TEST_CASE("uri: percent-encoding goes both ways", "[http][uri]") {
    std::string all;
    for (int i = 0; i < 256; ++i) { all.push_back(static_cast<char>(i)); }
    CHECK(http::percent_decode(http::percent_encode(all)) == all);
    CHECK(http::percent_encode("a b/c~") == "a%20b%2Fc~");
    CHECK(http::percent_decode("%41+%c3%A4") == "A+\xc3\xa4");
    for (const char* bad : {"%", "%4", "a%", "%g1", "%1g", "%%41"}) {
        CAPTURE(bad);
        CHECK(http::percent_decode(bad).error() == http::error::bad_percent_encoding);
    }
}

TEST_CASE("uri: a query gives its first parameter of a name", "[http][uri]") {
    constexpr std::string_view query = "a=1&b=x+y%21&a=2&&c&d=&%65=f=g&h=100%&=i";
    CHECK(http::query_parameter(query, "a") == "1");
    CHECK(http::query_parameter(query, "b") == "x y!");
    CHECK(http::query_parameter(query, "c") == "");
    CHECK(http::query_parameter(query, "d") == "");
    CHECK(http::query_parameter(query, "e") == "f=g");
    CHECK(http::query_parameter(query, "h") == "100%");
    CHECK_FALSE(http::query_parameter(query, "i").has_value());
    CHECK_FALSE(http::query_parameter("", "a").has_value());
}
