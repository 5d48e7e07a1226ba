// Sync actors of a runtime: what waits for whom, and what becomes of one that does not end.

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <expected>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/block_on.hpp>
#include <heph/core/log.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/sync_actor.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using heph::actor_ref;
using heph::sync_context;
using heph::sync_options;
using heph::task;
using heph::rt::shared_runtime;
using heph::rt::worker;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using namespace std::chrono_literals;

namespace {

using square = heph::rpc<int, int>;

sync_options named(std::string name) {
    sync_options options;
    options.name = std::move(name);
    return options;
}

// Collects warnings of any thread.
class warnings {
public:
    warnings() : previous_(heph::set_log_handler(&take)) {
        const std::lock_guard lock(mutex());
        all().clear();
    }
    warnings(const warnings&) = delete;
    warnings& operator=(const warnings&) = delete;
    ~warnings() { heph::set_log_handler(previous_); }

    static std::size_t count(std::string_view text) {
        const std::lock_guard lock(mutex());
        return static_cast<std::size_t>(std::ranges::count_if(
            all(), [&](const std::string& line) { return line.find(text) != std::string::npos; }));
    }

private:
    static std::mutex& mutex() {
        static std::mutex one;
        return one;
    }
    static std::vector<std::string>& all() {
        static std::vector<std::string> lines;
        return lines;
    }
    static void take(heph::log_level level, std::string_view line) noexcept {
        if (level == heph::log_level::info || level == heph::log_level::debug) { return; }
        const std::lock_guard lock(mutex());
        all().emplace_back(line);
    }
    heph::log_handler previous_;
};

std::size_t threads_now() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each :
         std::filesystem::directory_iterator("/proc/self/task")) {
        ++count;
    }
    return count;
}

// The threads there are before a test starts any. A sanitizer starts one of its own with the first.
std::size_t threads_before() {
    pid_t first = 0;
    std::thread([&first] { first = ::gettid(); }).join();
    // The kernel lists a thread for a moment after it can be joined.
    const std::string entry = "/proc/self/task/" + std::to_string(first);
    while (std::filesystem::exists(entry)) { std::this_thread::yield(); }
    return threads_now();
}

void wait_for_threads(std::size_t expected) {
    for (int i = 0; i < 1'000'000 && threads_now() > expected; ++i) { std::this_thread::yield(); }
    CHECK(threads_now() <=
          expected);  // One that reaps an earlier test's children may end meanwhile.
}

void squares(sync_context<square> ctx) {
    while (auto call = ctx.receive()) { call->respond(call->request() * call->request()); }
}

}  // namespace

TEST_CASE("sync: actors of workers call it, and the runtime ends when it has", "[rt][sync]") {
    std::atomic<int> sum = 0;
    std::atomic<bool> ended = false;
    run_on_worker(quiet_setup(), [&](worker& here) {
        auto ref = here.spawn_sync(
            named("squares"), heph::stop_supervisor(), [&ended](sync_context<square> ctx) {
                squares(std::move(ctx));
                std::this_thread::sleep_for(20ms);  // The runtime must not be faster.
                ended = true;
            });
        REQUIRE(ref.has_value());
        here.spawn_future([](actor_ref<square> to, std::atomic<int>* into) -> task<> {
            for (int i = 1; i <= 10; ++i) {
                auto answer = co_await to.rpc(i);
                if (answer) { *into += *answer; }
            }
        }(std::move(*ref), &sum));
    });
    CHECK(sum == 385);
    CHECK(ended);
}

TEST_CASE("sync: it has a thread of its own, with its name, and leaves signals alone",
          "[rt][sync]") {
    std::atomic<bool> own = false;
    std::atomic<bool> blocked = false;
    std::mutex mutex;
    std::string name;
    std::string unnamed;
    const auto thread_name = [] {
        char text[16] = {};
        (void)pthread_getname_np(pthread_self(), text, sizeof(text));
        return std::string(text);
    };
    heph::rt::setup settings;
    auto runtime = settings.name("service").build();
    REQUIRE(runtime);
    const auto here = std::this_thread::get_id();
    auto started = runtime->spawn_sync<int>(
        named("a name that is too long"), heph::no_supervisor(), [&](sync_context<int>) {
            own = std::this_thread::get_id() != here;
            sigset_t mask;
            sigemptyset(&mask);
            (void)pthread_sigmask(SIG_BLOCK, nullptr, &mask);
            blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGPIPE) == 1 &&
                      sigismember(&mask, SIGALRM) == 0;
            const std::lock_guard lock(mutex);
            name = thread_name();
        });
    REQUIRE(started.has_value());
    REQUIRE(runtime->spawn_sync<int>(sync_options(), heph::no_supervisor(), [&](sync_context<int>) {
        const std::lock_guard lock(mutex);
        unnamed = thread_name();
    }));
    CHECK(runtime->start());
    CHECK(own);
    CHECK(blocked);
    CHECK(name == "a name that is ");
    CHECK(unnamed == "service-s");
}

TEST_CASE("sync: a failure goes to its supervisor, and a restart keeps the inbox", "[rt][sync]") {
    const warnings log;
    std::atomic<int> runs = 0;
    std::atomic<int> handled = 0;
    run_on_worker(quiet_setup(), [&](worker& here) {
        auto ref =
            here.spawn_sync(named("moody"), heph::restart_supervisor(heph::restart_limit{2, 1h}),
                            [&](sync_context<int> ctx) -> std::expected<void, std::string> {
                                ++runs;
                                while (auto next = ctx.receive()) {
                                    if (*next < 0) {
                                        return std::unexpected(std::string("less than nothing"));
                                    }
                                    if (*next == 0) { throw std::range_error("nothing"); }
                                    ++handled;
                                }
                                return {};
                            });
        REQUIRE(ref.has_value());
        for (const int each : {1, -1, 2, 0, 3, -1}) { REQUIRE(ref->try_send(each)); }
    });
    CHECK(runs == 3);
    CHECK(handled == 3);
    CHECK(log.count("actor moody failed: less than nothing; restarting it") == 1);
    CHECK(log.count("actor moody failed: nothing (exception std::range_error); restarting") == 1);
    CHECK(log.count("less than nothing; stopping it, as it was restarted too often") == 1);
}

TEST_CASE("sync: an orderly stop waits for it; its end follows that of who calls it",
          "[rt][sync]") {
    std::atomic<bool> saw_stop = false;
    std::atomic<bool> ended = false;
    auto runtime = quiet_setup().threads(2).build();
    REQUIRE(runtime);
    auto ref = runtime->spawn_sync(
        named("keeper"), heph::no_supervisor(),
        [&](sync_context<int> ctx, const shared_runtime& everywhere) {
            (void)ctx.receive();
            everywhere.request_stop();
            while (ctx.receive()) {}
            saw_stop = everywhere.stop_requested();
            ended = true;
        },
        runtime->shared());
    REQUIRE(ref.has_value());
    runtime->shared().spawn_future([](actor_ref<int> to) -> task<> {
        auto sent = co_await to.send(1);
        (void)sent;
        co_await heph::rt::stopping();
    }(std::move(*ref)));
    CHECK(runtime->start());
    CHECK(saw_stop);
    CHECK(ended);
}

TEST_CASE("sync: dropping the others after the grace time lets it end", "[rt][sync]") {
    const warnings log;
    std::atomic<bool> ended = false;
    auto settings = quiet_setup();
    settings.stop_grace(3s);  // The thread has as long once the others are dropped.
    run_on_worker(settings, [&](worker& here) {
        auto ref =
            here.spawn_sync(named("patient"), heph::no_supervisor(), [&](sync_context<int> ctx) {
                while (ctx.receive()) {}
                ended = true;
            });
        REQUIRE(ref.has_value());
        here.spawn_future([](actor_ref<int> held) -> task<> {
            co_await heph::rt::timer(1h);
            (void)held;
        }(std::move(*ref)));
        here.request_stop();
    });
    CHECK(ended);
    CHECK(log.count("is dropped") == 1);
    CHECK(log.count("is left alone") == 0);
}

TEST_CASE("sync: one that does not end is left alone, and named", "[rt][sync]") {
    const warnings log;
    const std::size_t threads = threads_before();
    std::optional<actor_ref<int>> held;
    auto settings = quiet_setup();
    settings.stop_grace(20ms);
    run_on_worker(settings, [&](worker& here) {
        auto ref =
            here.spawn_sync(named("stubborn"), heph::no_supervisor(), [](sync_context<int> ctx) {
                while (ctx.receive()) {}
            });
        REQUIRE(ref.has_value());
        held.emplace(std::move(*ref));
        here.request_stop();
    });
    CHECK(log.count("sync actor stubborn did not end, and is left alone") == 1);
    CHECK(held->is_connected());
    CHECK(held->try_send(1));
    auto watching = heph::monitor(*held);
    held.reset();
    CHECK(heph::block_on(std::move(watching)).reason() == heph::end_reason::finished);
    wait_for_threads(threads);
}

TEST_CASE("sync: on a runtime that is finished nothing is started", "[rt][sync]") {
    std::optional<shared_runtime> late;
    std::atomic<int> runs = 0;
    {
        auto runtime = quiet_setup().build();
        REQUIRE(runtime);
        late.emplace(runtime->shared());
        CHECK(runtime->start());
    }
    auto refused =
        late->spawn_sync(named("late"), heph::no_supervisor(), [&](sync_context<int>) { ++runs; });
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == std::errc::operation_canceled);
    CHECK(runs == 0);
}

TEST_CASE("sync: a thread that cannot be had is an error, and the runtime goes on", "[rt][sync]") {
    std::atomic<int> runs = 0;
    run_on_worker(quiet_setup(), [&](worker& here) {
        sync_options options;
        options.stack_size = 1;
        auto refused =
            here.spawn_sync(options, heph::no_supervisor(), [&](sync_context<int>) { ++runs; });
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error() == std::errc::invalid_argument);
    });
    CHECK(runs == 0);
}

TEST_CASE("sync: of a runtime that never starts it is left to its references", "[rt][sync]") {
    auto ref = [] {
        auto runtime = quiet_setup().build();
        REQUIRE(runtime);
        return runtime->spawn_sync(named("early"), heph::no_supervisor(), squares);
    }();
    REQUIRE(ref.has_value());
    auto answer = heph::block_on(ref->rpc(7));
    REQUIRE(answer.has_value());
    CHECK(*answer == 49);
    auto watching = heph::monitor(*ref);
    { const auto last = std::move(*ref); }
    CHECK(heph::block_on(std::move(watching)).reason() == heph::end_reason::finished);
}

TEST_CASE("sync: many come and go on several workers, and no thread is left", "[rt][sync]") {
    const std::size_t threads = threads_before();
    std::atomic<std::size_t> most = 0;
    std::atomic<int> ended = 0;
    auto settings = quiet_setup();
    settings.threads(2);
    run_on_worker(settings, [&](worker& here) {
        here.spawn_future([](shared_runtime everywhere, std::atomic<int>* count,
                             std::atomic<std::size_t>* threads_most) -> task<> {
            for (int i = 0; i < 100; ++i) {
                auto ref = everywhere.spawn_sync(
                    sync_options(), heph::no_supervisor(),
                    [count, everywhere](sync_context<square> ctx) mutable {
                        // A sync actor may start others, of both kinds.
                        auto other =
                            everywhere.spawn_sync(sync_options(), heph::no_supervisor(), squares);
                        auto call = ctx.receive();
                        if (!call || !other) { return; }
                        auto answer = ctx.block_on(other->rpc(call->request()));
                        ++*count;
                        call->respond(answer.value_or(0));
                    });
                if (!ref) { co_return; }
                auto answer = co_await ref->rpc(i);
                if (!answer || *answer != i * i) { co_return; }
                co_await ref->join();
                *threads_most = std::max<std::size_t>(*threads_most, threads_now());
            }
        }(here.shared(), &ended, &most));
    });
    CHECK(ended == 100);
    // Two workers, and those that are about to end, of which there are some where the machine has
    // much else to do. Two hundred were started.
    CHECK(most <= threads + 100);
    wait_for_threads(threads);
}
