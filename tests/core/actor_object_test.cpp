#include <heph/core/actor_object.hpp>

#include <expected>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::context;
using heph::task;

namespace {

class summer {
public:
    summer(int start, std::vector<int>* sums) : total_(start), sums_(sums) {}
    task<> operator()(context<int> ctx) {
        while (auto next = co_await ctx.receive()) {
            total_ += *next;
            sums_->push_back(total_);
        }
    }
    task<std::expected<void, std::string>> until_odd(context<int> ctx) {
        while (auto next = co_await ctx.receive()) {
            total_ += *next;
            sums_->push_back(total_);
            if (*next % 2 != 0) { co_return std::unexpected("odd"); }
        }
        co_return {};
    }

private:
    int total_;
    std::vector<int>* sums_;
};

// Its state can only be moved; it is a template over the runtime; it counts itself.
class owner {
public:
    owner(std::unique_ptr<int> number, heph::test::probe alive, int* last)
        : number_(std::move(number)), alive_(alive), last_(last) {}
    template <typename RT>
    task<> operator()(context<int, RT> ctx) {
        while (auto next = co_await ctx.receive()) { *last_ = *next + *number_; }
        *last_ = -1;
    }

private:
    std::unique_ptr<int> number_;
    heph::test::probe alive_;
    int* last_;
};

struct refuses {
    explicit refuses(int number) {
        if (number < 0) { throw std::invalid_argument("negative"); }
    }
    task<> operator()(context<int> ctx) {
        auto first = co_await ctx.receive();
        (void)first;
    }
};

}  // namespace

TEST_CASE("actor_object: its state is that of the object", "[core][actor_object]") {
    std::vector<int> sums;
    heph::test::poll_loop loop;
    {
        auto [running, ref] =
            heph::make_actor(heph::no_supervisor(), heph::actor_object<summer>(),
                             heph::no_runtime(), heph::actor_options(), 10, &sums);
        REQUIRE(ref.try_send(1));
        REQUIRE(ref.try_send(2));
        loop.spawn(std::move(running));
    }
    loop.run();
    CHECK(sums == std::vector<int>({11, 13}));
    CHECK(loop.unfinished() == 0);
}

TEST_CASE("actor_object: a member function runs it, and a restart makes a new object",
          "[core][actor_object]") {
    std::vector<int> sums;
    heph::test::captured_log log;
    heph::test::poll_loop loop;
    {
        auto supervisor = [&](const heph::failure&) { return heph::restart(100, &sums); };
        auto [running, ref] = heph::make_actor(supervisor, heph::actor_object(&summer::until_odd),
                                               heph::no_runtime(), heph::actor_options(), 0, &sums);
        for (int i : {2, 3, 4}) { REQUIRE(ref.try_send(i)); }
        loop.spawn(std::move(running));
    }
    loop.run();
    CHECK(sums == std::vector<int>({2, 5, 104}));
    CHECK(loop.unfinished() == 0);
}

TEST_CASE("actor_object: a copy of an object runs each time", "[core][actor_object]") {
    std::vector<int> sums;
    const summer original(5, &sums);
    heph::test::poll_loop loop;
    auto maker = heph::actor_object(original);
    for (int i = 0; i < 2; ++i) {
        auto [running, ref] = heph::make_actor(heph::no_supervisor(), maker, heph::no_runtime(),
                                               heph::actor_options());
        REQUIRE(ref.try_send(1));
        loop.spawn(std::move(running));
    }
    loop.run();
    CHECK(sums == std::vector<int>({6, 6}));
}

TEST_CASE("actor_object: a lambda with captures is one, and they live as long as it",
          "[core][actor_object]") {
    std::string seen;
    heph::test::poll_loop loop;
    {
        auto say = [greeting = std::string("a long greeting, on the heap: "),
                    &seen](context<std::string> ctx) -> task<> {
            while (auto name = co_await ctx.receive()) {
                co_await heph::yield();
                seen += greeting + *name;
            }
        };
        auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_object(say),
                                               heph::no_runtime(), heph::actor_options());
        REQUIRE(ref.try_send("x"));
        loop.spawn(std::move(running));
    }
    loop.run();
    CHECK(seen == "a long greeting, on the heap: x");
}

TEST_CASE("actor_object: one that can only be moved works, and goes when the actor is dropped",
          "[core][actor_object]") {
    int live = 0;
    int last = 0;
    {
        auto [running, ref] = heph::make_actor(
            heph::no_supervisor(), heph::actor_object<owner, int>(), heph::no_runtime(),
            heph::actor_options(), std::make_unique<int>(40), heph::test::probe(live), &last);
        CHECK(live == 1);
        REQUIRE(ref.try_send(2));
        CHECK_FALSE(running.poll(heph::waker()).is_ready());
        CHECK(last == 42);
    }
    CHECK(live == 0);
    CHECK(last == 42);
}

TEST_CASE("actor_object: an exception of the constructor is one of making the actor",
          "[core][actor_object]") {
    CHECK_THROWS_WITH(heph::make_actor(heph::no_supervisor(), heph::actor_object<refuses>(),
                                       heph::no_runtime(), heph::actor_options(), -1),
                      "negative");
}

TEST_CASE("actor_object: its arguments can be mapped", "[core][actor_object]") {
    std::vector<int> sums;
    auto mapped = heph::map_args(heph::actor_object<summer>(), [&](const std::string& digits) {
        return std::make_tuple(std::stoi(digits), &sums);
    });
    heph::test::poll_loop loop;
    {
        auto [running, ref] =
            heph::make_actor(heph::no_supervisor(), std::move(mapped), heph::no_runtime(),
                             heph::actor_options(), std::string("7"));
        REQUIRE(ref.try_send(1));
        loop.spawn(std::move(running));
    }
    loop.run();
    CHECK(sums == std::vector<int>({8}));
}
