#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/either.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::task;
using heph::waker;
using heph::test::gate;
using heph::test::probe;

namespace {

task<int> one() { co_return 1; }

task<long> sum_of_children(int count) {
    long sum = 0;
    for (int i = 0; i < count; ++i) { sum += co_await one(); }
    co_return sum;
}

task<int> nested(int depth, gate* gate) {
    if (depth == 0) { co_return co_await gate->wait(); }
    co_return co_await nested(depth - 1, gate);
}

task<std::unique_ptr<int>> move_only() { co_return std::make_unique<int>(7); }

task<> throws(bool wait_first) {
    if (wait_first) { co_await heph::yield(); }
    throw std::runtime_error("broken");
}

task<std::string> catches(bool wait_first) {
    try {
        co_await throws(wait_first);
    } catch (const std::runtime_error& caught) { co_return caught.what(); }
    co_return "nothing thrown";
}

class note {
public:
    note(std::vector<std::string>& log, std::string text) : log_(&log), text_(std::move(text)) {}
    note(const note&) = delete;
    note& operator=(const note&) = delete;
    ~note() { log_->push_back(text_); }

private:
    std::vector<std::string>* log_;
    std::string text_;
};

task<> inner(std::vector<std::string>* log, gate* gate) {
    const note mark(*log, "inner");
    co_await gate->wait();
}

task<> outer(std::vector<std::string>* log, gate* gate) {
    const note mark(*log, "outer");
    co_await inner(log, gate);
}

task<int> leaf_steps(int* live) {
    const probe local(*live);
    co_await heph::yield();
    const probe second(*live);
    co_await heph::yield();
    co_return 2;
}

task<int> steps(int* live, probe parameter) {
    const probe copy(parameter);
    int sum = co_await leaf_steps(live);
    auto first = co_await heph::either(leaf_steps(live), heph::yield());
    sum += static_cast<int>(first.index());
    task<int> kept = leaf_steps(live);
    sum += co_await kept;
    co_return sum;
}

}  // namespace

TEST_CASE("task: public futures of the core are no aggregates", "[core][task]") {
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<task<int>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<heph::yield_future>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<heph::either_future<task<int>, task<>>>);
}

TEST_CASE("task: nothing runs before the first poll", "[core][task]") {
    int live = 0;
    {
        task<int> running = leaf_steps(&live);
        CHECK_FALSE(running.started());
        CHECK(live == 0);
        CHECK_FALSE(running.poll(waker()).is_ready());
        CHECK(live == 1);
    }
    CHECK(live == 0);
}

TEST_CASE("task: a million children that do not suspend need no stack", "[core][task]") {
    task<long> running = sum_of_children(1'000'000);
    auto result = running.poll(waker());
    REQUIRE(result.is_ready());
    CHECK(result.value() == 1'000'000);
}

TEST_CASE("task: a wake polls the innermost leaf once, however deep the chain is", "[core][task]") {
    gate gate;
    task<int> running = nested(100, &gate);
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK(gate.polls == 1);
    CHECK_FALSE(running.poll(waker()).is_ready());
    CHECK(gate.polls == 2);
    gate.open(42);
    auto result = running.poll(waker());
    REQUIRE(result.is_ready());
    CHECK(result.value() == 42);
    CHECK(gate.polls == 3);
}

TEST_CASE("task: a chain of thousands may be dropped, and may end", "[core][task]") {
    constexpr int depth = 5000;
    gate gate;
    {
        task<int> dropped = nested(depth, &gate);
        CHECK_FALSE(dropped.poll(waker()).is_ready());
        CHECK(gate.waiting == 1);
    }
    CHECK(gate.waiting == 0);
    task<int> running = nested(depth, &gate);
    CHECK_FALSE(running.poll(waker()).is_ready());
    gate.open(3);
    CHECK(running.poll(waker()).value() == 3);
}

TEST_CASE("task: gives a value that can only be moved", "[core][task]") {
    auto result = move_only().poll(waker());
    REQUIRE(result.is_ready());
    CHECK(*result.value() == 7);
}

TEST_CASE("task: an exception leaves the await of the child", "[core][task]") {
    CHECK(catches(false).poll(waker()).value() == "broken");
    task<std::string> waits = catches(true);
    CHECK_FALSE(waits.poll(waker()).is_ready());
    CHECK(waits.poll(waker()).value() == "broken");
}

TEST_CASE("task: an exception of a root leaves poll", "[core][task]") {
    task<> running = throws(false);
    CHECK_THROWS_WITH(running.poll(waker()), "broken");
}

TEST_CASE("task: dropping a chain destroys the innermost locals first", "[core][task]") {
    std::vector<std::string> log;
    gate gate;
    {
        task<> running = outer(&log, &gate);
        CHECK_FALSE(running.poll(waker()).is_ready());
        CHECK(gate.waiting == 1);
    }
    CHECK(log == std::vector<std::string>{"inner", "outer"});
    CHECK(gate.waiting == 0);
}

TEST_CASE("task: dropping it at any suspension point frees everything once", "[core][task]") {
    int suspensions = 0;
    for (int polls = 0;; ++polls) {
        int live = 0;
        bool finished = false;
        {
            task<int> running = steps(&live, probe(live));
            for (int i = 0; i < polls && !finished; ++i) {
                finished = running.poll(waker()).is_ready();
            }
        }
        REQUIRE(live == 0);
        if (finished) { break; }
        ++suspensions;
    }
    CHECK(suspensions == 6);
}

TEST_CASE("task: a finished task has destroyed its parameters", "[core][task]") {
    int live = 0;
    task<int> running = steps(&live, probe(live));
    while (!running.poll(waker()).is_ready()) {}
    CHECK(live == 0);
}
