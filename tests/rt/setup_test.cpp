// What setup refuses, several runtimes at once, and what many starts leave behind.

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/supervisor.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/blocking.hpp>

#include "on_runtime.hpp"
#include "support/sanitized.hpp"

namespace {

using namespace std::chrono_literals;
using heph::task;
using heph::rt::setup;
using heph::rt::worker;
using heph::test::quiet_setup;

std::ptrdiff_t entries_of(const char* folder) {
    return std::distance(std::filesystem::directory_iterator(folder),
                         std::filesystem::directory_iterator());
}

// Resident memory, in pages.
long resident_pages() {
    std::FILE* file = std::fopen("/proc/self/statm", "r");
    REQUIRE(file != nullptr);
    long total = 0;
    long resident = 0;
    const int read = std::fscanf(file, "%ld %ld", &total, &resident);
    (void)std::fclose(file);
    REQUIRE(read == 2);
    return resident;
}

void start_once(std::size_t threads) {
    auto settings = quiet_setup();
    auto runtime = settings.threads(threads).ring_entries(8).receive_buffers(8, 256).build();
    REQUIRE(runtime);
    std::atomic<int> ran{0};
    runtime->run_on_workers([&ran](worker& worker) {
        worker.spawn_future([](std::atomic<int>* count) -> task<> {
            co_await heph::yield();
            ++*count;
        }(&ran));
    });
    const auto ended = runtime->start();
    REQUIRE(ended);
    REQUIRE(ran == static_cast<int>(threads));
}

}  // namespace

TEST_CASE("setup: each setting out of its range is refused by name", "[rt][setup]") {
    struct wrong {
        std::function<void(setup&)> set;
        const char* says;
    };
    const std::vector<wrong> all{
        {[](setup& one) { one.polls_per_turn(0); }, "polls per turn"},
        {[](setup& one) { one.polls_per_turn(1'000'001); }, "polls per turn"},
        {[](setup& one) { one.run_time_max(0ns); }, "run time of a turn"},
        {[](setup& one) { one.run_time_max(11s); }, "run time of a turn"},
        {[](setup& one) { one.spin_before_sleep(-1ns); }, "look for work"},
        {[](setup& one) { one.spin_before_sleep(1s); }, "look for work"},
        {[](setup& one) { one.warn_of_long_polls(-1ns); }, "long poll"},
        {[](setup& one) { one.blocking_threads(0); }, "blocking threads"},
        {[](setup& one) { one.blocking_threads(1025); }, "blocking threads"},
    };
    for (const wrong& each : all) {
        auto settings = quiet_setup();
        each.set(settings);
        const auto made = settings.build();
        REQUIRE_FALSE(made);
        INFO(made.error().message());
        CHECK(made.error().message().find(each.says) != std::string::npos);
        CHECK(made.error().code() == std::errc::invalid_argument);
    }
}

TEST_CASE("setup: the limits themselves are taken", "[rt][setup]") {
    auto settings = quiet_setup();
    const auto made = settings.polls_per_turn(1)
                          .run_time_max(1us)
                          .spin_before_sleep(0ns)
                          .warn_of_long_polls(0ns)
                          .blocking_threads(1)
                          .build();
    CHECK(made);
}

TEST_CASE("runtime: several of them run at once and send to each other", "[rt][setup]") {
    constexpr int count = 1000;
    std::atomic<int> received{0};
    auto one = quiet_setup().name("one").build();
    auto other = quiet_setup().name("other").build();
    REQUIRE(one);
    REQUIRE(other);
    auto ref = one->spawn(
        heph::no_supervisor(),
        heph::actor_fn(+[](heph::rt::shared_context<int> ctx, std::atomic<int>* sum) -> task<> {
            while (auto message = co_await ctx.receive()) { *sum += *message; }
        }),
        &received);
    other->spawn(heph::no_supervisor(),
                 heph::actor_fn(
                     +[](heph::rt::shared_context<>, heph::actor_ref<int> to, int times) -> task<> {
                         for (int i = 0; i < times; ++i) { (void)co_await to.send(1); }
                     }),
                 std::move(ref), count);
    std::thread second([&other] { (void)other->start(); });
    const auto ended = one->start();
    second.join();
    CHECK(ended);
    CHECK(received == count);
}

TEST_CASE("runtime: a thousand starts leave no descriptor, thread or memory behind",
          "[rt][setup]") {
    constexpr bool is_sanitized = heph::test::is_sanitized;
    constexpr int starts = is_sanitized ? 100 : 1000;
    // The first ones warm the allocator's and the libraries' caches up.
    for (int i = 0; i < 20; ++i) { start_once(1 + static_cast<std::size_t>(i % 2)); }
    const auto descriptors = entries_of("/proc/self/fd");
    const auto threads = entries_of("/proc/self/task");
    const long pages = resident_pages();
    for (int i = 0; i < starts; ++i) { start_once(1 + static_cast<std::size_t>(i % 2)); }
    CHECK(entries_of("/proc/self/fd") == descriptors);
    // The kernel lists a thread for a moment after it was joined.
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (entries_of("/proc/self/task") > threads && std::chrono::steady_clock::now() < until) {
        std::this_thread::yield();
    }
    CHECK(entries_of("/proc/self/task") <= threads);
    // A leak of one small object a start would not be seen here, but by the leak checker; one of
    // a page, or of a worker, would. Sanitizers keep freed memory, and check for leaks themselves.
    if (!is_sanitized) { CHECK(resident_pages() < pages + starts / 2); }
}

TEST_CASE("setup: a runtime that is not made for want of descriptors leaves none open",
          "[rt][setup]") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const auto made = [] {
        return quiet_setup().driver(heph::rt::driver_kind::epoll).threads(8).build().has_value();
    };
    // First with descriptors: the sanitizers look at an object by a pipe when they meet one of its
    // type for the first time, and take it for a broken one where they get no pipe.
    REQUIRE(made());
    try {
        throw std::system_error(EMFILE, std::system_category(), "as below");
    } catch (const std::system_error& thrown) { CHECK_FALSE(thrown.code().message().empty()); }
    const auto open_before = entries_of("/proc/self/fd");
    // Enough for the first three of what it opens.
    const int next = ::dup(STDIN_FILENO);
    REQUIRE(next >= 0);
    ::close(next);
    rlimit allowed = before;
    allowed.rlim_cur = static_cast<rlim_t>(next) + 3;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &allowed) == 0);
    const bool is_made = made();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_FALSE(is_made);
    CHECK(entries_of("/proc/self/fd") == open_before);
}
