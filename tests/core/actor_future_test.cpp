#include <heph/core/actor_future.hpp>

#include <expected>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_options;
using heph::context;
using heph::failure;
using heph::log_level;
using heph::task;
using heph::waker;
using heph::test::captured_log;
using heph::test::probe;

namespace {

using outcome = std::expected<void, std::string>;

actor_options named(const char* name) {
    actor_options options;
    options.name = name;
    return options;
}

task<> greets(context<int> ctx, std::vector<int>* into, int offset) {
    while (auto message = co_await ctx.receive()) { into->push_back(*message + offset); }
}

// Fails with an error on 1, with an exception on 2; ends well on 3.
task<outcome> fragile(context<int> ctx, std::vector<int>* into) {
    while (auto message = co_await ctx.receive()) {
        into->push_back(*message);
        if (*message == 1) { co_return std::unexpected(std::string("a one")); }
        if (*message == 2) { throw std::range_error("a two"); }
        if (*message == 3) { co_return outcome(); }
    }
    co_return outcome();
}

struct some_access {
    void* to = nullptr;
};
task<> waits(context<int, some_access> ctx) {
    while (auto message = co_await ctx.receive()) { *message += 1; }
}

task<> throws_at_once(context<int>) {
    throw std::runtime_error("at once");
    co_return;
}

task<> throws_an_int(context<int>) {
    throw 5;
    co_return;
}

// Watches what a supervisor is told.
struct told {
    std::string message;
    std::string type;
    std::string name;
    bool exception;
    heph::failure_stage stage;
};

class watching {
public:
    watching(std::vector<told>& into, int restarts) : into_(&into), restarts_(restarts) {}

    heph::decision<std::vector<int>*> operator()(const failure& why) {
        into_->push_back(told{why.message(), why.type_name(), std::string(why.actor_name()),
                              why.is_exception(), why.stage()});
        if (restarts_-- == 0) { return heph::stop; }
        return heph::restart(&got_);
    }

private:
    std::vector<told>* into_;
    int restarts_;
    static inline std::vector<int> got_;
};

// Where a test keeps a context that should have gone with its actor.
std::optional<context<int>>& kept_context() {
    static std::optional<context<int>> kept;
    return kept;
}

task<outcome> leaks_its_context(context<int> ctx) {
    kept_context().emplace(std::move(ctx));
    co_return std::unexpected(std::string("leaked"));
}

}  // namespace

TEST_CASE("actor_future: is a future that never throws, and no aggregate", "[core][actor]") {
    auto [running, ref] = heph::make_actor(heph::stop_supervisor(), heph::actor_fn(throws_at_once),
                                           heph::no_runtime(), actor_options());
    STATIC_REQUIRE(heph::future<decltype(running)>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<decltype(running)>);
    STATIC_REQUIRE(noexcept(running.poll(waker())));
}

TEST_CASE("actor_future: runs an actor until it has no more messages", "[core][actor]") {
    std::vector<int> got;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(greets),
                                           heph::no_runtime(), named("greeter"), &got, 10);
    CHECK(running.name() == "greeter");
    REQUIRE(ref.try_send(1));
    CHECK_FALSE(running.poll(waker()).is_ready());
    REQUIRE(ref.try_send(2));
    std::optional last(std::move(ref));
    last.reset();
    CHECK(running.poll(waker()).is_ready());
    CHECK(got == std::vector<int>{11, 12});
}

TEST_CASE("actor_future: nothing of the actor runs before the first poll", "[core][actor]") {
    std::vector<int> got;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(greets),
                                           heph::no_runtime(), actor_options(), &got, 0);
    REQUIRE(ref.try_send(1));
    CHECK(got.empty());
}

TEST_CASE("actor_future: the inbox has the size that was asked for", "[core][actor]") {
    std::vector<int> got;
    actor_options options;
    options.inbox_size = 3;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(greets),
                                           heph::no_runtime(), options, &got, 0);
    for (int i = 0; i < 3; ++i) { CHECK(ref.try_send(i)); }
    CHECK(ref.try_send(3).error().reason() == heph::send_failure::full);
}

TEST_CASE("actor_future: senders and joiners learn at once that the actor is finished",
          "[core][actor]") {
    std::vector<int> got;
    auto [running, ref] = heph::make_actor(heph::stop_supervisor(), heph::actor_fn(fragile),
                                           heph::no_runtime(), actor_options(), &got);
    auto joining = ref.join();
    CHECK_FALSE(joining.poll(waker()).is_ready());
    REQUIRE(ref.try_send(3));
    REQUIRE(ref.try_send(4));
    CHECK(running.poll(waker()).is_ready());
    CHECK(joining.poll(waker()).is_ready());
    CHECK_FALSE(ref.is_connected());
    CHECK(ref.try_send(5).error().reason() == heph::send_failure::disconnected);
    CHECK(got == std::vector<int>{3});
}

TEST_CASE("no_supervisor: an exception is logged as critical, and stops the actor",
          "[core][actor]") {
    const captured_log log;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(throws_at_once),
                                           heph::no_runtime(), named("brittle"));
    CHECK(running.poll(waker()).is_ready());
    CHECK_FALSE(ref.is_connected());
    REQUIRE(log.lines().size() == 1);
    CHECK(log.lines()[0].first == log_level::critical);
    CHECK(log.lines()[0].second ==
          "actor brittle failed: at once (exception std::runtime_error); stopping it, as it has no "
          "supervisor");
}

TEST_CASE("stop_supervisor: logs an error, and stops the actor", "[core][actor]") {
    const captured_log log;
    std::vector<int> got;
    auto [running, ref] = heph::make_actor(heph::stop_supervisor(), heph::actor_fn(fragile),
                                           heph::no_runtime(), named("fragile"), &got);
    REQUIRE(ref.try_send(1));
    CHECK(running.poll(waker()).is_ready());
    REQUIRE(log.lines().size() == 1);
    CHECK(log.lines()[0].first == log_level::warning);
    CHECK(log.lines()[0].second == "actor fragile failed: a one; stopping it");
}

TEST_CASE("stop_supervisor: an exception that is no std::exception has words, too",
          "[core][actor]") {
    const captured_log log;
    auto [running, ref] = heph::make_actor(heph::stop_supervisor(), heph::actor_fn(throws_an_int),
                                           heph::no_runtime(), actor_options());
    CHECK(running.poll(waker()).is_ready());
    REQUIRE(log.lines().size() == 1);
    CHECK(log.lines()[0].second ==
          "actor without a name failed: an exception that is no std::exception (exception int); "
          "stopping it");
}

TEST_CASE("actor_future: a supervisor is told of errors and exceptions, in words and by type",
          "[core][actor]") {
    heph::test::poll_loop loop;
    std::vector<told> all;
    std::vector<int> got;
    auto [running, ref] = heph::make_actor(watching(all, 2), heph::actor_fn(fragile),
                                           heph::no_runtime(), named("watched"), &got);
    loop.spawn(std::move(running));
    REQUIRE(ref.try_send(1));
    REQUIRE(ref.try_send(2));
    REQUIRE(ref.try_send(3));
    loop.run();
    CHECK(loop.unfinished() == 0);
    REQUIRE(all.size() == 2);
    CHECK(all[0].message == "a one");
    CHECK(all[0].type.find("string") != std::string::npos);
    CHECK_FALSE(all[0].exception);
    CHECK(all[0].name == "watched");
    CHECK(all[0].stage == heph::failure_stage::running);
    CHECK(all[1].message == "a two");
    CHECK(all[1].type == "std::range_error");
    CHECK(all[1].exception);
}

TEST_CASE("actor_future: it counts messages that wait and that were received, and restarts",
          "[core][actor]") {
    std::vector<told> all;
    std::vector<int> got;
    auto [running, ref] = heph::make_actor(watching(all, 2), heph::actor_fn(fragile),
                                           heph::no_runtime(), named("counted"), &got);
    const auto is = [&actor = running](std::size_t queued, std::uint64_t received,
                                       std::uint32_t restarts) {
        const heph::actor_counts now = actor.counts();
        return now.queued == queued && now.received == received && now.restarts == restarts;
    };
    CHECK(is(0, 0, 0));
    const auto meter = running.new_gauge();
    for (const int each : {5, 1, 6}) { REQUIRE(ref.try_send(each)); }
    CHECK(is(3, 0, 0));
    CHECK_FALSE(running.poll(waker()).is_ready());  // Fails at the second, and is restarted.
    CHECK(is(1, 2, 1));
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK(is(0, 3, 1));
    CHECK(meter.counts().received == 3);
    auto moved = std::move(running);
    CHECK(moved.counts().restarts == 1);
    CHECK(moved.counts().received == 3);
    REQUIRE(ref.try_send(3));
    REQUIRE(ref.try_send(4));
    CHECK(moved.poll(waker()).is_ready());
    CHECK(moved.counts().received == 0);  // The inbox has gone.
    CHECK(moved.counts().restarts == 1);
    CHECK(meter.counts().received == 4);
}

TEST_CASE("actor_future: an actor whose context is kept elsewhere is not restarted",
          "[core][actor]") {
    const captured_log log;
    {
        auto [running, ref] =
            heph::make_actor([](const failure&) { return heph::restart(); },
                             heph::actor_fn(leaks_its_context), heph::no_runtime(), named("leaky"));
        CHECK(running.poll(waker()).is_ready());
        kept_context().reset();
        CHECK_FALSE(ref.is_connected());
    }
    REQUIRE(log.lines().size() == 1);
    CHECK(log.lines()[0].first == log_level::critical);
    CHECK(log.lines()[0].second ==
          "actor leaky could not be restarted: the failed actor's context is still in use; "
          "stopping it");
}

TEST_CASE("actor_future: an actor that is never restarted keeps nothing for restarts",
          "[core][actor]") {
    const auto make = [](auto supervisor) {
        return heph::make_actor(supervisor, heph::actor_fn(waits), some_access(), actor_options());
    };
    const auto stopped = make(heph::stop_supervisor());
    const auto restarted = make([](const failure&) { return heph::restart(); });
    CHECK(sizeof(stopped.first) + sizeof(some_access) + sizeof(&waits) <= sizeof(restarted.first));
    CHECK(stopped.first.restarts() == 0);
}

TEST_CASE("actor_future: dropping it destroys the actor and its inbox", "[core][actor]") {
    int live = 0;
    auto queued = std::make_shared<int>(0);
    const auto holds = [](context<std::shared_ptr<int>> ctx, probe) -> task<> {
        auto first = co_await ctx.receive();
        co_await heph::yield();
        auto second = co_await ctx.receive();
        (void)co_await ctx.receive();
    };
    for (int polls = 0; polls < 4; ++polls) {
        {
            auto [running, ref] =
                heph::make_actor(heph::no_supervisor(), heph::actor_fn(+holds), heph::no_runtime(),
                                 actor_options(), probe(live));
            for (int i = 0; i < 2; ++i) { REQUIRE(ref.try_send(queued)); }
            std::optional dropped(std::move(running));
            for (int i = 0; i < polls; ++i) { REQUIRE_FALSE(dropped->poll(waker()).is_ready()); }
            REQUIRE(live == 1);
            dropped.reset();
            REQUIRE_FALSE(ref.is_connected());
            REQUIRE(live == 0);
            REQUIRE(queued.use_count() == 1);
        }
    }
}

TEST_CASE("make_actor: options that are given as a variable can be used again", "[core][actor]") {
    heph::actor_options options;
    options.name = "one of several, whose name is long";
    options.inbox_size = 1;
    for (int i = 0; i < 2; ++i) {
        auto [running, ref] = heph::make_actor(
            heph::no_supervisor(), heph::actor_fn(+[](context<int>) -> task<> { co_return; }),
            heph::no_runtime(), options);
        CHECK(running.name() == "one of several, whose name is long");
        CHECK(ref.try_send(1));
        CHECK_FALSE(ref.try_send(2));
    }
}
