#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include <heph/rt/snapshot.hpp>

namespace heph::rt::detail {

/// A question to workers: which processes are yours? Each answers between two turns of its loop, on
/// its own thread, where it may look at them; who asked waits for the answers, not for ever.
///
/// *Thread safety*: safe. *Lifetime*: shared by who asks and who has yet to answer.
class snapshot_request {
public:
    explicit snapshot_request(std::vector<std::size_t> asked) : silent_(std::move(asked)) {}

    /// Takes a worker's answer.
    void answer(std::size_t worker, std::vector<process_snapshot> processes) {
        {
            const std::lock_guard lock(mutex_);
            processes_.insert(processes_.end(), std::make_move_iterator(processes.begin()),
                              std::make_move_iterator(processes.end()));
            std::erase(silent_, worker);
        }
        answered_.notify_all();
    }

    /// Waits for the answers, at most until `until`. Tells whether they are all there.
    [[nodiscard]] bool wait_until(std::chrono::steady_clock::time_point until) {
        std::unique_lock lock(mutex_);
        return answered_.wait_until(lock, until, [this] { return silent_.empty(); });
    }

    /// Gives what was answered. An answer that comes later is lost.
    void take(runtime_snapshot& into) {
        const std::lock_guard lock(mutex_);
        into.processes = std::exchange(processes_, {});
        into.silent = silent_;
    }

private:
    std::mutex mutex_;  // Guards what follows.
    std::condition_variable answered_;
    std::vector<process_snapshot> processes_;
    std::vector<std::size_t> silent_;  // Those that have yet to answer.
};

}  // namespace heph::rt::detail
