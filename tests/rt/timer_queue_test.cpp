// A structure of the program's own in the place of the workers' timing wheels.

#include <heph/rt/timer_queue.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <heph/core/new_actor.hpp>
#include <heph/core/testing/rethrow_supervisor.hpp>
#include <heph/core/testing/virtual_clock.hpp>
#include <heph/rt/testing/simulation.hpp>
#include <heph/rt/testing/test_runtime.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using heph::task;
using heph::rt::armed_timer;
using heph::rt::timer_queue;
using heph::rt::timer_queue_factory;
using heph::rt::worker;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using heph::test::run_task;
using heph::testing::virtual_clock;
using time_point = heph::rt::clock::time_point;

namespace {

/// What the queues of a test were asked to do.
struct calls {
    std::atomic<int> made{0};
    std::atomic<int> added{0};
    std::atomic<int> removed{0};
    std::atomic<int> expired{0};
    std::atomic<int> left{0};  ///< Timers that were in one at its end.
};

/// A binary heap. Finds a timer that is removed by `place`, its index.
class heap_timers : public timer_queue {
public:
    explicit heap_timers(calls& counted) : calls_(&counted) { ++counted.made; }
    ~heap_timers() override { calls_->left += static_cast<int>(heap_.size()); }

    void add(armed_timer& timer) override {
        heap_.push_back(&timer);
        rise(heap_.size() - 1);
        ++calls_->added;
    }
    void remove(armed_timer& timer) noexcept override {
        take(timer.place);
        ++calls_->removed;
    }
    armed_timer* expire(std::chrono::milliseconds now) noexcept override {
        if (heap_.empty() || heap_.front()->due() > now) { return nullptr; }
        ++calls_->expired;
        return take(0);
    }
    [[nodiscard]] std::optional<std::chrono::milliseconds> next() const noexcept override {
        if (heap_.empty()) { return std::nullopt; }
        return heap_.front()->due();
    }

protected:
    armed_timer* take(std::size_t at) noexcept {
        armed_timer* const taken = heap_[at];
        armed_timer* const last = heap_.back();
        heap_.pop_back();
        if (at < heap_.size()) {
            put(at, last);
            rise(at);
            sink(last->place);
        }
        return taken;
    }
    [[nodiscard]] bool is_empty() const noexcept { return heap_.empty(); }

private:
    void put(std::size_t at, armed_timer* timer) noexcept {
        heap_[at] = timer;
        timer->place = static_cast<std::uint32_t>(at);
    }
    void rise(std::size_t at) noexcept {
        armed_timer* const timer = heap_[at];
        for (; at != 0 && timer->due() < heap_[(at - 1) / 2]->due(); at = (at - 1) / 2) {
            put(at, heap_[(at - 1) / 2]);
        }
        put(at, timer);
    }
    void sink(std::size_t at) noexcept {
        armed_timer* const timer = heap_[at];
        for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
            if (child + 1 < heap_.size() && heap_[child + 1]->due() < heap_[child]->due()) {
                ++child;
            }
            if (heap_[child]->due() >= timer->due()) { break; }
            put(at, heap_[child]);
            at = child;
        }
        put(at, timer);
    }

    std::vector<armed_timer*> heap_;
    calls* calls_;
};

timer_queue_factory heaps(calls& counted) {
    return [&counted] { return std::make_unique<heap_timers>(counted); };
}

heph::rt::setup with_heaps(calls& counted) { return quiet_setup().timers(heaps(counted)); }

task<> note_times(std::vector<std::chrono::nanoseconds> pauses, std::vector<time_point>* woken) {
    for (const auto pause : pauses) {
        co_await heph::rt::timer(pause);
        woken->push_back(heph::rt::clock::now());
    }
}

task<> sleep_and_note(time_point until, std::vector<int>* order, int number) {
    co_await heph::rt::timer(until);
    order->push_back(number);
}

class never {
public:
    using value_type = void;
    never() noexcept = default;
    static heph::polled<void> poll(const heph::waker&) { return heph::pending; }
};

}  // namespace

TEST_CASE("timer queue: timers fire in the order of their times, never early", "[rt][timers]") {
    calls counted;
    std::vector<int> order;
    run_on_worker(with_heaps(counted), [&order](worker& here) {
        const auto now = heph::rt::clock::now();
        for (const int number : {7, 2, 9, 1, 4, 8, 3, 6, 5}) {
            here.spawn_future(sleep_and_note(now + 20ms + number * 3ms, &order, number));
        }
        here.spawn_future([]() -> task<> {
            for (const auto after : {1ms, 3ms, 20ms}) {
                const auto start = heph::rt::clock::now();
                co_await heph::rt::timer(after);
                CHECK(heph::rt::clock::now() - start >= after);
            }
        }());
    });
    CHECK(order == std::vector{1, 2, 3, 4, 5, 6, 7, 8, 9});
    CHECK(counted.made == 1);
    CHECK(counted.added == 12);
    CHECK(counted.expired == 12);
    CHECK(counted.left == 0);
}

TEST_CASE("timer queue: timers that are dropped or set anew are removed, whatever their place",
          "[rt][timers]") {
    calls counted;
    run_task(with_heaps(counted), []() -> task<> {
        const auto start = heph::rt::clock::now();
        heph::rt::timer again(1h);
        auto bounded = heph::rt::deadline(2ms, never());
        const auto result = co_await bounded;
        CHECK_FALSE(result);
        const heph::waker nobody;
        CHECK_FALSE(again.poll(nobody).is_ready());
        {
            std::vector<std::unique_ptr<heph::rt::timer>> many;
            for (int i = 0; i < 50; ++i) {
                many.push_back(std::make_unique<heph::rt::timer>((i * 37 % 50 + 1) * 1min));
                CHECK_FALSE(many.back()->poll(nobody).is_ready());
            }
            for (std::size_t i = 0; i < many.size(); i += 3) { many[i].reset(); }
        }
        again.reset(3ms);
        co_await again;
        CHECK(heph::rt::clock::now() - start >= 5ms);
    });
    CHECK(counted.added == 53);
    CHECK(counted.removed == 51);
    CHECK(counted.expired == 2);
    CHECK(counted.left == 0);
}

TEST_CASE("timer queue: a clock of the program's, a long pause and a jump of ten years suit it",
          "[rt][timers]") {
    calls counted;
    virtual_clock clock;
    const auto start = clock.now();
    std::vector<time_point> woken;
    auto settings = with_heaps(counted);
    settings.clock(clock, heph::rt::idle_time::advances);
    run_on_worker(settings, [&](worker& here) {
        here.spawn_future(note_times({1h, 5min, 1ms}, &woken));
        here.spawn_future([](virtual_clock moved, std::vector<time_point>* times) -> task<> {
            co_await heph::rt::timer(2h);
            moved.advance(std::chrono::hours(24 * 3652));
            heph::rt::interval every(1min);
            co_await every.next();
            times->push_back(heph::rt::clock::now());
        }(clock, &woken));
    });
    const auto jumped = start + 2h + std::chrono::hours(24 * 3652);
    CHECK(woken == std::vector{start + 1h, start + 65min, start + 65min + 1ms, jumped + 1min});
    CHECK(counted.left == 0);
}

TEST_CASE("timer queue: durations that the clock cannot hold are waited for", "[rt][timers]") {
    calls counted;
    run_task(with_heaps(counted), []() -> task<> {
        const heph::waker nobody;
        heph::rt::timer longest(std::chrono::milliseconds::max());
        CHECK_FALSE(longest.poll(nobody).is_ready());
        heph::rt::timer end(time_point::max());
        CHECK_FALSE(end.poll(nobody).is_ready());
        auto bounded = heph::rt::deadline(2ms, heph::rt::timer(std::chrono::hours::max()));
        const auto result = co_await bounded;
        CHECK_FALSE(result);
    });
    CHECK(counted.left == 0);
}

TEST_CASE("timer queue: each worker has its own, also for thread-safe actors, and metrics count",
          "[rt][timers]") {
    calls counted;
    std::atomic<int> done{0};
    auto settings = with_heaps(counted);
    settings.threads(2);
    auto runtime = settings.build();
    REQUIRE(runtime);
    std::size_t most = 0;
    runtime->run_on_workers([&](worker& here) {
        for (int i = 0; i < 20; ++i) {
            here.shared().spawn_future([](std::atomic<int>* count, int number) -> task<> {
                for (int round = 0; round < 5; ++round) {
                    auto bounded = heph::rt::deadline(
                        1h, heph::rt::timer(std::chrono::milliseconds(number % 3 + 1)));
                    const auto result = co_await bounded;
                    if (result) { count->fetch_add(1); }
                }
            }(&done, i));
        }
        if (here.index() != 0) { return; }
        here.spawn_future([](worker on, std::size_t* timers) -> task<> {
            heph::rt::timer far(1h);
            const heph::waker nobody;
            CHECK_FALSE(far.poll(nobody).is_ready());
            for (int i = 0; i < 20; ++i) {
                co_await heph::rt::timer(1ms);
                *timers = std::max(*timers, on.shared().metrics().workers.at(0).timers);
            }
        }(here, &most));
    });
    const auto ended = runtime->start();
    REQUIRE(ended);
    CHECK(done == 200);
    CHECK(most >= 1);
    CHECK(counted.made == 2);
    CHECK(counted.added == counted.removed + counted.expired);
    CHECK(counted.left == 0);
}

TEST_CASE("timer queue: one that gives timers too early makes none complete before its time",
          "[rt][timers]") {
    class hasty final : public heap_timers {
    public:
        using heap_timers::heap_timers;
        armed_timer* expire(std::chrono::milliseconds /*now*/) noexcept override {
            return is_empty() ? nullptr : take(0);
        }
        [[nodiscard]] std::optional<std::chrono::milliseconds> next() const noexcept override {
            return -1h;
        }
    };
    calls counted;
    auto settings = quiet_setup();
    settings.timers([&counted] { return std::make_unique<hasty>(counted); });
    run_task(settings, []() -> task<> {
        const auto start = heph::rt::clock::now();
        co_await heph::rt::timer(5ms);
        CHECK(heph::rt::clock::now() - start >= 5ms);
        auto bounded = heph::rt::deadline(5ms, never());
        const auto result = co_await bounded;
        CHECK_FALSE(result);
        heph::rt::interval every(5ms);
        co_await every.next();
        CHECK(heph::rt::clock::now() - start >= 15ms);
    });
    CHECK(counted.left == 0);
}

TEST_CASE("timer queue: what `add` throws leaves the await, and the timer can be tried again",
          "[rt][timers]") {
    class full final : public heap_timers {
    public:
        using heap_timers::heap_timers;
        void add(armed_timer& timer) override {
            if (tried_++ % 2 == 0) { throw std::bad_alloc(); }
            heap_timers::add(timer);
        }

    private:
        int tried_ = 0;
    };
    calls counted;
    heph::rt::testing::test_runtime run(heph::rt::testing::test_runtime::quiet().timers(
        [&counted] { return std::make_unique<full>(counted); }));
    const bool retried = run.block_on([](worker&) -> task<bool> {
        heph::rt::timer twice(1ms);
        bool threw = false;
        try {
            co_await twice;
        } catch (const std::bad_alloc&) { threw = true; }
        co_await twice;
        co_return threw;
    });
    CHECK(retried);
    const auto ref = run.spawn_local(
        run.supervisor(),
        heph::actor_fn([](heph::rt::local_context<>) -> task<> { co_await heph::rt::timer(1ms); }));
    CHECK_THROWS_AS(
        [&] {
            run.join(ref);
            run.stop();
        }(),
        std::bad_alloc);
    CHECK(counted.left == 0);
}

TEST_CASE("timer queue: one that cannot be made fails the start with its reason", "[rt][timers]") {
    const auto message_of = [](timer_queue_factory make) {
        auto runtime = quiet_setup().threads(2).timers(std::move(make)).build();
        REQUIRE(runtime);
        const auto ended = runtime->start();
        REQUIRE_FALSE(ended);
        return ended.error().message();
    };
    CHECK_THAT(message_of([]() -> std::unique_ptr<timer_queue> {
                   throw std::runtime_error("no time today");
               }),
               Contains("timers could not be made: no time today"));
    CHECK_THAT(message_of([]() -> std::unique_ptr<timer_queue> { throw 1; }),
               Contains("timers could not be made"));
    CHECK_THAT(message_of([] { return nullptr; }), Contains("gave none"));
    run_task(quiet_setup().timers({}), []() -> task<> { co_await heph::rt::timer(1ms); });
}

TEST_CASE("timer queue: a simulation runs with one, the same for the same seed", "[rt][timers]") {
    calls counted;
    const auto run = [](timer_queue_factory make) {
        heph::rt::testing::simulation_options options;
        options.make_timers = std::move(make);
        heph::rt::testing::simulation world(options);
        auto host = world.add_host("host", "10.0.0.1");
        std::vector<time_point> woken;
        host.on_worker([&](worker& here) {
            here.spawn_future(note_times({3ms, 24h, 1ms}, &woken));
            here.spawn_future(note_times({5ms, 1h}, &woken));
        });
        const auto start = world.now();
        world.run_to_rest(48h);
        CHECK(woken == std::vector{start + 3ms, start + 5ms, start + 1h + 5ms, start + 24h + 3ms,
                                   start + 24h + 4ms});
        host.restart();
        host.block_on([](worker&) { return heph::rt::timer(1h); });
        return world.fingerprint();
    };
    const auto first = run(heaps(counted));
    CHECK(first == run(heaps(counted)));
    CHECK(counted.made == 4);
    CHECK(counted.left == 0);
    CHECK_THROWS_WITH(run([]() -> std::unique_ptr<timer_queue> { return nullptr; }),
                      Contains("gave none"));
}
