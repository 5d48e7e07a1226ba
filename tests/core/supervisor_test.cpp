// What supervisors may be, and what their answers do.

#include <chrono>
#include <expected>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

#include "core/manual_time.hpp"
#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_options;
using heph::context;
using heph::decision;
using heph::failure;
using heph::steady_time;
using heph::task;
using heph::timed_decision;
using heph::waker;
using heph::test::captured_log;
using heph::test::manual_runtime;
using heph::test::manual_time;
using heph::test::poll_loop;
using namespace std::chrono_literals;

namespace {

using outcome = std::expected<void, std::string>;

actor_options named(const char* name) {
    actor_options options;
    options.name = name;
    return options;
}

template <typename RT>
task<outcome> fails(context<int, RT> ctx) {
    auto message = co_await ctx.receive();
    if (!message) { co_return outcome(); }
    co_return std::unexpected(std::string("broken"));
}

heph::stop_t by_function(const failure&) { return heph::stop; }

struct by_name_and_time {
    std::vector<steady_time>* asked;
    decision<> decide(const failure&, steady_time now) const {
        asked->push_back(now);
        return heph::restart();
    }
};

}  // namespace

TEST_CASE("supervisor: is an object with decide, or anything to call, with or without the time",
          "[core][supervisor]") {
    const auto with_time = [](const failure&, steady_time) { return heph::escalate; };
    const auto no_decision = [](const failure&) { return 5; };
    const auto mutating = [count = 0](const failure&) mutable {
        ++count;
        return heph::restart(count);
    };
    STATIC_REQUIRE(heph::supervisor<decltype(&by_function)>);
    STATIC_REQUIRE(heph::supervisor<by_name_and_time>);
    STATIC_REQUIRE(heph::supervisor<std::decay_t<decltype(with_time)>>);
    STATIC_REQUIRE(heph::supervisor<std::decay_t<decltype(mutating)>>);
    STATIC_REQUIRE(heph::supervisor<heph::escalate_supervisor>);
    STATIC_REQUIRE_FALSE(heph::supervisor<std::decay_t<decltype(no_decision)>>);
    STATIC_REQUIRE_FALSE(heph::supervisor<int>);
    auto [running, ref] = heph::make_actor(&by_function, heph::actor_fn(&fails<heph::no_runtime>),
                                           heph::no_runtime(), actor_options());
    REQUIRE(ref.try_send(1));
    CHECK(running.poll(waker()).is_ready());
}

TEST_CASE("supervisor: is told the runtime's time, where there is one", "[core][supervisor]") {
    manual_time time;
    poll_loop loop;
    std::vector<steady_time> asked;
    auto [running, ref] =
        heph::make_actor(by_name_and_time{&asked}, heph::actor_fn(&fails<manual_runtime>),
                         manual_runtime(time), named("timed"));
    loop.spawn(std::move(running));
    const steady_time begin = time.now();
    REQUIRE(ref.try_send(1));
    loop.run();
    time.advance(5s);
    REQUIRE(ref.try_send(2));
    loop.run();
    CHECK(asked == std::vector{begin, begin + 5s});
}

TEST_CASE("restart_supervisor: counts by the runtime's time", "[core][supervisor]") {
    const captured_log log;
    manual_time time;
    poll_loop loop;
    auto [running, ref] = heph::make_actor(heph::restart_supervisor(heph::restart_limit{1, 10s}),
                                           heph::actor_fn(&fails<manual_runtime>),
                                           manual_runtime(time), named("timed"));
    loop.spawn(std::move(running));
    for (int i = 0; i < 5; ++i) {
        REQUIRE(ref.try_send(i));
        loop.run();
        REQUIRE(ref.is_connected());
        time.advance(10s);
    }
    REQUIRE(ref.try_send(1));
    loop.run();
    time.advance(9s);
    REQUIRE(ref.try_send(2));
    loop.run();
    CHECK_FALSE(ref.is_connected());
}

TEST_CASE("escalate: without a tree the actor is stopped, and that is logged as critical",
          "[core][supervisor]") {
    const captured_log log;
    auto [running, ref] =
        heph::make_actor(heph::escalate_supervisor(), heph::actor_fn(&fails<heph::no_runtime>),
                         heph::no_runtime(), named("orphan"));
    REQUIRE(ref.try_send(1));
    CHECK(running.poll(waker()).is_ready());
    CHECK_FALSE(ref.is_connected());
    REQUIRE(captured_log::lines().size() == 1);
    CHECK(captured_log::lines()[0].first == heph::log_level::critical);
    CHECK(captured_log::lines()[0].second ==
          "actor orphan failed: broken; stopping it, as there is nobody to escalate to");
}

TEST_CASE("supervisor: a function that escalates by exception and restarts by error",
          "[core][supervisor]") {
    const captured_log log;
    poll_loop loop;
    const auto fragile = [](context<int> ctx) -> task<outcome> {
        auto message = co_await ctx.receive();
        if (!message) { co_return outcome(); }
        if (*message == 0) { throw std::range_error("zero"); }
        co_return std::unexpected(std::string("not zero"));
    };
    auto [running, ref] = heph::make_actor(
        [](const failure& why) -> decision<> {
            if (why.is_exception()) { return heph::escalate; }
            return heph::restart();
        },
        heph::actor_fn(+fragile), heph::no_runtime(), named("fragile"));
    loop.spawn(std::move(running));
    for (const int message : {1, 2, 0}) { REQUIRE(ref.try_send(message)); }
    loop.run();
    CHECK_FALSE(ref.is_connected());
    REQUIRE(captured_log::lines().size() == 1);
    CHECK(captured_log::lines()[0].second ==
          "actor fragile failed: zero (exception std::range_error); stopping it, as there is "
          "nobody to escalate to");
}

TEST_CASE("supervisor: the log line has the actor's name and id as fields", "[core][supervisor]") {
    static std::optional<std::pair<std::string, std::uint64_t>> seen;
    const heph::log_handler previous =
        heph::set_log_handler(heph::log_handler(+[](const heph::log_record& record) noexcept {
            seen.emplace(record.actor().name(), record.actor().id());
        }));
    auto [running, ref] =
        heph::make_actor(heph::stop_supervisor(), heph::actor_fn(&fails<heph::no_runtime>),
                         heph::no_runtime(), named("known"));
    REQUIRE(ref.try_send(1));
    CHECK(running.poll(waker()).is_ready());
    heph::set_log_handler(previous);
    REQUIRE(seen.has_value());
    CHECK(seen->first == "known");
    CHECK(seen->second == ref.id().hash());
}

TEST_CASE("timed_decision: holds any answer", "[core][supervisor]") {
    timed_decision<std::string> stopped = heph::stop;
    CHECK_FALSE(stopped.is_restart());
    CHECK_FALSE(stopped.is_escalation());
    timed_decision<std::string> escalated = heph::escalate;
    CHECK_FALSE(escalated.is_restart());
    CHECK(escalated.is_escalation());
    timed_decision<std::string> at_once = heph::restart("now");
    CHECK(at_once.delay() == 0ns);
    CHECK(std::get<0>(at_once.args()) == "now");
    timed_decision<std::string> later = heph::restart("later").after(3s);
    REQUIRE(later.is_restart());
    CHECK(later.delay() == 3s);
    CHECK(std::get<0>(later.args()) == "later");
    STATIC_REQUIRE_FALSE(std::constructible_from<decision<>, heph::delayed_restart<>>);
}

TEST_CASE("actor_builder: makes actors with its settings, again and again", "[core][supervisor]") {
    const heph::actor_builder builder = heph::actor_builder().name("built").inbox_size(3);
    for (int i = 0; i < 2; ++i) {
        auto [running, ref] = builder.make(
            heph::stop_supervisor(), heph::actor_fn(&fails<heph::no_runtime>), heph::no_runtime());
        CHECK(running.name() == "built");
        for (int message = 0; message < 3; ++message) { CHECK(ref.try_send(message)); }
        CHECK(ref.try_send(3).error().reason() == heph::send_failure::full);
    }
}

TEST_CASE("actor_future: an actor costs no more than it must", "[core][supervisor]") {
    // The frame and the inbox come on top: 424 bytes in all are the goal.
    using small =
        decltype(heph::make_actor(heph::no_supervisor(),
                                  heph::actor_fn([](context<int>) -> task<> { co_return; }),
                                  heph::no_runtime(), actor_options())
                     .first);
    STATIC_REQUIRE(sizeof(small) <= 32);
}
