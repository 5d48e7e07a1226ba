#include <heph/core/testing/virtual_clock.hpp>

#include <chrono>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/task.hpp>
#include <heph/core/timing.hpp>

#include "support/poll_loop.hpp"

using heph::testing::virtual_clock;
using namespace std::chrono_literals;

namespace {

heph::task<> note_when_due(virtual_clock clock, heph::steady_time::duration after, int name,
                           std::vector<int>* order) {
    co_await clock.timer(after);
    order->push_back(name);
}

}  // namespace

TEST_CASE("testing: a virtual clock stands still until it is advanced", "[core][testing]") {
    virtual_clock clock;
    const auto begin = clock.now();
    CHECK(begin != heph::steady_time());
    CHECK(clock.now() == begin);
    clock.advance(90min);
    CHECK(clock.now() == begin + 90min);
    clock.advance_to(begin);
    CHECK(clock.now() == begin + 90min);
    const virtual_clock same = clock;
    clock.advance(1ns);
    CHECK(same.now() == begin + 90min + 1ns);
}

TEST_CASE("testing: virtual timers fire when their time has come, not before, in order of time",
          "[core][testing]") {
    virtual_clock clock;
    std::vector<int> order;
    heph::test::poll_loop loop;
    loop.spawn(note_when_due(clock, 3s, 3, &order));
    loop.spawn(note_when_due(clock, 1s, 1, &order));
    loop.spawn(note_when_due(clock, 2s, 2, &order));
    loop.spawn(note_when_due(clock, 1s, 11, &order));
    loop.spawn(note_when_due(clock, 0s, 0, &order));
    loop.spawn(note_when_due(clock, -1s, -1, &order));
    loop.run();
    CHECK(order == std::vector<int>{0, -1});
    CHECK(clock.waiting() == 4);
    CHECK(clock.next_timer() == clock.now() + 1s);
    clock.advance(1s - 1ns);
    loop.run();
    CHECK(order.size() == 2);
    clock.advance(10s);
    loop.run();
    CHECK(order == std::vector<int>{0, -1, 1, 11, 2, 3});
    CHECK(clock.waiting() == 0);
    CHECK_FALSE(clock.advance_to_next());
}

TEST_CASE("testing: a virtual timer that is dropped is no timer any more, also after its clock",
          "[core][testing]") {
    std::optional<virtual_clock> clock(std::in_place);
    std::vector<int> order;
    heph::test::poll_loop loop;
    loop.spawn(note_when_due(*clock, 1s, 1, &order));
    loop.run();
    CHECK(clock->waiting() == 1);
    CHECK(clock->advance_to_next());
    CHECK(clock->waiting() == 0);
    loop.drop_all();
    loop.run();
    CHECK(order.empty());

    loop.spawn(note_when_due(*clock, 1s, 1, &order));
    loop.run();
    clock.reset();
    loop.drop_all();
    CHECK(order.empty());
}

TEST_CASE("testing: deadlines pass in virtual time", "[core][testing]") {
    virtual_clock clock;
    heph::test::poll_loop loop;
    std::optional<bool> in_time;
    const auto wait = [](virtual_clock by, std::optional<bool>* result) -> heph::task<> {
        auto waited = co_await heph::with_deadline(by.timer(5s), by.timer(3s));
        *result = waited.has_value();
    };
    loop.spawn(wait(clock, &in_time));
    loop.run();
    CHECK_FALSE(in_time.has_value());
    clock.advance(3s);
    loop.run();
    CHECK(in_time == false);
    CHECK(clock.waiting() == 0);
}

TEST_CASE("testing: a virtual clock may be advanced by another thread", "[core][testing]") {
    const virtual_clock clock;
    std::jthread other([by = clock]() mutable {
        for (int i = 0; i < 1000; ++i) { by.advance(1ms); }
    });
    for (int i = 0; i < 1000; ++i) {
        auto timer = clock.timer(1ms);
        (void)timer.poll(heph::waker());
    }
    other.join();
    CHECK(clock.waiting() == 0);
}
