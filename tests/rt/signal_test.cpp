#include <catch2/catch.hpp>

#include <unistd.h>
#include <csignal>

#include <atomic>
#include <chrono>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::local_context;
using heph::rt::shared_context;
using heph::rt::worker;
using signal_name = heph::rt::signal;

namespace {

heph::rt::setup signal_setup() {
    heph::rt::setup settings;
    settings.name("signals").stop_grace(2000ms);
    return settings;
}

// Signals go to the process; every thread of the runtime has them blocked by then.
void raise_for_process(int number) { (void)::kill(::getpid(), number); }

// One actor writes it, and the test reads it when that has ended.
struct noted_signals {
    static constexpr bool is_shareable = true;
    std::vector<signal_name> all;
};

task<> note_signals(shared_context<signal_name> ctx, noted_signals* noted) {
    while (auto received = co_await ctx.receive()) {
        noted->all.push_back(*received);
        // One at a time: pending signals of one process have no order.
        if (*received == signal_name::hangup) { raise_for_process(SIGUSR1); }
        if (*received == signal_name::user1) { raise_for_process(SIGUSR2); }
        if (*received == signal_name::user2) { raise_for_process(SIGTERM); }
    }
}

task<> raise_first(int number) {
    co_await heph::rt::timer(1ms);
    raise_for_process(number);
}

task<> count_stop(std::atomic<int>* stopped) {
    co_await heph::rt::stopping();
    ++*stopped;
}

// Starts runtimes, each on a thread of its own, and sends the process a signal when all run.
void check_that_all_stop(int count) {
    std::latch running(count);
    std::atomic<int> stopped{0};
    std::atomic<int> ended_well{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) {
        threads.emplace_back([&] {
            auto runtime = signal_setup().build();
            if (!runtime) { return; }
            runtime->run_on_workers([&](worker& worker) {
                worker.spawn_future(count_stop(&stopped));
                running.count_down();
            });
            if (runtime->start()) { ++ended_well; }
        });
    }
    running.wait();
    raise_for_process(SIGQUIT);  // The test program handles SIGTERM and SIGINT.
    for (auto& each : threads) { each.join(); }
    CHECK(stopped == count);
    CHECK(ended_well == count);
}

struct sigaction action_of(int number) {
    struct sigaction action{};
    CHECK(::sigaction(number, nullptr, &action) == 0);
    return action;
}

void do_nothing(int) {}

task<> set_at_stop(std::atomic<bool>* stopped) {
    co_await heph::rt::stopping();
    stopped->store(true);
}

}  // namespace

TEST_CASE("signal: an actor receives them, and SIGTERM stops the runtime", "[rt][signal]") {
    noted_signals noted;
    std::atomic<bool> stopped{false};
    auto runtime = signal_setup().threads(2).build();
    REQUIRE(runtime);
    REQUIRE(runtime->receive_signals(
        runtime->spawn(heph::no_supervisor{}, heph::actor_fn(note_signals), &noted)));
    runtime->run_on_workers([&](worker& worker) {
        if (worker.index() != 0) { return; }
        worker.spawn_future(set_at_stop(&stopped));
        worker.spawn_future(raise_first(SIGHUP));
    });
    CHECK(runtime->start());
    CHECK(stopped);
    CHECK(noted.all == std::vector<signal_name>{signal_name::hangup, signal_name::user1,
                                                signal_name::user2, signal_name::terminate});
}

TEST_CASE("signal: who asks for them after the start is refused, and learns why", "[rt][signal]") {
    noted_signals noted;
    auto runtime = signal_setup().build();
    REQUIRE(runtime);
    CHECK(runtime->start());
    const auto late = runtime->receive_signals(
        runtime->spawn(heph::no_supervisor{}, heph::actor_fn(note_signals), &noted));
    REQUIRE_FALSE(late);
    CHECK(late.error().code() == std::errc::operation_not_permitted);
    CHECK(late.error().message().find("before start()") != std::string::npos);
}

TEST_CASE("signal: a receiver that cannot take one keeps it from nobody else", "[rt][signal]") {
    noted_signals noted;
    auto runtime = signal_setup().threads(2).build();
    REQUIRE(runtime);
    REQUIRE(runtime->receive_signals(
        heph::actor_ref<signal_name>::to_function([](signal_name received) {
            if (received == signal_name::hangup) { throw std::runtime_error("no"); }
            throw 1;
        })));
    REQUIRE(runtime->receive_signals(
        runtime->spawn(heph::no_supervisor{}, heph::actor_fn(note_signals), &noted)));
    runtime->run_on_workers([](worker& worker) {
        if (worker.index() == 0) { worker.spawn_future(raise_first(SIGHUP)); }
    });
    CHECK(runtime->start());
    CHECK(noted.all == std::vector<signal_name>{signal_name::hangup, signal_name::user1,
                                                signal_name::user2, signal_name::terminate});
}

TEST_CASE("signal: a second one drops what does not stop", "[rt][signal]") {
    // Without the second signal the grace would be longer than the test's bound.
    heph::rt::setup settings;
    settings.name("signals").stop_grace(10min);
    auto runtime = settings.build();
    REQUIRE(runtime);
    runtime->run_on_workers([](worker& worker) {
        worker.spawn_future([]() -> task<> {
            raise_for_process(SIGINT);
            co_await heph::rt::stopping();
            raise_for_process(SIGINT);
            co_await heph::rt::timer(1h);
        }());
    });
    CHECK(runtime->start());
}

TEST_CASE("signal: a thread that does not block it does not end the process by it",
          "[rt][signal]") {
    check_that_all_stop(1);  // This thread, to which the kernel gives it.
    check_that_all_stop(3);
    CHECK(action_of(SIGQUIT).sa_handler == SIG_DFL);
}

TEST_CASE("signal: all runtimes of a process stop at one, not only the first that sees it",
          "[rt][signal]") {
    sigset_t set;
    sigset_t before;
    sigemptyset(&set);
    sigaddset(&set, SIGQUIT);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &set, &before) == 0);
    check_that_all_stop(2);
    REQUIRE(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

TEST_CASE("signal: what the program handles or ignores by itself stays as it is", "[rt][signal]") {
    struct sigaction handled{};
    handled.sa_handler = &do_nothing;
    REQUIRE(::sigaction(SIGUSR1, &handled, nullptr) == 0);
    REQUIRE(::signal(SIGHUP, SIG_IGN) != SIG_ERR);
    auto runtime = signal_setup().build();
    REQUIRE(runtime);
    runtime->run_on_workers([](worker&) {
        CHECK(action_of(SIGUSR1).sa_handler == &do_nothing);
        CHECK(action_of(SIGHUP).sa_handler == SIG_IGN);
        CHECK(action_of(SIGQUIT).sa_handler != SIG_DFL);
    });
    CHECK(runtime->start());
    CHECK(action_of(SIGUSR1).sa_handler == &do_nothing);
    CHECK(action_of(SIGHUP).sa_handler == SIG_IGN);
    for (const int number : {SIGQUIT, SIGUSR2}) { CHECK(action_of(number).sa_handler == SIG_DFL); }
    (void)::signal(SIGUSR1, SIG_DFL);
    (void)::signal(SIGHUP, SIG_DFL);
}

TEST_CASE("signal: the mask of the starting thread is put back", "[rt][signal]") {
    sigset_t before;
    sigemptyset(&before);
    REQUIRE(pthread_sigmask(SIG_SETMASK, nullptr, &before) == 0);
    auto runtime = signal_setup().build();
    REQUIRE(runtime);
    CHECK(runtime->start());
    sigset_t after;
    sigemptyset(&after);
    REQUIRE(pthread_sigmask(SIG_SETMASK, nullptr, &after) == 0);
    for (const int number : {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) {
        CHECK(sigismember(&before, number) == sigismember(&after, number));
    }
}

TEST_CASE("signal: names", "[rt][signal]") {
    CHECK(name_of(signal_name::interrupt) == "SIGINT");
    CHECK(name_of(signal_name::terminate) == "SIGTERM");
    CHECK(name_of(signal_name::quit) == "SIGQUIT");
    CHECK(name_of(signal_name::hangup) == "SIGHUP");
    CHECK(name_of(signal_name::user1) == "SIGUSR1");
    CHECK(name_of(signal_name::user2) == "SIGUSR2");
}
