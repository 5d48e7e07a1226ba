#pragma once

#include <vector>

#include "bench.hpp"

namespace heph::bench {

/// Actors on one worker.
[[nodiscard]] std::vector<figure> actor_figures();
/// Wakes from worker to worker.
[[nodiscard]] std::vector<figure> wake_figures();
#ifdef HEPH_BENCH_ASIO
/// Gives microseconds for a wake of a thread that sleeps in Boost.Asio, and one back.
[[nodiscard]] double asio_wakes();
#endif
#ifdef HEPH_BENCH_UV
/// The same with libuv.
[[nodiscard]] double uv_wakes();
#endif
/// Timers, on the wheel of a worker by itself.
[[nodiscard]] std::vector<figure> timer_figures();

}  // namespace heph::bench
