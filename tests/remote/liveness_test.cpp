#include <chrono>
#include <cmath>
#include <optional>
#include <random>

#include <catch2/catch.hpp>

#include <heph/remote/protocol/liveness.hpp>
#include <heph/remote/protocol/phi_accrual.hpp>

using heph::remote::protocol::failure_detector;
using heph::remote::protocol::liveness;
using heph::remote::protocol::phi_accrual;
using heph::remote::protocol::phi_accrual_settings;
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

namespace {

constexpr auto heartbeat = 2000ms;

phi_accrual_settings no_pause() {
    phi_accrual_settings settings;
    settings.pause = 0ms;
    return settings;
}

failure_detector suspicious(const phi_accrual_settings& settings = no_pause()) {
    return {60s, heartbeat, settings, at(0ms)};
}

/// Lets a peer answer after these times, looked at every step; gives the time.
std::chrono::milliseconds answer(failure_detector& peer, std::chrono::milliseconds now,
                                 std::initializer_list<std::chrono::milliseconds> times) {
    for (const auto late : times) {
        const auto until = now + heartbeat + late;
        for (; now + peer.step() < until;) {
            now += std::chrono::duration_cast<std::chrono::milliseconds>(peer.step());
            peer.tick(at(now));
        }
        now = until;
        peer.heard(at(now));
    }
    return now;
}

/// How long a peer has to be silent to be taken for dead.
std::chrono::milliseconds dead_after(failure_detector peer, std::chrono::milliseconds now) {
    const auto begin = now;
    while (!peer.is_dead()) {
        now += 50ms;
        peer.tick(at(now));
    }
    return now - begin;
}

}  // namespace

TEST_CASE("phi: it is the logarithm of how likely a later answer is", "[remote][liveness]") {
    phi_accrual_settings settings = no_pause();
    settings.deviation_min = 100ms;
    settings.samples_max = 4;
    phi_accrual peer(settings, heartbeat);
    for (int i = 0; i < 4; ++i) { peer.heard_after(heartbeat + 500ms); }
    // Of the normal distribution with the mean 2.5 s and the deviation 0.1 s.
    CHECK(peer.phi(2500ms) == Approx(-std::log10(0.5)));
    CHECK(peer.phi(2600ms) == Approx(-std::log10(0.158655254)));
    CHECK(peer.phi(2700ms) == Approx(-std::log10(0.022750132)));
    CHECK(peer.phi(3100ms) == Approx(9.0059).epsilon(0.001));
    CHECK(peer.phi(0ms) == Approx(0).margin(1e-12));
    CHECK(std::isinf(peer.phi(1h)));
    for (auto silence = 0ms; silence < 20s; silence += 10ms) {
        REQUIRE(peer.phi(silence) <= peer.phi(silence + 10ms));
    }
    CHECK_FALSE(peer.is_dead(3000ms));
    CHECK(peer.is_dead(3100ms));
    // What comes before it was asked for says nothing of how late an answer may be.
    for (int i = 0; i < 1000; ++i) { peer.heard_after(1ms); }
    CHECK(peer.phi(2500ms) == Approx(-std::log10(0.5)));
}

TEST_CASE("phi: who answers evenly is dead early, who does not, later; the pause is added",
          "[remote][liveness]") {
    auto even = suspicious();
    const auto now =
        answer(even, 0ms, {20ms, 25ms, 20ms, 30ms, 25ms, 20ms, 25ms, 20ms, 25ms, 20ms,
                           25ms, 20ms, 25ms, 20ms, 30ms, 25ms, 20ms, 25ms, 20ms, 25ms});
    auto uneven = suspicious();
    const auto then = answer(uneven, 0ms, {20ms, 900ms, 100ms, 1500ms, 300ms, 20ms, 1200ms, 20ms});
    CHECK(dead_after(even, now) < 4000ms);
    CHECK(dead_after(uneven, then) > 5000ms);
    // The fixed time is the limit in any case.
    failure_detector bounded(4000ms, heartbeat, no_pause(), at(0ms));
    CHECK(dead_after(bounded, answer(bounded, 0ms, {900ms, 1500ms, 20ms, 1900ms})) <= 4050ms);
    auto pausing = no_pause();
    pausing.pause = 3000ms;
    auto patient = suspicious(pausing);
    const auto later = answer(patient, 0ms, {20ms, 25ms, 20ms, 30ms, 25ms, 20ms, 25ms, 20ms, 25ms});
    CHECK(dead_after(patient, later) > dead_after(even, now) + 2900ms);
}

TEST_CASE("phi: of answers that scatter as before, none raises an alarm", "[remote][liveness]") {
    std::mt19937 random(3);
    auto peer = suspicious();
    auto now = 0ms;
    for (int i = 0; i < 5000; ++i) {
        now = answer(peer, now, {std::chrono::milliseconds(random() % 400)});
        REQUIRE_FALSE(peer.is_dead());
    }
}

TEST_CASE("phi: time in which this program did not run makes nobody suspicious",
          "[remote][liveness]") {
    auto peer = suspicious();
    auto now = answer(peer, 0ms, {20ms, 25ms, 20ms, 30ms, 25ms, 20ms, 25ms, 20ms});
    const auto before = dead_after(peer, now);
    for (int i = 0; i < 100; ++i) {
        now += 60s;  // It was stopped, or starved; then it reads what had come.
        peer.tick(at(now));
        REQUIRE_FALSE(peer.is_dead());
        peer.heard(at(now));
    }
    CHECK(peer.silent_for() == 0ms);
    // Nor was any answer late.
    CHECK(dead_after(peer, now) == before);
}

TEST_CASE("phi: without it a fixed time decides", "[remote][liveness]") {
    failure_detector peer(8000ms, heartbeat, std::nullopt, at(0ms));
    CHECK(peer.step() == 1000ms);
    for (auto now = 1000ms; now < 8000ms; now += 1000ms) {
        peer.tick(at(now));
        CHECK_FALSE(peer.is_dead());
    }
    CHECK(peer.phi() == 0);
    peer.tick(at(8000ms));
    CHECK(peer.is_dead());
}
