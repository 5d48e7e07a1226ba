#include <heph/rt/net/resolve.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/rt/net/connect.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::net::connect_any;
using heph::rt::net::connect_options;
using heph::rt::net::endpoint;
using heph::rt::net::interleave_families;
using heph::rt::net::resolve;
using heph::rt::net::resolve_errc;
using heph::rt::net::tcp_listener;
using heph::test::run_task;

namespace {

endpoint at(const std::string& text) {
    const auto parsed = endpoint::parse(text);
    REQUIRE(parsed);
    return *parsed;
}

// An address that takes no more connections: its backlog is full, and the kernel drops what comes.
class full_listener {
public:
    full_listener() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
        REQUIRE(::listen(listener_, 0) == 0);
        REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        port_ = ntohs(address.sin_port);
        // One connection is taken; those behind it wait for ever.
        for (int& each : clients_) {
            each = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            (void)::connect(each, reinterpret_cast<sockaddr*>(&address), size);
        }
    }
    full_listener(const full_listener&) = delete;
    full_listener& operator=(const full_listener&) = delete;
    ~full_listener() {
        for (const int each : clients_) { ::close(each); }
        ::close(listener_);
    }
    [[nodiscard]] endpoint address() const { return endpoint::loopback(port_); }

private:
    int listener_;
    int clients_[3] = {-1, -1, -1};
    std::uint16_t port_ = 0;
};

// A port of 127.0.0.1 at which nobody listens, for as long as it lives.
class refusing_port {
public:
    refusing_port() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
        REQUIRE(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        port_ = ntohs(address.sin_port);
    }
    refusing_port(const refusing_port&) = delete;
    refusing_port& operator=(const refusing_port&) = delete;
    ~refusing_port() { ::close(socket_); }
    [[nodiscard]] endpoint address() const { return endpoint::loopback(port_); }

private:
    int socket_;
    std::uint16_t port_ = 0;
};

// A coroutine's captures would be gone before it ends; what it is given is not.
void run_with_address(endpoint address, task<> (*body)(endpoint)) {
    run_task([address, body] { return body(address); });
}

}  // namespace

TEST_CASE("resolve: numeric addresses are taken in every form, without a thread",
          "[rt][net][resolve]") {
    run_task([]() -> task<> {
        const std::vector<std::pair<std::string, std::string>> all = {
            {"127.0.0.1", "127.0.0.1:80"}, {"::1", "[::1]:80"}, {"[::1]", "[::1]:80"}};
        for (const auto& [host, expected] : all) {
            auto future = resolve(host, 80);
            // Ready in the first poll: a pool would take longer.
            auto polled = future.poll(heph::waker());
            REQUIRE(polled.is_ready());
            const auto found = std::move(polled).value();
            REQUIRE(found);
            REQUIRE(found->size() == 1);
            CHECK(found->front().to_string() == expected);
        }
        co_return;
    });
}

TEST_CASE("resolve: localhost is a loopback address with the port asked for",
          "[rt][net][resolve]") {
    run_task([]() -> task<> {
        for (const std::string& name :
             {std::string("localhost"), std::string("LocalHost."), std::string("a.localhost")}) {
            const auto found = co_await resolve(name, 8080);
            REQUIRE(found);
            REQUIRE(found->size() == 2);
            CHECK(found->front().to_string() == "[::1]:8080");
            CHECK(found->back().to_string() == "127.0.0.1:8080");
        }
    });
}

TEST_CASE("resolve: what is no name is refused at once, and an unknown one in the end",
          "[rt][net][resolve]") {
    run_task([]() -> task<> {
        for (const std::string& bad :
             {std::string(), std::string(254, 'a'), std::string("a\0b", 3)}) {
            const auto refused = co_await resolve(bad, 80);
            REQUIRE_FALSE(refused);
            CHECK(refused.error() == resolve_errc::bad_name);
            CHECK_FALSE(refused.error().message().empty());
        }
        const auto invalid = co_await resolve("host.invalid", 80);
        REQUIRE_FALSE(invalid);
        CHECK(invalid.error() == resolve_errc::unknown_host);
        // A label of more than 63 bytes is asked of no name server.
        const auto unknown = co_await resolve(std::string(80, 'a') + ".invalid", 80);
        REQUIRE_FALSE(unknown);
        CHECK(unknown.error().category() == heph::rt::net::resolve_category());
    });
}

TEST_CASE("resolve: look-ups that are dropped end by themselves", "[rt][net][resolve]") {
    run_task([]() -> task<> {
        // An old form of an address, which is looked up like a name, and needs no name server.
        for (int i = 0; i < 50; ++i) {
            auto first = co_await heph::either(resolve("127.1", 1), heph::rt::timer(0ms));
            if (first.index() == 0) { CHECK(std::get<0>(first)); }
        }
        const auto found = co_await resolve("127.1", 1);
        REQUIRE(found.has_value());
        CHECK(found->front().to_string() == "127.0.0.1:1");
    });
}

TEST_CASE("connect: the families of addresses take turns, each in its order",
          "[rt][net][resolve]") {
    const auto ordered = interleave_families(
        {at("[::1]:1"), at("[::2]:1"), at("[::3]:1"), at("1.1.1.1:1"), at("2.2.2.2:1")});
    std::string text;
    for (const endpoint& each : ordered) { text += each.address_string() + ' '; }
    CHECK(text == "::1 1.1.1.1 ::2 2.2.2.2 ::3 ");
    CHECK(interleave_families({}).empty());
    CHECK(interleave_families({at("1.1.1.1:1")}).size() == 1);
}

TEST_CASE("connect: an address that does not answer does not hold up the next",
          "[rt][net][resolve]") {
    const full_listener full;
    run_with_address(full.address(), [](endpoint dead) -> task<> {
        auto listener = tcp_listener::bind(endpoint::loopback(0));
        REQUIRE(listener);
        const endpoint good = listener->local_endpoint().value();
        connect_options options;
        options.attempt_delay = 5ms;
        std::vector<endpoint> addresses = {dead, dead, good};
        auto connected = co_await connect_any(std::move(addresses), options);
        REQUIRE(connected);
        CHECK(connected->peer_endpoint() == good);
    });
}

TEST_CASE("connect: an address that refuses makes the next one's turn come at once",
          "[rt][net][resolve]") {
    run_task([]() -> task<> {
        auto listener = tcp_listener::bind(endpoint::loopback(0));
        REQUIRE(listener);
        const endpoint good = listener->local_endpoint().value();
        const refusing_port one;
        const refusing_port two;
        connect_options options;
        options.attempt_delay = 1h;
        std::vector<endpoint> addresses = {one.address(), two.address(), good};
        auto connected =
            co_await heph::rt::deadline(5s, connect_any(std::move(addresses), options));
        REQUIRE(connected.has_value());
        REQUIRE(connected->has_value());
        CHECK((*connected)->peer_endpoint() == good);
    });
}

TEST_CASE("connect: when all fail, the error is the one that says most", "[rt][net][resolve]") {
    run_task([]() -> task<> {
        // No route leads to a broadcast address over TCP.
        const endpoint unreachable = at("255.255.255.255:9");
        const refusing_port refusing;
        std::vector<endpoint> addresses = {unreachable, refusing.address(), unreachable};
        const auto refused = co_await connect_any(std::move(addresses));
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == std::errc::connection_refused);
        const auto none = co_await connect_any({});
        REQUIRE_FALSE(none);
        CHECK(none.error() == std::errc::address_not_available);
    });
}

TEST_CASE("connect: a deadline gives all attempts up", "[rt][net][resolve]") {
    const full_listener full;
    run_with_address(full.address(), [](endpoint dead) -> task<> {
        connect_options options;
        options.attempt_delay = 1ms;
        std::vector<endpoint> addresses(8, dead);
        const auto came =
            co_await heph::rt::deadline(20ms, connect_any(std::move(addresses), options));
        CHECK_FALSE(came.has_value());
    });
}

TEST_CASE("connect: a host is found and connected to by its name", "[rt][net][resolve]") {
    run_task([]() -> task<> {
        auto listener = tcp_listener::bind(endpoint::loopback(0));
        REQUIRE(listener);
        const std::uint16_t port = listener->local_endpoint()->port();
        // "localhost" may be ::1 first, where nobody listens.
        auto connected = co_await heph::rt::net::connect("localhost", port);
        REQUIRE(connected);
        CHECK(connected->peer_endpoint()->port() == port);
        const auto unknown = co_await heph::rt::net::connect("", port);
        REQUIRE_FALSE(unknown);
        CHECK(unknown.error() == resolve_errc::bad_name);
    });
}
