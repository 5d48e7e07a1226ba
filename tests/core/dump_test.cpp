#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/dump.hpp>
#include <heph/core/either.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>
#include <heph/inbox/channel.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::awaiting_task;
using heph::task;
using heph::waker;
using heph::test::gate;

namespace dump_test {

task<int> innermost(gate* closed) { co_return co_await closed->wait(); }

class reader {
public:
    explicit reader(gate& closed) : closed_(&closed) {}
    task<int> next() { co_return co_await innermost(closed_); }

private:
    gate* closed_;
};

template <typename T>
task<T> outermost(gate* closed) {
    reader from(*closed);
    co_return co_await from.next();
}

task<> twice(gate* first, gate* second) {
    co_await first->wait();
    co_await second->wait();
}

task<> races(gate* one, gate* other) { co_await heph::either(innermost(one), innermost(other)); }

task<> borrows(gate* closed) {
    task<int> kept = innermost(closed);
    co_await kept;
}

task<std::string> tells() { co_return co_await heph::task_stack(); }

task<> asks_a_child(std::string* told) { *told = co_await tells(); }

struct copied {
    awaiting_task::state now;
    unsigned depth;
    std::string function;
    bool has_place;
    std::string waits_for;
};

template <typename F>
std::vector<copied> stack_of(const F& running) {
    std::vector<copied> all;
    heph::dump(running, [&all](const awaiting_task& one) {
        all.push_back({one.now, one.depth, std::string(one.function),
                       one.file.ends_with("dump_test.cpp") && one.line > 20,
                       std::string(one.waits_for)});
    });
    return all;
}

constexpr bool named = HEPH_TASK_NAMES == 1;

std::string name_or_nothing(std::string_view name) {
    return named ? "dump_test::" + std::string(name) : std::string();
}

}  // namespace dump_test

using namespace dump_test;

TEST_CASE("dump: a suspended chain is listed from its root to its leaf", "[core][dump]") {
    gate closed;
    task<int> running = outermost<int>(&closed);
    REQUIRE_FALSE(running.poll(waker()).is_ready());
    const auto stack = stack_of(running);
    REQUIRE(stack.size() == 3);
    CHECK(stack[0].function == name_or_nothing("outermost"));
    CHECK(stack[1].function == name_or_nothing("reader::next"));
    CHECK(stack[2].function == name_or_nothing("innermost"));
    for (const copied& one : stack) {
        CHECK(one.has_place == named);
        CHECK(one.depth == 0);
        CHECK(one.now == awaiting_task::state::waiting);
    }
    CHECK(stack[1].waits_for.empty());
    CHECK(stack[2].waits_for == (named ? "heph::test::gate::opened" : ""));
}

TEST_CASE("dump: polls that find nothing new leave the stack as it was", "[core][dump]") {
    gate closed;
    task<int> running = outermost<int>(&closed);
    REQUIRE_FALSE(running.poll(waker()).is_ready());
    const std::string before = running.dump();
    REQUIRE_FALSE(running.poll(waker()).is_ready());
    CHECK(running.dump() == before);
}

TEST_CASE("dump: it follows a coroutine from one await to the next", "[core][dump]") {
    gate first;
    gate second;
    task<> running = twice(&first, &second);
    REQUIRE_FALSE(running.poll(waker()).is_ready());
    const std::string before = running.dump();
    first.open();
    REQUIRE_FALSE(running.poll(waker()).is_ready());
    const std::string after = running.dump();
    CHECK((before != after) == named);
    CHECK(stack_of(running).size() == 1);
}

TEST_CASE("dump: a task that was not started, or is finished, has no stack", "[core][dump]") {
    gate open;
    open.open(1);
    task<int> running = outermost<int>(&open);
    CHECK(running.dump() == "a task that was not started\n");
    REQUIRE(running.poll(waker()).is_ready());
    CHECK(running.dump() == "a task that is finished\n");
    REQUIRE(stack_of(running).size() == 1);
    CHECK(stack_of(running)[0].now == awaiting_task::state::finished);
}

TEST_CASE("dump: tasks within a combinator are shown below it", "[core][dump]") {
    gate one;
    gate other;
    task<> running = races(&one, &other);
    REQUIRE_FALSE(running.poll(waker()).is_ready());
    const auto stack = stack_of(running);
    if constexpr (named) {
        REQUIRE(stack.size() == 3);
        CHECK(stack[0].depth == 0);
        CHECK(stack[0].waits_for.starts_with("heph::either_future<"));
        CHECK(stack[1].function == "dump_test::innermost");
        CHECK(stack[1].depth == 1);
        CHECK(stack[2].depth == 1);
    } else {
        CHECK(stack.size() == 1);
    }
}

TEST_CASE("dump: a task that is awaited by reference is shown", "[core][dump]") {
    gate closed;
    task<> running = borrows(&closed);
    REQUIRE_FALSE(running.poll(waker()).is_ready());
    const std::string text = running.dump();
    CHECK((text.find("  dump_test::innermost at ") != std::string::npos) == named);
}

TEST_CASE("dump: a coroutine can tell its own stack while it runs", "[core][dump]") {
    std::string told;
    task<> running = asks_a_child(&told);
    REQUIRE(running.poll(waker()).is_ready());
    const auto child = told.find("dump_test::tells at ");
    const auto parent = told.find("dump_test::asks_a_child at ");
    if constexpr (named) {
        CHECK(parent == 0);
        CHECK(child != std::string::npos);
        CHECK(told.ends_with(", running\n"));
    } else {
        CHECK(told == "a task built without names\na running task\n");
    }
}

TEST_CASE("dump: lambdas and their scopes are named", "[core][dump]") {
    gate closed;
    const auto lambda = [](gate* waits) -> task<> { co_await waits->wait(); };
    task<> running = lambda(&closed);
    REQUIRE_FALSE(running.poll(waker()).is_ready());
    const auto stack = stack_of(running);
    REQUIRE(stack.size() == 1);
    // What is in between is the compiler's own.
    CHECK(stack[0].function.ends_with("operator()") == named);
}
