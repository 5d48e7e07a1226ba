#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>

#include "slot.hpp"

namespace heph::rt::detail {

class worker_link;

/// Carries out operations that block, on a few threads of a worker's own, started as needed.
///
/// Some block for good: the opening of a named pipe, or what is on a file system that hangs. When
/// all threads are busy and none takes what is queued for a while, there is one more, up to a
/// limit; it ends as soon as there are enough without.
///
/// A slot belongs to a job from `submit` until `take_finished` gives it. Meanwhile the job's thread
/// reads the request and what it names, and writes to `data`'s spare room and to `job_result`; the
/// worker leaves these alone, even when the slot is dropped: then its result is discarded later.
/// What was queued and not begun when the slot is cancelled ends with ECANCELED.
///
/// *Thread safety*: used by the worker's thread only.
class blocking_jobs {
public:
    explicit blocking_jobs(worker_link& link);
    /// Waits for the threads. Those that still work are left behind: with their slots, which are
    /// then never freed, and without their results.
    ~blocking_jobs();
    blocking_jobs(const blocking_jobs&) = delete;
    blocking_jobs& operator=(const blocking_jobs&) = delete;

    /// Queues a slot's request. Gives false when there is no thread, nor can one be started.
    [[nodiscard]] bool submit(slot& operation) noexcept;

    [[nodiscard]] bool any_finished() const noexcept;
    /// Calls `visit` with each slot whose job is finished.
    template <typename Visit>
    void take_finished(Visit visit) {
        for (slot* each = take_finished(); each != nullptr;) {
            slot* following = each->next_job;
            visit(*each);
            each = following;
        }
    }
    /// Waits until a job is finished, at most until `until`.
    void wait_for_finished(std::chrono::steady_clock::time_point until) noexcept;

    static constexpr std::size_t threads_max = 8;
    /// The same, with those that stand in for threads that are stuck.
    static constexpr std::size_t stuck_threads_max = 64;
    /// How long a job waits for a busy thread before there is one more.
    static constexpr std::chrono::milliseconds patience{100};

private:
    struct state;
    [[nodiscard]] slot* take_finished() noexcept;

    std::shared_ptr<state> state_;  // The threads', too.
};

/// Carries a request out on the calling thread, which may block. Gives a result as the kernel does:
/// a negative errno when it fails.
[[nodiscard]] std::int32_t perform(slot& operation) noexcept;

}  // namespace heph::rt::detail
