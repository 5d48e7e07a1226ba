#include <net/if.h>
#include <catch2/catch.hpp>

#include <heph/rt/error.hpp>
#include <heph/rt/net/endpoint.hpp>

using heph::rt::errc;
using heph::rt::net::endpoint;

TEST_CASE("endpoint: what parse reads, to_string writes", "[rt][endpoint]") {
    for (const char* text : {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:8080",
                             "[::]:1", "[fe80::1%2]:443"}) {
        CAPTURE(text);
        const auto parsed = endpoint::parse(text);
        REQUIRE(parsed);
        CHECK(parsed->to_string() == text);
    }
}

TEST_CASE("endpoint: parse tells the families and ports apart", "[rt][endpoint]") {
    const auto v4 = endpoint::parse("10.1.2.3:4567");
    REQUIRE(v4);
    CHECK_FALSE(v4->is_v6());
    CHECK(v4->port() == 4567);
    CHECK(v4->address_string() == "10.1.2.3");
    const auto v6 = endpoint::parse("[2001:db8::5]:9");
    REQUIRE(v6);
    CHECK(v6->is_v6());
    CHECK(v6->address_string() == "2001:db8::5");
    CHECK_FALSE(*v4 == *v6);
}

TEST_CASE("endpoint: parse does not take an address for what is before a zero byte",
          "[rt][endpoint]") {
    using namespace std::string_view_literals;
    for (const std::string_view text : {"127.0.0.1\0.example:80"sv, "[::1\0x]:80"sv,
                                        "[::1\0%2]:80"sv, "\0:80"sv, "127.0.0.1:80\0"sv}) {
        CHECK_FALSE(endpoint::parse(text));
    }
}

TEST_CASE("endpoint: parse refuses what is no address with a port", "[rt][endpoint]") {
    for (const char* text : {"",
                             ":",
                             "127.0.0.1",
                             "127.0.0.1:",
                             ":80",
                             "127.0.0.1:65536",
                             "127.0.0.1:-1",
                             "127.0.0.1:+1",
                             "127.0.0.1: 80",
                             "127.0.0.1:80 ",
                             "localhost:80",
                             "1.2.3:80",
                             "256.0.0.1:80",
                             "::1:80",
                             "[::1]",
                             "[::1]:",
                             "[::1:80",
                             "::1]:80",
                             "[::g]:80",
                             "[::1%]:80",
                             "[::1%no-such-one]:80",
                             "[::1%a-name-longer-than-those-of-interfaces]:80",
                             "[127.0.0.1]:80",
                             "0x7f.0.0.1:80"}) {
        CAPTURE(text);
        const auto parsed = endpoint::parse(text);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error() == errc::bad_address);
        CHECK(parsed.error() == std::errc::invalid_argument);
    }
}

TEST_CASE("endpoint: a scope may be the name of an interface", "[rt][endpoint]") {
    const unsigned loopback = ::if_nametoindex("lo");
    if (loopback == 0) { return; }  // There is none of that name here.
    const auto parsed = endpoint::parse("[fe80::1%lo]:443");
    REQUIRE(parsed);
    CHECK(parsed->scope() == loopback);
    CHECK(parsed->port() == 443);
}
