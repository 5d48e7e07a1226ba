#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>

#include <heph/rt/metrics.hpp>

namespace heph::rt::detail {

/// A number that one thread changes and others read. Costs what a plain one costs.
template <typename T>
class counter {
public:
    void add(T more) noexcept { set(value_.load(std::memory_order_relaxed) + more); }
    void set(T value) noexcept { value_.store(value, std::memory_order_relaxed); }
    [[nodiscard]] T get() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<T> value_{};
};

/// A worker's counts, which it changes and anybody may read. Each is right by itself; they need not
/// be of the same moment.
struct worker_counters {
    using rep = std::chrono::steady_clock::rep;

    /// Gives all of it. *Thread safety*: safe.
    [[nodiscard]] worker_metrics read() const;
    /// Tells whether the worker runs. *Thread safety*: safe.
    [[nodiscard]] bool is_running() const noexcept {
        return running.load(std::memory_order_acquire);
    }
    /// Begins and ends the worker's life. The worker's.
    void begin() noexcept;
    void end() noexcept { running.store(false, std::memory_order_release); }

    counter<rep> run_time;
    counter<std::uint64_t> polls;
    counter<std::uint64_t> turns;
    counter<std::uint64_t> sleeps;
    counter<std::uint64_t> remote_wakes;
    counter<std::uint64_t> stolen;
    counter<std::size_t> processes;
    counter<std::size_t> ready;
    counter<std::size_t> timers;
    counter<std::size_t> direct_slots;
    counter<std::size_t> direct_in_use;
    counter<std::uint64_t> next_timer_ms;  // On the worker's clock.
    counter<rep> started;
    // Release: what `begin` wrote. Pairs with the acquire of `read`.
    std::atomic<bool> running{false};
    clockid_t cpu_clock{};
};

}  // namespace heph::rt::detail
