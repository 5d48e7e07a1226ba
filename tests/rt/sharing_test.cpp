// Thread-safe processes between workers: who runs them, and that wakes are neither lost nor races.

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::worker;
using heph::test::quiet_setup;

namespace {

constexpr auto patience = 10s;  // For what is expected to happen at once.

// Waits on a plain thread, or on a worker that is to be busy. Gives whether it happened.
template <typename Condition>
bool spin_until(Condition happened) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!happened()) {
        if (std::chrono::steady_clock::now() > until) { return false; }
        std::this_thread::yield();
    }
    return true;
}

// Lets threads wake one task. Ready once set, until it is taken.
class event {
public:
    void set() {
        set_.store(true, std::memory_order_release);
        heph::waker waiting;
        {
            const std::lock_guard lock(mutex_);
            waiting = waiting_;
        }
        waiting.wake();
    }

    class wait_future {
    public:
        using value_type = void;
        explicit wait_future(event& source) noexcept : source_(&source) {}
        heph::polled<void> poll(const heph::waker& waker) {
            {
                const std::lock_guard lock(source_->mutex_);
                source_->waiting_ = waker;
            }
            if (source_->set_.exchange(false, std::memory_order_acq_rel)) { return heph::ready; }
            return heph::pending;
        }

    private:
        event* source_;
    };
    wait_future wait() noexcept { return wait_future(*this); }

private:
    std::atomic<bool> set_{false};
    std::mutex mutex_;
    heph::waker waiting_;
};

// What the test of the busy worker shares.
struct meeting {
    std::atomic<std::thread::id> parked_on{};
    std::atomic<std::thread::id> ran_on{};
    std::atomic<bool> blocking{false};
    std::atomic<bool> ran_meanwhile{false};
    event wake;
    std::array<event, 2> begin;
};

task<> park_and_run(meeting* here) {
    here->parked_on = std::this_thread::get_id();
    co_await here->wake.wait();
    here->ran_on = std::this_thread::get_id();
}

task<> block_where_it_parked(meeting* here, std::size_t index) {
    co_await here->begin[index].wait();
    if (here->parked_on.load() != std::this_thread::get_id()) { co_return; }
    here->blocking = true;
    here->ran_meanwhile = spin_until([&] { return here->ran_on.load() != std::thread::id(); });
}

// As above, while it keeps a timer that has fired.
task<> park_with_a_fired_timer(meeting* here) {
    heph::rt::timer fired(1ms);
    auto first = heph::either(fired, here->wake.wait());
    (void)co_await first;
    co_await park_and_run(here);
}

// Parks a thread-safe process, makes the worker it was last on busy, and wakes it.
void check_that_an_idle_worker_runs(task<> (*park)(meeting*)) {
    meeting here;
    auto runtime = quiet_setup().threads(2).build();
    REQUIRE(runtime);
    runtime->shared().spawn_future(park(&here));
    runtime->run_on_workers([&here](worker& worker) {
        worker.spawn_future(block_where_it_parked(&here, worker.index()));
    });
    std::atomic<bool> in_time{false};
    std::jthread outside([&] {
        if (!spin_until([&] { return here.parked_on.load() != std::thread::id(); })) { return; }
        here.begin[0].set();
        here.begin[1].set();
        if (!spin_until([&] { return here.blocking.load(); })) { return; }
        in_time = true;  // Before: all may have ended right after.
        here.wake.set();
    });
    CHECK(runtime->start());
    CHECK(in_time);
    CHECK(here.ran_meanwhile);
    CHECK(here.ran_on.load() != here.parked_on.load());
}

}  // namespace

TEST_CASE("sharing: an idle worker runs what is woken while the worker it last ran on is busy",
          "[rt][sharing]") {
    check_that_an_idle_worker_runs(park_and_run);
}

TEST_CASE("sharing: a timer that has fired does not hold a process to its worker",
          "[rt][sharing]") {
    check_that_an_idle_worker_runs(park_with_a_fired_timer);
}

TEST_CASE("sharing: processes woken by other threads while a stop is announced run to their end",
          "[rt][sharing]") {
    constexpr std::size_t processes = 32;
    for (int round = 0; round < 20; ++round) {
        std::vector<event> events(processes);
        std::atomic<std::size_t> woken{0};
        std::atomic<std::size_t> ended{0};
        auto runtime = quiet_setup().threads(2).build();
        REQUIRE(runtime);
        for (event& each : events) {
            runtime->shared().spawn_future([](event* mine, std::atomic<std::size_t>* polls,
                                              std::atomic<std::size_t>* count) -> task<> {
                heph::rt::stopping stop;
                for (bool stopped = false; !stopped;) {
                    auto first = heph::either(stop, mine->wait());
                    const auto event = co_await first;
                    stopped = event.index() == 0;
                    polls->fetch_add(1, std::memory_order_relaxed);
                }
                ++*count;
            }(&each, &woken, &ended));
        }
        std::jthread outside([&, shared = runtime->shared()](std::stop_token end) {
            while (!end.stop_requested()) {
                for (event& each : events) { each.set(); }
                if (woken.load(std::memory_order_relaxed) > 10 * processes) {
                    shared.request_stop();
                }
            }
        });
        CHECK(runtime->start());
        outside.request_stop();
        outside.join();
        CHECK(ended == processes);
    }
}

TEST_CASE("sharing: what other threads spawn while the runtime ends runs or is dropped",
          "[rt][sharing]") {
    class counted {
    public:
        explicit counted(std::atomic<int>& alive) noexcept : alive_(&alive) { ++*alive_; }
        counted(counted&& other) noexcept : alive_(std::exchange(other.alive_, nullptr)) {}
        counted& operator=(counted&&) = delete;
        ~counted() {
            if (alive_ != nullptr) { --*alive_; }
        }

    private:
        std::atomic<int>* alive_;
    };
    for (int round = 0; round < 12; ++round) {
        std::atomic<int> alive{0};
        std::atomic<int> spawned{0};
        auto runtime = quiet_setup().threads(2).stop_grace(1ms).build();
        REQUIRE(runtime);
        const auto body = [&, shared = runtime->shared()](const std::stop_token& end) mutable {
            while (!end.stop_requested()) {
                shared.spawn_future([](counted, bool waits) -> task<> {
                    co_await heph::yield();
                    if (waits) { co_await heph::rt::timer(1h); }
                }(counted(alive), spawned % 3 == 0));
                if (++spawned == 200) { shared.request_stop(); }
            }
        };
        std::jthread first(body);
        std::jthread second(body);
        if (round % 2 == 0) {
            CHECK(spin_until([&] { return spawned.load() > 10; }));
        }
        CHECK(runtime->start());
        first.request_stop();
        second.request_stop();
        first.join();
        second.join();
        CHECK(alive == 0);
    }
}
