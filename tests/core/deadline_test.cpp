#include <chrono>
#include <expected>
#include <string>
#include <type_traits>
#include <utility>

#include <catch2/catch.hpp>
#include <heph/core/timing.hpp>

#include "core/manual_time.hpp"
#include "core/probes.hpp"

using namespace std::chrono_literals;
using heph::steady_time;
using heph::waker;
using heph::test::gate;
using heph::test::manual_runtime;
using heph::test::manual_time;

TEST_CASE("deadline: a duration counts from where it is used, a point in time does not",
          "[core][deadline]") {
    constexpr heph::deadline in = heph::deadline_in(2s);
    constexpr heph::deadline at = heph::deadline_at(steady_time(5s));
    CHECK(in.at(steady_time(10s)) == steady_time(12s));
    CHECK(in.at(steady_time(20s)) == steady_time(22s));
    CHECK(at.at(steady_time(10s)) == steady_time(5s));
}

TEST_CASE("deadline: one beyond what the clock can hold is as late as can be", "[core][deadline]") {
    CHECK(heph::deadline_in(std::chrono::hours::max()).at(steady_time(1s)) == steady_time::max());
    CHECK(heph::deadline_in(steady_time::duration::max()).at(steady_time(1s)) ==
          steady_time::max());
    CHECK(heph::deadline_in(std::chrono::hours::min()).at(steady_time(-1s)) == steady_time::min());
    CHECK(heph::deadline_in(-1s).at(steady_time(1s)) == steady_time(0s));
}

TEST_CASE("deadline: a fraction of the clock's tick is rounded up", "[core][deadline]") {
    using picoseconds = std::chrono::duration<long long, std::pico>;
    CHECK(heph::deadline_in(picoseconds(1)).at(steady_time(0s)) == steady_time(1ns));
}

TEST_CASE("with_deadline: gives the value that comes in time", "[core][deadline]") {
    manual_time time;
    manual_runtime runtime(time);
    gate waited;
    auto bounded =
        heph::with_deadline(waited.wait(), heph::bind_deadline(runtime, heph::deadline_in(1s)));
    STATIC_REQUIRE(
        std::is_same_v<decltype(bounded)::value_type, std::expected<int, heph::timed_out>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<decltype(bounded)>);
    CHECK_FALSE(bounded.poll(waker()).is_ready());
    time.advance(999ms);
    CHECK_FALSE(bounded.poll(waker()).is_ready());
    waited.open(3);
    CHECK(bounded.poll(waker()).value() == 3);
}

TEST_CASE("with_deadline: says that it timed out, and then cancels what it keeps",
          "[core][deadline]") {
    manual_time time;
    manual_runtime runtime(time);
    gate waited;
    {
        auto bounded =
            heph::with_deadline(waited.wait(), heph::bind_deadline(runtime, heph::deadline_in(1s)));
        CHECK_FALSE(bounded.poll(waker()).is_ready());
        CHECK(time.waiting() == 1);
        time.advance(1s);
        auto result = bounded.poll(waker());
        REQUIRE(result.is_ready());
        CHECK(result.value().error() == heph::timed_out());
        CHECK(waited.waiting == 1);
    }
    CHECK(waited.waiting == 0);
    CHECK(time.waiting() == 0);
}

TEST_CASE("with_deadline: a value that comes together with the time wins", "[core][deadline]") {
    manual_time time;
    manual_runtime runtime(time);
    gate waited;
    auto bounded =
        heph::with_deadline(waited.wait(), heph::bind_deadline(runtime, heph::deadline_in(-1s)));
    waited.open(1);
    CHECK(bounded.poll(waker()).value().has_value());
}

TEST_CASE("with_deadline: a borrowed future can be awaited again", "[core][deadline]") {
    manual_time time;
    manual_runtime runtime(time);
    gate waited;
    auto slow = waited.wait();
    {
        auto bounded =
            heph::with_deadline(slow, heph::bind_deadline(runtime, heph::deadline_in(0s)));
        CHECK_FALSE(bounded.poll(waker()).value().has_value());
    }
    CHECK(waited.waiting == 1);
    waited.open(7);
    CHECK(slow.poll(waker()).value() == 7);
}

TEST_CASE("with_deadline: dropping it cancels the timer", "[core][deadline]") {
    manual_time time;
    manual_runtime runtime(time);
    gate waited;
    {
        auto bounded =
            heph::with_deadline(waited.wait(), heph::bind_deadline(runtime, heph::deadline_in(1s)));
        CHECK_FALSE(bounded.poll(waker()).is_ready());
        CHECK(time.waiting() == 1);
    }
    CHECK(time.waiting() == 0);
}

TEST_CASE("with_deadline: any future without a value can be the timer", "[core][deadline]") {
    gate waited;
    heph::test::tripwire tripped;
    auto bounded = heph::with_deadline(waited.wait(), tripped.wait());
    CHECK_FALSE(bounded.poll(waker()).is_ready());
    tripped.trip();
    CHECK_FALSE(bounded.poll(waker()).value().has_value());
}
