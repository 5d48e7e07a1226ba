#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include <heph/core/either.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::setup;
using heph::rt::worker;
using heph::test::open_descriptors;
using heph::test::quiet_setup;
using heph::test::run_on_worker;

namespace {

// Lets threads wake a task. Ready once for each `set`.
class event {
public:
    void set() {
        heph::waker waiting;
        {
            const std::lock_guard lock(mutex_);
            ++count_;
            waiting = std::move(waiting_);
        }
        waiting.wake();
    }

    class wait_future {
    public:
        using value_type = void;
        explicit wait_future(event& source) noexcept : source_(&source) {}
        heph::polled<void> poll(const heph::waker& waker) {
            const std::lock_guard lock(source_->mutex_);
            if (source_->count_ != 0) {
                --source_->count_;
                return heph::ready;
            }
            source_->waiting_ = waker;
            return heph::pending;
        }

    private:
        event* source_;
    };
    wait_future wait() noexcept { return wait_future(*this); }

private:
    std::mutex mutex_;
    int count_ = 0;
    heph::waker waiting_;
};

class yield_once {
public:
    using value_type = void;
    yield_once() noexcept = default;
    heph::polled<void> poll(const heph::waker& waker) {
        if (std::exchange(yielded_, true)) { return heph::ready; }
        waker.wake();
        return heph::pending;
    }

private:
    bool yielded_ = false;
};

// Counts how many of its kind are alive.
class counted {
public:
    explicit counted(std::atomic<int>& alive) : alive_(&alive) { ++*alive_; }
    counted(counted&& other) noexcept : alive_(std::exchange(other.alive_, nullptr)) {}
    counted& operator=(counted&&) = delete;
    ~counted() {
        if (alive_ != nullptr) { --*alive_; }
    }

private:
    std::atomic<int>* alive_;
};

task<> wait_for_ever(counted, event* never) { co_await never->wait(); }

}  // namespace

TEST_CASE("runtime: settings out of range are refused with a reason", "[rt][runtime]") {
    const auto message_of = [](const setup& settings) {
        const auto built = settings.build();
        return built ? std::string() : built.error().message();
    };
    CHECK(message_of(setup{}.threads(0)) == "threads must be 1 to 256, not 0");
    CHECK(message_of(setup{}.threads(257)) == "threads must be 1 to 256, not 257");
    CHECK(message_of(setup{}.ring_entries(7)) == "ring entries must be 8 to 32768, not 7");
    CHECK(message_of(setup{}.receive_buffers(24, 4096)) ==
          "the number of receive buffers must be a power of two, not 24");
    CHECK(message_of(setup{}.receive_buffers(32, 100)) ==
          "receive buffer bytes must be 256 to 65536, not 100");
    CHECK(message_of(setup{}.name("")) == "the runtime's name must not be empty");
    CHECK(message_of(setup{}.stop_grace(-1ms)) == "the grace time of a stop must not be negative");
    CHECK(message_of(setup{}).empty());
}

TEST_CASE("runtime: without anything to run it ends at once", "[rt][runtime]") {
    auto runtime = quiet_setup().threads(3).build();
    REQUIRE(runtime);
    CHECK(runtime->start());
}

TEST_CASE("runtime: set-up functions run on each worker, in order", "[rt][runtime]") {
    std::mutex mutex;
    std::set<std::size_t> indices;
    std::set<std::thread::id> threads;
    std::atomic<int> second_after_first{0};
    auto runtime = quiet_setup().threads(3).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](worker& worker) {
        const std::lock_guard lock(mutex);
        indices.insert(worker.index());
        threads.insert(std::this_thread::get_id());
    });
    runtime->run_on_workers([&](worker& worker) {
        const std::lock_guard lock(mutex);
        if (indices.contains(worker.index()) && worker.worker_count() == 3) {
            ++second_after_first;
        }
    });
    CHECK(runtime->start());
    CHECK(indices == std::set<std::size_t>{0, 1, 2});
    CHECK(threads.size() == 3);
    CHECK_FALSE(threads.contains(std::this_thread::get_id()));
    CHECK(second_after_first == 3);
}

TEST_CASE("runtime: a set-up function that throws makes start fail, and nothing is left",
          "[rt][runtime]") {
    std::atomic<int> alive{0};
    event never;
    auto runtime = quiet_setup().threads(2).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](worker& worker) {
        worker.spawn_future(wait_for_ever(counted(alive), &never));
        if (worker.index() == 1) { throw std::runtime_error("no such luck"); }
    });
    const auto ended = runtime->start();
    REQUIRE_FALSE(ended);
    CHECK_THAT(ended.error().message(), Catch::Contains("no such luck"));
    CHECK(alive == 0);
}

TEST_CASE("runtime: a future that throws is dropped, the others go on", "[rt][runtime]") {
    bool done = false;
    run_on_worker(quiet_setup(), [&done](worker& worker) {
        worker.spawn_future([]() -> task<> {
            co_await yield_once();
            throw std::runtime_error("expected by this test");
        }());
        worker.spawn_future([](bool* finished) -> task<> {
            co_await heph::rt::timer(2ms);
            *finished = true;
        }(&done));
    });
    CHECK(done);
}

TEST_CASE("runtime: other threads wake a task, again and again", "[rt][runtime]") {
    event wake;
    event answer;
    std::atomic<int> answered{0};
    std::jthread waker_thread([&] {
        for (int i = 0; i < 2000; ++i) {
            wake.set();
            while (answered.load() <= i) { std::this_thread::yield(); }
        }
    });
    run_on_worker(quiet_setup(), [&](worker& worker) {
        worker.spawn_future([](event* from, std::atomic<int>* count) -> task<> {
            for (int i = 0; i < 2000; ++i) {
                co_await from->wait();
                ++*count;
            }
        }(&wake, &answered));
    });
    CHECK(answered == 2000);
}

TEST_CASE("runtime: workers wake each other", "[rt][runtime]") {
    event ping;
    event pong;
    int rounds = 0;
    auto runtime = quiet_setup().threads(2).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](worker& worker) {
        if (worker.index() == 0) {
            worker.spawn_future([](event* out, event* in) -> task<> {
                for (int i = 0; i < 2000; ++i) {
                    out->set();
                    co_await in->wait();
                }
            }(&ping, &pong));
        } else {
            worker.spawn_future([](event* in, event* out, int* count) -> task<> {
                for (int i = 0; i < 2000; ++i) {
                    co_await in->wait();
                    ++*count;
                    out->set();
                }
            }(&ping, &pong, &rounds));
        }
    });
    CHECK(runtime->start());
    CHECK(rounds == 2000);
}

TEST_CASE("runtime: a thread-safe process is never polled by two workers at once",
          "[rt][runtime]") {
    constexpr int processes = 16;
    constexpr int steps = 300;
    std::atomic<bool> overlapped{false};
    std::atomic<int> finished{0};
    std::vector<event> events(processes);
    auto runtime = quiet_setup().threads(3).build();
    REQUIRE(runtime);
    for (int i = 0; i < processes; ++i) {
        runtime->shared().spawn_future([](std::vector<event>* all, int self,
                                          std::atomic<bool>* clash,
                                          std::atomic<int>* done) -> task<> {
            int inside = 0;
            for (int step = 0; step < steps; ++step) {
                if (++inside != 1) { *clash = true; }
                --inside;
                (*all)[static_cast<std::size_t>((self + 1) % processes)].set();
                if (step % 3 == 0) { co_await yield_once(); }
                if (step % 50 == 0) { co_await heph::rt::timer(1ms); }
                co_await (*all)[static_cast<std::size_t>(self)].wait();
            }
            ++*done;
        }(&events, i, &overlapped, &finished));
    }
    CHECK(runtime->start());
    CHECK_FALSE(overlapped);
    CHECK(finished == processes);
}

TEST_CASE("runtime: request_stop completes stopping on every worker", "[rt][runtime]") {
    std::atomic<int> stopped{0};
    auto runtime = quiet_setup().threads(3).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](worker& worker) {
        for (int i = 0; i < 5; ++i) {
            worker.spawn_future([](std::atomic<int>* count) -> task<> {
                co_await heph::rt::stopping();
                const bool asked = heph::rt::stop_requested();
                co_await heph::rt::stopping();
                if (asked) { ++*count; }
            }(&stopped));
        }
        if (worker.index() == 2) {
            worker.spawn_future([](heph::rt::worker here) -> task<> {
                co_await heph::rt::timer(5ms);
                here.request_stop();
            }(worker));
        }
    });
    CHECK(runtime->start());
    CHECK(stopped == 15);
}

TEST_CASE("runtime: what outlasts the grace time of a stop is dropped", "[rt][runtime]") {
    std::atomic<int> alive{0};
    event never;
    auto runtime = quiet_setup().threads(2).stop_grace(20ms).build();
    REQUIRE(runtime);
    runtime->shared().spawn_future(wait_for_ever(counted(alive), &never));
    runtime->run_on_workers([&](worker& worker) {
        worker.spawn_future(wait_for_ever(counted(alive), &never));
        worker.spawn_future([](counted, heph::rt::worker here) -> task<> {
            here.request_stop();
            co_await heph::rt::timer(1h);
        }(counted(alive), worker));
    });
    CHECK(runtime->start());
    CHECK(alive == 0);
    never.set();  // A waker may outlive its process and its runtime.
}

TEST_CASE("runtime: the longest grace time there is does not overflow", "[rt][runtime]") {
    bool finished = false;
    auto settings = quiet_setup();
    settings.stop_grace(std::chrono::milliseconds::max());
    run_on_worker(settings, [&finished](worker& worker) {
        worker.spawn_future([](heph::rt::worker here, bool* done) -> task<> {
            here.request_stop();
            co_await heph::rt::timer(20ms);
            *done = true;
        }(worker, &finished));
    });
    CHECK(finished);
}

TEST_CASE("runtime: it is not started twice, and says so", "[rt][runtime][regression]") {
    std::atomic<int> alive{0};
    event never;
    auto runtime = quiet_setup().build();
    REQUIRE(runtime);
    CHECK(runtime->start());
    runtime->run_on_workers(
        [&](worker& worker) { worker.spawn_future(wait_for_ever(counted(alive), &never)); });
    const auto again = runtime->start();
    REQUIRE_FALSE(again);
    CHECK(again.error().code() == std::errc::operation_not_permitted);
    CHECK_THAT(again.error().message(), Catch::Contains("started before"));
    CHECK(alive == 0);
}

TEST_CASE("runtime: what is spawned on a runtime that has ended is dropped", "[rt][runtime]") {
    std::atomic<int> alive{0};
    event never;
    auto runtime = quiet_setup().build();
    REQUIRE(runtime);
    auto shared = runtime->shared();
    CHECK(runtime->start());
    shared.spawn_future(wait_for_ever(counted(alive), &never));
    CHECK(alive == 0);
}

TEST_CASE("runtime: starting and ending it many times leaks no descriptors", "[rt][runtime]") {
    const auto before = open_descriptors();
    for (int i = 0; i < 50; ++i) {
        run_on_worker(quiet_setup(), [](worker& worker) {
            worker.spawn_future([]() -> task<> { co_await heph::rt::timer(0ms); }());
        });
    }
    CHECK(open_descriptors() == before);
}
