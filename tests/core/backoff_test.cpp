// Restarts after a while: when, how much later each time, and what happens meanwhile.

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/messages.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

#include "core/manual_time.hpp"
#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_options;
using heph::backoff;
using heph::context;
using heph::failure;
using heph::restart_limit;
using heph::task;
using heph::test::captured_log;
using heph::test::manual_runtime;
using heph::test::manual_time;
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

// Notes each message, and fails after it.
task<outcome> fragile(context<int, manual_runtime> ctx, std::vector<int>* got, probe) {
    auto message = co_await ctx.receive();
    if (!message) { co_return outcome(); }
    got->push_back(*message);
    co_return std::unexpected("after " + std::to_string(*message));
}

backoff even(std::chrono::nanoseconds initial, std::chrono::nanoseconds longest) {
    backoff settings;
    settings.initial = initial;
    settings.longest = longest;
    settings.jitter = 0.0;
    return settings;
}

using asked = heph::rpc<void, int>;
using orders = std::variant<int, asked, heph::messages::terminate>;

// Fails at any number.
task<outcome> breaks(context<orders, manual_runtime> ctx, int* started) {
    ++*started;
    while (auto order = co_await ctx.receive()) {
        if (std::holds_alternative<heph::messages::terminate>(*order)) { break; }
        if (std::holds_alternative<int>(*order)) {
            co_return std::unexpected(std::string("broken"));
        }
    }
    co_return outcome();
}

// A new_actor that fails a number of times, from its second call on.
class unreliable {
public:
    using message_type = int;
    unreliable(int& made, int failures) : made_(&made), failures_(failures) {}

    std::expected<task<outcome>, std::string> make(context<int, manual_runtime> ctx) {
        if ((*made_)++ != 0 && failures_-- > 0) { return std::unexpected(std::string("in use")); }
        return run(std::move(ctx));
    }

private:
    static task<outcome> run(context<int, manual_runtime> ctx) {
        auto message = co_await ctx.receive();
        if (!message) { co_return outcome(); }
        co_return std::unexpected(std::string("failed"));
    }
    int* made_;
    int failures_;
};

class timerless {
public:
    explicit timerless(manual_time& time) : time_(&time) {}
    [[nodiscard]] heph::steady_time now() const { return time_->now(); }
    static manual_time::timer timer_at(heph::steady_time) {
        throw std::runtime_error("no more timers");
    }

private:
    manual_time* time_;
};

}  // namespace

TEST_CASE("backoff_supervisor: restarts later and later, and messages queue meanwhile",
          "[core][backoff]") {
    const captured_log log;
    manual_time time;
    int live = 0;
    std::vector<int> got;
    poll_loop loop;
    auto [running, ref] = heph::make_actor(
        heph::backoff_supervisor(restart_limit{10, 1h}, even(100ms, 300ms), &got, probe(live)),
        heph::actor_fn(fragile), manual_runtime(time), named("fragile"), &got, probe(live));
    loop.spawn(std::move(running));
    for (int i = 1; i <= 4; ++i) { REQUIRE(ref.try_send(i)); }
    loop.run();
    CHECK(got == std::vector{1});
    CHECK(ref.is_connected());
    time.advance(99ms);
    loop.run();
    CHECK(got == std::vector{1});
    time.advance(1ms);
    loop.run();
    CHECK(got == std::vector{1, 2});
    time.advance(199ms);
    loop.run();
    CHECK(got == std::vector{1, 2});
    time.advance(1ms);
    loop.run();
    CHECK(got == std::vector{1, 2, 3});
    time.advance(300ms);  // 400 ms would be longer than the longest.
    loop.run();
    CHECK(got == std::vector{1, 2, 3, 4});
    REQUIRE(captured_log::lines().size() == 4);
    CHECK(captured_log::lines()[0].second ==
          "actor fragile failed: after 1; restarting it in 100 ms");
    CHECK(captured_log::lines()[3].second ==
          "actor fragile failed: after 4; restarting it in 300 ms");
}

TEST_CASE("backoff_supervisor: begins anew when the actor ran for long enough", "[core][backoff]") {
    const captured_log log;
    manual_time time;
    int live = 0;
    std::vector<int> got;
    poll_loop loop;
    backoff settings = even(100ms, 10s);
    settings.reset_after = 5s;
    auto [running, ref] = heph::make_actor(
        heph::backoff_supervisor(restart_limit{10, 1h}, settings, &got, probe(live)),
        heph::actor_fn(fragile), manual_runtime(time), named("fragile"), &got, probe(live));
    loop.spawn(std::move(running));
    const auto fail_after = [&](std::chrono::nanoseconds ran) {
        time.advance(ran);
        loop.run();
        REQUIRE(ref.try_send(0));
        loop.run();
        return captured_log::lines().back().second.substr(27);
    };
    CHECK(fail_after(0s).find("in 100 ms") != std::string::npos);
    CHECK(fail_after(100ms).find("in 200 ms") != std::string::npos);
    CHECK(fail_after(200ms + 4999ms).find("in 400 ms") != std::string::npos);
    CHECK(fail_after(400ms + 5s).find("in 100 ms") != std::string::npos);
}

TEST_CASE("backoff_supervisor: stops the actor when there were too many restarts",
          "[core][backoff]") {
    const captured_log log;
    manual_time time;
    int live = 0;
    std::vector<int> got;
    poll_loop loop;
    auto [running, ref] = heph::make_actor(
        heph::backoff_supervisor(restart_limit{1, 1h}, even(1s, 1s), &got, probe(live)),
        heph::actor_fn(fragile), manual_runtime(time), named("fragile"), &got, probe(live));
    loop.spawn(std::move(running));
    REQUIRE(ref.try_send(1));
    REQUIRE(ref.try_send(2));
    loop.run();
    time.advance(1s);
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK_FALSE(ref.is_connected());
    CHECK(got == std::vector{1, 2});
}

TEST_CASE("backoff: the old actor is gone while a restart is waited for, and dropping is clean",
          "[core][backoff]") {
    const captured_log log;
    manual_time time;
    int live = 0;
    std::vector<int> got;
    poll_loop loop;
    auto [running, ref] = heph::make_actor(
        [&](const failure&) { return heph::restart(&got, probe(live)).after(1s); },
        heph::actor_fn(fragile), manual_runtime(time), named("fragile"), &got, probe(live));
    auto watching = heph::monitor(ref);
    loop.spawn(std::move(running));
    REQUIRE(ref.try_send(1));
    REQUIRE(ref.try_send(2));
    loop.run(1);
    CHECK(live == 1);  // Of the arguments that wait.
    CHECK(time.waiting() == 0);
    SECTION("before the timer got its waker") {}
    SECTION("afterwards") {
        loop.run();
        CHECK(time.waiting() == 1);
    }
    loop.drop_all();
    CHECK(live == 0);
    CHECK(time.waiting() == 0);
    CHECK_FALSE(ref.is_connected());
    auto end = watching.poll(heph::waker());
    REQUIRE(end.is_ready());
    CHECK(end.value().reason() == heph::end_reason::dropped);
}

TEST_CASE("backoff: a terminate in the inbox ends an actor that waits for its restart",
          "[core][backoff][regression]") {
    const captured_log log;
    manual_time time;
    poll_loop loop;
    int started = 0;
    auto [running, ref] =
        heph::make_actor([&](const failure&) { return heph::restart(&started).after(1h); },
                         heph::actor_fn(breaks), manual_runtime(time), named("breaks"), &started);
    auto watching = heph::monitor(ref);
    auto asking = ref.rpc<asked>();
    SECTION("that was behind the message that it failed with") {
        REQUIRE(ref.try_send(1));
        REQUIRE(ref.try_send(heph::messages::terminate()));
        loop.spawn(std::move(running));
    }
    SECTION("that comes while it waits") {
        loop.spawn(std::move(running));
        REQUIRE(ref.try_send(1));
        loop.run();
        REQUIRE(time.waiting() == 1);
        REQUIRE(ref.is_connected());
        REQUIRE(ref.try_send(heph::messages::terminate()));
    }
    SECTION("that comes behind others") {
        loop.spawn(std::move(running));
        REQUIRE(ref.try_send(1));
        loop.run();
        CHECK_FALSE(asking.poll(heph::waker()).is_ready());
        REQUIRE(ref.try_send(2));
        loop.run();
        REQUIRE(ref.is_connected());
        REQUIRE(ref.try_send(heph::messages::terminate()));
        loop.run();
        auto answer = asking.poll(heph::waker());
        REQUIRE(answer.is_ready());
        CHECK(answer.value().error() == heph::rpc_error::no_reply);
    }
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(started == 1);
    CHECK(time.waiting() == 0);
    CHECK_FALSE(ref.is_connected());
    auto end = watching.poll(heph::waker());
    REQUIRE(end.is_ready());
    CHECK(end.value().reason() == heph::end_reason::finished);
    CHECK(captured_log::lines().back().second ==
          "actor breaks is not restarted, as it was asked to terminate");
}

TEST_CASE("backoff: messages that are looked at meanwhile are there after the restart",
          "[core][backoff]") {
    const captured_log log;
    manual_time time;
    poll_loop loop;
    int started = 0;
    auto [running, ref] =
        heph::make_actor([&](const failure&) { return heph::restart(&started).after(1s); },
                         heph::actor_fn(breaks), manual_runtime(time), named("breaks"), &started);
    loop.spawn(std::move(running));
    REQUIRE(ref.try_send(1));
    loop.run();
    REQUIRE(ref.try_send(2));
    loop.run();
    time.advance(1s);
    loop.run();
    CHECK(started == 2);  // And failed with the 2.
    time.advance(1s);
    loop.run();
    CHECK(started == 3);
    REQUIRE(ref.try_send(heph::messages::terminate()));
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(started == 3);
}

TEST_CASE("backoff: an actor that cannot be made again is tried as often as the limit allows",
          "[core][backoff]") {
    const captured_log log;
    manual_time time;
    poll_loop loop;
    int made = 0;
    auto result = heph::make_actor(heph::backoff_supervisor(restart_limit{5, 1h}, even(1s, 1s)),
                                   unreliable(made, 3), manual_runtime(time), named("unreliable"));
    REQUIRE(result.has_value());
    auto& [running, ref] = *result;
    loop.spawn(std::move(running));
    REQUIRE(ref.try_send(1));
    loop.run();
    for (int second = 1; second <= 4; ++second) {
        CHECK(made == second);
        time.advance(1s);
        loop.run();
    }
    CHECK(made == 5);
    CHECK(ref.is_connected());
    REQUIRE(captured_log::lines().size() == 4);
    CHECK(captured_log::lines()[1].second ==
          "actor unreliable could not be restarted: in use; restarting it in 1000 ms");
    REQUIRE(ref.try_send(2));  // The fifth restart.
    loop.run();
    time.advance(1s);
    loop.run();
    REQUIRE(ref.try_send(3));
    loop.run();
    CHECK_FALSE(ref.is_connected());
}

TEST_CASE("backoff: a timer that cannot be had is a failure of the restart", "[core][backoff]") {
    const captured_log log;
    manual_time time;
    int asked = 0;
    const auto fails = [](context<int, timerless>) -> task<outcome> {
        co_return std::unexpected(std::string("at once"));
    };
    auto [running, ref] = heph::make_actor(
        [&](const failure&) {
            ++asked;
            return heph::restart().after(1s);
        },
        heph::actor_fn(+fails), timerless(time), named("late"));
    CHECK(running.poll(heph::waker()).is_ready());
    CHECK(asked == 2);
    REQUIRE(captured_log::lines().size() == 1);
    CHECK(captured_log::lines()[0].second ==
          "actor late could not be restarted: no more timers (exception std::runtime_error); "
          "stopping it");
}

TEST_CASE("without_delay: restarts at once where the supervisor says to wait", "[core][backoff]") {
    const captured_log log;
    poll_loop loop;
    std::vector<int> got;
    const auto fails = [](context<int> ctx, std::vector<int>* into) -> task<outcome> {
        auto message = co_await ctx.receive();
        if (!message) { co_return outcome(); }
        into->push_back(*message);
        co_return std::unexpected(std::string("again"));
    };
    SECTION("a backoff_supervisor") {
        auto [running, ref] = heph::make_actor(
            heph::without_delay(heph::backoff_supervisor(restart_limit{2, 1h}, even(1h, 1h), &got)),
            heph::actor_fn(+fails), heph::no_runtime(), named("eager"), &got);
        loop.spawn(std::move(running));
        for (int i = 1; i <= 4; ++i) { REQUIRE(ref.try_send(i)); }
        loop.run();
        CHECK(got == std::vector{1, 2, 3});
        CHECK_FALSE(ref.is_connected());
    }
    SECTION("a function") {
        auto [running, ref] = heph::make_actor(
            heph::without_delay([&got](const failure&) { return heph::restart(&got).after(1h); }),
            heph::actor_fn(+fails), heph::no_runtime(), named("eager"), &got);
        loop.spawn(std::move(running));
        for (int i = 1; i <= 4; ++i) { REQUIRE(ref.try_send(i)); }
        loop.run();
        CHECK(got == std::vector{1, 2, 3, 4});
    }
}

TEST_CASE("backoff_state: takes off a random part, and nonsense does no harm", "[core][backoff]") {
    using heph::detail::backoff_state;
    const heph::steady_time now{};
    backoff settings = even(1000ns, 1000ns);
    settings.jitter = 0.25;
    settings.seed = 7;
    backoff_state jittery(settings);
    backoff_state same(settings);
    std::int64_t least = 1000;
    std::int64_t most = 0;
    for (int i = 0; i < 1000; ++i) {
        const auto delay = jittery.next(now);
        REQUIRE(delay == same.next(now));
        least = std::min(least, std::int64_t{delay.count()});
        most = std::max(most, std::int64_t{delay.count()});
    }
    CHECK(least >= 750);
    CHECK(least < 760);
    CHECK(most > 990);
    CHECK(most <= 1000);

    backoff nonsense;
    nonsense.initial = -1s;
    nonsense.longest = -5s;
    nonsense.factor = -3.0;
    nonsense.jitter = 17.0;
    backoff_state harmless(nonsense);
    for (int i = 0; i < 10; ++i) { CHECK(harmless.next(now) == 0ns); }

    backoff huge;
    huge.initial = std::chrono::nanoseconds::max();
    huge.longest = std::chrono::nanoseconds::max();
    huge.factor = 1e300;
    huge.jitter = 0.0;
    backoff_state endless(huge);
    for (int i = 0; i < 10; ++i) { CHECK(endless.next(now) > 24h * 365); }
}
