#pragma once

// What a runtime counts.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace heph::rt {

/// What one worker has done and has to do, as of its last turn. Counts are since its start.
struct worker_metrics {
    std::chrono::nanoseconds uptime{};    ///< Since the worker started; zero before.
    std::chrono::nanoseconds cpu_time{};  ///< Of its thread, user and kernel; zero when it ended.
    std::chrono::nanoseconds run_time{};  ///< In polls of processes.
    std::uint64_t polls = 0;              ///< Of local and thread-safe processes.
    std::uint64_t turns = 0;              ///< Of its loop.
    std::uint64_t sleeps = 0;             ///< Waits for the kernel, with nothing else to do.
    std::uint64_t remote_wakes = 0;       ///< Wakes of its local processes by other threads.
    std::uint64_t stolen = 0;             ///< Thread-safe processes taken from other workers.
    std::size_t processes = 0;            ///< Local ones that are not finished.
    std::size_t ready = 0;                ///< Local ones that wait to be polled.
    std::size_t timers = 0;               ///< That are armed.
    std::optional<std::chrono::milliseconds> next_timer;  ///< From then on; nothing without timers,
                                                          ///< or by a clock of the program's.
    std::size_t direct_in_use = 0;                        ///< Direct descriptors.
    std::size_t direct_slots = 0;  ///< As many may be there; zero without them.
};

/// What a runtime has done and has to do.
struct runtime_metrics {
    std::vector<worker_metrics> workers;  ///< By their index.
    std::size_t shared_ready = 0;         ///< Thread-safe processes that wait to be polled.
};

}  // namespace heph::rt
