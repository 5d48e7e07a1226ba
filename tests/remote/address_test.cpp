// Where nodes are reached, and by whom.

#include <catch2/catch.hpp>

#include <string_view>

#include "node/address.hpp"

using heph::remote::detail::node_address;

namespace {

node_address at(std::string_view text) { return node_address::parse(text).value(); }

}  // namespace

TEST_CASE("address: loopback, Unix sockets and memory networks are of one machine only",
          "[remote][address]") {
    for (const auto* local : {"127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1",
                              "unix:/run/a.sock", "unix:@a", "memory:a"}) {
        INFO(local);
        CHECK(at(local).is_local());
    }
    for (const auto* other : {"192.0.2.1:1", "128.0.0.1:1", "[2001:db8::1]:1", "[::2]:1",
                              "[::ffff:192.0.2.1]:1", "0.0.0.0:1"}) {
        INFO(other);
        CHECK_FALSE(at(other).is_local());
    }
}

TEST_CASE("address: two are of one host if nothing but their ports or sockets differ",
          "[remote][address]") {
    CHECK(at("192.0.2.1:1").is_same_host(at("192.0.2.1:2")));
    CHECK(at("192.0.2.1:1").is_same_host(at("[::ffff:192.0.2.1]:2")));
    CHECK(at("127.0.0.1:1").is_same_host(at("127.0.0.2:2")));
    CHECK(at("127.0.0.1:1").is_same_host(at("[::1]:2")));
    CHECK(at("[2001:db8::1]:1").is_same_host(at("[2001:db8::1]:2")));
    CHECK(at("unix:/run/a.sock").is_same_host(at("unix:process 7")));
    CHECK(at("memory:a").is_same_host(at("memory:b")));

    CHECK_FALSE(at("192.0.2.1:1").is_same_host(at("192.0.2.2:1")));
    CHECK_FALSE(at("127.0.0.1:1").is_same_host(at("192.0.2.1:1")));
    CHECK_FALSE(at("192.0.2.1:1").is_same_host(at("127.0.0.1:1")));
    CHECK_FALSE(at("unix:/run/a.sock").is_same_host(at("127.0.0.1:1")));
    CHECK_FALSE(at("memory:a").is_same_host(at("unix:@a")));
}
