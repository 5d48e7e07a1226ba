#include <heph/core/context.hpp>

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

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_ref;
using heph::context;
using heph::task;
using heph::waker;

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
