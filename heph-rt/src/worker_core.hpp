#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <utility>

#include <heph/rt/detail/process.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/stopping.hpp>

#include "driver.hpp"
#include "timing_wheel.hpp"
#include "worker_link.hpp"

namespace heph::rt::detail {

/// First in, first out, linked through the processes.
class run_queue {
public:
    void push(process_header& process) noexcept {
        process.next = nullptr;
        if (head_ == nullptr) {
            head_ = &process;
        } else {
            tail_->next = &process;
        }
        tail_ = &process;
    }
    /// Takes the whole queue, linked through `next`.
    [[nodiscard]] process_header* take_all() noexcept { return std::exchange(head_, nullptr); }
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

private:
    process_header* head_ = nullptr;
    process_header* tail_ = nullptr;
};

/// One worker: its loop, its processes, its driver and its timers.
///
/// A turn: take what other threads queued; expire timers; run the processes that were ready at the
/// start of the turn; then submit, and take completions, in one system call or in none. It waits
/// only when nothing is ready, and at most until the next timer.
///
/// *Thread safety*: used by its own thread only. Others use its link.
class worker_core {
public:
    worker_core(std::shared_ptr<runtime_core> runtime, worker_link& link,
                std::size_t index) noexcept;
    ~worker_core();
    worker_core(const worker_core&) = delete;
    worker_core& operator=(const worker_core&) = delete;

    /// Makes the driver and this thread the worker's. *Errors*: see `make_driver`.
    [[nodiscard]] std::expected<void, error> set_up(const driver_settings& settings);

    /// Runs until the runtime has nothing left to run, or drops what is left when it is told to.
    void run();

    /// Ends the worker: gives the driver up. Waits for the kernel to be done with every buffer.
    void shut_down() noexcept;

    void add_process(process_header& process) noexcept;
    /// Queues a woken process. *Requires*: called on this worker's thread, and it is at home here.
    void push_ready(process_header& process) noexcept { ready_.push(process); }

    [[nodiscard]] process_header* polled_process() const noexcept { return polled_; }
    [[nodiscard]] detail::driver& driver() noexcept { return *driver_; }
    /// Tells whether a slot or a buffer pool is this worker's; see `driver::owns`.
    [[nodiscard]] bool owns(const auto& asked) const noexcept { return driver_->owns(asked); }
    [[nodiscard]] timing_wheel& timers() noexcept { return timers_; }
    [[nodiscard]] runtime_core& runtime() noexcept { return *runtime_; }
    [[nodiscard]] const std::shared_ptr<runtime_core>& shared_core() const noexcept {
        return runtime_;
    }
    [[nodiscard]] worker_link& link() noexcept { return link_; }
    [[nodiscard]] std::size_t index() const noexcept { return index_; }

    /// Gives milliseconds since the worker was made, rounded down.
    [[nodiscard]] std::uint64_t now_ms() const noexcept;
    [[nodiscard]] std::chrono::steady_clock::time_point started() const noexcept {
        return started_;
    }

    void link_stop_node(stop_node& node) noexcept;
    void unlink_stop_node(stop_node& node) noexcept;

private:
    void take_remote_work() noexcept;
    void run_ready();
    void run_process(process_header& process);
    void finish(process_header& process) noexcept;
    void take_and_run_shared();
    void expire_timers() noexcept;
    void announce_stop() noexcept;
    void wait_for_work() noexcept;
    void drop_everything() noexcept;

    std::shared_ptr<runtime_core> runtime_;
    worker_link& link_;
    std::size_t index_;
    std::chrono::steady_clock::time_point started_;
    std::unique_ptr<detail::driver> driver_;
    timing_wheel timers_;
    run_queue ready_;
    process_header* live_ = nullptr;  // Local processes.
    process_header* polled_ = nullptr;
    stop_node* stop_nodes_ = nullptr;
    bool stop_announced_ = false;
    bool dropping_ = false;
};

/// Gives the process that the calling worker polls, or null.
[[nodiscard]] process_header* current_process() noexcept;

/// Takes a slot of the worker for the process being polled.
[[nodiscard]] inline slot& acquire_slot(worker_core& worker, slot_kind kind) {
    return worker.driver().slots().acquire(kind, worker.polled_process());
}

}  // namespace heph::rt::detail
