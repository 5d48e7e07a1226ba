// Restarts of an actor: what is kept, what is made again, and what happens when that fails.

#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_options;
using heph::context;
using heph::failure;
using heph::failure_stage;
using heph::task;
using heph::waker;
using heph::test::captured_log;
using heph::test::poll_loop;
using heph::test::probe;
using namespace std::chrono_literals;

namespace {

using outcome = std::expected<void, std::string>;

actor_options named(const char* name) {
    actor_options options;
    options.name = name;
    return options;
}

// Notes what it receives under its tag, and fails after each message.
task<outcome> fails_each_time(context<int> ctx, std::vector<std::string>* into, std::string tag) {
    auto message = co_await ctx.receive();
    if (!message) { co_return outcome(); }
    into->push_back(tag + std::to_string(*message));
    co_return std::unexpected("after " + std::to_string(*message));
}

task<> throws_after_one(context<int> ctx, probe) {
    auto message = co_await ctx.receive();
    if (message) { throw std::runtime_error("after " + std::to_string(*message)); }
}

// A new_actor that fails as often as it was told to, from its second call on.
class unreliable {
public:
    using message_type = int;

    unreliable(int& made, int failures) : made_(&made), failures_(failures) {}

    template <typename RT>
    std::expected<task<outcome>, std::string> make(context<int, RT> ctx) {
        if ((*made_)++ != 0 && failures_-- > 0) {
            return std::unexpected("no socket " + std::to_string(*made_));
        }
        return run(std::move(ctx));
    }

private:
    static task<outcome> run(context<int> ctx) {
        auto message = co_await ctx.receive();
        if (!message) { co_return outcome(); }
        co_return std::unexpected(std::string("failed"));
    }

    int* made_;
    int failures_;
};

class throws_when_made_again {
public:
    using message_type = int;

    template <typename RT>
    task<outcome> make(context<int, RT> ctx) {
        if (std::exchange(made_, true)) { throw std::logic_error("only once"); }
        return run(std::move(ctx));
    }

private:
    static task<outcome> run(context<int>) { co_return std::unexpected(std::string("failed")); }
    bool made_ = false;
};

class never_made {
public:
    using message_type = int;

    template <typename RT>
    std::expected<task<>, int> make(context<int, RT>) {
        return std::unexpected(7);
    }
};

}  // namespace

TEST_CASE("restart: keeps the inbox, with its messages, order and references", "[core][restart]") {
    const captured_log log;
    poll_loop loop;
    std::vector<std::string> got;
    auto [running, ref] = heph::make_actor(
        [&got](const failure&) { return heph::restart(&got, std::string("again ")); },
        heph::actor_fn(fails_each_time), heph::no_runtime(), actor_options(), &got,
        std::string("first "));
    loop.spawn(std::move(running));
    for (int i = 1; i <= 3; ++i) { REQUIRE(ref.try_send(i)); }
    loop.run();
    CHECK(got == std::vector<std::string>{"first 1", "again 2", "again 3"});
    CHECK(ref.is_connected());
    REQUIRE(ref.try_send(4));
    loop.run();
    CHECK(got.back() == "again 4");
    CHECK(loop.unfinished() == 1);
}

TEST_CASE("restart: a send that waits for room is received after the restart", "[core][restart]") {
    poll_loop loop;
    std::vector<std::string> got;
    actor_options options;
    options.inbox_size = 1;
    auto [running, ref] = heph::make_actor(
        [&got](const failure&) { return heph::restart(&got, std::string("again ")); },
        heph::actor_fn(fails_each_time), heph::no_runtime(), options, &got, std::string("first "));
    REQUIRE(ref.try_send(1));
    auto second = ref.send(2);
    auto third = ref.send(3);
    CHECK_FALSE(second.poll(waker()).is_ready());
    CHECK_FALSE(third.poll(waker()).is_ready());
    loop.spawn(std::move(running));
    loop.run();
    CHECK(second.poll(waker()).value());
    loop.run();
    CHECK(third.poll(waker()).value());
    loop.run();
    CHECK(got == std::vector<std::string>{"first 1", "again 2", "again 3"});
}

TEST_CASE("restart: the old actor is gone before the new one is made", "[core][restart]") {
    int live = 0;
    int live_at_decision = -1;
    poll_loop loop;
    auto [running, ref] = heph::make_actor(
        [&](const failure&) {
            live_at_decision = live;
            return heph::restart(probe(live));
        },
        heph::actor_fn(throws_after_one), heph::no_runtime(), actor_options(), probe(live));
    loop.spawn(std::move(running));
    REQUIRE(ref.try_send(1));
    loop.run();
    CHECK(live_at_decision == 0);
    CHECK(live == 1);
    loop.drop_all();
    CHECK(live == 0);
}

TEST_CASE("restart: a restarted actor lets others run first", "[core][restart]") {
    std::vector<std::string> got;
    auto [running, ref] = heph::make_actor(
        [&got](const failure&) { return heph::restart(&got, std::string()); },
        heph::actor_fn(fails_each_time), heph::no_runtime(), actor_options(), &got, std::string());
    for (int i = 0; i < 8; ++i) { REQUIRE(ref.try_send(i)); }
    for (std::size_t i = 1; i <= 8; ++i) {
        REQUIRE_FALSE(running.poll(waker()).is_ready());
        REQUIRE(got.size() == i);
    }
}

TEST_CASE("restart_supervisor: restarts with the same arguments, up to its limit",
          "[core][restart]") {
    const captured_log log;
    poll_loop loop;
    std::vector<std::string> got;
    heph::restart_supervisor supervisor(heph::restart_limit{2, 1h}, &got, std::string("x"));
    auto [running, ref] =
        heph::make_actor(std::move(supervisor), heph::actor_fn(fails_each_time), heph::no_runtime(),
                         named("busy"), &got, std::string("x"));
    loop.spawn(std::move(running));
    for (int i = 1; i <= 5; ++i) { REQUIRE(ref.try_send(i)); }
    loop.run();
    CHECK(got == std::vector<std::string>{"x1", "x2", "x3"});
    CHECK(loop.unfinished() == 0);
    CHECK_FALSE(ref.is_connected());
    REQUIRE(log.lines().size() == 3);
    CHECK(log.lines()[0].first == heph::log_level::warning);
    CHECK(log.lines()[0].second == "actor busy failed: after 1; restarting it");
    CHECK(log.lines()[2].first == heph::log_level::critical);
    CHECK(log.lines()[2].second ==
          "actor busy failed: after 3; stopping it, as it was restarted too often");
}

TEST_CASE("restart_supervisor: restarts after exceptions, and without arguments",
          "[core][restart]") {
    const captured_log log;
    poll_loop loop;
    const auto throws = [](context<int> ctx) -> task<> {
        auto message = co_await ctx.receive();
        if (message) { throw std::runtime_error("thrown"); }
    };
    auto [running, ref] = heph::make_actor(heph::restart_supervisor(), heph::actor_fn(throws),
                                           heph::no_runtime(), named("thrower"));
    loop.spawn(std::move(running));
    for (int i = 0; i < 6; ++i) { REQUIRE(ref.try_send(i)); }
    loop.run();
    CHECK(log.lines().size() == 6);  // Five restarts by default, then the end.
    CHECK_FALSE(ref.is_connected());
}

TEST_CASE("restart_history: counts restarts within any span of the period", "[core][restart]") {
    using clock = std::chrono::steady_clock;
    heph::detail::restart_history history(heph::restart_limit{2, 10s});
    const clock::time_point start{};
    CHECK(history.allow(start));
    CHECK(history.allow(start + 6s));
    CHECK_FALSE(history.allow(start + 9s));
    CHECK(history.allow(start + 10s));  // The first one is ten seconds old.
    CHECK_FALSE(history.allow(start + 15s));
    CHECK(history.allow(start + 16s));
    CHECK(history.allow(start + 20s));
    heph::detail::restart_history none(heph::restart_limit{0, 10s});
    CHECK_FALSE(none.allow(start));
}

TEST_CASE("restart_history: keeps the order when it grows again", "[core][restart]") {
    using clock = std::chrono::steady_clock;
    heph::detail::restart_history history(heph::restart_limit{3, 10s});
    const clock::time_point start{};
    CHECK(history.allow(start));
    CHECK(history.allow(start + 1s));
    CHECK(history.allow(start + 10s));      // In the place of the first one.
    CHECK(history.allow(start + 10500ms));  // Between that and the second one, of 1 s.
    CHECK_FALSE(history.allow(start + 10900ms));
    CHECK(history.allow(start + 11s));
    CHECK_FALSE(history.allow(start + 19s));  // 10 s, 10.5 s and 11 s.
    CHECK(history.allow(start + 20s));
    CHECK_FALSE(history.allow(start + 20400ms));
    CHECK(history.allow(start + 20500ms));
    CHECK(history.allow(start + 21s));
    CHECK_FALSE(history.allow(start + 29s));
    heph::detail::restart_history endless(heph::restart_limit{static_cast<std::size_t>(-1), 0s});
    for (int i = 0; i < 1000; ++i) { REQUIRE(endless.allow(start)); }
}

TEST_CASE("restart: a failure to make the new actor is decided once more", "[core][restart]") {
    std::vector<failure_stage> stages;
    std::vector<std::string> messages;
    const auto supervisor = [&](const failure& why) {
        stages.push_back(why.stage());
        messages.push_back(why.message());
        return heph::restart();
    };
    int made = 0;
    SECTION("the second try succeeds") {
        auto result = heph::make_actor(supervisor, unreliable(made, 1), heph::no_runtime(),
                                       named("unreliable"));
        REQUIRE(result.has_value());
        auto& [running, ref] = *result;
        REQUIRE(ref.try_send(1));
        CHECK_FALSE(running.poll(waker()).is_ready());
        CHECK_FALSE(running.poll(waker()).is_ready());
        CHECK(made == 3);
        CHECK(stages == std::vector{failure_stage::running, failure_stage::restarting});
        CHECK(messages == std::vector<std::string>{"failed", "no socket 2"});
        CHECK(ref.is_connected());
    }
    SECTION("when that fails too, the actor is stopped") {
        const captured_log log;
        auto result = heph::make_actor(supervisor, unreliable(made, 2), heph::no_runtime(),
                                       named("unreliable"));
        REQUIRE(result.has_value());
        auto& [running, ref] = *result;
        REQUIRE(ref.try_send(1));
        CHECK(running.poll(waker()).is_ready());
        CHECK(made == 3);
        CHECK(stages == std::vector{failure_stage::running, failure_stage::restarting});
        CHECK_FALSE(ref.is_connected());
        REQUIRE(log.lines().size() == 1);
        CHECK(log.lines()[0].first == heph::log_level::critical);
        CHECK(log.lines()[0].second ==
              "actor unreliable could not be restarted: no socket 3; stopping it");
    }
}

TEST_CASE("restart: an exception while the actor is made again is a failure to make it",
          "[core][restart]") {
    const captured_log log;
    std::vector<std::string> types;
    auto [running, ref] = heph::make_actor(
        [&](const failure& why) {
            types.push_back(why.type_name());
            return heph::restart();
        },
        throws_when_made_again(), heph::no_runtime(), named("once"));
    CHECK(running.poll(waker()).is_ready());
    REQUIRE(types.size() == 2);
    CHECK(types[1] == "std::logic_error");
    REQUIRE(log.lines().size() == 1);
    CHECK(log.lines()[0].second ==
          "actor once could not be restarted: only once (exception std::logic_error); stopping it");
}

TEST_CASE("restart: a supervisor that throws is asked once more, then the actor is stopped",
          "[core][restart]") {
    const captured_log log;
    int asked = 0;
    auto [running, ref] = heph::make_actor(
        [&](const failure&) -> heph::restart_with<> {
            ++asked;
            throw std::runtime_error("undecided");
        },
        throws_when_made_again(), heph::no_runtime(), named("doomed"));
    CHECK(running.poll(waker()).is_ready());
    CHECK(asked == 2);
    REQUIRE(log.lines().size() == 1);
    CHECK(log.lines()[0].second ==
          "actor doomed could not be restarted: undecided (exception std::runtime_error); "
          "stopping it");
}

TEST_CASE("make_actor: an actor that cannot be made is an error of make_actor", "[core][restart]") {
    auto result =
        heph::make_actor(heph::stop_supervisor(), never_made(), heph::no_runtime(), named("never"));
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error() == 7);
}

TEST_CASE("decision: holds stop, or arguments that convert", "[core][restart]") {
    heph::decision<std::string> stopped = heph::stop;
    CHECK_FALSE(stopped.is_restart());
    heph::decision<std::string, long> again = heph::restart("text", 5);
    REQUIRE(again.is_restart());
    CHECK(std::get<0>(again.args()) == "text");
    CHECK(std::get<1>(again.args()) == 5L);
}
