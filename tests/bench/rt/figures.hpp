#pragma once

#include <vector>

#include "bench.hpp"

namespace heph::bench {

/// Actors on one worker.
[[nodiscard]] std::vector<figure> actor_figures();
/// Wakes from worker to worker.
[[nodiscard]] std::vector<figure> wake_figures();
/// Timers, on the wheel of a worker by itself.
[[nodiscard]] std::vector<figure> timer_figures();

}  // namespace heph::bench
