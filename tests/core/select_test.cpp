#include <heph/core/select.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/manual_time.hpp"
#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::task;
using heph::waker;
using heph::test::gate;
using heph::test::tripwire;

namespace {

task<std::string> says_which(gate* numbers, tripwire* stop) {
    std::string what;
    auto waiting = numbers->wait();
    bool go_on = true;
    while (go_on) {
        go_on = co_await heph::select(heph::when(waiting,
                                                 [&](int number) {
                                                     what += std::to_string(number);
                                                     return false;
                                                 }),
                                      heph::when(stop->wait(), [&] {
                                          what += "stopped";
                                          return false;
                                      }));
    }
    co_return what;
}

task<int> gives(int value) {
    co_await heph::yield();
    co_return value;
}

task<> fails() {
    co_await heph::yield();
    throw std::runtime_error("lost");
}

task<std::unique_ptr<int>> gives_pointer(int value) { co_return std::make_unique<int>(value); }

}  // namespace

TEST_CASE("select: calls the function of the future that is first", "[core][select]") {
    gate numbers;
    tripwire stop;
    auto first = says_which(&numbers, &stop);
    CHECK_FALSE(first.poll(waker()).is_ready());
    numbers.open(4);
    CHECK(first.poll(waker()).value() == "4");
    gate closed;
    auto second = says_which(&closed, &stop);
    CHECK_FALSE(second.poll(waker()).is_ready());
    stop.trip();
    CHECK(second.poll(waker()).value() == "stopped");
    CHECK(closed.waiting == 0);
}

TEST_CASE("select: the first of several ready futures wins, and no other function is called",
          "[core][select]") {
    gate a;
    gate b;
    a.open(1);
    b.open(2);
    int calls = 0;
    auto both = heph::select(heph::when(a.wait(), [&](int) { ++calls; }),
                             heph::when(b.wait(), [&](int) { calls += 10; }));
    STATIC_REQUIRE(std::is_void_v<decltype(both)::value_type>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<decltype(both)>);
    CHECK(both.poll(waker()).is_ready());
    CHECK(calls == 1);
    CHECK(b.polls == 0);
}

TEST_CASE("select: gives the common type of what its functions return", "[core][select]") {
    gate a;
    tripwire b;
    auto both = heph::select(heph::when(a.wait(), [](int number) { return number; }),
                             heph::when(b.wait(), [] { return 2.5; }));
    b.trip();
    CHECK(both.poll(waker()).value() == 2.5);
}

TEST_CASE("select: an exception of a function leaves it, and a drop cancels", "[core][select]") {
    gate a;
    gate b;
    {
        auto both = heph::select(heph::when(a.wait(), [](int) { throw std::runtime_error("odd"); }),
                                 heph::when(b.wait(), [](int) {}));
        CHECK_FALSE(both.poll(waker()).is_ready());
        a.open();
        CHECK_THROWS_WITH(both.poll(waker()), "odd");
        CHECK(b.waiting == 1);
    }
    CHECK(a.waiting == 0);
    CHECK(b.waiting == 0);
}

TEST_CASE("select: values that can only be moved reach the function", "[core][select]") {
    auto one = heph::select(heph::when(gives_pointer(3), [](std::unique_ptr<int> got) {
        return std::make_unique<int>(*got + 1);
    }));
    CHECK(*one.poll(waker()).value() == 4);
}

TEST_CASE("either: of a range says which future was first", "[core][either]") {
    gate a;
    gate b;
    std::vector<gate::opened> waiting;
    waiting.push_back(a.wait());
    waiting.push_back(b.wait());
    {
        auto racing = heph::either(std::move(waiting));
        CHECK_FALSE(racing.poll(waker()).is_ready());
        b.open(6);
        auto first = racing.poll(waker());
        REQUIRE(first.is_ready());
        CHECK(first.value().index() == 1);
        CHECK(first.value().value() == 6);
        CHECK(a.waiting == 1);
    }
    CHECK(a.waiting == 0);
}

TEST_CASE("either: of a range takes futures without values", "[core][either]") {
    std::vector<task<>> tasks;
    tasks.push_back(fails());
    auto racing = heph::either(std::move(tasks));
    CHECK_FALSE(racing.poll(waker()).is_ready());
    CHECK_THROWS_WITH(racing.poll(waker()), "lost");
    std::vector<heph::yield_future> others(2);
    auto ready = heph::either(std::move(others));
    CHECK_FALSE(ready.poll(waker()).is_ready());
    CHECK(ready.poll(waker()).value().index() == 0);
}

TEST_CASE("join: of a range gives the values in the order of the futures", "[core][join]") {
    std::vector<task<int>> tasks;
    for (int i = 0; i < 50; ++i) { tasks.push_back(gives(i)); }
    auto all = heph::join(std::move(tasks));
    CHECK_FALSE(all.poll(waker()).is_ready());
    auto values = all.poll(waker());
    REQUIRE(values.is_ready());
    REQUIRE(values.value().size() == 50);
    CHECK(values.value()[49] == 49);
}

TEST_CASE("join: of a range polls none again that is ready", "[core][join]") {
    gate a;
    gate b;
    std::vector<gate::opened> waiting;
    waiting.push_back(a.wait());
    waiting.push_back(b.wait());
    auto both = heph::join(std::move(waiting));
    a.open(1);
    CHECK_FALSE(both.poll(waker()).is_ready());
    const int polls = a.polls;
    b.open(2);
    CHECK(both.poll(waker()).value() == std::vector<int>({1, 2}));
    CHECK(a.polls == polls);
}

TEST_CASE("join: of no futures is ready, and one of tasks without values gives nothing",
          "[core][join]") {
    auto none = heph::join(std::vector<task<int>>());
    CHECK(none.poll(waker()).value().empty());
    std::vector<task<>> tasks;
    tasks.push_back(fails());
    auto all = heph::join(std::move(tasks));
    STATIC_REQUIRE(std::is_void_v<decltype(all)::value_type>);
    CHECK_FALSE(all.poll(waker()).is_ready());
    CHECK_THROWS_WITH(all.poll(waker()), "lost");
}

TEST_CASE("join: of a range that is dropped half-way cancels what it keeps", "[core][join]") {
    gate a;
    {
        std::vector<gate::opened> waiting;
        waiting.push_back(a.wait());
        auto all = heph::join(std::move(waiting));
        CHECK_FALSE(all.poll(waker()).is_ready());
    }
    CHECK(a.waiting == 0);
}
