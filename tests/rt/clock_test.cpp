#include <poll.h>

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/core/testing/virtual_clock.hpp>
#include <heph/core/yield.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::idle_time;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using heph::testing::virtual_clock;

namespace {

using time_point = heph::rt::clock::time_point;

heph::rt::setup by(const virtual_clock& clock, std::size_t threads = 1) {
    return quiet_setup().threads(threads).clock(clock, idle_time::advances);
}

task<> sleeps(std::vector<std::chrono::milliseconds> naps, std::vector<time_point>* woken) {
    for (const auto nap : naps) {
        co_await heph::rt::timer(nap);
        woken->push_back(heph::rt::clock::now());
    }
}

// A clock without a way to its next timer.
class bare_clock {
public:
    [[nodiscard]] heph::steady_time now() const noexcept { return inner_.now(); }
    [[nodiscard]] auto timer_at(heph::steady_time when) const noexcept {
        return inner_.timer_at(when);
    }

private:
    virtual_clock inner_;
};

}  // namespace

TEST_CASE("clock: a day of timers passes at once on a clock that advances, to the millisecond",
          "[rt][clock]") {
    virtual_clock clock;
    const auto start = clock.now();
    std::vector<time_point> woken;
    run_on_worker(by(clock), [&](heph::rt::worker& worker) {
        worker.spawn_future(sleeps({1ms, 5s, 24h}, &woken));
    });
    CHECK(woken == std::vector<time_point>{start + 1ms, start + 5s + 1ms, start + 24h + 5s + 1ms});
}

TEST_CASE("clock: a deadline of an hour passes at once, and what is ready before it wins",
          "[rt][clock]") {
    virtual_clock clock;
    int passed = 0;
    int in_time = 0;
    run_on_worker(by(clock), [&](heph::rt::worker& worker) {
        worker.spawn_future([](int* late, int* early) -> task<> {
            auto too_long = heph::rt::deadline(1h, heph::rt::timer(2h));
            const auto first = co_await too_long;
            if (!first) { ++*late; }
            auto short_enough = heph::rt::deadline(2h, heph::rt::timer(1h));
            const auto second = co_await short_enough;
            if (second) { ++*early; }
        }(&passed, &in_time));
    });
    CHECK(passed == 1);
    CHECK(in_time == 1);
}

TEST_CASE("clock: it advances only while no worker has anything to do", "[rt][clock]") {
    virtual_clock clock;
    // Each worker's actors sleep by their own steps; whoever wakes has to see its own time.
    std::atomic<int> wrong{0};
    std::atomic<int> done{0};
    auto runtime = by(clock, 3).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        for (int i = 1; i <= 3; ++i) {
            const auto nap = std::chrono::milliseconds(static_cast<int>(worker.index()) + 7 * i);
            worker.spawn_future([](std::chrono::milliseconds step, std::atomic<int>* bad,
                                   std::atomic<int>* ended) -> task<> {
                for (int round = 0; round < 20; ++round) {
                    const auto before = heph::rt::clock::now();
                    co_await heph::rt::timer(step);
                    if (heph::rt::clock::now() - before != step) { bad->fetch_add(1); }
                }
                ended->fetch_add(1);
            }(nap, &wrong, &done));
        }
    });
    const auto ended = runtime->start();
    REQUIRE(ended);
    CHECK(done == 9);
    CHECK(wrong == 0);
}

TEST_CASE("clock: data that is on its way over loopback comes before a time-out of an hour",
          "[rt][clock]") {
    virtual_clock clock;
    std::size_t received = 0;
    run_on_worker(by(clock), [&](heph::rt::worker& worker) {
        worker.spawn_future([](std::size_t* bytes) -> task<> {
            auto listener = heph::rt::net::tcp_listener::bind(heph::rt::net::endpoint::loopback(0));
            if (!listener) { co_return; }
            const auto at = listener->local_endpoint();
            if (!at) { co_return; }
            auto client = co_await heph::rt::net::tcp_stream::connect(*at);
            auto server = co_await listener->accept();
            if (!client || !server) { co_return; }
            const std::string_view text = "hello";
            auto sent = co_await client->send_all(heph::rt::buffer::copy_of(text));
            if (!sent) { co_return; }
            // The kernel may take its time; from here on it is the runtime's to see.
            pollfd arrives{server->descriptor(), POLLIN, 0};
            if (::poll(&arrives, 1, -1) != 1) { co_return; }
            auto bounded =
                heph::rt::deadline(1h, server->recv(heph::rt::buffer::with_capacity(16)));
            auto got = co_await bounded;
            if (got && *got) { *bytes = (*got)->size(); }
        }(&received));
    });
    CHECK(received == 5);
}

TEST_CASE("clock: one that stands still is moved by the test, from another thread", "[rt][clock]") {
    virtual_clock clock;
    std::atomic<int> woken{0};
    auto runtime = quiet_setup().threads(2).clock(clock).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&woken](heph::rt::worker& worker) {
        worker.spawn_future([](std::atomic<int>* count) -> task<> {
            for (int i = 0; i < 50; ++i) { co_await heph::rt::timer(10min); }
            count->fetch_add(1);
        }(&woken));
    });
    std::thread mover([&clock, &woken] {
        const auto until = std::chrono::steady_clock::now() + 20s;
        while (woken.load() != 2 && std::chrono::steady_clock::now() < until) {
            clock.advance(1min);
            std::this_thread::yield();
        }
    });
    const auto ended = runtime->start();
    mover.join();
    REQUIRE(ended);
    CHECK(woken == 2);
}

TEST_CASE("clock: a jump of ten years fires every timer once, and those after it keep their time",
          "[rt][clock]") {
    virtual_clock clock;
    const auto start = clock.now();
    std::vector<time_point> woken;
    run_on_worker(by(clock), [&](heph::rt::worker& worker) {
        for (int i = 1; i <= 20; ++i) {
            worker.spawn_future(sleeps({std::chrono::seconds(i)}, &woken));
        }
        worker.spawn_future([](virtual_clock jumping, std::vector<time_point>* times) -> task<> {
            co_await heph::rt::timer(500ms);
            jumping.advance(std::chrono::hours(24 * 3652));
            co_await heph::rt::timer(3ms);
            times->push_back(heph::rt::clock::now());
        }(clock, &woken));
    });
    REQUIRE(woken.size() == 21);
    const auto jumped = start + 500ms + std::chrono::hours(24 * 3652);
    for (std::size_t i = 0; i < 20; ++i) { CHECK(woken[i] == jumped); }
    CHECK(woken[20] == jumped + 3ms);
}

TEST_CASE("clock: a timer that the program made due is not late by another worker's next timer",
          "[rt][clock]") {
    virtual_clock clock;
    const auto start = clock.now();
    std::vector<time_point> woken;
    auto runtime = by(clock, 2).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        if (worker.index() == 1) {
            worker.spawn_future([]() -> task<> { co_await heph::rt::timer(3h); }());
            return;
        }
        worker.spawn_future(sleeps({30min}, &woken));
        worker.spawn_future([](virtual_clock moved) -> task<> {
            co_await heph::rt::timer(1ms);
            moved.advance(1h);
        }(clock));
    });
    const auto ended = runtime->start();
    REQUIRE(ended);
    CHECK(woken == std::vector<time_point>{start + 1h + 1ms});
}

TEST_CASE("clock: what workers send each other comes before a time-out of an hour", "[rt][clock]") {
    virtual_clock clock;
    std::atomic<int> answered{0};
    auto runtime = by(clock, 3).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        auto [to, from] = heph::inbox::channel<int>(1);
        worker.shared().spawn_future([](heph::inbox::sender<int> back) -> task<> {
            for (int i = 0; i < 100; ++i) {
                auto sending = back.send(i);
                const auto sent = co_await sending;
                if (!sent) { co_return; }
                co_await heph::yield();
            }
        }(std::move(to)));
        worker.spawn_future([](heph::inbox::receiver<int> in, std::atomic<int>* count) -> task<> {
            for (int i = 0; i < 100; ++i) {
                auto bounded = heph::rt::deadline(1h, in.recv());
                const auto got = co_await bounded;
                if (got && *got) { count->fetch_add(1); }
            }
        }(std::move(from), &answered));
    });
    const auto ended = runtime->start();
    REQUIRE(ended);
    CHECK(answered == 300);
}

TEST_CASE("clock: one that cannot go to its next timer is refused where it has to advance",
          "[rt][clock]") {
    const auto refused = quiet_setup().clock(bare_clock(), idle_time::advances).build();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message().find("advance_to_next") != std::string::npos);
    CHECK(quiet_setup().clock(bare_clock()).build());
}

TEST_CASE("clock: outside of workers it is the steady clock", "[rt][clock]") {
    const auto before = std::chrono::steady_clock::now();
    const auto now = heph::rt::clock::now();
    CHECK(before <= now);
    CHECK(now <= std::chrono::steady_clock::now());
}
