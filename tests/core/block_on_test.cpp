#include <heph/core/block_on.hpp>

#include <atomic>
#include <chrono>
#include <expected>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include <catch2/catch.hpp>
#include <heph/core/task.hpp>
#include <heph/core/timing.hpp>
#include <heph/core/yield.hpp>
#include <heph/inbox/channel.hpp>

#include "core/probes.hpp"

using heph::task;
using heph::test::gate;
using heph::test::probe;
using namespace std::chrono_literals;

namespace {

task<int> yields(int times) {
    int sum = 0;
    for (int i = 0; i < times; ++i) {
        sum += i;
        co_await heph::yield();
    }
    co_return sum;
}

task<int> throws(int) {
    co_await heph::yield();
    throw std::runtime_error("thrown");
}

task<> waits(gate::opened until, probe) { co_await std::move(until); }

}  // namespace

TEST_CASE("block_on: gives what the future gives, and throws what it throws", "[core][block_on]") {
    CHECK(heph::block_on(yields(3)) == 3);
    CHECK_THROWS_WITH(heph::block_on(throws(1)), "thrown");
    heph::block_on(heph::yield());
    CHECK(heph::block_on(yields(3), heph::deadline_in(1min)) == 3);
    CHECK_THROWS_WITH(heph::block_on(throws(1), heph::deadline_in(1min)), "thrown");
    CHECK(heph::block_on(heph::yield(), heph::deadline_in(1min)));
}

TEST_CASE("block_on: sleeps until another thread wakes it, with and without a deadline",
          "[core][block_on]") {
    for (int i = 0; i < 200; ++i) {
        auto [sender, receiver] = heph::inbox::channel<int>(1);
        std::jthread other([sending = std::move(sender)] { (void)sending.try_send(7); });
        CHECK(heph::block_on(receiver.recv()) == 7);
        other.join();
        CHECK(heph::block_on(receiver.recv()) == std::nullopt);
    }
    for (int i = 0; i < 200; ++i) {
        auto [sender, receiver] = heph::inbox::channel<int>(1);
        std::jthread other([sending = std::move(sender)] { (void)sending.try_send(7); });
        auto received = heph::block_on(receiver.recv(), heph::deadline_in(1min));
        REQUIRE(received);
        CHECK(*received == 7);
    }
}

TEST_CASE("block_on: a future that is not ready in time is cancelled", "[core][block_on]") {
    gate never;
    int live = 0;
    auto late = heph::block_on(waits(never.wait(), probe(live)), heph::deadline_in(1ms));
    CHECK(late == std::unexpected(heph::timed_out()));
    CHECK(live == 0);
    CHECK(never.waiting == 0);
    // A deadline that is past leaves time for one poll, not for a second one.
    CHECK(heph::block_on(yields(0), heph::deadline_in(-1s)) == 0);
    const auto past = std::chrono::steady_clock::now() - 1s;
    late = heph::block_on(waits(never.wait(), probe(live)), heph::deadline_at(past));
    CHECK_FALSE(late.has_value());
    CHECK(never.waiting == 0);
}

TEST_CASE("block_on: a future given as an lvalue can be run on after a deadline",
          "[core][block_on]") {
    gate door;
    int live = 0;
    auto waiting = waits(door.wait(), probe(live));
    auto first = heph::block_on(waiting, heph::deadline_in(1ms));
    CHECK_FALSE(first.has_value());
    CHECK(live == 1);
    door.open();
    auto second = heph::block_on(waiting, heph::deadline_in(1min));
    CHECK(second.has_value());
    CHECK(live == 0);
}

TEST_CASE("block_on: a wake after it has returned finds nothing to do", "[core][block_on]") {
    gate door;
    auto late = heph::block_on(door.wait(), heph::deadline_in(0s));
    CHECK_FALSE(late.has_value());
    door.open();
    CHECK(heph::block_on(yields(2)) == 1);
}
