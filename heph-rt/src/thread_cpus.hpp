#pragma once

#include <sched.h>

#include <optional>

namespace heph::rt::detail {

/// The CPUs that the calling thread may use, for threads that a pinned worker starts: these would
/// begin with its one CPU. Nothing where no worker is pinned, and nothing has to be set.
class thread_cpus {
public:
    thread_cpus() = default;

    /// Notes those of the calling thread, if `workers_are_pinned`.
    [[nodiscard]] static thread_cpus of_this_thread(bool workers_are_pinned) noexcept {
        thread_cpus noted;
        cpu_set_t now;
        CPU_ZERO(&now);
        if (workers_are_pinned && ::sched_getaffinity(0, sizeof(now), &now) == 0) {
            noted.cpus_ = now;
        }
        return noted;
    }

    /// Gives them to the calling thread, as far as the system lets it.
    void apply() const noexcept {
        if (cpus_) { (void)::sched_setaffinity(0, sizeof(*cpus_), &*cpus_); }
    }

private:
    std::optional<cpu_set_t> cpus_;
};

}  // namespace heph::rt::detail
