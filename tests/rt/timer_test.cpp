#include <chrono>
#include <vector>

#include <heph/core/testing/virtual_clock.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::worker;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using heph::test::run_task;

namespace {

// Ready at the poll after `polls` others; wakes itself.
class ready_after {
public:
    using value_type = int;
    explicit ready_after(int polls) noexcept : polls_(polls) {}
    heph::polled<int> poll(const heph::waker& waker) {
        if (polls_-- == 0) { return 42; }
        waker.wake();
        return heph::pending;
    }

private:
    int polls_;
};

class never {
public:
    using value_type = void;
    never() noexcept = default;
    static heph::polled<void> poll(const heph::waker&) { return heph::pending; }
};

task<> sleep_and_note(heph::rt::clock::time_point until, std::vector<int>* order, int number) {
    co_await heph::rt::timer(until);
    order->push_back(number);
}

}  // namespace

TEST_CASE("timer: it is never early", "[rt][timer]") {
    run_task([]() -> task<> {
        for (const auto after : {1ms, 3ms, 20ms}) {
            const auto start = heph::rt::clock::now();
            co_await heph::rt::timer(after);
            CHECK(heph::rt::clock::now() - start >= after);
        }
    });
}

TEST_CASE("timer: a duration that is not positive, and a past point, complete at once",
          "[rt][timer]") {
    const heph::waker nobody;
    run_task([]() -> task<> {
        co_await heph::rt::timer(0ms);
        co_await heph::rt::timer(-5s);
        co_await heph::rt::timer(heph::rt::clock::now() - 1h);
    });
}

TEST_CASE("timer: timers fire in the order of their times", "[rt][timer]") {
    std::vector<int> order;
    heph::test::run_on_worker(heph::test::quiet_setup(), [&order](heph::rt::worker& worker) {
        const auto now = heph::rt::clock::now();
        worker.spawn_future(sleep_and_note(now + 1030ms, &order, 3));
        worker.spawn_future(sleep_and_note(now + 1010ms, &order, 1));
        worker.spawn_future(sleep_and_note(now + 1020ms, &order, 2));
    });
    CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("timer: the longest duration there is does not overflow", "[rt][timer]") {
    run_task([]() -> task<> {
        auto bounded = heph::rt::deadline(5ms, heph::rt::timer(heph::rt::clock::duration::max()));
        const auto result = co_await bounded;
        CHECK_FALSE(result);
    });
}

TEST_CASE("timer: a duration that the clock cannot hold does not complete at once",
          "[rt][timer][regression]") {
    const auto poll_long_ones = []() -> task<> {
        const heph::waker nobody;
        const auto completes = [&nobody](auto&& future) { return future.poll(nobody).is_ready(); };
        CHECK_FALSE(completes(heph::rt::timer(std::chrono::milliseconds::max())));
        CHECK_FALSE(completes(heph::rt::timer(std::chrono::seconds::max())));
        CHECK_FALSE(completes(heph::rt::timer(std::chrono::hours::max())));
        CHECK(completes(heph::rt::timer(std::chrono::milliseconds::min())));
        heph::rt::timer again(1h);
        again.reset(std::chrono::milliseconds::max());
        CHECK_FALSE(completes(again));
        again.reset(std::chrono::hours::min());
        CHECK(completes(again));
        CHECK_FALSE(completes(heph::rt::deadline(std::chrono::milliseconds::max(), never())));
        CHECK_FALSE(completes(heph::rt::deadline(std::chrono::hours::max(), never())));
        heph::rt::interval every(std::chrono::milliseconds::max());
        CHECK_FALSE(completes(every.next()));
        co_return;
    };
    run_task(poll_long_ones);
}

TEST_CASE("timer: polled outside of a worker it throws errc::no_worker", "[rt][timer]") {
    heph::rt::timer timer(1ms);
    const heph::waker nobody;
    try {
        (void)timer.poll(nobody);
        FAIL("it did not throw");
    } catch (const std::system_error& thrown) { CHECK(thrown.code() == heph::rt::errc::no_worker); }
}

TEST_CASE("timer: reset starts anew", "[rt][timer]") {
    run_task([]() -> task<> {
        heph::rt::timer timer(1h);
        auto bounded = heph::rt::deadline(2ms, never());
        (void)co_await bounded;
        timer.reset(2ms);
        const auto start = heph::rt::clock::now();
        co_await timer;
        CHECK(heph::rt::clock::now() - start >= 2ms);
        timer.reset(2ms);
        co_await timer;
        CHECK(heph::rt::clock::now() - start >= 4ms);
    });
}

TEST_CASE("deadline: a future that is ready in time gives its value", "[rt][deadline]") {
    run_task([]() -> task<> {
        auto bounded = heph::rt::deadline(10s, ready_after(3));
        const auto result = co_await bounded;
        REQUIRE(result);
        CHECK(*result == 42);
    });
}

TEST_CASE("deadline: one that takes too long gives deadline_passed", "[rt][deadline]") {
    run_task([]() -> task<> {
        const auto start = heph::rt::clock::now();
        auto bounded = heph::rt::deadline(5ms, never());
        const auto result = co_await bounded;
        CHECK_FALSE(result);
        CHECK(heph::rt::clock::now() - start >= 5ms);
    });
}

TEST_CASE("deadline: what is ready wins over a deadline that has passed", "[rt][deadline]") {
    run_task([]() -> task<> {
        auto bounded = heph::rt::deadline(-1s, ready_after(0));
        const auto result = co_await bounded;
        CHECK(result);
    });
}

TEST_CASE("interval: it does not drift, and skips what was missed", "[rt][interval]") {
    run_task([]() -> task<> {
        heph::rt::interval every(4ms);
        const auto start = heph::rt::clock::now();
        for (int i = 1; i <= 5; ++i) {
            co_await every.next();
            CHECK(heph::rt::clock::now() - start >= i * 4ms);
        }
        co_await heph::rt::timer(21ms);
        const auto late = heph::rt::clock::now();
        auto missed = every.next();  // One for all that were missed, at once.
        CHECK(missed.poll(heph::waker()).is_ready());
        co_await every.next();
        co_await every.next();
        CHECK(heph::rt::clock::now() - late >= 4ms);
    });
}

TEST_CASE("interval: its first period is not cut short where a millisecond of the clock ends",
          "[rt][interval]") {
    bool done = false;
    run_on_worker(quiet_setup(), [&done](worker& worker) {
        // Keeps the worker turning, so that it looks at the time as often as it can.
        worker.spawn_future([](const bool* ended) -> task<> {
            while (!*ended) { co_await heph::yield(); }
        }(&done));
        worker.spawn_future([](bool* ended) -> task<> {
            for (int i = 0; i < 100; ++i) {
                const auto start = heph::rt::clock::now();
                heph::rt::interval every(1ms);
                co_await every.next();
                CHECK(heph::rt::clock::now() - start >= 1ms);
                co_await heph::rt::timer(std::chrono::microseconds(100 * (i % 10)));
            }
            *ended = true;
        }(&done));
    });
    CHECK(done);
}
