// A task that always finds its futures ready lets others run, too.

#include <heph/core/task.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/either.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/yield.hpp>
#include <heph/inbox/channel.hpp>

#include "support/poll_loop.hpp"

using heph::actor_options;
using heph::context;
using heph::task;
using heph::waker;
using heph::test::poll_loop;

namespace {

constexpr std::size_t most = heph::detail::ready_awaits_max;

// Is ready at its first poll, and must not be polled again.
class at_once {
public:
    using value_type = std::unique_ptr<int>;
    explicit at_once(int value) noexcept : value_(value) {}
    heph::polled<value_type> poll(const waker&) {
        REQUIRE_FALSE(std::exchange(was_polled_, true));
        return heph::polled<value_type>(std::in_place, std::make_unique<int>(value_));
    }

private:
    int value_;
    bool was_polled_ = false;
};

task<long> sums(std::size_t count) {
    long sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
        auto value = co_await at_once(1);
        sum += *value;
    }
    co_return sum;
}

std::size_t polls_of(task<long> summing, long expected) {
    std::size_t polls = 0;
    for (;;) {
        ++polls;
        auto result = summing.poll(waker());
        if (!result.is_ready()) { continue; }
        CHECK(result.value() == expected);
        return polls;
    }
}

}  // namespace

TEST_CASE("ready budget: a poll ends after so many awaits that were ready, and loses nothing",
          "[core][task]") {
    CHECK(polls_of(sums(most - 1), most - 1) == 1);
    CHECK(polls_of(sums(most), most) == 2);
    CHECK(polls_of(sums(2 * most - 1), 2 * most - 1) == 2);
    CHECK(polls_of(sums(2 * most), 2 * most) == 3);
    CHECK(polls_of(sums(100 * most), 100 * most) == 101);
}

TEST_CASE("ready budget: the tasks of a chain share it", "[core][task]") {
    const auto parent = [](std::size_t children, std::size_t each) -> task<long> {
        long sum = 0;
        for (std::size_t i = 0; i < children; ++i) { sum += co_await sums(each); }
        co_return sum;
    };
    CHECK(polls_of(parent(most, 2), 2 * most) == 3);
    // Tasks that await nothing else cost nothing.
    CHECK(polls_of(parent(10 * most, 0), 0) == 1);
}

TEST_CASE("ready budget: an await that had to wait does not use it up", "[core][task]") {
    const auto waits = []() -> task<long> {
        long sum = 0;
        for (std::size_t i = 0; i < most - 1; ++i) {
            auto value = co_await at_once(1);
            co_await heph::yield();
            sum += *value;
        }
        co_return sum;
    };
    CHECK(polls_of(waits(), most - 1) == most);
}

TEST_CASE("ready budget: dropped after the last one of a poll, the task has taken no more",
          "[core][task]") {
    std::size_t given = 0;
    const auto takes = [](std::size_t* count) -> task<> {
        struct counted {
            using value_type = void;
            explicit counted(std::size_t* of) noexcept : count(of) {}
            heph::polled<void> poll(const waker&) noexcept {
                ++*count;
                return heph::ready;
            }
            std::size_t* count;
        };
        for (;;) { co_await counted(count); }
    };
    {
        auto dropped = takes(&given);
        CHECK_FALSE(dropped.poll(waker()).is_ready());
        CHECK(given == most - 1);
    }
    CHECK(given == most - 1);
}

TEST_CASE("ready budget: a receive that is given up for its poll's end leaves the message",
          "[core][task]") {
    constexpr std::size_t sent = 2 * most;
    auto [sender, receiver] = heph::inbox::channel<std::size_t>(sent);
    for (std::size_t i = 0; i < sent; ++i) { REQUIRE(sender.try_send(i)); }
    std::size_t taken = 0;
    {
        auto reads = [](heph::inbox::receiver<std::size_t>* from, std::size_t* next) -> task<> {
            for (;;) {
                auto message = co_await from->recv();
                if (!message || *message != *next) { co_return; }
                ++*next;
            }
        }(&receiver, &taken);
        CHECK_FALSE(reads.poll(waker()).is_ready());
    }
    CHECK(taken == most - 1);
    const auto next = receiver.try_recv();
    REQUIRE(next);
    CHECK(*next == taken);
}

TEST_CASE("ready budget: an actor with a long queue lets the others of its thread run",
          "[core][task]") {
    poll_loop loop;
    std::vector<int> order;
    const auto reads = [](context<int> ctx, std::vector<int>* into) -> task<> {
        while (auto message = co_await ctx.receive()) { into->push_back(*message); }
    };
    actor_options options;
    options.inbox_size = 65'536;
    {
        auto [first, first_ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(+reads),
                                                   heph::no_runtime(), options, &order);
        auto [second, second_ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(+reads),
                                                     heph::no_runtime(), options, &order);
        for (int i = 0; i < 1000; ++i) {
            REQUIRE(first_ref.try_send(1));
            REQUIRE(second_ref.try_send(2));
        }
        loop.spawn(std::move(first));
        loop.spawn(std::move(second));
    }
    loop.run();
    REQUIRE(order.size() == 2000);
    std::size_t longest = 0;
    std::size_t streak = 0;
    for (std::size_t i = 0; i < 1900; ++i) {
        streak = i > 0 && order[i] == order[i - 1] ? streak + 1 : 1;
        longest = std::max(longest, streak);
    }
    CHECK(longest <= most);
}

TEST_CASE("ready budget: it holds in the branches of a combinator", "[core][task]") {
    const auto races = []() -> task<long> {
        auto first = co_await heph::either(sums(10 * most), sums(10 * most));
        co_return first.index() == 0 ? std::get<0>(first) : -1;
    };
    CHECK(polls_of(races(), 10 * most) == 11);
}
