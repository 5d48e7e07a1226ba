#include <chrono>
#include <string>

#include <catch2/catch.hpp>

#include <heph/remote/protocol/failure_limiter.hpp>

using heph::remote::protocol::failure_limiter;
using namespace std::chrono_literals;

namespace {

failure_limiter::clock::time_point at(std::chrono::milliseconds time) {
    return failure_limiter::clock::time_point(1h + time);
}

}  // namespace

TEST_CASE("failure limiter: a source may fail so many times at once, then one a while",
          "[remote][limiter]") {
    failure_limiter limiter(3, 1s);
    for (int i = 0; i < 3; ++i) {
        CHECK(limiter.admits("1.2.3.4", at(0ms)));
        limiter.failed("1.2.3.4", at(0ms));
    }
    CHECK_FALSE(limiter.admits("1.2.3.4", at(0ms)));
    CHECK_FALSE(limiter.admits("1.2.3.4", at(999ms)));
    CHECK(limiter.admits("1.2.3.4", at(1000ms)));
    limiter.failed("1.2.3.4", at(1000ms));
    CHECK_FALSE(limiter.admits("1.2.3.4", at(1000ms)));
    CHECK(limiter.admits("1.2.3.4", at(60'000ms)));
}

TEST_CASE("failure limiter: others are not held up, and a success forgives", "[remote][limiter]") {
    failure_limiter limiter(1, 10s);
    limiter.failed("bad", at(0ms));
    CHECK_FALSE(limiter.admits("bad", at(1ms)));
    CHECK(limiter.admits("good", at(1ms)));
    limiter.succeeded("bad");
    CHECK(limiter.admits("bad", at(1ms)));
}

TEST_CASE("failure limiter: it remembers a bounded number of sources, the latest",
          "[remote][limiter]") {
    failure_limiter limiter(1, 1h);
    const int many = static_cast<int>(failure_limiter::sources_max) + 10;
    for (int i = 0; i < many; ++i) {
        limiter.failed(std::to_string(i), at(std::chrono::milliseconds(i)));
    }
    CHECK(limiter.sources() == failure_limiter::sources_max);
    CHECK(limiter.admits("0", at(20'000ms)));
    CHECK_FALSE(limiter.admits(std::to_string(many - 1), at(20'000ms)));
}

TEST_CASE("failure limiter: without a limit everybody is admitted", "[remote][limiter]") {
    failure_limiter limiter(0, 1s);
    for (int i = 0; i < 100; ++i) { limiter.failed("x", at(0ms)); }
    CHECK(limiter.admits("x", at(0ms)));
}
