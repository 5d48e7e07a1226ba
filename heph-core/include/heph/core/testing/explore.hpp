#pragma once

// The same scenario under many schedules.
//
//     const auto found = heph::testing::explore([](heph::testing::step_executor& run) {
//         auto ref = run.spawn(run.supervisor(), heph::actor_fn(account));
//         …
//         heph::testing::expect(balance == 100, "money was lost");
//     });
//     INFO(found.text());      // "failed under seed:17 …: money was lost"
//     REQUIRE(found.passed());
//
// To look at a failure again: `replay("path:0.2.1", scenario)`, or run the test with the
// environment variable HEPH_SCHEDULE=path:0.2.1, which makes `explore` run that one only.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <heph/core/testing/step_executor.hpp>

namespace heph::testing {

/// Is run once a schedule, each time with a new executor. It throws when something is wrong:
/// `expect` and probes do. What it refers to is its own, so that each run begins the same way.
using scenario = std::function<void(step_executor& run)>;

/// Says how much to explore.
struct explore_options {
    /// Schedules to try systematically: the one in order first, then those that deviate from it in
    /// one choice, then in two, and so on, until they or the number run out.
    std::size_t systematic = 500;
    /// Schedules to try at random, after those, unless they were all there are.
    std::size_t random = 500;
    /// The seed of the first of them; the others follow.
    std::uint64_t first_seed = 1;
    /// See `step_options`.
    bool early_timers = false;
    std::size_t polls_max = 100'000;
};

/// Tells what came of an exploration.
class exploration {
public:
    /// Tells whether the scenario passed under every schedule that was tried.
    [[nodiscard]] bool passed() const noexcept { return schedule_.empty(); }
    /// Counts the schedules that were tried.
    [[nodiscard]] std::size_t tried() const noexcept { return tried_; }
    /// Tells whether these were all there are: the scenario cannot fail.
    [[nodiscard]] bool complete() const noexcept { return complete_; }
    /// Names the schedule under which it failed, `seed:17` or a path; empty when it passed.
    [[nodiscard]] const std::string& failing_schedule() const noexcept { return schedule_; }
    /// Names a path that leads to a failure with as few deviations as were found; mostly shorter.
    [[nodiscard]] const std::string& shortest_path() const noexcept { return shortest_; }
    /// Says what went wrong, and where things stood.
    [[nodiscard]] const std::string& what() const noexcept { return what_; }
    /// Says all of this in one text.
    [[nodiscard]] std::string text() const;

private:
    friend class explorer;

    std::size_t tried_ = 0;
    bool complete_ = false;
    std::string schedule_;
    std::string shortest_;
    std::string what_;
};

/// Runs a scenario under many schedules, until it fails under one.
[[nodiscard]] exploration explore(const scenario& tested, explore_options options = {});

/// Runs a scenario under the schedule that a text names.
/// *Errors*: throws what the scenario does, and `std::invalid_argument` when the text names none.
void replay(std::string_view schedule, const scenario& tested, explore_options options = {});

}  // namespace heph::testing
