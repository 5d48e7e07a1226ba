// Which process runs next, how that is measured, and how long a worker looks before it sleeps.

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/log.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/detail/biased_count.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/scheduler.hpp>

#include "fair_queue.hpp"
#include "idle_spin.hpp"
#include "on_runtime.hpp"
#include "poll_meter.hpp"
#include "shared_queue.hpp"

namespace {

using namespace std::chrono_literals;
using heph::task;
using heph::rt::priority;
using heph::rt::schedulable;
using heph::rt::worker;
using heph::rt::detail::biased_count;
using heph::rt::detail::fair_queue;
using heph::rt::detail::idle_spin;
using heph::rt::detail::poll_meter;
using heph::rt::detail::process_header;
using heph::rt::detail::process_vtable;
using heph::test::quiet_setup;
using heph::test::run_on_worker;

constexpr process_vtable no_functions{};

struct entry : process_header {
    explicit entry(heph::rt::priority level = heph::rt::priority::normal)
        : process_header(no_functions) {
        set_priority(level);
    }
    std::chrono::nanoseconds ran{};
    std::size_t turns = 0;
};

// Runs entries that are always ready, each for its time, and gives the whole.
std::chrono::nanoseconds run_for(
    fair_queue& queue, std::chrono::nanoseconds whole,
    const std::vector<std::pair<entry*, std::chrono::nanoseconds>>& running) {
    std::chrono::nanoseconds passed{};
    while (passed < whole) {
        auto* next = static_cast<entry*>(queue.pop());
        REQUIRE(next != nullptr);
        std::chrono::nanoseconds took{};
        for (const auto& [each, each_takes] : running) {
            if (each == next) { took = each_takes; }
        }
        REQUIRE(took > 0ns);
        next->ran += took;
        ++next->turns;
        passed += took;
        fair_queue::charge(*next, took);
        queue.push_again(*next);
        queue.advance(took);
    }
    return passed;
}

double share(const entry& one, std::chrono::nanoseconds whole) {
    return static_cast<double>(one.ran.count()) / static_cast<double>(whole.count());
}

task<> yields(std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i) { co_await heph::yield(); }
}

std::atomic<int> long_polls{0};
std::atomic<bool> named{false};

void take_log(heph::log_level level, std::string_view message) noexcept {
    if (level != heph::log_level::warning ||
        message.find("was held up") == std::string_view::npos) {
        return;
    }
    ++long_polls;
    if (message.find("dawdler") != std::string_view::npos) { named = true; }
}

}  // namespace

TEST_CASE("fair queue: what is within its share runs first in, first out", "[rt][schedule]") {
    fair_queue queue;
    std::array<entry, 4> entries;
    for (entry& each : entries) { queue.push(each); }
    for (int round = 0; round < 3; ++round) {
        for (entry& each : entries) {
            REQUIRE(queue.pop() == &each);
            fair_queue::charge(each, 100ns);
            queue.push(each);
            queue.advance(100ns);
        }
    }
    CHECK(queue.size() == 4);
}

TEST_CASE("fair queue: long and short polls get the same time", "[rt][schedule]") {
    fair_queue queue;
    entry slow;
    entry quick;
    queue.push(slow);
    queue.push(quick);
    const auto whole = run_for(queue, 10s, {{&slow, 5ms}, {&quick, 10us}});
    CHECK(share(slow, whole) == Approx(0.5).margin(0.02));
    CHECK(share(quick, whole) == Approx(0.5).margin(0.02));
}

TEST_CASE("fair queue: each priority gets four times the time of the one below", "[rt][schedule]") {
    fair_queue queue;
    entry low(priority::low);
    entry normal(priority::normal);
    entry high(priority::high);
    queue.push(low);
    queue.push(normal);
    queue.push(high);
    const auto whole = run_for(queue, 20s, {{&low, 100us}, {&normal, 100us}, {&high, 100us}});
    CHECK(share(low, whole) == Approx(1.0 / 21).margin(0.02));
    CHECK(share(normal, whole) == Approx(4.0 / 21).margin(0.03));
    CHECK(share(high, whole) == Approx(16.0 / 21).margin(0.03));
}

TEST_CASE("fair queue: low priority starves neither, and time is not wasted", "[rt][schedule]") {
    fair_queue queue;
    entry low(priority::low);
    queue.push(low);
    const auto whole = run_for(queue, 1s, {{&low, 1ms}});
    CHECK(low.ran == whole);
}

TEST_CASE("fair queue: who slept has no claim to the time it missed", "[rt][schedule]") {
    fair_queue queue;
    entry busy;
    queue.push(busy);
    (void)run_for(queue, 10s, {{&busy, 1ms}});
    entry sleeper;
    queue.push(sleeper);
    busy.ran = {};
    const auto whole = run_for(queue, 1s, {{&busy, 1ms}, {&sleeper, 1ms}});
    CHECK(share(busy, whole) == Approx(0.5).margin(0.05));
}

TEST_CASE("fair queue: who changes between two queues at each poll pays like the others",
          "[rt][schedule]") {
    const auto takes = GENERATE(1ms, 3ms);
    // A worker's two queues, which it serves in turns of 1 ms, and what is always ready in each.
    std::array<fair_queue, 2> queues;
    std::array<entry, 2> steady;
    entry changes;
    queues[1].advance(1s);  // Their times differ.
    for (std::size_t i = 0; i < queues.size(); ++i) { queues[i].push(steady[i]); }
    queues[0].push(changes);
    std::size_t here = 0;
    std::chrono::nanoseconds whole{};
    std::chrono::nanoseconds turn{};
    for (std::size_t poll = 0; poll < 4000; ++poll) {
        auto* next = static_cast<entry*>(queues[here].pop());
        REQUIRE(next != nullptr);
        const std::chrono::nanoseconds took = next == &changes ? takes : 500us;
        next->ran += took;
        whole += took;
        turn += took;
        fair_queue::charge(*next, took);
        queues[here].advance(took, fair_queue::weight_of(*next));
        if (next == &changes) {
            fair_queue& other = queues[1 - here];
            next->set_bound(here == 1, fair_queue::carry(next->virtual_time, queues[here].time(),
                                                         other.time()));
            CHECK(next->is_bound() == (here == 1));
            other.push(*next);
        } else {
            queues[here].push_again(*next);
        }
        if (turn >= 1ms) {
            turn = {};
            here = 1 - here;
        }
    }
    CHECK(share(changes, whole) == Approx(1. / 3).margin(0.05));
    CHECK(share(steady[0], whole) == Approx(1. / 3).margin(0.05));
}

TEST_CASE("fair queue: who waits for something after each poll pays like who is always ready",
          "[rt][schedule]") {
    fair_queue queue;
    entry waits;
    entry steady;
    queue.push(steady);
    queue.push(waits);
    std::chrono::nanoseconds whole{};
    for (int poll = 0; poll < 4000; ++poll) {
        auto* next = static_cast<entry*>(queue.pop());
        REQUIRE(next != nullptr);
        const std::chrono::nanoseconds took = next == &waits ? 5ms : 500us;
        next->ran += took;
        whole += took;
        fair_queue::charge(*next, took);
        // What it waits for is there at once.
        if (next == &waits) {
            queue.advance(took, fair_queue::weight_of(*next));
            queue.push(*next);
        } else {
            queue.push_again(*next);
            queue.advance(took);
        }
    }
    CHECK(share(waits, whole) == Approx(0.5).margin(0.05));
}

TEST_CASE("shared queue: who is woken before its run is told counts once", "[rt][schedule]") {
    using heph::rt::detail::shared_queue;
    constexpr std::uint64_t weights = 16;  // That of the highest priority.
    const std::uint64_t each = fair_queue::weight_of(entry());
    const bool woken_early = GENERATE(false, true);
    shared_queue queue;
    entry runs;
    entry waits;
    queue.push(runs);
    queue.push(waits);
    REQUIRE(queue.pop({}) == &runs);
    const std::uint64_t before = queue.time();
    queue.note_run(runs);
    if (woken_early) { queue.push(runs); }
    REQUIRE(queue.pop({1ms, each}) == &waits);
    // The two of them shared the time.
    CHECK(queue.time() - before == 1'000'000 * weights / (2 * each));
    // Who runs next is known again.
    const std::uint64_t later = queue.time();
    queue.note_run(waits);
    queue.advance({1ms, each});
    CHECK(queue.time() - later == 1'000'000 * weights / (woken_early ? 2 * each : each));
}

TEST_CASE("fair queue: who comes from another one is neither far ahead nor far behind",
          "[rt][schedule]") {
    constexpr std::uint64_t ms = 1'000'000;
    CHECK(fair_queue::carry(7 * ms, 5 * ms, 90 * ms) == 92 * ms);
    CHECK(fair_queue::carry(0, 5 * ms, 90 * ms) == 89 * ms);  // A new one, or one that slept.
    CHECK(fair_queue::carry(900 * ms, 5 * ms, 90 * ms) == 106 * ms);  // Its own had stood still.
    CHECK(fair_queue::carry(0, 90 * ms, fair_queue::first_time) == 1 * ms);
}

TEST_CASE("poll meter: quick polls share a window, and long ones get their own", "[rt][schedule]") {
    const std::chrono::steady_clock::time_point start(1h);
    poll_meter meter;
    meter.begin(start);
    entry one;
    entry other;
    std::size_t polls = 0;
    while (!meter.note(++polls % 2 == 0 ? one : other)) {}
    CHECK(polls == poll_meter::window_max);
    std::size_t charged = 0;
    const auto took =
        meter.close(start + 1600ns, [&](process_header&, std::chrono::nanoseconds ran) {
            ++charged;
            CHECK(ran == 800ns);
        });
    CHECK(took == 1600ns);
    CHECK(charged == 2);

    CHECK_FALSE(meter.note(one));
    (void)meter.close(start + 1600ns + 5ms, [](process_header&, std::chrono::nanoseconds) {});
    CHECK(meter.note(other));  // From now on, each by itself.
    (void)meter.close(start + 7ms, [&](process_header& whom, std::chrono::nanoseconds) {
        CHECK(&whom == &other);
    });
}

TEST_CASE("poll meter: a process that is gone is not charged", "[rt][schedule]") {
    const std::chrono::steady_clock::time_point start(1h);
    poll_meter meter;
    meter.begin(start);
    {
        entry gone;
        (void)meter.note(gone);
        (void)meter.note_finished(gone);
    }
    std::size_t charged = 0;
    (void)meter.close(start + 1us, [&](process_header&, std::chrono::nanoseconds) { ++charged; });
    CHECK(charged == 0);
}

TEST_CASE("idle spin: it looks only while others send soon", "[rt][schedule]") {
    idle_spin spin(50us);
    CHECK(spin.limit() == 0ns);
    for (int i = 0; i < 30; ++i) { spin.sent_after(2us); }
    CHECK(spin.limit() == 50us);
    for (int i = 0; i < 5; ++i) { spin.not_sent(); }
    CHECK(spin.limit() == 0ns);
    for (int i = 0; i < 100; ++i) { spin.sent_after(1ms); }
    CHECK(spin.limit() == 0ns);
    idle_spin never(0ns);
    for (int i = 0; i < 30; ++i) { never.sent_after(0ns); }
    CHECK(never.limit() == 0ns);
}

TEST_CASE("biased count: the last one is told, whichever thread it is on", "[rt][schedule]") {
    for (int round = 0; round < 200; ++round) {
        biased_count count;
        std::atomic<int> told{0};
        count.other_add();  // The other thread's, made by the owner.
        std::thread other([&] {
            for (int i = 0; i < 20; ++i) {
                count.other_add();
                if (count.other_drop()) { ++told; }
            }
            if (count.other_drop()) { ++told; }
        });
        for (int i = 0; i < 20; ++i) {
            count.owner_add();
            count.owner_drop();
        }
        if (count.merge()) { ++told; }
        other.join();
        REQUIRE(told == 1);
    }
}

TEST_CASE("scheduler: a program's own decides the order", "[rt][schedule]") {
    class last_first final : public heph::rt::scheduler {
    public:
        explicit last_first(std::atomic<int>* charges) : charges_(charges) {}
        void push(schedulable& ready) noexcept override {
            ready.next = top_;
            top_ = &ready;
        }
        schedulable* pop() noexcept override {
            schedulable* first = top_;
            if (first != nullptr) { top_ = first->next; }
            return first;
        }
        [[nodiscard]] bool empty() const noexcept override { return top_ == nullptr; }
        void charge(schedulable&, std::chrono::nanoseconds) noexcept override { ++*charges_; }

    private:
        schedulable* top_ = nullptr;
        std::atomic<int>* charges_;
    };
    std::atomic<int> charges{0};
    std::vector<int> order;
    auto settings = quiet_setup();
    settings.scheduler([&charges] { return std::make_unique<last_first>(&charges); });
    run_on_worker(settings, [&order](worker& worker) {
        for (int i = 0; i < 4; ++i) {
            worker.spawn_future([](std::vector<int>* ran, int self) -> task<> {
                ran->push_back(self);
                co_await yields(10);
            }(&order, i));
        }
    });
    CHECK(order == std::vector{3, 2, 1, 0});
    CHECK(charges > 0);
}

TEST_CASE("scheduler: one that cannot be made fails the start with its reason", "[rt][schedule]") {
    auto settings = quiet_setup();
    settings.threads(2).scheduler([]() -> std::unique_ptr<heph::rt::scheduler> {
        throw std::runtime_error("no order today");
    });
    auto runtime = settings.build();
    REQUIRE(runtime);
    const auto ended = runtime->start();
    REQUIRE_FALSE(ended);
    CHECK(ended.error().message().find("no order today") != std::string::npos);
}

TEST_CASE("worker: what is always ready holds neither timers nor others up", "[rt][schedule]") {
    bool over = false;
    run_on_worker(quiet_setup(), [&over](worker& worker) {
        for (int i = 0; i < 8; ++i) {
            worker.spawn_future([](const bool* ended) -> task<> {
                while (!*ended) { co_await heph::yield(); }
            }(&over));
        }
        worker.spawn_future([](bool* ended) -> task<> {
            co_await heph::rt::timer(5ms);
            *ended = true;
        }(&over));
    });
    CHECK(over);
}

TEST_CASE("worker: what a thread-safe future ran before does not hold it up among a worker's own",
          "[rt][schedule]") {
    std::atomic<bool> bound{false};
    std::atomic<bool> over{false};
    int turns = 0;
    auto runtime = quiet_setup().build();
    REQUIRE(runtime);
    runtime->shared().spawn_future([](std::atomic<bool>* waits, std::atomic<bool>* done) -> task<> {
        const auto until = std::chrono::steady_clock::now() + 300ms;
        while (std::chrono::steady_clock::now() < until) {}
        co_await heph::yield();
        waits->store(true);
        // Which binds it to its worker, and waits for no other thread.
        auto sockets = heph::rt::net::unix_stream::pair();
        REQUIRE(sockets);
        const auto sent = co_await sockets->first.send_all(heph::rt::buffer::copy_of("x"));
        CHECK(sent.has_value());
        done->store(true);
    }(&bound, &over));
    runtime->run_on_workers([&](worker& here) {
        here.spawn_future(
            [](std::atomic<bool>* waits, std::atomic<bool>* done, int* count) -> task<> {
                while (!done->load()) {
                    if (waits->load()) { ++*count; }
                    const auto until = std::chrono::steady_clock::now() + 100us;
                    while (std::chrono::steady_clock::now() < until) {}
                    co_await heph::yield();
                }
            }(&bound, &over, &turns));
    });
    const auto ended = runtime->start();
    REQUIRE(ended);
    CHECK(turns < 1000);  // 300 ms would be 3,000 of them.
}

TEST_CASE("scheduler: a program's own hears of bound thread-safe futures, too", "[rt][schedule]") {
    class in_order final : public heph::rt::scheduler {
    public:
        explicit in_order(std::atomic<int>* charges) : charges_(charges) {}
        void push(schedulable& ready) noexcept override {
            ready.next = nullptr;
            (first_ != nullptr ? last_->next : first_) = &ready;
            last_ = &ready;
        }
        schedulable* pop() noexcept override {
            return first_ != nullptr ? std::exchange(first_, first_->next) : nullptr;
        }
        [[nodiscard]] bool empty() const noexcept override { return first_ == nullptr; }
        void charge(schedulable&, std::chrono::nanoseconds) noexcept override { ++*charges_; }

    private:
        schedulable* first_ = nullptr;
        schedulable* last_ = nullptr;
        std::atomic<int>* charges_;
    };
    std::atomic<int> charges{0};
    auto runtime = quiet_setup()
                       .scheduler([&charges] { return std::make_unique<in_order>(&charges); })
                       .build();
    REQUIRE(runtime);
    runtime->shared().spawn_future([]() -> task<> {
        for (int i = 0; i < 3; ++i) {
            const auto opened = co_await heph::rt::fs::file::open("/dev/null");
            CHECK(opened.has_value());
        }
    }());
    const auto ended = runtime->start();
    REQUIRE(ended);
    CHECK(charges > 0);
}

TEST_CASE("worker: a long poll is logged with the actor's name", "[rt][schedule]") {
    long_polls = 0;
    named = false;
    const auto previous = heph::set_log_handler(&take_log);
    auto settings = quiet_setup();
    settings.warn_of_long_polls(20ms);
    run_on_worker(settings, [](worker& worker) {
        worker.spawn(heph::actor_options{.name = "dawdler"}, heph::no_supervisor(),
                     heph::actor_fn(+[](heph::rt::local_context<>) -> task<> {
                         co_await heph::yield();
                         const auto until = std::chrono::steady_clock::now() + 40ms;
                         while (std::chrono::steady_clock::now() < until) {}
                         co_await heph::yield();
                     }));
    });
    heph::set_log_handler(previous);
    CHECK(long_polls >= 1);
    CHECK(named);
}

TEST_CASE("worker: priorities of processes are seen by the scheduler", "[rt][schedule]") {
    class watches final : public heph::rt::scheduler {
    public:
        explicit watches(std::vector<priority>* seen) : seen_(seen) {}
        void push(schedulable& ready) noexcept override {
            seen_->push_back(ready.priority());
            queue_.push(ready);
        }
        schedulable* pop() noexcept override { return queue_.pop(); }
        [[nodiscard]] bool empty() const noexcept override { return queue_.empty(); }

    private:
        fair_queue queue_;
        std::vector<priority>* seen_;
    };
    std::vector<priority> seen;
    seen.reserve(64);
    auto settings = quiet_setup();
    settings.scheduler([&seen] { return std::make_unique<watches>(&seen); });
    run_on_worker(settings, [](worker& worker) {
        worker.spawn_future(yields(0), priority::low);
        worker.spawn(heph::rt::spawn_options({}, priority::high), heph::no_supervisor(),
                     heph::actor_fn(+[](heph::rt::local_context<>) -> task<> { co_return; }));
        worker.spawn_future(yields(0));
    });
    CHECK(seen == std::vector{priority::low, priority::high, priority::normal});
}

TEST_CASE("metrics: they count what workers do, and outlive the run", "[rt][schedule]") {
    auto settings = quiet_setup();
    auto runtime = settings.threads(2).build();
    REQUIRE(runtime);
    heph::rt::runtime_metrics within;
    runtime->run_on_workers([&within](worker& worker) {
        if (worker.index() != 0) { return; }
        worker.spawn_future(
            [](heph::rt::shared_runtime asked, heph::rt::runtime_metrics* seen) -> task<> {
                co_await yields(1000);
                heph::rt::timer later(1h);
                (void)later.poll(heph::waker());
                // On a slow machine a timer may be due before there is time to sleep.
                do {
                    co_await heph::rt::timer(2ms);
                    *seen = asked.metrics();
                } while (seen->workers[0].sleeps == 0);
            }(worker.shared(), &within));
    });
    CHECK(runtime->start());
    REQUIRE(within.workers.size() == 2);
    CHECK(within.workers[0].polls >= 1002);
    CHECK(within.workers[0].processes == 1);
    CHECK(within.workers[0].sleeps >= 1);
    CHECK(within.workers[0].uptime >= 2ms);
    CHECK(within.workers[0].cpu_time > 0ns);
    CHECK(within.workers[0].timers == 1);
    CHECK(within.workers[0].next_timer > std::chrono::minutes(50));
    const auto after = runtime->shared().metrics();
    CHECK(after.workers[0].polls >= within.workers[0].polls);
    CHECK(after.workers[0].cpu_time == 0ns);
}
