#include <chrono>

#include <catch2/catch.hpp>

#include <heph/remote/protocol/liveness.hpp>

using heph::remote::protocol::liveness;
using namespace std::chrono_literals;

namespace {

liveness::clock::time_point at(std::chrono::milliseconds time) {
    return liveness::clock::time_point(1h + time);
}

}  // namespace

TEST_CASE("liveness: a peer that is silent for the whole time is dead, and not before",
          "[remote][liveness]") {
    liveness peer(8000ms, at(0ms));
    CHECK(peer.step() == 1000ms);
    for (auto now = 1000ms; now < 8000ms; now += 1000ms) {
        peer.tick(at(now));
        CHECK_FALSE(peer.is_dead());
    }
    peer.tick(at(8000ms));
    CHECK(peer.is_dead());
}

TEST_CASE("liveness: whatever is heard begins the time anew", "[remote][liveness]") {
    liveness peer(8000ms, at(0ms));
    for (auto now = 1000ms; now <= 60'000ms; now += 1000ms) {
        if (now % 7000ms == 0ms) { peer.heard(at(now)); }
        peer.tick(at(now));
        REQUIRE_FALSE(peer.is_dead());
    }
}

TEST_CASE("liveness: a program that was starved for longer than the silence raises no alarm",
          "[remote][liveness]") {
    liveness peer(8000ms, at(0ms));
    peer.tick(at(1000ms));
    peer.tick(at(100'000ms));  // It was stopped meanwhile.
    CHECK_FALSE(peer.is_dead());
    CHECK(peer.silent_for() == 3000ms);
    peer.heard(at(100'001ms));  // What had waited to be read.
    CHECK(peer.silent_for() == 0ms);
}

TEST_CASE("liveness: a program that is starved all the time still finds out, after more looks",
          "[remote][liveness]") {
    liveness peer(8000ms, at(0ms));
    int looks = 0;
    for (auto now = 10'000ms; !peer.is_dead(); now += 10'000ms, ++looks) { peer.tick(at(now)); }
    CHECK(looks == 4);
}

TEST_CASE("liveness: a clock that stands still or a time of zero do no harm",
          "[remote][liveness]") {
    liveness peer(0ms, at(0ms));
    CHECK(peer.step() == 1ms);
    liveness still(8000ms, at(5000ms));
    still.tick(at(4000ms));
    CHECK(still.silent_for() == 0ms);
}
