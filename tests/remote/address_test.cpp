// Where nodes are reached, and by whom.

#include <catch2/catch.hpp>

#include <string>
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

TEST_CASE("address: a host's name is taken with a port, in lower case", "[remote][address]") {
    struct named {
        std::string_view text;
        std::string_view written;
    };
    const std::string longest = std::string(63, 'a') + '.' + std::string(63, 'b') + '.' +
                                std::string(63, 'c') + '.' + std::string(58, 'd') + ":9001";
    for (const named& each :
         {named{"localhost:1", "localhost:1"}, named{"db:65535", "db:65535"},
          named{"A.Example.ORG:9001", "a.example.org:9001"},
          named{"a.example.org.:9001", "a.example.org.:9001"},
          named{"notes_store-1:9001", "notes_store-1:9001"}, named{"3com.com:80", "3com.com:80"},
          named{"xn--bcher-kva.example:80", "xn--bcher-kva.example:80"},
          named{"1.2.3.4a:80", "1.2.3.4a:80"}, named{longest, longest}}) {
        INFO(each.text);
        const auto parsed = node_address::parse(each.text);
        REQUIRE(parsed);
        CHECK(parsed->to_string() == each.written);
        CHECK(node_address::parse(parsed->to_string()) == *parsed);
        CHECK(parsed->is_dialable());
        CHECK_FALSE(parsed->is_bindable());
        CHECK_FALSE(parsed->is_any());
        CHECK_FALSE(parsed->is_unix());
    }
    CHECK_FALSE(at("db:0").is_dialable());
    CHECK(at("127.0.0.1:0").is_bindable());
    CHECK(at("unix:@a").is_bindable());
}

TEST_CASE("address: what is neither an address nor a name is refused", "[remote][address]") {
    const std::string long_label = std::string(64, 'a') + ":1";
    const std::string too_long = std::string(63, 'a') + '.' + std::string(63, 'b') + '.' +
                                 std::string(63, 'c') + '.' + std::string(59, 'd') + ":9001";
    for (const std::string_view text :
         {std::string_view(), std::string_view("db"), std::string_view(":1"),
          std::string_view("db:"), std::string_view("db:65536"), std::string_view("db:-1"),
          std::string_view("db:+1"), std::string_view("db: 1"), std::string_view("db:1 "),
          std::string_view("db:http"), std::string_view("a..b:1"), std::string_view(".a:1"),
          std::string_view("a..:1"), std::string_view(".:1"), std::string_view("-a:1"),
          std::string_view("a-:1"), std::string_view("a b:1"), std::string_view("a/b:1"),
          std::string_view("user@a:1"), std::string_view("[a]:1"), std::string_view("a:b:1"),
          std::string_view("b\xc3\xbc.example:1"), std::string_view("a\0b:1", 5),
          // Addresses with a mistake, for which no server is asked.
          std::string_view("300.1.1.1:1"), std::string_view("1.2.3:1"),
          std::string_view("1.2.3.4.5:1"), std::string_view("1.2.3.4.:1"), std::string_view("1:1"),
          std::string_view("::1:1"), std::string_view(long_label), std::string_view(too_long)}) {
        INFO(text);
        CHECK_FALSE(node_address::parse(text));
    }
}

TEST_CASE("address: a name is of its own host only, and localhost of this machine",
          "[remote][address]") {
    for (const auto* local : {"localhost:1", "LOCALHOST:1", "localhost.:1", "a.localhost:1"}) {
        INFO(local);
        CHECK(at(local).is_local());
    }
    for (const auto* other : {"notlocalhost:1", "localhost.example:1", "db:1"}) {
        INFO(other);
        CHECK_FALSE(at(other).is_local());
    }
    CHECK(at("db:1").is_same_host(at("DB:2")));
    CHECK_FALSE(at("db:1").is_same_host(at("db2:1")));
    CHECK_FALSE(at("localhost:1").is_same_host(at("127.0.0.1:1")));
    CHECK_FALSE(at("127.0.0.1:1").is_same_host(at("localhost:1")));
}
