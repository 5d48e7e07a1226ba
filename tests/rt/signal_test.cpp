#include <catch2/catch.hpp>

#include <unistd.h>
#include <csignal>

#include <atomic>
#include <chrono>
#include <string>
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
