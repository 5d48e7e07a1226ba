#include "worker_counters.hpp"

#include <algorithm>

namespace heph::rt::detail {

void worker_counters::begin() noexcept {
    started.set(std::chrono::steady_clock::now().time_since_epoch().count());
    const bool has_clock = pthread_getcpuclockid(pthread_self(), &cpu_clock) == 0;
    running.store(has_clock, std::memory_order_release);
}

worker_metrics worker_counters::read() const {
    using std::chrono::nanoseconds;
    worker_metrics now;
    const auto since = std::chrono::steady_clock::time_point(nanoseconds(started.get()));
    if (started.get() != 0) { now.uptime = std::chrono::steady_clock::now() - since; }
    if (running.load(std::memory_order_acquire)) {
        timespec used{};
        // Fails when the thread has ended meanwhile.
        if (::clock_gettime(cpu_clock, &used) == 0) {
            now.cpu_time = std::chrono::seconds(used.tv_sec) + nanoseconds(used.tv_nsec);
        }
    }
    now.run_time = nanoseconds(run_time.get());
    now.polls = polls.get();
    now.turns = turns.get();
    now.sleeps = sleeps.get();
    now.remote_wakes = remote_wakes.get();
    now.stolen = stolen.get();
    now.processes = processes.get();
    now.ready = ready.get();
    now.timers = timers.get();
    now.direct_slots = direct_slots.get();
    now.direct_in_use = direct_in_use.get();
    if (now.timers != 0) {
        const auto up = std::chrono::duration_cast<std::chrono::milliseconds>(now.uptime);
        const std::chrono::milliseconds at(static_cast<std::int64_t>(next_timer_ms.get()));
        now.next_timer = std::max(at - up, std::chrono::milliseconds(0));
    }
    return now;
}

}  // namespace heph::rt::detail
