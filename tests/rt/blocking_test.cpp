#include <catch2/catch.hpp>

#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <heph/core/yield.hpp>
#include <heph/rt/blocking.hpp>
#include <heph/rt/fs/paths.hpp>

#include "on_runtime.hpp"
#include "worker_core.hpp"

namespace {

using namespace std::chrono_literals;
using heph::task;
using heph::rt::spawn_blocking;
using heph::rt::worker;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using heph::test::run_task;

// Holds functions on the pool's threads up until it is opened.
class gate {
public:
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    void pass() {
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
    }
    void await_waiting(int count) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this, count] { return waiting_ >= count; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
    int waiting_ = 0;
};

task<> call_gate(std::shared_ptr<gate> which, std::atomic<int>* ran) {
    auto passing = spawn_blocking([which, ran] {
        which->pass();
        ++*ran;
    });
    co_await std::move(passing);
}

}  // namespace

TEST_CASE("spawn_blocking: gives the function's value, from a thread of the pool's name",
          "[rt][blocking]") {
    std::string name;
    bool elsewhere = false;
    run_task([&]() -> task<> {
        return [](std::string* thread_name, bool* other) -> task<> {
            const auto here = std::this_thread::get_id();
            auto made = spawn_blocking([here, other] {
                *other = std::this_thread::get_id() != here;
                std::array<char, 16> text{};
                pthread_getname_np(pthread_self(), text.data(), text.size());
                return std::make_unique<std::string>(text.data());
            });
            const auto value = co_await std::move(made);
            *thread_name = *value;
        }(&name, &elsewhere);
    });
    CHECK(elsewhere);
    CHECK(name == "test-b");
}

TEST_CASE("spawn_blocking: an exception of the function leaves the await", "[rt][blocking]") {
    std::string caught;
    run_task([&]() -> task<> {
        return [](std::string* what) -> task<> {
            try {
                co_await spawn_blocking([] { throw std::runtime_error("no disk"); });
            } catch (const std::runtime_error& thrown) { *what = thrown.what(); }
        }(&caught);
    });
    CHECK(caught == "no disk");
}

TEST_CASE("spawn_blocking: outside of a worker it is refused", "[rt][blocking]") {
    auto call = spawn_blocking([] { return 1; });
    CHECK_THROWS_AS(call.poll(heph::waker()), std::system_error);
}

TEST_CASE("spawn_blocking: no more threads than allowed, and all calls get their turn",
          "[rt][blocking]") {
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    std::atomic<int> ran{0};
    auto settings = quiet_setup();
    settings.blocking_threads(3);
    run_on_worker(settings, [&](worker& worker) {
        for (int i = 0; i < 200; ++i) {
            worker.spawn_future([](std::atomic<int>* now, std::atomic<int>* peak,
                                   std::atomic<int>* done) -> task<> {
                co_await spawn_blocking([=] {
                    const int count = ++*now;
                    for (int seen = *peak; seen < count;) {
                        if (peak->compare_exchange_weak(seen, count)) { break; }
                    }
                    std::this_thread::yield();
                    --*now;
                    ++*done;
                });
            }(&running, &most, &ran));
        }
    });
    CHECK(ran == 200);
    CHECK(most <= 3);
}

TEST_CASE("spawn_blocking: a dropped call that has not begun never runs", "[rt][blocking]") {
    std::atomic<int> ran{0};
    const auto closed = std::make_shared<gate>();
    auto settings = quiet_setup();
    settings.blocking_threads(1);
    run_on_worker(settings, [&](worker& worker) {
        worker.spawn_future(call_gate(closed, &ran));
        worker.spawn_future(
            [](std::shared_ptr<gate> open_later, std::atomic<int>* count) -> task<> {
                open_later->await_waiting(1);
                {
                    auto never = spawn_blocking([count] { *count += 100; });
                    (void)never.poll(heph::waker());
                }
                open_later->open();
                co_return;
            }(closed, &ran));
    });
    CHECK(ran == 1);
}

TEST_CASE("spawn_blocking: a dropped call that runs is waited for at the runtime's end",
          "[rt][blocking]") {
    std::atomic<int> ran{0};
    const auto closed = std::make_shared<gate>();
    auto settings = quiet_setup();
    std::thread opener;
    run_on_worker(settings, [&](worker& worker) {
        worker.spawn_future(
            [](std::shared_ptr<gate> one, std::atomic<int>* count, std::thread* opens) -> task<> {
                std::optional<task<>> call(call_gate(one, count));
                (void)call->poll(heph::waker());
                one->await_waiting(1);
                call.reset();
                *opens = std::thread([one] { one->open(); });
                co_return;
            }(closed, &ran, &opener));
    });
    CHECK(ran == 1);
    opener.join();
}

TEST_CASE("spawn_blocking: other processes run meanwhile", "[rt][blocking]") {
    const auto closed = std::make_shared<gate>();
    std::atomic<int> ran{0};
    run_on_worker(quiet_setup(), [&](worker& worker) {
        worker.spawn_future(call_gate(closed, &ran));
        worker.spawn_future([](std::shared_ptr<gate> which) -> task<> {
            for (int i = 0; i < 100; ++i) { co_await heph::yield(); }
            which->open();
        }(closed));
    });
    CHECK(ran == 1);
}

TEST_CASE(
    "spawn_blocking: a function may use every CPU of the process, also when its worker is pinned",
    "[rt][blocking]") {
    cpu_set_t expected;
    CPU_ZERO(&expected);
    REQUIRE(pthread_getaffinity_np(pthread_self(), sizeof(expected), &expected) == 0);
    auto on_worker = std::make_shared<cpu_set_t>();
    auto in_pool = std::make_shared<cpu_set_t>();
    run_task(quiet_setup().cpu_affinity(), [on_worker, in_pool] {
        return [](std::shared_ptr<cpu_set_t> pinned, std::shared_ptr<cpu_set_t> free) -> task<> {
            (void)pthread_getaffinity_np(pthread_self(), sizeof(*pinned), pinned.get());
            auto asking = spawn_blocking([free] {
                (void)pthread_getaffinity_np(pthread_self(), sizeof(*free), free.get());
            });
            co_await asking;
        }(on_worker, in_pool);
    });
    CHECK(CPU_COUNT(on_worker.get()) == 1);
    CHECK(CPU_EQUAL(in_pool.get(), &expected));
}

TEST_CASE(
    "blocking jobs: a file's thread may use every CPU of the process, also when its worker is "
    "pinned",
    "[rt][blocking][file]") {
    const auto cpus_of = [](std::string_view status) {
        constexpr std::string_view name = "Cpus_allowed:";
        const std::size_t at = status.find(name);
        REQUIRE(at != std::string_view::npos);
        return std::string(status.substr(at, status.find('\n', at) - at));
    };
    // The status of the thread that reads it.
    const char* const path = "/proc/thread-self/status";
    std::stringstream here;
    here << std::ifstream(path).rdbuf();
    auto text = std::make_shared<std::string>();
    run_task(quiet_setup().cpu_affinity(), [path, text] {
        return [](const char* from, std::shared_ptr<std::string> out) -> task<> {
            auto read = co_await heph::rt::fs::read_file(from, 100'000);
            REQUIRE(read);
            *out = read->view();
        }(path, text);
    });
    CHECK(cpus_of(*text) == cpus_of(here.str()));
}

TEST_CASE(
    "blocking jobs: a worker does not take their ends for messages, and look for more of them",
    "[rt][blocking][file]") {
    std::chrono::steady_clock::time_point woken(1h);
    run_task([&woken]() -> task<> {
        return [](std::chrono::steady_clock::time_point* out) -> task<> {
            for (int i = 0; i < 20; ++i) {
                const auto read = co_await heph::rt::fs::read_file("/proc/self/status", 100'000);
                REQUIRE(read);
            }
            *out = heph::rt::detail::current_worker()->link().woken_at();
        }(&woken);
    });
    CHECK(woken.time_since_epoch().count() == 0);
}
