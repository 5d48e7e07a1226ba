#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "timing_wheel.hpp"

using heph::rt::detail::timer_node;
using heph::rt::detail::timing_wheel;

namespace {

std::vector<std::uint64_t> advance(timing_wheel& wheel, std::uint64_t now) {
    std::vector<std::uint64_t> fired;
    wheel.advance(now, [&](timer_node& node) { fired.push_back(node.when); });
    return fired;
}

// Below 2^bits.
std::uint64_t random_below(std::mt19937& random, std::uint64_t bits) {
    const std::uint64_t word = std::uint64_t{random()} << 32U | random();
    return word % (std::uint64_t{1} << bits);
}

}  // namespace

TEST_CASE("timing wheel: a node fires at its time, not a millisecond before", "[rt][wheel]") {
    for (const std::uint64_t when :
         {1ULL, 63ULL, 64ULL, 65ULL, 4095ULL, 4096ULL, 4097ULL, 262'144ULL, 1'000'000ULL,
          16'777'216ULL, 1'073'741'824ULL, 60'000'000'000ULL}) {
        CAPTURE(when);
        timing_wheel wheel;
        timer_node node;
        node.when = when;
        wheel.add(node);
        CHECK(advance(wheel, when - 1).empty());
        REQUIRE(wheel.next_expiry());
        CHECK(*wheel.next_expiry() == when);
        CHECK(advance(wheel, when) == std::vector<std::uint64_t>{when});
        CHECK(wheel.size() == 0);
        CHECK_FALSE(wheel.next_expiry());
    }
}

TEST_CASE("timing wheel: a time that has passed fires with the next millisecond", "[rt][wheel]") {
    timing_wheel wheel;
    CHECK(advance(wheel, 1000).empty());
    timer_node node;
    node.when = 5;
    wheel.add(node);
    CHECK(advance(wheel, 1000).empty());
    CHECK(advance(wheel, 1001).size() == 1);
}

TEST_CASE("timing wheel: a time beyond its span is not early", "[rt][wheel]") {
    timing_wheel wheel;
    CHECK(advance(wheel, 12'345).empty());
    timer_node node;
    node.when = 12'345 + 2 * timing_wheel::span_ms + 100;
    wheel.add(node);
    for (const std::uint64_t after :
         {timing_wheel::span_ms - 1, timing_wheel::span_ms, timing_wheel::span_ms + 1,
          2 * timing_wheel::span_ms, 2 * timing_wheel::span_ms + 99}) {
        CHECK(advance(wheel, 12'345 + after).empty());
        REQUIRE(wheel.size() == 1);
        CHECK(*wheel.next_expiry() <= node.when);
    }
    CHECK(advance(wheel, 12'345 + 2 * timing_wheel::span_ms + 100).size() == 1);
}

TEST_CASE("timing wheel: a clock that jumps ahead expires all, in order", "[rt][wheel]") {
    timing_wheel wheel;
    std::vector<timer_node> nodes(100);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        nodes[i].when = 1 + i * i * i * 1000;
        wheel.add(nodes[i]);
    }
    const auto expired = advance(wheel, std::uint64_t{1} << 40U);
    CHECK(expired.size() == nodes.size());
    CHECK(std::is_sorted(expired.begin(), expired.end()));
}

TEST_CASE("timing wheel: next_expiry is never later than the earliest node", "[rt][wheel]") {
    timing_wheel wheel;
    timer_node far;
    far.when = 100'000;
    wheel.add(far);
    timer_node near;
    near.when = 70;
    wheel.add(near);
    REQUIRE(wheel.next_expiry());
    CHECK(*wheel.next_expiry() <= 70);
    wheel.remove(near);
    CHECK(*wheel.next_expiry() <= 100'000);
    CHECK(*wheel.next_expiry() > 70);
    wheel.remove(far);
    CHECK_FALSE(wheel.next_expiry());
}

TEST_CASE("timing wheel: it fires like a sorted map, whatever is added and removed",
          "[rt][wheel]") {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        timing_wheel wheel;
        std::multimap<std::uint64_t, timer_node*> model;
        std::vector<std::unique_ptr<timer_node>> nodes;
        std::uint64_t now = random();
        CHECK(advance(wheel, now).empty());
        for (int step = 0; step < 5000; ++step) {
            const auto choice = random() % 10;
            if (choice < 5) {
                nodes.push_back(std::make_unique<timer_node>());
                timer_node& node = *nodes.back();
                node.when = now + 1 + random_below(random, random() % 37);
                wheel.add(node);
                model.emplace(node.when, &node);
            } else if (choice < 7 && !model.empty()) {
                auto chosen = model.begin();
                std::advance(chosen, random() % std::min<std::size_t>(model.size(), 50));
                wheel.remove(*chosen->second);
                model.erase(chosen);
            } else {
                now += random_below(random, random() % 35);
                std::vector<std::uint64_t> expected;
                while (!model.empty() && model.begin()->first <= now) {
                    expected.push_back(model.begin()->first);
                    model.erase(model.begin());
                }
                REQUIRE(advance(wheel, now) == expected);
            }
            REQUIRE(wheel.size() == model.size());
            if (!model.empty()) { REQUIRE(*wheel.next_expiry() <= model.begin()->first); }
        }
        for (auto& [when, node] : model) { wheel.remove(*node); }
    }
}

TEST_CASE("timing wheel: one as far ahead as can be does not hide the nearer ones", "[rt][wheel]") {
    constexpr std::uint64_t boundary = std::uint64_t{1} << 30U;  // Of the highest level.
    timing_wheel wheel;
    CHECK(advance(wheel, boundary - 5).empty());
    timer_node furthest;
    furthest.when = boundary - 5 + timing_wheel::span_ms;
    wheel.add(furthest);
    timer_node soon;
    soon.when = boundary + 5;
    wheel.add(soon);
    CHECK(*wheel.next_expiry() <= soon.when);
    CHECK(advance(wheel, boundary + 4).empty());
    CHECK(advance(wheel, boundary + 10) == std::vector{boundary + 5});
    CHECK(wheel.size() == 1);
    CHECK(advance(wheel, furthest.when) == std::vector{furthest.when});
}

TEST_CASE("timing wheel: of many nodes far ahead each fires once, also when others are removed",
          "[rt][wheel]") {
    // All of them in two places of the middle level, and one of the highest.
    timing_wheel wheel;
    std::vector<timer_node> nodes(3000);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        nodes[i].when = (i % 3 == 0 ? 50'000'000 : 10'000 + i);
        wheel.add(nodes[i]);
    }
    std::vector<std::uint64_t> expected;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (i % 7 == 0 || i % 11 == 0) {
            wheel.remove(nodes[i]);
        } else {
            expected.push_back(nodes[i].when);
        }
    }
    std::sort(expected.begin(), expected.end());
    CHECK(wheel.size() == expected.size());
    CHECK(advance(wheel, 100'000'000) == expected);
    CHECK_FALSE(wheel.next_expiry());
}

TEST_CASE("timing wheel: a clock that goes back changes nothing", "[rt][wheel]") {
    timing_wheel wheel;
    CHECK(advance(wheel, 1'000'000).empty());
    timer_node node;
    node.when = 1'000'010;
    wheel.add(node);
    CHECK(advance(wheel, 5).empty());
    CHECK(wheel.now() == 1'000'000);
    CHECK(advance(wheel, 1'000'009).empty());
    CHECK(advance(wheel, 1'000'010).size() == 1);
}
