#include "worker_core.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <ctime>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <heph/core/log.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/rt/worker.hpp>

#include "driver_choice.hpp"
#include "make_own.hpp"
#include "runtime_core.hpp"
#include "snapshot_request.hpp"

namespace heph::rt::detail {

constinit thread_local worker_core* this_thread_worker = nullptr;

namespace {

// So many thread-safe processes a worker takes in one turn.
constexpr int shared_batch = 32;

constexpr std::chrono::seconds drain_patience{5};

// So often a worker looks for work between two looks at the clock, before it sleeps.
constexpr int looks_per_clock = 16;
constexpr int first_looks = 32;

void pause_processor() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// The time as of the kernel's last tick, some milliseconds ago; takes a fifth of the time to read.
std::chrono::steady_clock::time_point coarse_now() noexcept {
    timespec now{};
    (void)::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return std::chrono::steady_clock::time_point(std::chrono::seconds(now.tv_sec) +
                                                 std::chrono::nanoseconds(now.tv_nsec));
}

// So much later than that it may be.
std::chrono::nanoseconds coarse_tick() noexcept {
    timespec tick{};
    if (::clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0) {
        return std::chrono::milliseconds(10);
    }
    return std::chrono::seconds(tick.tv_sec) + std::chrono::nanoseconds(tick.tv_nsec);
}

// For so long I/O is waited for before a clock that advances does so.
constexpr std::chrono::milliseconds patience_of_time{1};

// Wakers for the alarms of clocks: they hold the runtime core, and with it the link.

void clone_alarm(void* data) noexcept { static_cast<worker_link*>(data)->runtime().add_header(); }
void ring_alarm(void* data) noexcept { static_cast<worker_link*>(data)->ring_alarm(); }
void drop_alarm(void* data) noexcept { static_cast<worker_link*>(data)->runtime().drop_header(); }

constexpr waker_vtable alarm_waker{&clone_alarm, &ring_alarm, &drop_alarm};

}  // namespace

worker_core* current_worker() noexcept { return this_thread_worker; }

process_header* current_process() noexcept {
    return this_thread_worker != nullptr ? this_thread_worker->polled_process() : nullptr;
}

clock::time_point now_of(const worker_core& worker) noexcept { return worker.now(); }

std::size_t worker_index(const worker_core& worker) noexcept { return worker.index(); }

const std::shared_ptr<runtime_core>& runtime_of(worker_core& worker) noexcept {
    return worker.shared_core();
}

void add_local(worker_core& worker, process_header& process) noexcept {
    worker.add_process(process);
}

worker_core::worker_core(std::shared_ptr<runtime_core> runtime, worker_link& link,
                         std::size_t index)
    : runtime_(std::move(runtime)), link_(link), index_(index), started_(runtime_->now()) {}

worker_core::~worker_core() = default;

std::expected<void, error> worker_core::set_up(const worker_settings& settings) {
    link_.open();
    link_.counters().begin();
    settings_ = settings;
    spin_ = idle_spin(settings.spin_max);
    if (settings.trace != nullptr) {
        // Stream 0 is the coordinator's.
        trace_ =
            std::make_unique<trace_stream>(settings.trace, static_cast<std::uint32_t>(index_) + 1);
    }
    if (settings.make_scheduler) {
        auto own = make_own(settings.make_scheduler, "a worker's scheduler could not be made");
        if (!own) { return std::unexpected(std::move(own.error())); }
        scheduler_ = std::move(*own);
        if (scheduler_ != nullptr) { link_.set_ready_time(0); }
    }
    if (settings.make_timers) {
        auto own = make_own(settings.make_timers, "a worker's timers could not be made");
        if (!own) { return std::unexpected(std::move(own.error())); }
        if (*own == nullptr) {
            return std::unexpected(error(std::make_error_code(std::errc::invalid_argument),
                                         "a worker's timers could not be made: the function that "
                                         "setup::timers was given gave none"));
        }
        timers_.replace(std::move(*own));
    }
    auto made = make_driver(link_, settings.driver);
    if (!made) { return std::unexpected(std::move(made.error())); }
    driver_ = std::move(*made);
    if (driver_->kind() == driver_kind::epoll) { runtime_->note_epoll(); }
    link_.set_ring_descriptor(driver_->ring_descriptor());
    // Not before: what is destroyed on this thread after a failure finds a worker with a driver, or
    // none.
    this_thread_worker = this;
    this_thread_link = &link_;
    return {};
}

clock::time_point worker_core::now() const noexcept { return runtime_->now(); }

std::uint64_t worker_core::now_ms() const noexcept {
    // A clock of the program's may go back: the wheel's time does not.
    const auto elapsed = std::max(now() - started_, clock::duration::zero());
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count());
}

std::uint64_t worker_core::coarse_ms() const noexcept {
    if (runtime_->time() != nullptr) { return now_ms(); }
    static const std::chrono::nanoseconds tick = coarse_tick();
    return static_cast<std::uint64_t>(
        std::chrono::ceil<std::chrono::milliseconds>(coarse_now() + tick - started_).count());
}

void worker_core::add_process(process_header& process) noexcept {
    HEPH_ASSERT(current_worker() == this);
    process.home = &link_;
    link_.add_header();
    if (dropping_) {  // Spawned by the destructor of what is being dropped.
        drop_local(process);
        return;
    }
    if (live_ == nullptr) { runtime_->add_reason(); }
    process.live_next = live_;
    if (live_ != nullptr) { live_->live_previous = &process; }
    live_ = &process;
    ++processes_;
    process.local = process_header::woken;
    push_ready(process);
}

[[gnu::always_inline]] inline void worker_core::make_turn() {
    take_remote_work();
    expire_timers();
    publish();
    run_ready();
    take_and_run_shared();
    if (trace_ != nullptr && trace_->is_large()) [[unlikely]] { write_trace(); }
}

void worker_core::run() {
    meter_.begin(std::chrono::steady_clock::now());
    while (driver_ != nullptr && !runtime_->finished() && !runtime_->dropping()) {
        make_turn();
        if (any_ready() || link_.has_shared()) {
            driver_->turn();
        } else {
            wait_for_work();
        }
    }
    drop_processes();
}

void worker_core::drop_processes() {
    // All wait for each other, so that no thread-safe process is dropped while another worker polls
    // it. After an end in peace there is nothing to drop.
    runtime_->arrive_and_wait_to_drop();
    drop_everything();
    log_left_out_connections();
}

void worker_core::enter() noexcept {
    this_thread_worker = this;
    this_thread_link = &link_;
}

void worker_core::leave() noexcept {
    this_thread_worker = nullptr;
    this_thread_link = nullptr;
}

void worker_core::step() {
    // Among the others: their own queue's order depends on how long each of them ran.
    while (process_header* each = link_.take_shared({})) { push_bound(*each); }
    make_turn();
    driver_->turn();
}

bool worker_core::has_work() const noexcept {
    return any_ready() || link_.has_remote() || link_.has_shared() || driver_->any_dropped() ||
           driver_->anything_completed() || (!stop_announced_ && runtime_->stop_requested());
}

std::optional<clock::time_point> worker_core::next_timer() const noexcept {
    const auto expiry = timers_.next_expiry();
    if (!expiry) { return std::nullopt; }
    return heph::detail::later(
        started_,
        heph::detail::to_clock(std::chrono::milliseconds(static_cast<std::int64_t>(*expiry))));
}

void worker_core::log_left_out_connections() noexcept {
    const auto left_out = failed_connections_.left_out();
    if (left_out == 0) { return; }
    try {
        log(log_level::error, "net: " + std::to_string(left_out) +
                                  " further connections failed, without a line each");
        failed_connections_.take_left_out();
    } catch (const std::bad_alloc&) {  // No memory for the number, which is told another time.
        log(log_level::error, "net: further connections failed, without a line each");
    }
}

// Between polls: the time that it takes is no actor's.
void worker_core::write_trace() noexcept {
    if (!meter_.empty()) { close_window(); }
    trace_->flush();
    meter_.begin(std::chrono::steady_clock::now());
}

void worker_core::publish() noexcept {
    worker_counters& counters = link_.counters();
    counters.turns.add(1);
    counters.processes.set(processes_);
    counters.ready.set(scheduler_ == nullptr ? ready_.size() : (scheduler_->empty() ? 0 : 1));
    counters.timers.set(timers_.size());
    if (const auto next = timers_.next_expiry()) { counters.next_timer_ms.set(*next); }
}

void worker_core::shut_down() noexcept {
    if (driver_ != nullptr) {
        driver_->take_dropped();
        if (const std::size_t left = driver_->drain(drain_patience); left != 0) {
            log(log_level::error, "worker " + std::to_string(index_) + ": " + std::to_string(left) +
                                      " operations did not end after they were cancelled");
        }
        link_.set_ring_descriptor(-1);
    }
    link_.counters().end();
    for (const auto& request : link_.take_requests()) { request->answer(index_, {}); }
    alarm_.reset();
    trace_.reset();
    scheduler_.reset();
    this_thread_worker = nullptr;  // Whatever the driver destroys, it finds none.
    this_thread_link = nullptr;
    driver_.reset();
    link_.close();
}

void worker_core::take_remote_processes() noexcept {
    for (process_header* each = link_.take_remote(); each != nullptr;) {
        process_header* following = each->remote_next;
        if (each->shared) {  // Pinned to this worker.
            push_bound(*each);
        } else {
            // Acquire: what came before the wakes so far is seen by the poll to come.
            each->state.fetch_and(static_cast<std::uint8_t>(~process_header::woken),
                                  std::memory_order_acq_rel);
            if ((each->local & process_header::finished) != 0) { --remote_to_come_; }
            link_.counters().remote_wakes.add(1);
            wake_local(*each);
            drop_reference(*each);
        }
        each = following;
    }
}

void worker_core::take_remote_work() noexcept {
    if (link_.has_remote()) { take_remote_processes(); }
    // Without a driver when its set-up failed, and all that is left to do is to drop processes.
    if (driver_ != nullptr && driver_->any_dropped()) { driver_->take_dropped(); }
    if (!stop_announced_ && runtime_->stop_requested()) { announce_stop(); }
    if (link_.asked() && !dropping_) [[unlikely]] {
        try {
            answer_requests();
        } catch (const std::bad_alloc&) {}  // Who asked learns that there was no answer.
    }
}

void worker_core::announce_stop() noexcept {
    stop_announced_ = true;
    while (stop_node* node = stop_nodes_) {
        // Copied, since the node may only be touched before its process runs.
        const waker waiting = std::move(node->waker);
        node->unlink();
        waiting.wake();
    }
}

void worker_core::expire_timers() noexcept {
    if (link_.alarm_rang()) { link_.silence_alarm(); }
    if (timers_.empty()) { return; }
    const auto start = trace_ != nullptr ? std::chrono::steady_clock::now() : time_point();
    std::size_t expired = 0;
    timers_.advance(now_ms(), [&expired](timer_node& node, bool due) {
        ++expired;
        node.owner = nullptr;
        node.fired = due;
        const waker waiting = std::move(node.waker);
        // From here on another worker may run the process and destroy the node.
        node.holder = pin();
        waiting.wake();
    });
    if (trace_ != nullptr && expired != 0) [[unlikely]] {
        const trace_attribute count("timers", expired);
        trace_->add(0, start, "expiring timers", {&count, 1});
    }
}

// What is done for each poll: in one function, which keeps what it needs in registers.

[[gnu::always_inline]] inline process_header* worker_core::next_ready() noexcept {
    schedulable* next = scheduler_ == nullptr ? ready_.pop() : scheduler_->pop();
    return static_cast<process_header*>(next);
}

[[gnu::always_inline]] inline bool worker_core::poll_future(process_header& process) {
    polled_ = &process;
    link_.counters().polls.add(1);
    try {
        // Not destroyed: it has no reference of its own. Those who keep one make a copy.
        alignas(waker) std::byte place[sizeof(waker)];
        const auto* lent = ::new (static_cast<void*>(place)) waker(&process, &process_waker);
        const bool done = process.vtable->poll(process, *lent);
        polled_ = nullptr;
        return done;
    } catch (const std::exception& thrown) {
        log(log_level::critical, std::string("a future threw and is dropped: ") + thrown.what());
    } catch (...) { log(log_level::critical, "a future threw and is dropped"); }
    polled_ = nullptr;
    return true;
}

[[gnu::always_inline]] inline bool worker_core::poll(process_header& process) {
    return trace_ == nullptr ? poll_future(process) : poll_traced(process);
}

// Tells whether a window was closed, so that more time is known to have passed.
[[gnu::always_inline]] inline bool worker_core::run_local(process_header& process) {
    HEPH_ASSERT(process.local == process_header::woken);
    process.local = process_header::running;
    if (poll(process)) [[unlikely]] {
        bool closes = false;
        if (settings_.long_poll > std::chrono::nanoseconds::zero() &&
            meter_.since_begin(coarse_now()) >= settings_.long_poll / 2) {
            (void)meter_.note(process);  // Its name goes with it.
            closes = true;
        } else {
            closes = meter_.note_finished(process);
        }
        if (closes) { close_window(); }
        finish_local(process);
        return closes;
    }
    process.local &= static_cast<std::uint8_t>(~process_header::running);
    if (process.local != 0) { push_again(process); }
    if (!meter_.note(process)) [[likely]] { return false; }
    close_window();
    return true;
}

bool worker_core::poll_traced(process_header& process) {
    const auto start = std::chrono::steady_clock::now();
    const bool done = poll_future(process);
    const std::string_view name = process.vtable->name(process);
    const std::array<trace_attribute, 2> attributes{trace_attribute("name", name),
                                                    trace_attribute("finished", done)};
    trace_->add(substream_of(&process), start, "running", attributes);
    return done;
}

void worker_core::run_ready() {
    ran_this_turn_ = {};
    for (std::size_t left = settings_.polls_per_turn; left != 0; --left) {
        process_header* next = next_ready();
        if (next == nullptr) { return; }
        bool time_passed = true;
        if (next->shared) [[unlikely]] {
            run_shared(*next, true);
        } else {
            time_passed = run_local(*next);
        }
        if (time_passed && ran_this_turn_ >= settings_.run_time_max) { return; }
        // What others send does not wait for the end of the turn: one look costs next to nothing.
        if (link_.has_remote()) [[unlikely]] { take_remote_processes(); }
    }
}

void worker_core::take_and_run_shared() {
    ran_this_turn_ = {};
    for (int i = 0; i < shared_batch; ++i) {
        process_header* taken = link_.take_shared(std::exchange(ran_shared_, {}));
        if (taken == nullptr && !any_ready()) {
            taken = runtime_->steal(link_);
            if (taken != nullptr) { link_.counters().stolen.add(1); }
        }
        if (taken == nullptr) { return; }
        if (i == 0 && link_.has_shared()) { runtime_->wake_a_thief(link_); }
        run_shared(*taken, false);
        if (ran_this_turn_ >= settings_.run_time_max) { return; }
    }
}

void worker_core::run_shared(process_header& process, bool of_this_worker) {
    // Others may run it as soon as it is let go: it is measured by itself, and before.
    if (!meter_.empty()) { close_window(); }
    // Acquire: pairs with the release of the wake. Nobody else changes the state from `woken`.
    [[maybe_unused]] const std::uint8_t before =
        process.state.exchange(process_header::running, std::memory_order_acq_rel);
    HEPH_ASSERT(before == process_header::woken);
    const bool done = poll(process);
    const auto now = std::chrono::steady_clock::now();
    const auto ran = meter_.close_shared(now);
    link_.counters().run_time.add(ran.count());
    ran_this_turn_ += ran;
    process.ran(ran);
    if (of_this_worker && scheduler_ != nullptr) {
        scheduler_->charge(process, ran);
    } else {
        fair_queue::charge(process, ran);
    }
    if (of_this_worker) {
        ready_.advance(ran, fair_queue::weight_of(process));
        if (scheduler_ == nullptr) { link_.set_ready_time(ready_.time()); }
    } else {
        ran_shared_.ran += ran;
        ran_shared_.weight = fair_queue::weight_of(process);
        link_.note_shared_run(process);
    }
    if (settings_.long_poll > std::chrono::nanoseconds::zero() && ran >= settings_.long_poll) {
        std::string names;
        if (!done) { add_name(names, process); }
        report_long_poll(ran, names);
    }
    if (done) {
        finish_shared(process);
    } else {
        requeue_shared(process);
    }
}

void worker_core::requeue_shared(process_header& process) noexcept {
    // Release: the next waker to find it idle reads `home` and `pins`. From here on, another
    // worker may run it, unless it was woken meanwhile.
    const bool to_be_shared = process.pins.load(std::memory_order_relaxed) == 0;
    std::uint8_t running = process_header::running;
    if (process.state.compare_exchange_strong(running, 0, std::memory_order_acq_rel)) { return; }
    // Again a read-modify-write, to acquire what was written before a second wake that came since.
    process.state.exchange(process_header::woken, std::memory_order_acq_rel);
    if (to_be_shared) {
        link_.push_shared(process);
    } else if (process.is_bound()) {
        push_again(process);
    } else {
        push_bound(process);
    }
}

void worker_core::finish_shared(process_header& process) noexcept {
    process.state.fetch_or(process_header::finished, std::memory_order_acq_rel);
    runtime_->unlist_shared(process);
    polled_ = &process;
    process.vtable->drop_future(process);
    polled_ = nullptr;
    runtime_->remove_shared(process);
}

void worker_core::finish_local(process_header& process) noexcept {
    (process.live_previous != nullptr ? process.live_previous->live_next : live_) =
        process.live_next;
    if (process.live_next != nullptr) { process.live_next->live_previous = process.live_previous; }
    --processes_;
    const bool last = live_ == nullptr;
    drop_local(process);
    // What the future's end spawned has counted itself already.
    if (last) { runtime_->drop_reason(); }
}

void worker_core::drop_local(process_header& process) noexcept {
    process.local = process_header::finished;
    const std::uint8_t before =
        process.state.fetch_or(process_header::finished, std::memory_order_acq_rel);
    if ((before & process_header::woken) != 0) { ++remote_to_come_; }
    polled_ = &process;
    process.vtable->drop_future(process);
    polled_ = nullptr;
    process.local |= process_header::merged;
    if (process.references.merge()) { free_process(process); }
}

bool worker_core::anything_for_us() const noexcept {
    return link_.has_remote() || runtime_->any_shared_work() || driver_->any_dropped() ||
           runtime_->finished() || runtime_->dropping() ||
           (!stop_announced_ && runtime_->stop_requested()) || link_.alarm_rang() || link_.asked();
}

bool worker_core::look_for_work(int looks) noexcept {
    for (; looks > 0; --looks) {
        if (anything_for_us() || driver_->anything_completed()) { return true; }
        if (settings_.looks_yield) {
            std::this_thread::yield();
        } else {
            pause_processor();
        }
    }
    return false;
}

bool worker_core::found_without_sleep(std::optional<std::chrono::milliseconds> timeout) noexcept {
    const auto limit = spin_.limit();
    if (limit == std::chrono::nanoseconds::zero() || (timeout && *timeout < limit)) {
        return false;
    }
    driver_->turn();  // What is queued must not wait.
    if (any_ready()) { return true; }
    const auto note = [this](std::chrono::nanoseconds after) {
        if (link_.has_remote() || link_.has_shared()) {
            spin_.sent_after(after);
        } else {
            spin_.not_sent();  // A completion, or what another worker is to take.
        }
    };
    // The first looks go without the clock, whose reading takes longer than they do.
    if (look_for_work(first_looks)) {
        note(std::chrono::nanoseconds(0));
        driver_->turn();
        return true;
    }
    if (!meter_.empty()) { close_window(); }
    const auto since = std::chrono::steady_clock::now();
    auto now = since;
    for (; now - since < limit; now = std::chrono::steady_clock::now()) {
        if (look_for_work(looks_per_clock)) {
            now = std::chrono::steady_clock::now();
            note(now - since);
            driver_->turn();
            meter_.begin(now);
            return true;
        }
    }
    spin_.not_sent();
    return false;
}

// Gives how long the driver may wait; nothing for as long as it takes.
std::optional<std::chrono::milliseconds> worker_core::time_to_wait() noexcept {
    const auto expiry = timers_.next_expiry();
    if (!expiry) {
        alarm_.reset();
        return std::nullopt;
    }
    if (runtime_->time() != nullptr) {
        return arm_alarm(*expiry) ? std::nullopt : std::optional(std::chrono::milliseconds(0));
    }
    const std::uint64_t now = now_ms();
    // The clock is rounded down: one millisecond more, rather than turns without effect.
    return std::chrono::milliseconds(*expiry > now ? *expiry - now : 0);
}

// Lets a clock of the program's wake this worker. Gives whether it is to wait for that.
bool worker_core::arm_alarm(std::uint64_t expiry) noexcept {
    try {
        if (alarm_ == nullptr || alarm_for_ != expiry) {
            alarm_.reset();
            alarm_ = runtime_->time()->alarm_at(heph::detail::later(
                started_, heph::detail::to_clock(
                              std::chrono::milliseconds(static_cast<std::int64_t>(expiry)))));
            alarm_for_ = expiry;
        }
        runtime_->add_header();  // The waker's.
        const waker rings(&link_, &alarm_waker);
        if (!alarm_->poll(rings)) { return true; }
    } catch (const std::bad_alloc&) {}  // It looks again and again.
    alarm_.reset();
    return false;
}

void worker_core::wait_in_driver(std::optional<std::chrono::milliseconds> timeout) noexcept {
    // With a time-out, which is zero then, a timer is due: the clock must not run away from it.
    while (!timeout && runtime_->time_advances() && link_.sleeping()) {
        // What the kernel is about to complete comes before the time that passes.
        if (driver_->slots().in_flight() != 0 || runtime_->worker_count() > 1) {
            driver_->wait(patience_of_time);
            if (any_ready() || !link_.sleeping()) { return; }
        }
        if (!runtime_->advance_time_if_idle()) { break; }
    }
    if (link_.sleeping()) { driver_->wait(timeout); }
}

void worker_core::wait_for_work() noexcept {
    std::optional<std::chrono::milliseconds> timeout = time_to_wait();
    if (found_without_sleep(timeout)) { return; }
    if (!meter_.empty()) { close_window(); }
    const auto idle_since = std::chrono::steady_clock::now();
    link_.set_sleeping();
    if (anything_for_us()) {
        link_.set_awake();
        driver_->turn();
        meter_.begin(std::chrono::steady_clock::now());
        return;
    }
    link_.counters().sleeps.add(1);
    if (trace_ != nullptr && !trace_->flush_at_leisure(idle_since)) [[unlikely]] {
        // It comes back for the rest.
        if (!runtime_->time_advances()) {
            timeout = std::min(timeout.value_or(trace_stream::leisure), trace_stream::leisure);
        }
    }
    wait_in_driver(timeout);
    link_.set_awake();
    if (trace_ != nullptr) [[unlikely]] { trace_->add(0, idle_since, "waiting", {}); }
    if (link_.woken_at() > idle_since) {
        spin_.sent_after(link_.woken_at() - idle_since);
    } else {
        spin_.not_sent();
    }
    meter_.begin(std::chrono::steady_clock::now());
}

void worker_core::drop_everything() noexcept {
    dropping_ = true;
    if (!meter_.empty()) { close_window(); }
    // Nothing is polled any more. The queue owns nothing of local processes; thread-safe ones that
    // are pinned here wait for their end in it.
    fair_queue pinned;
    while (process_header* each = next_ready()) {
        if (each->shared) { pinned.push(*each); }
    }
    // First of all, so that the end of one does not wake another.
    for (process_header* each = live_; each != nullptr; each = each->live_next) {
        each->local = process_header::finished;
    }
    while (process_header* each = live_) {
        live_ = each->live_next;
        drop_local(*each);
    }
    std::size_t still_queued = 0;
    for (process_header* each = runtime_->take_shared_of(link_); each != nullptr;) {
        process_header* following = each->live_next;
        const std::uint8_t before =
            each->state.fetch_or(process_header::finished, std::memory_order_acq_rel);
        polled_ = each;
        each->vtable->drop_future(*each);
        polled_ = nullptr;
        // A woken one is in a queue, or about to be; the queue then holds the live reference.
        if ((before & process_header::woken) != 0) {
            ++still_queued;
        } else {
            drop_reference(*each);
        }
        each = following;
    }
    while (still_queued != 0 || remote_to_come_ != 0) {
        take_remote_work();
        auto* each = static_cast<process_header*>(pinned.pop());
        if (each == nullptr) { each = next_ready(); }
        if (each == nullptr) { each = link_.take_shared({}); }
        if (each == nullptr) {
            std::this_thread::yield();
            continue;
        }
        drop_reference(*each);
        --still_queued;
    }
}

void worker_core::link_stop_node(stop_node& node) noexcept {
    node.owner = this;
    node.previous = nullptr;
    node.next = stop_nodes_;
    if (stop_nodes_ != nullptr) { stop_nodes_->previous = &node; }
    stop_nodes_ = &node;
}

void worker_core::unlink_stop_node(stop_node& node) noexcept {
    (node.previous != nullptr ? node.previous->next : stop_nodes_) = node.next;
    if (node.next != nullptr) { node.next->previous = node.previous; }
    node.owner = nullptr;
    node.next = nullptr;
    node.previous = nullptr;
}

}  // namespace heph::rt::detail
