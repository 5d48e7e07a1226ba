#include <heph/rt/runtime.hpp>

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <exception>
#include <functional>
#include <latch>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <csignal>

#include <heph/core/log.hpp>

#include "blocking_pool.hpp"
#include "coordinator.hpp"
#include "direct_table.hpp"
#include "driver_choice.hpp"
#include "runtime_core.hpp"
#include "signal_listener.hpp"
#include "worker_core.hpp"

namespace heph::rt {

struct runtime::state {
    explicit state(runtime_settings chosen)
        : settings(std::move(chosen)),
          core(detail::runtime_core::make(
              settings.threads,
              std::make_shared<detail::blocking_pool>(settings.name, settings.blocking_threads,
                                                      settings.cpu_affinity),
              settings.time, settings.when_idle)) {
        core->sync().configure(settings.name, settings.handle_signals, settings.cpu_affinity,
                               settings.trace);
    }
    ~state() {
        core->drop_unpolled();  // Processes keep the core: it would never be freed.
        core->drop_header();
    }
    state(const state&) = delete;
    state& operator=(const state&) = delete;

    runtime_settings settings;
    std::shared_ptr<detail::runtime_core> core;
    std::vector<std::function<void(worker&)>> set_up_functions;
    std::vector<actor_ref<signal>> signal_receivers;
    std::atomic<bool> started{false};
};

namespace {

using namespace std::chrono_literals;

constexpr std::size_t threads_max = 256;
constexpr std::chrono::milliseconds hurried_grace = 500ms;  // For sync actors to see the end.

std::vector<int> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> cpus;
    if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) { cpus.push_back(cpu); }
        }
    }
    return cpus;
}

void pin_this_thread(std::size_t index) {
    const auto cpus = allowed_cpus();
    if (cpus.empty()) { return; }
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpus[index % cpus.size()]), &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

void name_this_thread(const std::string& name, std::size_t index) {
    const std::string suffix = '-' + std::to_string(index);
    const std::string cut = name.substr(0, 15 - suffix.size()) + suffix;
    (void)pthread_setname_np(pthread_self(), cut.c_str());
}

std::optional<error> check_range(const char* what, std::size_t value, std::size_t least,
                                 std::size_t most) {
    if (value >= least && value <= most) { return std::nullopt; }
    return error(std::make_error_code(std::errc::invalid_argument),
                 std::string(what) + " must be " + std::to_string(least) + " to " +
                     std::to_string(most) + ", not " + std::to_string(value));
}

std::optional<error> check_duration(const char* what, std::chrono::nanoseconds value,
                                    std::chrono::nanoseconds least, std::chrono::nanoseconds most) {
    if (value >= least && value <= most) { return std::nullopt; }
    const auto us = [](std::chrono::nanoseconds of) {
        return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(of).count());
    };
    return error(
        std::make_error_code(std::errc::invalid_argument),
        std::string(what) + " must be " + us(least) + " to " + us(most) + " us, not " + us(value));
}

std::optional<error> check(const runtime_settings& settings) {
    if (auto bad = check_range("threads", settings.threads, 1, threads_max)) { return bad; }
    if (auto bad = check_range("ring entries", settings.ring_entries, 8, 32'768)) { return bad; }
    if (auto bad = check_range("receive buffers", settings.receive_buffers, 8, 32'768)) {
        return bad;
    }
    if (auto bad =
            check_range("receive buffer bytes", settings.receive_buffer_bytes, 256, 65'536)) {
        return bad;
    }
    const auto invalid = std::make_error_code(std::errc::invalid_argument);
    if (!std::has_single_bit(settings.receive_buffers)) {
        return error(invalid, "the number of receive buffers must be a power of two, not " +
                                  std::to_string(settings.receive_buffers));
    }
    if (auto bad = check_range("direct descriptors", settings.direct_descriptors, 0,
                               detail::direct_table::slots_max)) {
        return bad;
    }
    if (auto bad = check_range("blocking threads", settings.blocking_threads, 1, 1024)) {
        return bad;
    }
    if (auto bad = check_range("polls per turn", settings.polls_per_turn, 1, 1'000'000)) {
        return bad;
    }
    if (auto bad = check_duration("the run time of a turn", settings.run_time_max, 1us, 10s)) {
        return bad;
    }
    if (auto bad = check_duration("the time to look for work", settings.spin_max, 0s, 10ms)) {
        return bad;
    }
    if (settings.long_poll < 0s) {
        return error(invalid, "the time of a long poll must not be negative; 0 is for never");
    }
    if (settings.when_idle == idle_time::advances && settings.time != nullptr &&
        !settings.time->can_advance()) {
        return error(invalid,
                     "a clock that advances while the workers are idle needs a function "
                     "advance_to_next(), as heph::testing::virtual_clock has");
    }
    if (settings.name.empty()) { return error(invalid, "the runtime's name must not be empty"); }
    if (settings.stop_grace.count() < 0) {
        return error(invalid, "the grace time of a stop must not be negative");
    }
    return std::nullopt;
}

// The kernel refuses a table of more slots than that.
std::optional<error> check_direct_descriptors(std::size_t count) {
    rlimit open_files{};
    if (::getrlimit(RLIMIT_NOFILE, &open_files) != 0 || count <= open_files.rlim_cur) {
        return std::nullopt;
    }
    return error(std::make_error_code(std::errc::too_many_files_open),
                 std::to_string(count) + " direct descriptors a worker are more than the " +
                     std::to_string(open_files.rlim_cur) +
                     " descriptors that the process may have; raise `ulimit -n`, or ask for fewer");
}

detail::worker_settings to_worker_settings(const runtime_settings& settings) {
    // One that looks for work on the only CPU keeps the others from doing it.
    const std::size_t cpus = allowed_cpus().size();
    const bool may_spin = settings.threads > 1 && cpus > 1;
    return {
        .driver = {settings.driver, settings.ring_entries, settings.receive_buffers,
                   settings.receive_buffer_bytes, settings.direct_descriptors},
        .polls_per_turn = settings.polls_per_turn,
        .run_time_max = settings.run_time_max,
        .long_poll = settings.long_poll,
        .spin_max = may_spin ? settings.spin_max : std::chrono::nanoseconds::zero(),
        .looks_yield = settings.threads > cpus,
        .make_scheduler = settings.make_scheduler,
        .make_timers = settings.make_timers,
        .trace = settings.trace,
    };
}

// What the threads of a start share. The first failure wins; the others run to their end.
struct start_state {
    start_state(std::size_t workers, detail::worker_settings chosen)
        : settings(std::move(chosen)), set_up(static_cast<std::ptrdiff_t>(workers)) {}

    void fail(error failure) {
        const std::lock_guard lock(mutex);
        if (!first_failure) { first_failure.emplace(std::move(failure)); }
        failed.store(true, std::memory_order_release);
    }

    detail::worker_settings settings;
    std::latch set_up;  // Every worker has its ring, or has failed.
    std::atomic<bool> failed{false};
    std::mutex mutex;
    std::optional<error> first_failure;
};

void call_set_up_functions(std::vector<std::function<void(worker&)>>& functions, worker& self,
                           start_state& start) {
    try {
        for (auto& function : functions) { function(self); }
    } catch (const std::exception& thrown) {
        start.fail(error(std::make_error_code(std::errc::operation_canceled),
                         std::string("a worker's set-up function threw: ") + thrown.what()));
    } catch (...) {
        start.fail(error(std::make_error_code(std::errc::operation_canceled),
                         "a worker's set-up function threw"));
    }
}

// Does the part of a worker that could not be made.
void forgo_worker(detail::runtime_core& core, start_state& start) {
    core.drop_now();  // There may be no other worker to do it.
    start.set_up.count_down();
    core.forgo_worker();
}

// Each worker has its own copy of the functions: they may change what they hold.
void run_worker(std::shared_ptr<detail::runtime_core> core, const runtime_settings& settings,
                std::vector<std::function<void(worker&)>> functions, std::size_t index,
                start_state& start) {
    name_this_thread(settings.name, index);
    if (settings.cpu_affinity) { pin_this_thread(index); }
    // Also where signals are the program's: a write to a pipe has no flag against them.
    detail::block_write_signals();
    std::optional<detail::worker_core> made_worker;
    try {
        made_worker.emplace(core, core->link(index), index);
    } catch (const std::bad_alloc&) {
        start.fail(error(std::make_error_code(std::errc::not_enough_memory),
                         "no memory for a worker and its timers"));
        functions.clear();
        forgo_worker(*core, start);
        return;
    }
    detail::worker_core& self = *made_worker;
    auto made = self.set_up(start.settings);
    if (!made) { start.fail(std::move(made.error())); }
    start.set_up.arrive_and_wait();
    if (!start.failed.load(std::memory_order_acquire)) {
        worker handle(self);
        call_set_up_functions(functions, handle, start);
    }
    if (start.failed.load(std::memory_order_acquire)) { core->drop_now(); }
    core->drop_reason();  // The one that stands for "not set up yet".
    functions.clear();
    self.run();
    self.shut_down();
}

// The threads of the workers. They end, whatever happens meanwhile: they use what the start has.
struct worker_threads {
    worker_threads(detail::runtime_core& of, std::size_t count) : core(of) { all.reserve(count); }
    worker_threads(const worker_threads&) = delete;
    worker_threads& operator=(const worker_threads&) = delete;
    ~worker_threads() { end(); }
    void end() noexcept {
        core.drop_now();
        for (std::thread& each : all) { each.join(); }
        all.clear();
    }

    detail::runtime_core& core;
    std::vector<std::thread> all;
};

// Whatever else held references to them is gone.
void wait_for_sync_actors(detail::sync_threads& threads, std::chrono::milliseconds grace) {
    const auto now = std::chrono::steady_clock::now();
    const auto most = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::time_point::max() - now);
    for (const std::string& name : threads.wait_until(now + std::min(grace, most))) {
        log(log_level::warning, "sync actor " +
                                    (name.empty() ? std::string("without a name") : name) +
                                    " did not end, and is left alone: nothing can interrupt it");
    }
}

}  // namespace

runtime::runtime(std::unique_ptr<state> made) noexcept : state_(std::move(made)) {}
runtime::runtime(runtime&&) noexcept = default;
runtime& runtime::operator=(runtime&&) noexcept = default;
runtime::~runtime() = default;

void runtime::run_on_workers(std::function<void(worker&)> function) {
    state_->set_up_functions.push_back(std::move(function));
}

std::expected<void, error> runtime::receive_signals(actor_ref<signal> receiver) {
    if (state_->started.load(std::memory_order_relaxed)) {
        return std::unexpected(error(std::make_error_code(std::errc::operation_not_permitted),
                                     "the receivers of signals have to be named before the runtime "
                                     "is started: call receive_signals() before start()"));
    }
    state_->signal_receivers.push_back(std::move(receiver));
    return {};
}

driver_kind runtime::driver() const noexcept {
    // A worker may find out otherwise than who set it up.
    if (state_->core->has_epoll()) { return driver_kind::epoll; }
    const driver_kind chosen = state_->settings.driver;
    return chosen == driver_kind::automatic ? driver_kind::io_uring : chosen;
}

shared_runtime runtime::shared() const { return shared_runtime(state_->core); }

std::expected<void, error> runtime::start() {
    if (state_->started.exchange(true, std::memory_order_relaxed)) {
        return std::unexpected(error(std::make_error_code(std::errc::operation_not_permitted),
                                     "the runtime was started before, and runs once: build another "
                                     "one"));
    }
    std::optional<detail::signal_listener> signals;
    if (state_->settings.handle_signals) {
        signals.emplace(state_->core->coordinator_descriptor());
    }
    start_state start(state_->settings.threads, to_worker_settings(state_->settings));
    detail::coordinator coordinator(*state_->core, state_->settings.stop_grace,
                                    std::exchange(state_->signal_receivers, {}),
                                    state_->settings.trace);
    worker_threads threads(*state_->core, state_->settings.threads);
    for (std::size_t i = 0; i < state_->settings.threads; ++i) {
        try {
            threads.all.emplace_back(run_worker, state_->core, std::cref(state_->settings),
                                     state_->set_up_functions, i, std::ref(start));
            continue;
        } catch (const std::system_error& thrown) {
            start.fail(error(thrown.code(),
                             std::string("cannot start a worker thread: ") + thrown.what()));
        } catch (const std::exception& thrown) {  // A set-up function could not be copied.
            start.fail(error(std::make_error_code(std::errc::operation_canceled),
                             std::string("cannot start a worker thread: ") + thrown.what()));
        } catch (...) {
            start.fail(
                error(std::make_error_code(std::errc::operation_canceled),
                      "cannot start a worker thread: a set-up function could not be copied"));
        }
        forgo_worker(*state_->core, start);
    }
    state_->set_up_functions.clear();  // What they hold would keep actors waiting.
    auto watched = coordinator.watch(signals ? &*signals : nullptr);
    threads.end();
    state_->core->blocking()->stop();
    state_->core->drop_unpolled();
    const auto grace = state_->settings.stop_grace;
    wait_for_sync_actors(state_->core->sync(),
                         coordinator.hurries() ? std::min(grace, hurried_grace) : grace);
    if (start.first_failure) { return std::unexpected(std::move(*start.first_failure)); }
    return watched;
}

setup& setup::all_cores() {
    settings_.threads = std::clamp<std::size_t>(allowed_cpus().size(), 1, threads_max);
    return *this;
}

std::expected<runtime, error> setup::build() const {
    if (auto bad = check(settings_)) { return std::unexpected(std::move(*bad)); }
    const auto driver = detail::choose_driver(settings_.driver, settings_.ring_entries);
    if (!driver) { return std::unexpected(driver.error()); }
    if (*driver == driver_kind::io_uring || *driver == driver_kind::automatic) {
        if (auto bad = check_direct_descriptors(settings_.direct_descriptors)) {
            return std::unexpected(std::move(*bad));
        }
    }
    runtime_settings settings = settings_;
    settings.driver = *driver;
    if (!settings.trace_path.empty()) {
        auto trace = detail::trace_log::open(settings.trace_path);
        if (!trace) { return std::unexpected(std::move(trace.error())); }
        settings.trace = std::move(*trace);
    }
    try {
        return runtime(std::make_unique<runtime::state>(std::move(settings)));
    } catch (const std::system_error& thrown) {
        // The next try is to make it again.
        if (!settings_.trace_path.empty()) { ::unlink(settings_.trace_path.c_str()); }
        return std::unexpected(error(thrown.code(), thrown.what()));
    }
}

}  // namespace heph::rt
