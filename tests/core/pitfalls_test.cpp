// What the README promises to those who write coroutines with g++ 12: the forms it shows destroy
// everything once. Counted objects tell, and the sanitizers.

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_ref;
using heph::context;
using heph::task;
using heph::test::poll_loop;
using heph::test::probe;

namespace {

struct aggregate {
    probe watched;
    std::string text;
};

class with_constructor {
public:
    with_constructor(int& live, std::string text) : watched_(live), text_(std::move(text)) {}

private:
    probe watched_;
    std::string text_;
};

using ask = heph::rpc<with_constructor, int>;
using message = std::variant<aggregate, with_constructor, ask>;

constexpr const char* long_text = "longer than what a string keeps within itself";

aggregate make_aggregate(int& live) { return aggregate{probe(live), long_text}; }

task<int> takes(aggregate, int number) {
    co_await heph::yield();
    co_return number;
}

task<> sends(actor_ref<message> ref, int* live, int* refused) {
    aggregate named{probe(*live), long_text};
    auto first = co_await ref.send(std::move(named));
    auto second = co_await ref.send(make_aggregate(*live));
    auto third = co_await ref.send(with_constructor(*live, long_text));
    auto fourth = co_await ref.emplace<with_constructor>(*live, long_text);
    *refused += (first ? 0 : 1) + (second ? 0 : 1) + (third ? 0 : 1) + (fourth ? 0 : 1);
    auto answer = co_await ref.rpc<ask>(with_constructor(*live, long_text));
    if (!answer) { ++*refused; }
}

task<> receives(context<message> ctx, int* count) {
    while (auto received = co_await ctx.receive()) {
        ++*count;
        if (auto* call = std::get_if<ask>(&*received)) { call->respond(*count); }
        co_await heph::yield();
    }
}

task<int> awaits_in_expressions(int* live) {
    int sum = co_await takes(make_aggregate(*live), 1) + co_await takes(make_aggregate(*live), 2);
    if (co_await takes(make_aggregate(*live), 3) == 3) { sum += 10; }
    auto both =
        co_await heph::join(takes(make_aggregate(*live), 4), takes(make_aggregate(*live), 5));
    sum += std::get<0>(both) + std::get<1>(both);
    auto first = co_await heph::either(takes(make_aggregate(*live), 6), heph::yield());
    sum += first.index() == 0 ? 100 : 200;
    for (int i = co_await takes(make_aggregate(*live), 0); i < 2; ++i) {
        sum += co_await takes(make_aggregate(*live), i);
    }
    co_return sum;
}

// A coroutine lambda takes parameters; what it would capture goes into its frame that way.
task<int> lambda_with_parameters() {
    const auto later = [](std::string text) -> task<int> {
        co_await heph::yield();
        co_return static_cast<int>(text.size());
    };
    std::string text(long_text);
    co_return co_await later(std::move(text));
}

// An awaited condition of a class type needs a name.
task<int> awaits_in_conditions() {
    const auto next = [](int* left) -> task<std::optional<int>> {
        co_await heph::yield();
        if (--*left < 0) { co_return std::nullopt; }
        co_return *left;
    };
    int sum = 0;
    int left = 3;
    while (auto got = co_await next(&left)) {}
    left = 3;
    while (auto got = co_await next(&left)) { sum += *got; }
    co_return sum;
}

// No await in a handler: the exception is kept, and awaited for afterwards.
task<std::string> awaits_after_a_handler() {
    std::exception_ptr kept;
    try {
        co_await heph::yield();
        throw std::runtime_error("thrown");
    } catch (...) { kept = std::current_exception(); }
    co_await heph::yield();
    try {
        std::rethrow_exception(kept);
    } catch (const std::exception& error) { co_return error.what(); }
}

template <typename T>
T run(task<T> running) {
    std::optional<T> value;
    const auto keep = [](task<T> from, std::optional<T>* into) -> task<> {
        *into = co_await std::move(from);
    };
    poll_loop loop;
    loop.spawn(keep(std::move(running), &value));
    loop.run();
    REQUIRE(value.has_value());
    return *std::move(value);
}

}  // namespace

TEST_CASE("pitfalls: messages sent in the ways the README shows are destroyed once",
          "[core][pitfalls]") {
    for (const std::size_t inbox_size : {1U, 8U}) {
        int live = 0;
        int refused = 0;
        int count = 0;
        {
            poll_loop loop;
            heph::actor_options options;
            options.inbox_size = inbox_size;
            auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(receives),
                                                   heph::no_runtime(), options, &count);
            loop.spawn(std::move(running));
            loop.spawn(sends(std::move(ref), &live, &refused));
            loop.run();
            CHECK(loop.unfinished() == 0);
        }
        CHECK(live == 0);
        CHECK(refused == 0);
        CHECK(count == 5);
    }
}

TEST_CASE("pitfalls: awaits within expressions destroy their temporaries once",
          "[core][pitfalls]") {
    int live = 0;
    CHECK(run(awaits_in_expressions(&live)) == 3 + 10 + 9 + 100 + 1);
    CHECK(live == 0);
    // And when they are dropped half-way.
    for (int polls = 0; polls < 12; ++polls) {
        {
            task<int> running = awaits_in_expressions(&live);
            for (int i = 0; i < polls; ++i) {
                if (running.poll(heph::waker()).is_ready()) { break; }
            }
        }
        REQUIRE(live == 0);
    }
}

TEST_CASE("pitfalls: a coroutine lambda keeps its parameters", "[core][pitfalls]") {
    CHECK(run(lambda_with_parameters()) == static_cast<int>(std::string(long_text).size()));
}

TEST_CASE("pitfalls: an exception kept beyond its handler can be awaited after",
          "[core][pitfalls]") {
    CHECK(run(awaits_after_a_handler()) == "thrown");
}

TEST_CASE("pitfalls: a loop that awaits its condition ends", "[core][pitfalls]") {
    CHECK(run(awaits_in_conditions()) == 3);
}

TEST_CASE("pitfalls: what stands in a co_await is never an aggregate", "[core][pitfalls]") {
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<heph::send_future<int>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<heph::join_ref_future<int>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<heph::rpc_future<heph::send_future<ask>, int>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<decltype(std::declval<actor_ref<ask>>().rpc(
                             std::declval<with_constructor>()))>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<decltype(std::declval<context<int>>().receive())>);
    STATIC_REQUIRE_FALSE(
        std::is_aggregate_v<decltype(heph::make_actor(heph::no_supervisor(),
                                                      heph::actor_fn(receives), heph::no_runtime(),
                                                      heph::actor_options(), std::declval<int*>())
                                         .first)>);
}
