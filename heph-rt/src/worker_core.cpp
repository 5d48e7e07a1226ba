#include "worker_core.hpp"

#include <exception>
#include <string>
#include <thread>
#include <utility>

#include <heph/core/log.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/rt/worker.hpp>

#include "driver_choice.hpp"
#include "runtime_core.hpp"

namespace heph::rt::detail {

namespace {

thread_local worker_core* this_thread_worker = nullptr;

// So many thread-safe processes a worker takes in one turn.
constexpr int shared_batch = 32;

constexpr std::chrono::seconds drain_patience{5};

}  // namespace

worker_core* current_worker() noexcept { return this_thread_worker; }

process_header* current_process() noexcept {
    return this_thread_worker != nullptr ? this_thread_worker->polled_process() : nullptr;
}

std::size_t worker_index(const worker_core& worker) noexcept { return worker.index(); }

const std::shared_ptr<runtime_core>& runtime_of(worker_core& worker) noexcept {
    return worker.shared_core();
}

void add_local(worker_core& worker, process_header& process) noexcept {
    worker.add_process(process);
}

worker_core::worker_core(std::shared_ptr<runtime_core> runtime, worker_link& link,
                         std::size_t index) noexcept
    : runtime_(std::move(runtime)),
      link_(link),
      index_(index),
      started_(std::chrono::steady_clock::now()) {}

worker_core::~worker_core() = default;

std::expected<void, error> worker_core::set_up(const driver_settings& settings) {
    auto made = make_driver(link_, settings);
    if (!made) { return std::unexpected(std::move(made.error())); }
    driver_ = std::move(*made);
    this_thread_worker = this;
    return {};
}

std::uint64_t worker_core::now_ms() const noexcept {
    const auto elapsed = std::chrono::steady_clock::now() - started_;
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count());
}

void worker_core::add_process(process_header& process) noexcept {
    HEPH_ASSERT(current_worker() == this);
    process.home = &link_;
    process.core = runtime_;
    if (dropping_) {  // Spawned by the destructor of what is being dropped.
        process.state.store(process_header::finished, std::memory_order_relaxed);
        process.vtable->drop_future(process);
        drop_reference(process);
        return;
    }
    if (live_ == nullptr) { runtime_->add_reason(); }
    process.live_next = live_;
    if (live_ != nullptr) { live_->live_previous = &process; }
    live_ = &process;
    process.state.store(process_header::woken, std::memory_order_relaxed);
    ready_.push(process);
}

void worker_core::run() {
    while (driver_ != nullptr && !runtime_->finished() && !runtime_->dropping()) {
        take_remote_work();
        expire_timers();
        run_ready();
        take_and_run_shared();
        if (!ready_.empty() || link_.has_shared()) {
            driver_->turn();
        } else {
            wait_for_work();
        }
    }
    // All wait for each other, so that no thread-safe process is dropped while another worker polls
    // it. After an end in peace there is nothing to drop.
    runtime_->arrive_and_wait_to_drop();
    drop_everything();
}

void worker_core::shut_down() noexcept {
    if (driver_ != nullptr) {
        driver_->slots().take_dropped([this](slot& each) { driver_->abandon(each); });
        if (const std::size_t left = driver_->drain(drain_patience); left != 0) {
            log(log_level::error, "worker " + std::to_string(index_) + ": " + std::to_string(left) +
                                      " operations did not end after they were cancelled");
        }
        this_thread_worker = nullptr;  // Whatever the driver destroys, it finds none.
        driver_.reset();
    }
}

void worker_core::take_remote_work() noexcept {
    if (link_.has_remote()) {
        for (process_header* each = link_.take_remote(); each != nullptr;) {
            process_header* following = each->next;
            ready_.push(*each);
            each = following;
        }
    }
    // Without a driver when its set-up failed, and all that is left to do is to drop processes.
    if (driver_ != nullptr && driver_->slots().any_dropped()) {
        driver_->slots().take_dropped([this](slot& each) { driver_->abandon(each); });
    }
    if (!stop_announced_ && runtime_->stop_requested()) { announce_stop(); }
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
    if (timers_.size() == 0) { return; }
    timers_.advance(now_ms(), [](timer_node& node) {
        node.owner = nullptr;
        node.fired = true;
        const waker waiting = std::move(node.waker);
        // From here on another worker may run the process and destroy the node.
        node.holder = pin();
        waiting.wake();
    });
}

void worker_core::run_ready() {
    // What becomes ready meanwhile waits for the next turn, so that no chain of wakes keeps the
    // ring from being served.
    for (process_header* each = ready_.take_all(); each != nullptr;) {
        process_header* following = each->next;
        run_process(*each);
        each = following;
    }
}

void worker_core::take_and_run_shared() {
    for (int i = 0; i < shared_batch; ++i) {
        process_header* taken = link_.take_shared();
        if (taken == nullptr && ready_.empty()) { taken = runtime_->steal(link_); }
        if (taken == nullptr) { return; }
        taken->home = &link_;
        if (i == 0 && link_.has_shared()) { runtime_->wake_a_thief(link_); }
        run_process(*taken);
    }
}

void worker_core::run_process(process_header& process) {
    // Acquire: pairs with the release of the wake. Nobody else changes the state from `woken`.
    [[maybe_unused]] const std::uint32_t before =
        process.state.exchange(process_header::running, std::memory_order_acq_rel);
    HEPH_ASSERT(before == process_header::woken);
    polled_ = &process;
    bool done = true;
    try {
        const waker waker = waker_of(process);
        done = process.vtable->poll(process, waker);
    } catch (const std::exception& thrown) {
        log(log_level::critical, std::string("a future threw and is dropped: ") + thrown.what());
    } catch (...) { log(log_level::critical, "a future threw and is dropped"); }
    if (done) {
        finish(process);
        polled_ = nullptr;
        return;
    }
    polled_ = nullptr;
    // Release: the next waker to find it idle reads `home` and `pins`. From here on, another
    // worker may run it, unless it was woken meanwhile.
    const bool to_be_shared = process.shared && process.pins.load(std::memory_order_relaxed) == 0;
    std::uint32_t running = process_header::running;
    if (process.state.compare_exchange_strong(running, 0, std::memory_order_acq_rel)) { return; }
    // Again a read-modify-write, to acquire what was written before a second wake that came since.
    process.state.exchange(process_header::woken, std::memory_order_acq_rel);
    if (to_be_shared) {
        link_.push_shared(process);
    } else {
        ready_.push(process);
    }
}

void worker_core::finish(process_header& process) noexcept {
    process.state.fetch_or(process_header::finished, std::memory_order_acq_rel);
    process.vtable->drop_future(process);
    if (process.shared) {
        runtime_->remove_shared(process);
        return;
    }
    (process.live_previous != nullptr ? process.live_previous->live_next : live_) =
        process.live_next;
    if (process.live_next != nullptr) { process.live_next->live_previous = process.live_previous; }
    drop_reference(process);
    if (live_ == nullptr) { runtime_->drop_reason(); }
}

void worker_core::wait_for_work() noexcept {
    std::optional<std::chrono::milliseconds> timeout;
    if (const auto expiry = timers_.next_expiry()) {
        const std::uint64_t now = now_ms();
        // The clock is rounded down: one millisecond more, rather than turns without effect.
        timeout = std::chrono::milliseconds(*expiry > now ? *expiry - now : 0);
    }
    link_.set_sleeping();
    if (link_.has_remote() || runtime_->any_shared_work() || driver_->slots().any_dropped() ||
        runtime_->finished() || runtime_->dropping() ||
        (!stop_announced_ && runtime_->stop_requested())) {
        link_.set_awake();
        driver_->turn();
        return;
    }
    driver_->wait(timeout);
    link_.set_awake();
}

void worker_core::drop_everything() noexcept {
    dropping_ = true;
    std::size_t still_queued = 0;
    const auto drop = [&](process_header& process) {
        const std::uint32_t before =
            process.state.fetch_or(process_header::finished, std::memory_order_acq_rel);
        polled_ = &process;
        process.vtable->drop_future(process);
        polled_ = nullptr;
        // A woken one is in a queue, or about to be; the queue then holds the live reference.
        if ((before & process_header::woken) != 0) {
            ++still_queued;
        } else {
            drop_reference(process);
        }
    };
    while (process_header* each = live_) {
        live_ = each->live_next;
        drop(*each);
    }
    for (process_header* each = runtime_->take_shared_of(link_); each != nullptr;) {
        process_header* following = each->live_next;
        drop(*each);
        each = following;
    }
    while (still_queued != 0) {
        take_remote_work();
        while (process_header* shared = link_.take_shared()) { ready_.push(*shared); }
        for (process_header* each = ready_.take_all(); each != nullptr;) {
            process_header* following = each->next;
            drop_reference(*each);
            --still_queued;
            each = following;
        }
        if (still_queued != 0) { std::this_thread::yield(); }
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
