#include <heph/core/new_actor.hpp>

#include <expected>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

#include "core/probes.hpp"

using heph::actor_fn;
using heph::context;
using heph::no_runtime;
using heph::task;
using heph::waker;

namespace heph::test {

struct other_runtime {};

}  // namespace heph::test

namespace {

using heph::test::other_runtime;

task<> adds(context<int> ctx, int* sum, int factor) {
    while (auto message = co_await ctx.receive()) { *sum += *message * factor; }
}

task<> is_noexcept(context<int>) noexcept { co_return; }

template <typename RT>
task<> generic(context<std::string, RT> ctx, std::string* last) {
    while (auto message = co_await ctx.receive()) { *last = *message; }
}

task<> refers(context<int>, int& changed, const std::string& told, std::string* heard) {
    ++changed;
    *heard = told;
    co_return;
}

struct owner {
    static task<> run(context<int> ctx, int* sum) { return adds(std::move(ctx), sum, 1); }
};

struct function_object {
    task<std::expected<void, int>> operator()(context<int>, std::unique_ptr<int> moved) const {
        co_return std::unexpected(*moved);
    }
};

// An actor need not be a task: any future will do.
class counts_down {
public:
    using value_type = void;
    counts_down(context<int> ctx, int from) : ctx_(std::move(ctx)), left_(from) {}
    heph::polled<void> poll(const waker&) {
        if (left_-- == 0) { return heph::ready; }
        return heph::pending;
    }

private:
    context<int> ctx_;
    int left_;
};

struct makes_countdown {
    using message_type = int;
    counts_down make(context<int> ctx, int from) { return counts_down(std::move(ctx), from); }
};

template <typename NewActor, typename... Args>
auto start(NewActor maker, Args... args) {
    return heph::make_actor(heph::stop_supervisor(), std::move(maker), no_runtime(),
                            heph::actor_options(), std::move(args)...);
}

}  // namespace

static_assert(heph::new_actor<decltype(actor_fn(adds)), no_runtime, int*, int>);
static_assert(!heph::new_actor<decltype(actor_fn(adds)), no_runtime, int*>);
static_assert(!heph::new_actor<decltype(actor_fn(adds)), other_runtime, int*, int>);
static_assert(heph::actor<task<>> && heph::actor<task<std::expected<void, int>>>);
static_assert(!heph::actor<task<int>> && !heph::actor<task<std::expected<int, int>>>);
static_assert(heph::new_actor<makes_countdown, no_runtime, int>);

TEST_CASE("actor_fn: takes a function, and knows its message type", "[core][new_actor]") {
    STATIC_REQUIRE(std::is_same_v<decltype(actor_fn(adds))::message_type, int>);
    STATIC_REQUIRE(std::is_same_v<decltype(actor_fn(is_noexcept))::message_type, int>);
    int sum = 0;
    auto [running, ref] = start(actor_fn(adds), &sum, 2);
    REQUIRE(ref.try_send(4));
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK(sum == 8);
    auto [ending, other] = start(actor_fn(is_noexcept));
    CHECK(ending.poll(waker()).is_ready());
}

TEST_CASE("actor_fn: takes a lambda without captures", "[core][new_actor]") {
    int sum = 0;
    const auto lambda = [](context<int> ctx, int* into) -> task<> {
        auto message = co_await ctx.receive();
        *into = message.value_or(-1);
    };
    auto [running, ref] = start(actor_fn(lambda), &sum);
    REQUIRE(ref.try_send(4));
    CHECK(running.poll(waker()).is_ready());
    CHECK(sum == 4);
}

TEST_CASE("actor_fn: takes references to what outlives the actor", "[core][new_actor]") {
    int changed = 0;
    const std::string told = "something";
    std::string heard;
    auto [running, ref] = start(actor_fn(refers), std::ref(changed), std::cref(told), &heard);
    CHECK(running.poll(waker()).is_ready());
    CHECK(changed == 1);
    CHECK(heard == told);
}

TEST_CASE("actor_fn: takes a static member function", "[core][new_actor]") {
    int sum = 0;
    auto [running, ref] = start(actor_fn(&owner::run), &sum);
    REQUIRE(ref.try_send(4));
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK(sum == 4);
}

TEST_CASE("actor_fn: takes a function object, and arguments that can only be moved",
          "[core][new_actor]") {
    const heph::test::captured_log log;
    auto [running, ref] = start(actor_fn(function_object()), std::make_unique<int>(6));
    CHECK(running.poll(waker()).is_ready());
    REQUIRE(log.lines().size() == 1);
    CHECK(log.lines()[0].second == "actor without a name failed: 6; stopping it");
}

TEST_CASE("actor_fn: takes a generic function when it is told the message type",
          "[core][new_actor]") {
    std::string last;
    const auto any_runtime = [](auto ctx, std::string* into) -> task<> {
        return generic(std::move(ctx), into);
    };
    auto maker = actor_fn<std::string>(any_runtime);
    STATIC_REQUIRE(heph::new_actor<decltype(maker), no_runtime, std::string*>);
    STATIC_REQUIRE(heph::new_actor<decltype(maker), other_runtime, std::string*>);
    auto [running, ref] = start(maker, &last);
    REQUIRE(ref.try_send("text"));
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK(last == "text");
}

TEST_CASE("new_actor: makes any future an actor", "[core][new_actor]") {
    auto [running, ref] = start(makes_countdown(), 2);
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK(ref.is_connected());
    CHECK(running.poll(waker()).is_ready());
    CHECK_FALSE(ref.is_connected());
}

TEST_CASE("map_args: maps one argument to one, or to several", "[core][new_actor]") {
    int sum = 0;
    auto from_text = heph::map_args(actor_fn(adds), [&sum](const std::string& factor) {
        return std::tuple(&sum, std::stoi(factor));
    });
    auto [running, ref] = start(from_text, std::string("3"));
    REQUIRE(ref.try_send(2));
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK(sum == 6);

    auto twice = heph::map_args(makes_countdown(), [](int n) { return n * 2; });
    auto [counting, other] = start(twice, 1);
    CHECK_FALSE(counting.poll(waker()).is_ready());
    CHECK_FALSE(counting.poll(waker()).is_ready());
    CHECK(counting.poll(waker()).is_ready());
}

TEST_CASE("map_args: maps anew at each restart", "[core][new_actor]") {
    int mapped = 0;
    const auto fails = [](context<int> ctx, int number) -> task<std::expected<void, int>> {
        (void)co_await ctx.receive();
        co_return std::unexpected(number);
    };
    auto maker = heph::map_args(actor_fn(fails), [&mapped](std::string) { return ++mapped; });
    std::vector<int> errors;
    auto [running, ref] = heph::make_actor(
        [&errors](const heph::failure& why) {
            errors.push_back(*why.error<int>());
            return heph::restart(std::string("path"));
        },
        maker, no_runtime(), heph::actor_options(), std::string("path"));
    REQUIRE(ref.try_send(1));
    REQUIRE(ref.try_send(2));
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK(errors == std::vector<int>{1, 2});
    CHECK(mapped == 3);
}

TEST_CASE("map_args: an exception of the mapping leaves make_actor", "[core][new_actor]") {
    auto maker = heph::map_args(makes_countdown(),
                                [](int) -> int { throw std::invalid_argument("no such file"); });
    CHECK_THROWS_WITH(start(maker, 1), "no such file");
}
