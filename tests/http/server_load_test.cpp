// Many connections, too many connections, and too few descriptors.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/core/task.hpp>
#include <heph/http/router.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/timer.hpp>

#include "address_counts.hpp"
#include "raw_client.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;

namespace {

// Changes how many descriptors the process may have, for as long as it lives.
class descriptor_limit {
public:
    explicit descriptor_limit(rlim_t wanted) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit changed = before_;
        changed.rlim_cur = std::min(wanted, before_.rlim_max);
        ::setrlimit(RLIMIT_NOFILE, &changed);
        now_ = changed.rlim_cur;
    }
    descriptor_limit(const descriptor_limit&) = delete;
    descriptor_limit& operator=(const descriptor_limit&) = delete;
    ~descriptor_limit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

    [[nodiscard]] rlim_t value() const { return now_; }

private:
    rlimit before_{};
    rlim_t now_ = 0;
};

// Uses all descriptors up, but a few.
class descriptor_hog {
public:
    descriptor_hog() {
        for (int held = ::dup(STDERR_FILENO); held >= 0; held = ::dup(STDERR_FILENO)) {
            held_.push_back(held);
        }
    }
    descriptor_hog(const descriptor_hog&) = delete;
    descriptor_hog& operator=(const descriptor_hog&) = delete;
    ~descriptor_hog() { leave(static_cast<int>(held_.size())); }

    void leave(int count) {
        for (; count > 0; --count) {
            ::close(held_.back());
            held_.pop_back();
        }
    }

private:
    std::vector<int> held_;
};

int lowest_free_descriptor() {
    const int found = ::dup(STDERR_FILENO);
    ::close(found);
    return found;
}

}  // namespace

TEST_CASE("server load: 1,000 connections at a time are all served", "[http][server]") {
    const descriptor_limit limit(4096);
    REQUIRE(limit.value() > 2100);
    server_setup setup;
    setup.threads = 2;
    const test_server server(make_test_routes(), setup);
    std::vector<raw_client> clients;
    clients.reserve(1000);
    for (int i = 0; i < 1000; ++i) { clients.emplace_back(server.port()); }
    for (int round = 0; round < 2; ++round) {
        for (auto& client : clients) {
            client.send(get_request("/hello") + get_request("/later") +
                        post_request("/length", "four"));
        }
        std::size_t right = 0;
        for (auto& client : clients) {
            const bool hello = client.read().body == "Hello, World!";
            const bool later = client.read().body == "later";
            const bool length = client.read().body == "4";
            right += hello && later && length ? 1 : 0;
        }
        CHECK(right == 1000);
    }
}

TEST_CASE("server load: 4,000 short connections leave nothing behind", "[http][server]") {
    const test_server server(make_test_routes());
    // Once one is answered, the worker has all the descriptors of its own.
    raw_client first(server.port());
    CHECK(first.ask(get_request("/hello")).status == 200);
    const int before = lowest_free_descriptor();
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) {
                raw_client client(server.port());
                const reply got = client.ask(get_request("/hello", "Connection: close\r\n"));
                if (got.body == "Hello, World!" && client.at_end()) { ++right; }
            }
        });
    }
    for (auto& thread : threads) { thread.join(); }
    CHECK(right == 4000);
    CHECK(eventually([&] { return lowest_free_descriptor() == before; }));
}

TEST_CASE("server load: connections beyond the limit are answered with 503", "[http][server]") {
    server_setup setup;
    setup.limits.connections_max = 10;
    setup.limits.linger_timeout = 20ms;
    const captured_log log;
    const test_server server(make_test_routes(), setup);
    std::vector<raw_client> served;
    // All at once, so that many are accepted in one turn: in the order in which they came.
    for (int i = 0; i < 40; ++i) { served.emplace_back(server.port()); }
    int refused = 0;
    for (auto client = served.begin() + 10; client != served.end(); ++client) {
        const reply got = client->read();
        refused += got.status == 503 ? 1 : 0;
        CHECK(got.header("retry-after") == "1");
        CHECK(got.closes());
    }
    CHECK(refused == 30);
    // Who has not asked yet makes no room.
    int answered = 0;
    for (auto client = served.begin(); client != served.begin() + 10; ++client) {
        client->send(get_request("/hello"));
        answered += client->read().status == 200 ? 1 : 0;
    }
    CHECK(answered == 10);
    CHECK(log.count("as many connections as it takes") == 30);
    served.clear();
    // There is room again.
    CHECK(eventually([&] {
        raw_client client(server.port());
        return client.ask(get_request("/hello")).status == 200;
    }));
}

TEST_CASE("server load: connections beyond those of an address are answered with 503",
          "[http][server]") {
    server_setup setup;
    setup.limits.connections_per_address_max = 3;
    setup.limits.linger_timeout = 20ms;
    const captured_log log;
    const test_server server(make_test_routes(), setup);
    std::vector<raw_client> served;
    for (int i = 0; i < 5; ++i) { served.emplace_back(server.port()); }
    for (auto& client : served) { client.send(get_request("/hello")); }
    int answered = 0;
    int refused = 0;
    for (auto& client : served) {
        const reply got = client.read();
        answered += got.status == 200 ? 1 : 0;
        if (got.status != 503) { continue; }
        ++refused;
        CHECK(got.header("retry-after") == "1");
        CHECK(got.closes());
    }
    CHECK(answered == 3);
    CHECK(refused == 2);
    CHECK(log.count("as many connections from this address") == 2);
    served.clear();
    CHECK(eventually([&] {
        raw_client client(server.port());
        return client.ask(get_request("/hello")).status == 200;
    }));
}

TEST_CASE("server load: addresses count by what one client has of them", "[http]") {
    using counts = heph::http::detail::address_counts;
    const auto key = [](const char* text) {
        return counts::key_of(*heph::rt::net::endpoint::parse(text));
    };
    CHECK(key("10.0.0.1:1") == key("10.0.0.1:2"));
    CHECK(key("10.0.0.1:1") != key("10.0.0.2:1"));
    CHECK(key("10.0.0.1:1") == key("[::ffff:10.0.0.1]:1"));
    CHECK(key("10.0.0.1:1") == key("[64:ff9b::10.0.0.1]:1"));
    CHECK(key("[64:ff9b::10.0.0.1]:1") != key("[64:ff9b::10.0.0.2]:1"));
    CHECK(key("[64:ff9b:1::10.0.0.1]:1") == key("[64:ff9b:1::10.0.0.2]:1"));
    CHECK(key("[2001:db8::1]:1") == key("[2001:db8::ffff:2]:2"));
    CHECK(key("[2001:db8::1]:1") != key("[2001:db8:0:1::1]:1"));
    CHECK(key("[::1]:1") != key("0.0.0.1:1"));
    CHECK(key("[::1]:1") != key("0.0.0.0:1"));

    counts addresses(7);
    for (counts::key each = 0; each < 1000; ++each) {
        CHECK_FALSE(addresses.enter(each, 0));
        CHECK(addresses.enter(each, 2));
        CHECK(addresses.enter(each, 2));
        CHECK_FALSE(addresses.enter(each, 2));
        addresses.leave(each);
        CHECK(addresses.enter(each, 2));
    }
    CHECK(addresses.size() == 1000);
    for (counts::key each = 0; each < 1000; ++each) {
        addresses.leave(each);
        addresses.leave(each);
    }
    CHECK(addresses.size() == 0);
}

TEST_CASE("server load: requests beyond what is answered at a time get 503 at once",
          "[http][server]") {
    std::atomic<bool> open{false};
    std::atomic<int> waiting{0};
    router routes;
    routes.get("/waits", [&](request&) -> heph::task<response> {
        return [](std::atomic<bool>* until, std::atomic<int>* count) -> heph::task<response> {
            ++*count;
            while (!*until) { co_await heph::rt::timer(1ms); }
            co_return response::text("at last");
        }(&open, &waiting);
    });
    routes.get("/direct", [](request&) { return response::text("direct"); });
    server_setup setup;
    setup.limits.requests_max = 2;
    const captured_log log;
    const test_server server(std::move(routes), setup);
    raw_client first(server.port());
    raw_client second(server.port());
    raw_client third(server.port());
    first.send(get_request("/waits"));
    second.send(get_request("/waits"));
    REQUIRE(eventually([&] { return waiting == 2; }));
    for (int i = 0; i < 3; ++i) {
        const reply refused = third.ask(get_request("/waits"));
        CHECK(refused.status == 503);
        CHECK(refused.header("retry-after") == "1");
        CHECK_FALSE(refused.closes());
        CHECK(third.ask(get_request("/direct")).body == "direct");
        CHECK(third.ask(post_request("/waits", "a body")).status == 405);
    }
    CHECK(waiting == 2);
    CHECK(log.count("limits::requests_max") == 3);
    open = true;
    CHECK(first.read().body == "at last");
    CHECK(second.read().body == "at last");
    CHECK(third.ask(get_request("/waits")).body == "at last");
}

TEST_CASE("server load: without descriptors, connections wait until there are some",
          "[http][server]") {
    // An accept keeps the limit of when it was started, so it is lowered before.
    const descriptor_limit limit(static_cast<rlim_t>(lowest_free_descriptor()) + 60);
    const captured_log log;
    const auto begun = std::chrono::steady_clock::now();
    const test_server server(make_test_routes());
    raw_client good(server.port());
    CHECK(good.ask(get_request("/hello")).status == 200);
    // The undefined-behaviour sanitizer needs descriptors to check a type for the first time: the
    // error category's here, and those of the assertions after the descriptors are back.
    CHECK_FALSE(std::error_code(EMFILE, std::system_category()).message().empty());
    int first_status = 0;
    int second_status = 0;
    int third_status = 0;
    int good_status = 0;
    bool third_connected = false;
    std::size_t lines = 0;
    {
        descriptor_hog hog;
        hog.leave(5);
        // Three of ours and two of the server's: there is none for the third connection.
        auto first = std::make_unique<raw_client>(server.port());
        first_status = first->ask(get_request("/hello")).status;
        raw_client second(server.port());
        second_status = second.ask(get_request("/hello")).status;
        raw_client third(server.port());
        third_connected = third.connected();
        third.send(get_request("/hello"));
        good_status = good.ask(get_request("/hello")).status;
        // What the server was told of before that request, it has dealt with.
        lines = log.count("cannot accept connections");
        first.reset();
        third_status = third.read().status;
    }
    CHECK(first_status == 200);
    CHECK(second_status == 200);
    CHECK(third_connected);
    CHECK(lines >= 1);
    CHECK(good_status == 200);
    CHECK(third_status == 200);
    // It tries again ever more seldom, and not all the time.
    const auto took = std::chrono::steady_clock::now() - begun;
    CHECK(log.lines().size() <
          static_cast<std::size_t>(60 + std::chrono::ceil<std::chrono::seconds>(took).count()));
    raw_client last(server.port());
    CHECK(last.ask(get_request("/hello")).status == 200);
}
