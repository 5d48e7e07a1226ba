#include <heph/core/context.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/either.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/manual_time.hpp"
#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using namespace std::chrono_literals;

using heph::actor_ref;
using heph::context;
using heph::task;
using heph::waker;
using heph::test::manual_runtime;
using heph::test::manual_time;

namespace {

// What an actor's runtime could be.
struct counting_runtime {
    int* used;
};

template <typename M>
std::pair<actor_ref<M>, context<M>> make_context(std::size_t capacity) {
    auto [tx, rx] = heph::inbox::channel<M>(capacity);
    return {actor_ref<M>(std::move(tx)), context<M>(std::move(rx), heph::no_runtime())};
}

task<> collect(context<int> ctx, std::vector<int>* into) {
    while (auto message = co_await ctx.receive()) { into->push_back(*message); }
    into->push_back(-1);
}

task<> uses_runtime(context<heph::no_message, counting_runtime> ctx) {
    ++*ctx.runtime().used;
    CHECK_FALSE(ctx.is_connected());
    auto none = co_await ctx.receive();
    if (!none) { ++*ctx.runtime().used; }
}

// Answers itself, once.
task<> echoes(context<int> ctx, std::vector<int>* into) {
    {
        const actor_ref<int> self = ctx.self();
        (void)self.try_send(1);
    }
    while (auto message = co_await ctx.receive()) { into->push_back(*message); }
}

task<> keeps_itself(context<std::shared_ptr<int>> ctx) {
    const auto self = ctx.self();
    while (auto message = co_await ctx.receive()) {}
}

// Sends to itself although its inbox is full: only what it takes meanwhile makes room.
task<> feeds_itself(context<int> ctx, std::vector<int>* into) {
    const auto self = ctx.self();
    REQUIRE(self.try_send(1));
    auto full = self.try_send(2);
    CHECK_FALSE(full);
    auto sending = self.send(2);
    for (;;) {
        auto receiving = ctx.receive();
        auto first = co_await heph::either(sending, receiving);
        if (first.index() == 0) { break; }
        into->push_back(*std::get<1>(first));
    }
    auto last = co_await ctx.receive();
    into->push_back(*last);
}

task<> waits_for_itself(context<std::shared_ptr<int>> ctx, std::shared_ptr<int> watched) {
    const auto self = ctx.self();
    for (;;) {
        auto sent = co_await self.send(watched);
        if (!sent) { co_return; }
    }
}

struct peer {
    explicit peer(actor_ref<peer> to) : ref(std::move(to)) {}
    actor_ref<peer> ref;
};

task<> remembers_peers(context<peer> ctx, heph::test::probe) {
    std::vector<peer> peers;
    while (auto message = co_await ctx.receive()) { peers.push_back(std::move(*message)); }
}

// Keeps the one reference to itself, then gives it away.
task<> lets_itself_go(context<int> ctx, bool* ended) {
    std::optional<actor_ref<int>> self(ctx.self());
    co_await heph::yield();
    CHECK(ctx.is_connected());
    self.reset();
    CHECK_FALSE(ctx.is_connected());
    auto none = co_await ctx.receive();
    *ended = !none.has_value();
}

}  // namespace

TEST_CASE("context: receive gives messages, then nothing when every reference is gone",
          "[core][context]") {
    std::vector<int> got;
    auto [ref, ctx] = make_context<int>(4);
    task<> running = collect(std::move(ctx), &got);
    std::optional<actor_ref<int>> last(std::move(ref));
    CHECK_FALSE(running.poll(waker()).is_ready());
    REQUIRE(last->try_send(1));
    REQUIRE(last->try_send(2));
    CHECK_FALSE(running.poll(waker()).is_ready());
    REQUIRE(last->try_send(3));
    last.reset();
    CHECK(running.poll(waker()).is_ready());
    CHECK(got == std::vector<int>{1, 2, 3, -1});
}

TEST_CASE("context: try_receive tells empty from the end", "[core][context]") {
    auto [ref, ctx] = make_context<int>(4);
    std::optional<actor_ref<int>> last(std::move(ref));
    CHECK(ctx.try_receive().error() == heph::receive_error::empty);
    REQUIRE(last->try_send(1));
    last.reset();
    CHECK_FALSE(ctx.is_connected());
    CHECK(ctx.try_receive() == 1);
    CHECK(ctx.try_receive().error() == heph::receive_error::disconnected);
    const auto again = ctx.self();
    CHECK(ctx.is_connected());
    CHECK(ctx.try_receive().error() == heph::receive_error::empty);
}

TEST_CASE("context: a dropped receive loses no message", "[core][context]") {
    auto [ref, ctx] = make_context<int>(4);
    {
        auto receiving = ctx.receive();
        CHECK_FALSE(receiving.poll(waker()).is_ready());
        REQUIRE(ref.try_send(1));
    }
    CHECK(ctx.try_receive() == 1);
}

TEST_CASE("context: gives access to the runtime, of an actor without messages too",
          "[core][context]") {
    STATIC_REQUIRE_FALSE(std::is_constructible_v<heph::no_message>);
    int used = 0;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(uses_runtime),
                                           counting_runtime{&used}, heph::actor_options());
    { auto gone = std::move(ref); }
    CHECK(running.poll(waker()).is_ready());
    CHECK(used == 2);
}

TEST_CASE("context: an actor's reference to itself works", "[core][context]") {
    std::vector<int> got;
    auto [ref, ctx] = make_context<int>(2);
    { auto gone = std::move(ref); }
    task<> running = echoes(std::move(ctx), &got);
    CHECK(running.poll(waker()).is_ready());
    CHECK(got == std::vector<int>{1});
}

TEST_CASE("context: an actor that keeps a reference to itself waits for ever, and can be dropped",
          "[core][context]") {
    auto watched = std::make_shared<int>(0);
    {
        auto [ref, ctx] = make_context<std::shared_ptr<int>>(2);
        task<> running = keeps_itself(std::move(ctx));
        CHECK_FALSE(running.poll(waker()).is_ready());
        REQUIRE(ref.try_send(watched));
        { auto gone = std::move(ref); }
        CHECK_FALSE(running.poll(waker()).is_ready());
        CHECK(watched.use_count() == 1);
    }
}

TEST_CASE("context: an actor that drops its own last reference learns that it was the last",
          "[core][context]") {
    heph::test::poll_loop loop;
    bool ended = false;
    auto [ref, ctx] = make_context<int>(1);
    { auto gone = std::move(ref); }
    loop.spawn(lets_itself_go(std::move(ctx), &ended));
    loop.run();
    CHECK(ended);
    CHECK(loop.unfinished() == 0);
}

TEST_CASE("context: an actor may send to its own full inbox while it receives", "[core][context]") {
    std::vector<int> got;
    heph::test::poll_loop loop;
    auto [ref, ctx] = make_context<int>(1);
    loop.spawn(feeds_itself(std::move(ctx), &got));
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(got == std::vector<int>{1, 2});
}

TEST_CASE("context: an actor that waits for room in its own inbox is stuck, and can be dropped",
          "[core][context]") {
    auto watched = std::make_shared<int>(0);
    {
        heph::test::poll_loop loop;
        auto [ref, ctx] = make_context<std::shared_ptr<int>>(1);
        loop.spawn(waits_for_itself(std::move(ctx), watched));
        CHECK(loop.run() == 1);
        CHECK(loop.unfinished() == 1);
        CHECK(watched.use_count() == 4);  // Ours, its parameter's, one queued, one waiting.
        loop.drop_all();
        CHECK(watched.use_count() == 1);
        CHECK_FALSE(ref.is_connected());
    }
}

TEST_CASE("context: actors that refer to each other are freed when they are dropped",
          "[core][context]") {
    int live = 0;
    {
        heph::test::poll_loop loop;
        auto [one, one_ctx] = make_context<peer>(2);
        auto [two, two_ctx] = make_context<peer>(2);
        loop.spawn(remembers_peers(std::move(one_ctx), heph::test::probe(live)));
        loop.spawn(remembers_peers(std::move(two_ctx), heph::test::probe(live)));
        REQUIRE(one.try_emplace(two));
        REQUIRE(two.try_emplace(one));
        loop.run();
        // And messages in the inboxes that hold references, to themselves too.
        REQUIRE(one.try_emplace(one));
        REQUIRE(one.try_emplace(two));
        REQUIRE(two.try_emplace(one));
        { auto gone = std::move(one); }
        { auto gone = std::move(two); }
        CHECK(loop.unfinished() == 2);
        CHECK(live == 2);
        loop.drop_all();
        CHECK(live == 0);
    }
}

namespace {

template <typename M>
struct timed_actor {
    explicit timed_actor(std::size_t capacity = 4)
        : timed_actor(heph::inbox::channel<M>(capacity)) {}
    explicit timed_actor(std::pair<heph::inbox::sender<M>, heph::inbox::receiver<M>> ends)
        : ref(std::move(ends.first)), ctx(std::move(ends.second), manual_runtime(time)) {}

    manual_time time;
    std::optional<actor_ref<M>> ref;
    context<M, manual_runtime> ctx;
};

task<> sleeps(context<int, manual_runtime> ctx, std::string* log) {
    *log += "asleep;";
    co_await ctx.deadline_in(1s);
    *log += "awake;";
    co_await ctx.deadline_at(ctx.runtime().now() + 1s);
    *log += "done";
}

}  // namespace

TEST_CASE("context: receive with a deadline gives what comes in time",
          "[core][context][deadline]") {
    timed_actor<std::unique_ptr<int>> actor;
    auto receiving = actor.ctx.receive(heph::deadline_in(1s));
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<decltype(receiving)>);
    CHECK_FALSE(receiving.poll(waker()).is_ready());
    REQUIRE(actor.ref->try_send(std::make_unique<int>(4)));
    auto received = receiving.poll(waker());
    REQUIRE(received.is_ready());
    CHECK(**received.value() == 4);
}

TEST_CASE("context: receive with a deadline tells a time-out from the end",
          "[core][context][deadline]") {
    timed_actor<int> actor;
    {
        auto receiving = actor.ctx.receive(actor.ctx.deadline_in(1s));
        CHECK_FALSE(receiving.poll(waker()).is_ready());
        actor.time.advance(1s);
        CHECK(receiving.poll(waker()).value().error() == heph::receive_error::empty);
    }
    CHECK(actor.time.waiting() == 0);
    actor.ref.reset();
    auto receiving = actor.ctx.receive(heph::deadline_in(-1s));
    CHECK(receiving.poll(waker()).value().error() == heph::receive_error::disconnected);
}

TEST_CASE("context: a message that is there when the time comes is received",
          "[core][context][deadline]") {
    timed_actor<int> actor;
    REQUIRE(actor.ref->try_send(1));
    auto receiving = actor.ctx.receive(heph::deadline_in(-1s));
    CHECK(receiving.poll(waker()).value() == 1);
}

TEST_CASE("context: a dropped receive with a deadline loses no message, and cancels its timer",
          "[core][context][deadline]") {
    timed_actor<int> actor;
    {
        auto receiving = actor.ctx.receive(heph::deadline_in(1s));
        CHECK_FALSE(receiving.poll(waker()).is_ready());
        CHECK(actor.time.waiting() == 1);
        REQUIRE(actor.ref->try_send(7));
    }
    CHECK(actor.time.waiting() == 0);
    CHECK(actor.ctx.try_receive() == 7);
}

TEST_CASE("context: any timer bounds a receive, though the runtime has none",
          "[core][context][deadline]") {
    auto [ref, ctx] = make_context<int>(1);
    heph::test::tripwire patience;
    auto receiving = ctx.receive(heph::bind_deadline(patience.wait()));
    CHECK_FALSE(receiving.poll(waker()).is_ready());
    patience.trip();
    CHECK(receiving.poll(waker()).value().error() == heph::receive_error::empty);
}

TEST_CASE("context: a deadline can be waited for", "[core][context][deadline]") {
    manual_time time;
    auto [tx, rx] = heph::inbox::channel<int>(1);
    std::string log;
    heph::test::poll_loop loop;
    loop.spawn(sleeps(context<int, manual_runtime>(std::move(rx), manual_runtime(time)), &log));
    loop.run();
    CHECK(log == "asleep;");
    time.advance(1s);
    loop.run();
    CHECK(log == "asleep;awake;");
    time.advance(1s);
    loop.run();
    CHECK(log == "asleep;awake;done");
}

TEST_CASE("context: receive_many takes what is there, up to a limit", "[core][context]") {
    auto [ref, ctx] = make_context<int>(4);
    std::vector<int> out;
    auto receiving = ctx.receive_many(out, 2);
    CHECK_FALSE(receiving.poll(waker()).is_ready());
    for (int i = 1; i <= 3; ++i) { REQUIRE(ref.try_send(i)); }
    CHECK(receiving.poll(waker()).value() == 2);
    CHECK(out == std::vector<int>({1, 2}));
    CHECK(ctx.inbox_size() == 4);
}

TEST_CASE("context: peek shows a message, which is received afterwards", "[core][context]") {
    auto [ref, ctx] = make_context<std::string>(2);
    CHECK(ctx.try_peek().error() == heph::receive_error::empty);
    auto peeking = ctx.peek();
    CHECK_FALSE(peeking.poll(waker()).is_ready());
    REQUIRE(ref.try_send("x"));
    std::string* shown = peeking.poll(waker()).value();
    REQUIRE(shown != nullptr);
    *shown += "y";
    CHECK(**ctx.try_peek() == "xy");
    CHECK(ctx.try_receive() == "xy");
}

TEST_CASE("context: peek shows nothing when every reference is gone", "[core][context]") {
    auto [made, ctx] = make_context<int>(1);
    std::optional ref(std::move(made));
    ref.reset();
    auto peeking = ctx.peek();
    CHECK(peeking.poll(waker()).value() == nullptr);
    CHECK(ctx.try_peek().error() == heph::receive_error::disconnected);
}
