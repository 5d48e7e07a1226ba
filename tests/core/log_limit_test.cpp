#include <chrono>
#include <limits>

#include <catch2/catch.hpp>
#include <heph/core/log_limit.hpp>

#include "core/probes.hpp"

using heph::log_limit;
using heph::steady_time;
using heph::test::captured_log;
using namespace std::chrono_literals;

namespace {

int admitted_of(log_limit& limit, int lines, steady_time now) {
    int admitted = 0;
    for (int i = 0; i < lines; ++i) { admitted += limit.admits(now) ? 1 : 0; }
    return admitted;
}

}  // namespace

TEST_CASE("log_limit: lets a minute's lines pass at once, then as many as time allows",
          "[core][log]") {
    const steady_time start{1s};
    log_limit limit(6);
    CHECK(admitted_of(limit, 6, start) == 6);
    CHECK_FALSE(limit.admits(start));
    CHECK_FALSE(limit.admits(start + 9999ms));
    CHECK(limit.left_out() == 2);
    CHECK(limit.take_left_out() == 2);
    CHECK(limit.admits(start + 10s));
    CHECK_FALSE(limit.admits(start + 10001ms));
    CHECK(limit.take_left_out() == 1);
    CHECK(limit.take_left_out() == 0);
    // A long time earns no more than a minute's.
    CHECK(admitted_of(limit, 20, start + 3h) == 6);
}

TEST_CASE("log_limit: fewer at once than in a minute", "[core][log]") {
    const steady_time start{1s};
    log_limit limit(60, 20);
    CHECK(admitted_of(limit, 100, start) == 20);
    CHECK(admitted_of(limit, 100, start + 999ms) == 0);
    CHECK(admitted_of(limit, 100, start + 5s) == 5);
    CHECK(admitted_of(limit, 100, start + 1h) == 20);
}

TEST_CASE("log_limit: none is none, and the most is no less", "[core][log]") {
    const steady_time start{1s};
    log_limit none(0);
    CHECK(admitted_of(none, 3, start) == 0);
    CHECK(admitted_of(none, 3, start + 24h) == 0);
    log_limit none_at_once(60, 0);
    CHECK(admitted_of(none_at_once, 3, start + 24h) == 0);
    constexpr auto most = std::numeric_limits<std::uint32_t>::max();
    log_limit any(most);
    CHECK(admitted_of(any, 10'000, start) == 10'000);
    log_limit slow(1, most);
    CHECK(admitted_of(slow, 10'000, start) == 10'000);
    CHECK(admitted_of(slow, 10, steady_time::max()) >= 1);
}

TEST_CASE("log_limit: a clock that goes back neither opens nor closes it for good", "[core][log]") {
    const steady_time start{1h};
    log_limit limit(6);
    CHECK(admitted_of(limit, 10, start) == 6);
    CHECK(admitted_of(limit, 10, start - 30min) == 0);
    CHECK(admitted_of(limit, 10, start - 30min + 10s) == 1);
    CHECK(admitted_of(limit, 10, start) == 6);
}

TEST_CASE("log_limit: says how many lines like it were left out", "[core][log]") {
    const captured_log log;
    const steady_time start{1s};
    log_limit limit(60, 2);
    for (int i = 0; i < 5; ++i) { limit.log(heph::log_level::warning, "refused", start); }
    limit.log(heph::log_level::warning, "refused", start + 1s);
    limit.log(heph::log_level::warning, "refused", start + 1s);
    limit.log(heph::log_level::warning, "refused", start + 2s);
    limit.log(heph::log_level::warning, "refused", start + 3s);
    REQUIRE(captured_log::lines().size() == 5);
    CHECK(captured_log::lines()[1].second == "refused");
    CHECK(captured_log::lines()[2].second == "refused (and 3 lines like it before)");
    CHECK(captured_log::lines()[3].second == "refused (and 1 line like it before)");
    CHECK(captured_log::lines()[4].second == "refused");
    CHECK(limit.left_out() == 0);
}
