#pragma once

// Setting a runtime up, starting it, and stopping it.

#include <chrono>
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <heph/core/actor_ref.hpp>
#include <heph/rt/driver_kind.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/scheduler.hpp>
#include <heph/rt/signal.hpp>
#include <heph/rt/time_source.hpp>
#include <heph/rt/timer_queue.hpp>
#include <heph/rt/worker.hpp>

namespace heph::rt {

namespace detail {
class trace_log;
}

/// The settings of a runtime, with the defaults that `setup` starts from.
struct runtime_settings {
    std::string name = "heph";                     ///< Names the threads: `name-0`, `name-1`, ….
    std::size_t threads = 1;                       ///< Worker threads, 1 to 256.
    bool cpu_affinity = false;                     ///< Pins worker n to the n-th allowed CPU.
    std::chrono::milliseconds stop_grace{10'000};  ///< From the stop request to dropping actors.
    driver_kind driver = driver_kind::automatic;   ///< By what the workers reach the kernel.
    std::size_t ring_entries = 1024;               ///< Submission queue of each ring, 8 to 32,768.
    std::size_t receive_buffers = 1024;            ///< Provided buffers a worker, 8 to 32,768, 2^n.
    std::size_t receive_buffer_bytes = 4096;       ///< Size of each of them, 256 to 65,536.
    std::size_t direct_descriptors = 0;            ///< Slots of each ring's table, to 65,536.
    std::size_t blocking_threads = 16;             ///< For `spawn_blocking`, at most, 1 to 1,024.
    std::size_t polls_per_turn = 128;  ///< Polls between two looks at the driver, 1 to 1,000,000.
    std::chrono::nanoseconds run_time_max = std::chrono::milliseconds(1);  ///< Of a turn, to 10 s.
    std::chrono::nanoseconds long_poll = std::chrono::milliseconds(100);  ///< To warn of; 0: never.
    std::chrono::nanoseconds spin_max = std::chrono::microseconds(50);  ///< Before sleep, to 10 ms.
    scheduler_factory make_scheduler = {};           ///< Makes each worker's scheduler, if given.
    timer_queue_factory make_timers = {};            ///< Makes each worker's timers, if given.
    std::shared_ptr<detail::time_source> time = {};  ///< In the place of the system's clock.
    idle_time when_idle = idle_time::stands;         ///< For such a clock.
    std::string trace_path = {};                     ///< A file that is made; empty for no trace.
    std::shared_ptr<detail::trace_log> trace = {};   ///< That file, once it is made.
    /// SIGINT, SIGTERM and SIGQUIT ask for a stop; sync actors' threads block SIGPIPE and SIGXFSZ,
    /// as workers do in any case.
    bool handle_signals = true;
};

/// Runs actors on worker threads, each with an io_uring of its own, or an epoll descriptor.
///
/// *Thread safety*: used by the thread that starts it, except `shared()` and what it gives.
class [[nodiscard]] runtime {
public:
    runtime(runtime&&) noexcept;
    runtime& operator=(runtime&&) noexcept;
    ~runtime();

    /// Calls `function` with each worker, on that worker's thread, when the runtime starts, and
    /// after the functions given before. An exception that leaves it makes `start` fail.
    void run_on_workers(std::function<void(worker&)> function);

    /// Starts a thread-safe actor. It runs once the runtime is started.
    template <typename... Args>
    auto spawn(Args... args) {
        return shared().spawn(std::move(args)...);
    }

    /// Starts a sync actor, on a thread of its own. It runs at once, also before the runtime is
    /// started; of one that never is, it is left to its references. See
    /// `shared_runtime::spawn_sync`.
    template <typename M = void, typename... Args>
    auto spawn_sync(sync_options options, Args... args) {
        return shared().spawn_sync<M>(std::move(options), std::move(args)...);
    }

    /// Sends the process signals to `receiver` as well: SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1
    /// and SIGUSR2. An actor that holds messages up loses signals beyond its inbox's size.
    /// *Errors*: `operation_not_permitted` once `start` was called: nobody would send them.
    [[nodiscard]] std::expected<void, error> receive_signals(actor_ref<signal> receiver);

    /// Gives what was chosen: `io_uring`, or `epoll` as soon as one worker uses that.
    [[nodiscard]] driver_kind driver() const noexcept;

    /// Gives thread-safe access, for other threads to spawn and stop.
    [[nodiscard]] shared_runtime shared() const;

    /// Runs until every actor is finished, or an orderly stop has ended, then frees everything.
    ///
    /// A first SIGINT, SIGTERM or SIGQUIT, or `request_stop()`, completes every `stopping()`
    /// future. What has not finished after the grace time, or at a second signal, is dropped; sync
    /// actors have as long once more, see `shared_runtime::spawn_sync`.
    /// *Errors*: a worker could not be set up, or a set-up function threw;
    /// `operation_not_permitted` when it was called before.
    [[nodiscard]] std::expected<void, error> start();

private:
    friend class setup;
    struct state;
    explicit runtime(std::unique_ptr<state> made) noexcept;
    std::unique_ptr<state> state_;
};

/// Collects the settings of a runtime, checks them and makes it.
///
///     auto runtime = heph::rt::setup{}.name("service").threads(2).build();
class setup {
public:
    setup() = default;

    /// Names the runtime; its threads carry the first 15 bytes of `name-INDEX`.
    setup& name(std::string value) {
        settings_.name = std::move(value);
        return *this;
    }
    /// Sets the number of worker threads.
    setup& threads(std::size_t count) {
        settings_.threads = count;
        return *this;
    }
    /// Makes as many workers as the process has CPUs to run on.
    setup& all_cores();
    /// Pins each worker to a CPU.
    setup& cpu_affinity(bool enabled = true) {
        settings_.cpu_affinity = enabled;
        return *this;
    }
    /// Sets how long an orderly stop may take before what is left gets dropped.
    setup& stop_grace(std::chrono::milliseconds grace) {
        settings_.stop_grace = grace;
        return *this;
    }
    /// Leaves signals to the program: none is relayed or acted upon, and none blocked but SIGPIPE
    /// and SIGXFSZ on the workers' own threads, where writing in vain is an error in any case.
    setup& ignore_signals() {
        settings_.handle_signals = false;
        return *this;
    }
    /// Sets by what the workers reach the kernel. The default, `automatic`, is what the variable
    /// HEPH_DRIVER of the environment says (`uring`, `epoll` or `auto`), else io_uring, else, where
    /// the kernel refuses that, epoll with a warning that names the reason.
    setup& driver(driver_kind kind) {
        settings_.driver = kind;
        return *this;
    }
    /// Sets the entries of each worker's submission queue.
    setup& ring_entries(std::size_t count) {
        settings_.ring_entries = count;
        return *this;
    }
    /// Sets the number and size of the buffers that a worker's sockets receive into.
    setup& receive_buffers(std::size_t count, std::size_t bytes) {
        settings_.receive_buffers = count;
        settings_.receive_buffer_bytes = bytes;
        return *this;
    }
    /// Gives each worker's ring a table with so many slots for direct descriptors, 0 to 65,536:
    /// none by default. Streams and files can be moved there, and connections be accepted into it.
    /// There is none with epoll, nor with a kernel before 6.14, where all descriptors are ordinary
    /// ones.
    setup& direct_descriptors(std::size_t count) {
        settings_.direct_descriptors = count;
        return *this;
    }

    /// Sets how many threads `spawn_blocking` may use.
    setup& blocking_threads(std::size_t count) {
        settings_.blocking_threads = count;
        return *this;
    }
    /// Sets how many polls of ready processes a worker makes before it looks for I/O, timers and
    /// what other threads sent. More is a little faster; fewer is more even.
    setup& polls_per_turn(std::size_t count) {
        settings_.polls_per_turn = count;
        return *this;
    }
    /// Sets for how long a worker polls ready processes before it looks for I/O, timers and what
    /// other threads sent, from 1 us to 10 s. One poll may take longer: nothing interrupts it.
    setup& run_time_max(std::chrono::nanoseconds longest) {
        settings_.run_time_max = longest;
        return *this;
    }
    /// Sets from when on the log warns of a poll, with the actor's name; zero for never. Quick
    /// polls are measured several at once: the first long one after them may share its warning.
    setup& warn_of_long_polls(std::chrono::nanoseconds threshold) {
        settings_.long_poll = threshold;
        return *this;
    }
    /// Sets for how long a worker may look for what other threads send before it sleeps; zero for
    /// never. It does so only while that has been worth its while, and never on a single CPU.
    setup& spin_before_sleep(std::chrono::nanoseconds longest) {
        settings_.spin_max = longest;
        return *this;
    }
    /// Replaces the order in which ready processes run; see `scheduler`. The function is called on
    /// each worker's thread. An empty one is for the usual, fair order.
    setup& scheduler(scheduler_factory make) {
        settings_.make_scheduler = std::move(make);
        return *this;
    }
    /// Replaces what keeps the timers of each worker, which is a timing wheel; see `timer_queue`.
    /// The function is called on each worker's thread, and `start` fails when it throws or gives
    /// none. An empty one is for the wheel.
    setup& timers(timer_queue_factory make) {
        settings_.make_timers = std::move(make);
        return *this;
    }

    /// Replaces the clock of all timers, deadlines and intervals, and what `rt::clock::now()` gives
    /// on workers: by a `heph::testing::virtual_clock`, so that a test of time-outs takes no time.
    ///
    ///     heph::testing::virtual_clock time;
    ///     auto runtime = setup{}.clock(time, idle_time::advances).build();
    ///
    /// With `idle_time::advances` the clock goes on to the next timer whenever every worker is
    /// idle; where there is I/O under way, or several workers, after a millisecond of real time for
    /// the kernel. What runs on other threads (`spawn_blocking`, the program's own) or in other
    /// processes does not hold the clock up. The grace of a stop, long polls and metrics go by real
    /// time.
    ///
    /// The clock is any copyable `heph::timed_runtime` that may be used by several threads at once.
    template <timed_runtime Clock>
    setup& clock(Clock source, idle_time when_idle = idle_time::stands) {
        settings_.time = std::make_shared<detail::time_source_of<Clock>>(std::move(source));
        settings_.when_idle = when_idle;
        return *this;
    }

    /// Writes what the workers do, and what actors add by `finish_trace`, to a file, which must not
    /// exist yet. See `<heph/rt/trace.hpp>`.
    setup& trace(std::string path) {
        settings_.trace_path = std::move(path);
        return *this;
    }

    /// Checks the settings, tries io_uring, and makes the runtime.
    /// *Errors*: a setting out of range; more direct descriptors than the process may have open
    /// (`ulimit -n`), with io_uring; a HEPH_DRIVER that is none; io_uring asked for and
    /// refused: the message then names the reason (sysctl, seccomp, kernel, limits) and what to do.
    [[nodiscard]] std::expected<runtime, error> build() const;

private:
    runtime_settings settings_;
};

}  // namespace heph::rt
