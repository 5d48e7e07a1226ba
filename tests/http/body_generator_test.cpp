// Bodies that a coroutine yields.

#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/core/task.hpp>
#include <heph/http/body_generator.hpp>
#include <heph/http/router.hpp>
#include <heph/rt/timer.hpp>

#include "raw_client.hpp"
#include "run_task.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;
using heph::task;

namespace {

body_generator count_to(int last) {
    for (int i = 1; i <= last; ++i) { co_yield std::to_string(i) + ","; }
}

body_generator kinds_of_text() {
    const std::string kept = "kept ";
    co_yield kept;
    co_yield std::string_view("viewed ");
    co_yield "";
    co_yield "literal";
}

task<int> twice(int value) { co_return 2 * value; }
task<int> fail() {
    throw std::runtime_error("within");
    co_return 0;
}

body_generator awaits() {
    const int value = co_await twice(21);
    co_yield std::to_string(value);
    std::string caught = "nothing";
    try {
        const int never = co_await fail();
        caught = std::to_string(never);
    } catch (const std::runtime_error& failure) { caught = failure.what(); }
    co_yield caught;
    co_await heph::rt::timer(1ms);
    co_yield "later";
}

body_generator awaits_often() {
    int sum = 0;
    for (int i = 0; i < 1000; ++i) {
        const int one = co_await twice(1);
        sum += one;
    }
    co_yield std::to_string(sum);
}

body_generator throws_behind_a_piece() {
    co_yield "piece";
    throw std::runtime_error("the generator's secret");
}

// Tells how far it came.
body_generator endless(std::atomic<int>* pieces, std::atomic<bool>* gone) {
    struct ends {
        std::atomic<bool>* told;
        explicit ends(std::atomic<bool>* to) noexcept : told(to) {}
        ends(const ends&) = delete;
        ends& operator=(const ends&) = delete;
        ~ends() { *told = true; }
    };
    const ends here(gone);
    const std::string piece(64 * 1024, 'x');
    for (;;) {
        ++*pieces;
        co_yield piece;
    }
}

task<std::vector<std::string>> collect(body_generator from) {
    std::vector<std::string> all;
    for (;;) {
        const auto piece = co_await from.next();
        if (!piece) { break; }
        all.emplace_back(*piece);
    }
    const auto again = co_await from.next();
    CHECK_FALSE(again);
    co_return all;
}

}  // namespace

TEST_CASE("body generator: gives what it yields, in order, and then its end", "[http][generator]") {
    CHECK(run(collect(count_to(3))) == std::vector<std::string>{"1,", "2,", "3,"});
    CHECK(run(collect(count_to(0))).empty());
    CHECK(run(collect(kinds_of_text())) ==
          std::vector<std::string>{"kept ", "viewed ", "", "literal"});
}

TEST_CASE("body generator: what it throws comes out of next", "[http][generator]") {
    body_generator made = throws_behind_a_piece();
    const heph::waker nobody;
    CHECK(made.next().poll(nobody).value() == "piece");
    CHECK_THROWS_AS(made.next().poll(nobody), std::runtime_error);
    CHECK(made.next().poll(nobody).value() == std::nullopt);
}

TEST_CASE("body generator: nothing runs before it is asked", "[http][generator]") {
    std::atomic<int> pieces{0};
    std::atomic<bool> gone{false};
    {
        body_generator made = endless(&pieces, &gone);
        const heph::waker nobody;
        CHECK(pieces == 0);
        CHECK(made.next().poll(nobody).value()->size() == 64 * 1024);
        CHECK(pieces == 1);
        CHECK(made.next().poll(nobody).is_ready());
        CHECK(pieces == 2);
        CHECK_FALSE(gone);
    }
    CHECK(gone);
}

TEST_CASE("body generator: a server sends what it yields, and awaits what it awaits",
          "[http][server][generator]") {
    const captured_log log;
    router routes;
    routes.get("/count", [](request&) { return stream_of("text/plain", count_to(1000)); });
    routes.get("/awaits", [](request&) { return stream_of("text/plain", awaits()); });
    routes.get("/often", [](request&) { return stream_of("text/plain", awaits_often()); });
    routes.get("/throws",
               [](request&) { return stream_of("text/plain", throws_behind_a_piece()); });
    const test_server server(std::move(routes));
    raw_client client(server.port());
    const reply counted = client.ask(get_request("/count"));
    CHECK(counted.complete);
    CHECK(counted.body.starts_with("1,2,3,"));
    CHECK(counted.body.ends_with(",999,1000,"));
    CHECK(client.ask(get_request("/awaits")).body == "42withinlater");
    CHECK(client.ask(get_request("/often")).body == "2000");
    client.send("HEAD /count HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(client.read(true).status == 200);
    const reply cut = client.ask(get_request("/throws"));
    CHECK(cut.body == "piece");
    CHECK_FALSE(cut.complete);
    CHECK(log.count("the generator's secret") == 1);
}

TEST_CASE("body generator: a client that does not read holds it up, and one that goes ends it",
          "[http][server][generator]") {
    std::atomic<int> pieces{0};
    std::atomic<bool> gone{false};
    router routes;
    routes.get("/endless",
               [&](request&) { return stream_of("text/plain", endless(&pieces, &gone)); });
    routes.get("/count", [](request&) { return stream_of("text/plain", count_to(1)); });
    const test_server server(std::move(routes));
    {
        raw_client client(server.port(), 4096);
        client.send(get_request("/endless"));
        CHECK(client.read_some().starts_with("HTTP/1.1 200 OK"));
        // It comes to a halt, however long the others are served.
        raw_client other(server.port());
        int before = 0;
        CHECK(eventually([&] {
            const int now = pieces;
            CHECK(other.ask(get_request("/count")).body == "1,");
            return std::exchange(before, now) == now && pieces == now;
        }));
        CHECK_FALSE(gone);
    }
    CHECK(eventually([&] { return gone.load(); }));
}
