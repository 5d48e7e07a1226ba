#include <catch2/catch.hpp>

#include <chrono>
#include <functional>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/core/testing/virtual_clock.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

namespace {

using namespace std::chrono_literals;
using heph::task;
using heph::rt::interval;
using heph::rt::missed_ticks;
using heph::test::quiet_setup;

// Runs a task by a clock on which no time passes but by waiting.
void run_task(std::function<task<>()> make_task) {
    const heph::testing::virtual_clock clock;
    heph::test::run_task(quiet_setup().clock(clock, heph::rt::idle_time::advances),
                         std::move(make_task));
}

// Waits for one tick, then lets at least five more pass. Gives how many are ready at once then.
task<int> ready_after_five(missed_ticks missed) {
    interval every(2ms, missed);
    co_await every.next();
    co_await heph::rt::timer(11ms);
    int ready = 0;
    for (;;) {
        auto next = every.next();
        if (!next.poll(heph::waker()).is_ready()) { break; }
        ++ready;
    }
    co_return ready;
}

}  // namespace

TEST_CASE("interval: skip makes one tick of all that were missed", "[rt][interval]") {
    run_task([]() -> task<> {
        const int ready = co_await ready_after_five(missed_ticks::skip);
        CHECK(ready == 1);
    });
}

TEST_CASE("interval: burst makes up for each that was missed", "[rt][interval]") {
    run_task([]() -> task<> {
        const int ready = co_await ready_after_five(missed_ticks::burst);
        CHECK(ready == 5);
    });
}

TEST_CASE("interval: delay begins anew after one that was missed", "[rt][interval]") {
    run_task([]() -> task<> {
        interval every(10ms, missed_ticks::delay);
        co_await every.next();
        co_await heph::rt::timer(35ms);
        auto late = every.next();
        CHECK(late.poll(heph::waker()).is_ready());
        const auto now = heph::rt::clock::now();
        co_await every.next();
        CHECK(heph::rt::clock::now() - now == 10ms);
    });
}
