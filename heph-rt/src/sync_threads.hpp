#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <heph/core/detail/os_thread.hpp>
#include <heph/core/stopping.hpp>
#include <heph/rt/detail/sync_process.hpp>
#include <heph/rt/snapshot.hpp>

#include "thread_cpus.hpp"
#include "trace_log.hpp"

namespace heph::rt::detail {

/// A sync actor's thread, in the list of those that run.
struct sync_entry {
    std::string name;
    std::optional<heph::detail::os_thread> thread;
    const sync_main* main = nullptr;  // While there is an actor.
};

/// The threads of a runtime's sync actors.
///
/// A thread that ends joins the one that ended before it, so that none but the last one is left
/// over: that one is joined at the runtime's end.
///
/// *Thread safety*: safe.
class sync_threads {
public:
    sync_threads() = default;
    sync_threads(const sync_threads&) = delete;
    sync_threads& operator=(const sync_threads&) = delete;
    ~sync_threads();

    /// Says how threads are set up. *Requires*: none was started yet.
    void configure(const std::string& runtime_name, bool handles_signals, bool pins_workers,
                   std::shared_ptr<trace_log> trace);

    /// Has `start` fail with `operation_not_supported`. *Requires*: as `configure`.
    void refuse() noexcept { refused_ = true; }
    /// Starts a thread. *Errors*: the system's.
    [[nodiscard]] std::expected<void, std::error_code> start(std::string name,
                                                             std::size_t stack_size,
                                                             std::unique_ptr<sync_main> main);

    /// Tells the threads to stop: those that wait for the restart of an actor do so.
    void request_stop() noexcept { stop_.request(); }
    [[nodiscard]] const stop_signal& stop() const noexcept { return stop_; }

    /// Sets the calling thread, which was just started, up.
    void enter() const noexcept;
    /// Gives where events go, or null when nothing is traced.
    [[nodiscard]] const std::shared_ptr<trace_log>& trace() const noexcept { return trace_; }
    /// Gives the number of a thread's stream in the trace.
    [[nodiscard]] std::uint32_t next_stream() noexcept {
        return first_sync_stream + streams_.fetch_add(1, std::memory_order_relaxed);
    }
    /// Forgets the actor of the calling thread, which is about to be destroyed.
    void forget_actor(std::list<sync_entry>::iterator place) noexcept;
    /// Takes the calling thread, which is about to end, out.
    void leave(std::list<sync_entry>::iterator place) noexcept;

    /// Adds what the actors do.
    void describe(std::vector<process_snapshot>& into);

    /// Waits until none runs, or that time has come: then those that still do are left alone. Gives
    /// their names. *Requires*: none is started any more; called by the thread that ends the
    /// runtime.
    [[nodiscard]] std::vector<std::string> wait_until(std::chrono::steady_clock::time_point until);

private:
    void join_last() noexcept;

    stop_signal stop_;
    std::string default_name_;
    bool handles_signals_ = false;
    bool refused_ = false;
    thread_cpus cpus_;
    std::shared_ptr<trace_log> trace_;
    std::atomic<std::uint32_t> streams_{0};

    std::mutex mutex_;  // Guards what follows.
    std::condition_variable one_ended_;
    std::list<sync_entry> running_;
    std::optional<heph::detail::os_thread> last_;  // The last one that ended.
    bool left_alone_ = false;
};

}  // namespace heph::rt::detail
