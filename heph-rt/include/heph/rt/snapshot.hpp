#pragma once

// What a runtime runs at a moment: its actors, and what its workers count.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <heph/rt/metrics.hpp>
#include <heph/rt/scheduler.hpp>

namespace heph::rt {

/// Says what a process does at the moment.
enum class process_state : std::uint8_t {
    waiting,        ///< For a message, a timer, I/O or another future.
    ready,          ///< Waits for its turn.
    running,        ///< Is being polled.
    on_own_thread,  ///< Runs, or blocks, on a thread of its own: a sync actor.
};

/// One actor, or another future that a runtime runs.
struct process_snapshot {
    std::string name;  ///< That of the actor; empty without one.
    process_state state = process_state::waiting;
    rt::priority priority = rt::priority::normal;
    std::optional<std::size_t> worker;    ///< The worker it belongs to; none if thread-safe.
    std::chrono::nanoseconds run_time{};  ///< In polls so far; quick ones are measured together.
                                          ///< Of a sync actor, the processor time of its thread.
    std::size_t inbox_depth = 0;          ///< Messages that wait in an actor's inbox.
    std::uint64_t received = 0;           ///< Messages that an actor has received.
    std::uint32_t restarts = 0;           ///< How often an actor was restarted.
};

/// A runtime at a moment. Workers are asked one by one: not all is of the same instant.
struct runtime_snapshot {
    runtime_metrics metrics;
    std::vector<process_snapshot> processes;  ///< Of the workers; thread-safe; sync actors.
    std::vector<std::size_t> silent;          ///< Workers that did not answer: a poll takes long.
};

/// Writes it for people, a line for each worker and process, at most `processes_max` of the latter:
/// those that ran longest.
[[nodiscard]] std::string to_text(const runtime_snapshot& snapshot,
                                  std::size_t processes_max = 1000);

}  // namespace heph::rt
