#include <heph/core/from_callback.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include <catch2/catch.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/task.hpp>

#include "core/probes.hpp"

using heph::from_callback;
using heph::task;
using heph::test::probe;

TEST_CASE("foreign: a callback's arguments are what the task gets", "[core][foreign]") {
    heph::block_on(from_callback<void()>([](auto done) { CHECK(done()); }));
    CHECK(heph::block_on(from_callback<void(int)>([](auto done) { CHECK(done(4)); })) == 4);
    const auto both = heph::block_on(
        from_callback<void(int, const std::string&)>([](auto done) { CHECK(done(1, "text")); }));
    CHECK(both == std::tuple(1, std::string("text")));
    const auto owned = heph::block_on(from_callback<void(std::unique_ptr<int>)>(
        [](auto done) { CHECK(done(std::make_unique<int>(3))); }));
    CHECK(*owned == 3);
}

TEST_CASE("foreign: a callback from another thread wakes the task", "[core][foreign]") {
    for (int i = 0; i < 200; ++i) {
        std::jthread thread;
        const auto waits = [](std::jthread* on) -> task<int> {
            auto operation = from_callback<void(int)>([on](std::function<void(int)> done) {
                *on = std::jthread([called = std::move(done)] { called(8); });
            });
            co_return co_await std::move(operation);
        };
        REQUIRE(heph::block_on(waits(&thread)) == 8);
    }
}

TEST_CASE("foreign: only the first call of a completion counts", "[core][foreign]") {
    const int got = heph::block_on(from_callback<void(int)>([](auto done) {
        const auto copy = done;
        CHECK(done(1));
        CHECK_FALSE(copy(2));
    }));
    CHECK(got == 1);
}

TEST_CASE("foreign: a completion that is destroyed without a call ends the wait",
          "[core][foreign]") {
    CHECK_THROWS_AS(heph::block_on(from_callback<void(int)>([](auto) {})),
                    heph::operation_abandoned);
    std::optional<heph::completion<int>> kept;
    auto waits = from_callback<void(int)>([&](auto done) { kept.emplace(std::move(done)); });
    CHECK_FALSE(waits.poll(heph::waker()).is_ready());
    kept.reset();
    CHECK_THROWS_AS(waits.poll(heph::waker()), heph::operation_abandoned);
}

TEST_CASE(
    "foreign: an exception of what begins an operation leaves the first poll, and is no "
    "cancellation",
    "[core][foreign]") {
    int cancelled = 0;
    {
        auto fails = from_callback<void()>([](auto) { throw std::runtime_error("cannot begin"); },
                                           [&]() noexcept { ++cancelled; });
        CHECK_THROWS_WITH(fails.poll(heph::waker()), "cannot begin");
    }
    CHECK(cancelled == 0);
}

TEST_CASE(
    "foreign: what an operation uses lives until its last completion is gone, whoever drops "
    "the wait",
    "[core][foreign]") {
    int live = 0;
    int begun = 0;
    int cancelled = 0;
    std::optional<heph::completion<int>> kept;
    const auto make = [&] {
        return from_callback<void(int)>(
            [buffer = std::make_unique<probe>(live), &kept, &begun](auto done) {
                ++begun;
                kept.emplace(std::move(done));
            },
            [&]() noexcept { ++cancelled; });
    };
    { auto dropped = make(); }
    CHECK(live == 0);
    CHECK(begun == 0);
    CHECK(cancelled == 0);
    {
        auto dropped = make();
        CHECK_FALSE(dropped.poll(heph::waker()).is_ready());
    }
    CHECK(cancelled == 1);
    CHECK(live == 1);
    CHECK_FALSE((*kept)(5));
    CHECK(live == 1);
    kept.reset();
    CHECK(live == 0);
    // One that has ended is not cancelled.
    {
        auto ended = make();
        CHECK_FALSE(ended.poll(heph::waker()).is_ready());
        CHECK((*kept)(5));
    }
    CHECK(cancelled == 1);
    kept.reset();
    CHECK(live == 0);
}

TEST_CASE("foreign: a drop may race with a callback on another thread", "[core][foreign]") {
    for (int i = 0; i < 300; ++i) {
        std::jthread thread;
        auto waits = from_callback<void(int)>(
            [&thread](auto done) {
                thread = std::jthread([called = std::move(done)] { (void)called(8); });
            },
            []() noexcept {});
        auto polled = waits.poll(heph::waker());
        if (polled.is_ready()) { CHECK(polled.value() == 8); }
    }
}
