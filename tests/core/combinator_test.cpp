#include <any>
#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>
#include <heph/inbox/channel.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::task;
using heph::waker;
using heph::test::gate;

namespace {

task<> fails() {
    co_await heph::yield();
    throw std::runtime_error("lost");
}

task<std::string> races(gate* slow, gate* fast) {
    auto first = co_await heph::either(slow->wait(), fast->wait());
    co_return std::to_string(first.index()) + ":" +
        std::to_string(first.index() == 0 ? std::get<0>(first) : std::get<1>(first));
}

}  // namespace

TEST_CASE("either: says which future was first", "[core][either]") {
    gate slow;
    gate fast;
    task<std::string> running = races(&slow, &fast);
    CHECK_FALSE(running.poll(waker()).is_ready());
    fast.open(5);
    CHECK(running.poll(waker()).value() == "1:5");
    CHECK(slow.waiting == 0);
}

TEST_CASE("either: the leftmost of several ready futures wins", "[core][either]") {
    gate a;
    gate b;
    b.open(2);
    a.open(1);
    auto both = heph::either(a.wait(), b.wait());
    CHECK(both.poll(waker()).value().index() == 0);
    CHECK(b.polls == 0);
}

TEST_CASE("either: a borrowed loser can be awaited again", "[core][either]") {
    gate a;
    gate b;
    auto slow = a.wait();
    {
        auto racing = heph::either(slow, b.wait());
        b.open();
        CHECK(racing.poll(waker()).value().index() == 1);
    }
    CHECK(a.waiting == 1);
    a.open(9);
    CHECK(slow.poll(waker()).value() == 9);
}

TEST_CASE("either: an exception of a future leaves it", "[core][either]") {
    gate never;
    auto racing = heph::either(never.wait(), fails());
    CHECK_FALSE(racing.poll(waker()).is_ready());
    CHECK_THROWS_WITH(racing.poll(waker()), "lost");
}

TEST_CASE("join: waits for all, and polls none again that is ready", "[core][join]") {
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<heph::join_future<task<>, task<>>>);
    gate a;
    gate b;
    auto both = heph::join(a.wait(), heph::yield(), b.wait());
    CHECK_FALSE(both.poll(waker()).is_ready());
    a.open(1);
    CHECK_FALSE(both.poll(waker()).is_ready());
    const int polls = a.polls;
    b.open(2);
    auto result = both.poll(waker());
    REQUIRE(result.is_ready());
    CHECK(std::get<0>(result.value()) == 1);
    CHECK(std::get<2>(result.value()) == 2);
    CHECK(a.polls == polls);
}

TEST_CASE("join: dropping it half-way cancels the futures it keeps", "[core][join]") {
    gate a;
    gate b;
    {
        auto both = heph::join(a.wait(), b.wait());
        a.open();
        CHECK_FALSE(both.poll(waker()).is_ready());
    }
    CHECK(a.waiting == 0);
    CHECK(b.waiting == 0);
}

TEST_CASE("yield: lets what is ready run first", "[core][yield]") {
    heph::test::poll_loop loop;
    std::string order;
    const auto step = [](std::string* text, char name) -> task<> {
        for (int i = 0; i < 3; ++i) {
            *text += name;
            co_await heph::yield();
        }
    };
    loop.spawn(step(&order, 'a'));
    loop.spawn(step(&order, 'b'));
    loop.run();
    CHECK(order == "ababab");
    CHECK(loop.unfinished() == 0);
}

TEST_CASE("block_on: sleeps until another thread wakes it", "[core][block_on]") {
    auto [sender, receiver] = heph::inbox::channel<int>(1);
    std::atomic<int> refused = 0;  // Assertions are for one thread only.
    std::thread other([to = std::move(sender), &refused] {
        for (int i = 0; i < 1000; ++i) {
            if (!heph::block_on(to.send(i))) { ++refused; }
        }
    });
    int expected = 0;
    while (auto value = heph::block_on(receiver.recv())) { CHECK(*value == expected++); }
    other.join();
    CHECK(expected == 1000);
    CHECK(refused == 0);
}

TEST_CASE("block_on: passes an exception on", "[core][block_on]") {
    CHECK_THROWS_WITH(heph::block_on(fails()), "lost");
}

TEST_CASE("block_on: a waker kept beyond it does no harm", "[core][block_on]") {
    gate gate;
    const auto wait_once = [](heph::test::gate* watched) -> task<> {
        auto first = co_await heph::either(watched->wait(), heph::yield());
        CHECK(first.index() == 1);
    };
    heph::block_on(wait_once(&gate));
    gate.open();
    CHECK(gate.waiting == 0);
}

namespace {

task<std::vector<std::any>> rows(int count) {
    std::vector<std::any> all;
    for (int i = 0; i < count; ++i) { all.emplace_back(i); }
    co_return all;
}

}  // namespace

TEST_CASE("either: gives the value of a task of many as it is, not a list of it",
          "[either][regression]") {
    std::vector<task<std::vector<std::any>>> tasks;
    tasks.push_back(rows(3));
    auto first = heph::block_on(heph::either(std::move(tasks)));
    CHECK(first.value().size() == 3);
}
