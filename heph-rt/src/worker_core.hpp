#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <heph/core/log_limit.hpp>
#include <heph/rt/detail/process.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/scheduler.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/time_source.hpp>
#include <heph/rt/timer_queue.hpp>

#include "driver.hpp"
#include "fair_queue.hpp"
#include "idle_spin.hpp"
#include "poll_meter.hpp"
#include "trace_log.hpp"
#include "worker_link.hpp"
#include "worker_timers.hpp"

namespace heph::rt::detail {

/// How a worker schedules; see `setup`.
struct worker_settings {
    driver_settings driver;
    std::size_t polls_per_turn;
    std::chrono::nanoseconds run_time_max;
    std::chrono::nanoseconds long_poll;  // Zero for never.
    std::chrono::nanoseconds spin_max;   // Zero for never.
    bool looks_yield;                    // While looking: more workers than CPUs.
    scheduler_factory make_scheduler;    // Empty for the usual one.
    timer_queue_factory make_timers;     // Empty for the timing wheel.
    std::shared_ptr<trace_log> trace;    // Null for none.
};

/// Gives by what number a process is known in traces; 0 stands for the worker itself.
[[nodiscard]] inline std::uint64_t substream_of(const process_header* process) noexcept {
    return reinterpret_cast<std::uintptr_t>(process);
}

/// One worker: its loop, its processes, its driver and its timers.
///
/// A turn: take what other threads queued; expire timers; run ready processes, as many and for as
/// long as the settings allow; then submit, and take completions, in one system call or in none. It
/// waits only when nothing is ready, and at most until the next timer.
///
/// *Thread safety*: used by its own thread only. Others use its link.
class worker_core {
public:
    /// *Errors*: throws `std::bad_alloc`.
    worker_core(std::shared_ptr<runtime_core> runtime, worker_link& link, std::size_t index);
    ~worker_core();
    worker_core(const worker_core&) = delete;
    worker_core& operator=(const worker_core&) = delete;

    /// Makes the driver and this thread the worker's. *Errors*: see `make_driver`; the scheduler or
    /// the timers could not be made. The thread is nobody's then.
    [[nodiscard]] std::expected<void, error> set_up(const worker_settings& settings);

    /// Runs until the runtime has nothing left to run, or drops what is left when it is told to.
    void run();

    // In the place of `run`, for who runs several workers by one thread: a simulation.

    /// Makes the calling thread the worker's. *Requires*: it was set up.
    void enter() noexcept;
    /// Makes it nobody's.
    static void leave() noexcept;
    /// Makes one turn, which does not wait. The scheduler has thread-safe processes as well then.
    /// *Requires*: entered, and there is a scheduler.
    void step();
    /// Tells whether a turn would find anything to do, but for timers.
    [[nodiscard]] bool has_work() const noexcept;
    /// Gives when the next turn is due for the sake of a timer, or nothing without one.
    [[nodiscard]] std::optional<clock::time_point> next_timer() const noexcept;
    /// Drops every process. *Requires*: entered, and the runtime was told to drop what is left.
    void drop_processes();

    /// Ends the worker: gives the driver up. Waits for the kernel to be done with every buffer.
    void shut_down() noexcept;

    void add_process(process_header& process) noexcept;
    /// Queues a woken process. *Requires*: called on this worker's thread, and it is at home here.
    void push_ready(process_header& process) noexcept {
        if (scheduler_ == nullptr) [[likely]] {
            ready_.push(process);
        } else {
            scheduler_->push(process);
        }
    }
    /// Queues a woken thread-safe process that has pins here. *Requires*: as `push_ready`.
    void push_bound(process_header& process) noexcept {
        if (!process.is_bound()) {
            // A scheduler of the program's has accounts of its own; see `schedulable`.
            process.set_bound(true, scheduler_ == nullptr ? time_here(process) : 0);
        }
        push_ready(process);
    }
    /// Gives the virtual time among this worker's own of one that comes from the thread-safe ones.
    [[nodiscard]] std::uint64_t time_here(const process_header& process) noexcept {
        const std::uint64_t there = link_.advance_shared(std::exchange(ran_shared_, {}));
        return fair_queue::carry(process.virtual_time, there, ready_.time());
    }
    /// Queues a process again that has just run and was woken meanwhile.
    void push_again(process_header& process) noexcept {
        if (scheduler_ == nullptr) [[likely]] {
            ready_.push_again(process);
        } else {
            scheduler_->push(process);
        }
    }
    /// Wakes a local process of this worker. *Requires*: called on this worker's thread.
    void wake_local(process_header& process) noexcept {
        const std::uint8_t before = process.local;
        if ((before & (process_header::woken | process_header::finished)) != 0) { return; }
        process.local = before | process_header::woken;
        if (before == 0) { push_ready(process); }
    }

    [[nodiscard]] process_header* polled_process() const noexcept { return polled_; }
    [[nodiscard]] detail::driver& driver() noexcept { return *driver_; }
    /// Tells whether a slot or a buffer pool is this worker's; see `driver::owns`.
    [[nodiscard]] bool owns(const auto& asked) const noexcept { return driver_->owns(asked); }
    /// Tells whether that driver is this worker's.
    [[nodiscard]] bool runs_on(const detail::driver& asked) const noexcept {
        return driver_.get() == &asked;
    }
    [[nodiscard]] worker_timers& timers() noexcept { return timers_; }
    [[nodiscard]] runtime_core& runtime() noexcept { return *runtime_; }
    [[nodiscard]] const std::shared_ptr<runtime_core>& shared_core() const noexcept {
        return runtime_;
    }
    [[nodiscard]] worker_link& link() noexcept { return link_; }
    [[nodiscard]] std::size_t index() const noexcept { return index_; }

    /// Gives the time on the runtime's clock.
    [[nodiscard]] clock::time_point now() const noexcept;
    /// Gives milliseconds since the worker was made, rounded down.
    [[nodiscard]] std::uint64_t now_ms() const noexcept;
    /// Gives the same, rounded up to the kernel's next tick; takes a fifth of the time to read.
    [[nodiscard]] std::uint64_t coarse_ms() const noexcept;
    [[nodiscard]] clock::time_point started() const noexcept { return started_; }

    /// Gives where events of this thread go, or null when nothing is traced.
    [[nodiscard]] trace_stream* trace() noexcept { return trace_.get(); }
    [[nodiscard]] const trace_stream* trace() const noexcept { return trace_.get(); }

    /// Bounds what is logged of connections that failed.
    [[nodiscard]] log_limit& failed_connections() noexcept { return failed_connections_; }
    /// Logs how many failed connections have no line, if any. It is done at the worker's end, too.
    void log_left_out_connections() noexcept;

    /// Answers who asks for a snapshot.
    void answer_requests();

    void link_stop_node(stop_node& node) noexcept;
    void unlink_stop_node(stop_node& node) noexcept;

private:
    using time_point = std::chrono::steady_clock::time_point;

    void make_turn();
    void publish() noexcept;
    void take_remote_work() noexcept;
    void take_remote_processes() noexcept;
    void run_ready();
    [[nodiscard]] bool run_local(process_header& process);
    void run_shared(process_header& process, bool of_this_worker);
    [[nodiscard]] bool poll(process_header& process);
    [[nodiscard]] bool poll_traced(process_header& process);
    void requeue_shared(process_header& process) noexcept;
    void finish_local(process_header& process) noexcept;
    void finish_shared(process_header& process) noexcept;
    [[nodiscard]] process_header* next_ready() noexcept;
    [[nodiscard]] bool any_ready() const noexcept {
        return scheduler_ == nullptr ? !ready_.empty() : !scheduler_->empty();
    }
    static void add_name(std::string& names, const process_header& process) noexcept;
    void close_window() noexcept;
    void close_special_window(time_point now, bool may_be_long) noexcept;
    void note_window(std::chrono::nanoseconds took, std::uint64_t not_queued) noexcept;
    void report_long_poll(std::chrono::nanoseconds took, const std::string& names) noexcept;
    void take_and_run_shared();
    void expire_timers() noexcept;
    void announce_stop() noexcept;
    [[nodiscard]] bool poll_future(process_header& process);
    void write_trace() noexcept;
    void wait_for_work() noexcept;
    void wait_in_driver(std::optional<std::chrono::milliseconds> timeout) noexcept;
    [[nodiscard]] std::optional<std::chrono::milliseconds> time_to_wait() noexcept;
    [[nodiscard]] bool arm_alarm(std::uint64_t expiry) noexcept;
    [[nodiscard]] bool anything_for_us() const noexcept;
    [[nodiscard]] bool look_for_work(int looks) noexcept;
    [[nodiscard]] bool found_without_sleep(
        std::optional<std::chrono::milliseconds> timeout) noexcept;
    void drop_everything() noexcept;
    void drop_local(process_header& process) noexcept;

    std::shared_ptr<runtime_core> runtime_;
    worker_link& link_;
    std::size_t index_;
    clock::time_point started_;  // On the runtime's clock.
    std::unique_ptr<detail::driver> driver_;
    worker_timers timers_;
    std::unique_ptr<time_source::alarm> alarm_;  // For `alarm_for_`, by a clock of the program's.
    std::uint64_t alarm_for_ = 0;
    std::unique_ptr<trace_stream> trace_;
    fair_queue ready_;
    std::unique_ptr<scheduler> scheduler_;  // In its place, if there is one.
    poll_meter meter_;
    idle_spin spin_{{}};
    worker_settings settings_{};
    std::chrono::nanoseconds ran_this_turn_{};
    shared_run ran_shared_;
    time_point long_poll_logged_{};
    log_limit failed_connections_{60};
    process_header* live_ = nullptr;  // Local processes.
    std::size_t processes_ = 0;       // So many are in it.
    std::size_t remote_to_come_ = 0;  // Finished ones that will come out of the remote queue.
    process_header* polled_ = nullptr;
    stop_node* stop_nodes_ = nullptr;
    bool stop_announced_ = false;
    bool dropping_ = false;
};

/// The worker that this thread is, or null: what `current_worker` gives, for who cannot afford a
/// call.
extern constinit thread_local worker_core* this_thread_worker;

/// Gives the process that the calling worker polls, or null.
[[nodiscard]] process_header* current_process() noexcept;

/// Takes a slot of the worker for the process being polled.
[[nodiscard]] inline slot& acquire_slot(worker_core& worker, slot_kind kind) {
    return worker.driver().slots().acquire(kind, worker.polled_process());
}

}  // namespace heph::rt::detail
