#include "runtime_core.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include <heph/rt/worker.hpp>

#include "worker_core.hpp"

namespace heph::rt::detail {

runtime_core::runtime_core(std::size_t workers, std::shared_ptr<blocking_pool> blocking,
                           std::shared_ptr<time_source> time, idle_time when_idle)
    : blocking_(std::move(blocking)),
      time_(std::move(time)),
      time_advances_(time_ != nullptr && when_idle == idle_time::advances),
      busy_(workers),
      drop_barrier_(static_cast<std::ptrdiff_t>(workers)),
      coordinator_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (coordinator_ < 0) {
        throw std::system_error(errno, std::system_category(), "cannot make an event descriptor");
    }
    try {
        links_.reserve(workers);
        for (std::size_t i = 0; i < workers; ++i) {
            links_.push_back(std::make_unique<worker_link>(*this));
        }
    } catch (...) {  // Mostly for want of descriptors: this one must not be lost as well.
        ::close(coordinator_);
        throw;
    }
}

runtime_core::~runtime_core() { ::close(coordinator_); }

std::shared_ptr<runtime_core> runtime_core::make(std::size_t workers,
                                                 std::shared_ptr<blocking_pool> blocking,
                                                 std::shared_ptr<time_source> time,
                                                 idle_time when_idle) {
    std::shared_ptr<runtime_core> made(
        new runtime_core(workers, std::move(blocking), std::move(time), when_idle));
    made->self_ = made;
    return made;
}

void runtime_core::drop_header() noexcept {
    // Release: what this thread did with the core comes before its end. Acquire: pairs with it.
    if (headers_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        const std::shared_ptr<runtime_core> last = std::move(self_);
    }
}

void runtime_core::add_shared(process_header& process) noexcept {
    worker_core* here = current_worker();
    process.shared = true;
    process.references.share();
    add_header();
    process.home =
        here != nullptr && &here->runtime() == this
            ? &here->link()
            : links_[next_home_.fetch_add(1, std::memory_order_relaxed) % links_.size()].get();
    {
        const std::lock_guard lock(registry_);
        if (!finished_.load(std::memory_order_relaxed) && !dropping()) {
            add_reason();
            process.live_next = shared_live_;
            if (shared_live_ != nullptr) { shared_live_->live_previous = &process; }
            shared_live_ = &process;
            process.state.store(process_header::woken, std::memory_order_relaxed);
            // Nothing of the process is looked at after the push: a worker may have it already.
            worker_link& home = *process.home;
            if (!home.push_shared(process) && (here == nullptr || &here->link() != &home)) {
                wake_a_thief(home);
            }
            return;
        }
    }
    process.state.store(process_header::finished, std::memory_order_release);
    process.vtable->drop_future(process);
    drop_reference(process);
}

void runtime_core::unlist_shared(process_header& process) noexcept {
    const std::lock_guard lock(registry_);
    (process.live_previous != nullptr ? process.live_previous->live_next : shared_live_) =
        process.live_next;
    if (process.live_next != nullptr) { process.live_next->live_previous = process.live_previous; }
}

void runtime_core::remove_shared(process_header& process) noexcept {
    drop_reference(process);
    drop_reason();
}

process_header* runtime_core::take_shared_of(const worker_link& link) noexcept {
    const std::lock_guard lock(registry_);
    process_header* taken = nullptr;
    process_header* kept = nullptr;
    for (process_header* each = std::exchange(shared_live_, nullptr); each != nullptr;) {
        process_header* following = each->live_next;
        process_header*& list = each->home == &link ? taken : kept;
        each->live_previous = nullptr;
        each->live_next = list;
        if (list != nullptr) { list->live_previous = each; }
        list = each;
        each = following;
    }
    shared_live_ = kept;
    return taken;
}

void runtime_core::drop_unpolled() noexcept {
    drop_now();
    for (const auto& link : links_) {
        // Never polled, they have no wakers: they are where `add_shared` put them.
        while (process_header* each = link->take_shared({})) {
            each->state.fetch_or(process_header::finished, std::memory_order_acq_rel);
            unlist_shared(*each);
            each->vtable->drop_future(*each);
            remove_shared(*each);
        }
    }
}

bool runtime_core::add_reason_unless_finished() noexcept {
    const std::lock_guard lock(registry_);
    if (finished_.load(std::memory_order_relaxed) || dropping()) { return false; }
    add_reason();
    return true;
}

void runtime_core::drop_reason() noexcept {
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) != 1) { return; }
    {
        const std::lock_guard lock(registry_);
        // A thread-safe process may have been added in between.
        if (busy_.load(std::memory_order_acquire) != 0) { return; }
        finished_.store(true, std::memory_order_release);
    }
    notify_all();
    notify_coordinator();
}

void runtime_core::request_stop() noexcept {
    if (stop_requested_.exchange(true, std::memory_order_acq_rel)) { return; }
    sync_.request_stop();
    notify_all();
    notify_coordinator();
}

void runtime_core::drop_now() noexcept {
    {
        const std::lock_guard lock(registry_);  // No process is added from here on.
        dropping_.store(true, std::memory_order_release);
    }
    notify_all();
    notify_coordinator();
}

bool runtime_core::advance_time_if_idle() noexcept {
    const std::lock_guard lock(advancing_);
    // One that has just said that it sleeps may yet find work; it takes it after it said that it is
    // awake. So if none has stirred between two looks at all of them, none had anything to do.
    std::uint32_t naps_before = 0;
    for (const auto& link : links_) {
        naps_before += link->naps();
        if (!link->sleeping() || link->alarm_rang() || link->has_remote() || link->has_shared()) {
            return false;
        }
    }
    std::uint32_t naps_after = 0;
    for (const auto& link : links_) {
        if (!link->sleeping()) { return false; }
        naps_after += link->naps();
    }
    return naps_before == naps_after && time_->advance_to_next();
}

void runtime_core::notify_all() noexcept {
    // The workers look at the flags after they set themselves sleeping; see `worker_link`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (const auto& link : links_) { link->notify(); }
}

void runtime_core::notify_coordinator() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(coordinator_, &one, sizeof(one));
}

process_header* runtime_core::steal(worker_link& thief) noexcept {
    for (const auto& link : links_) {
        if (link.get() == &thief) { continue; }
        if (process_header* stolen = link->steal_for(thief)) { return stolen; }
    }
    return nullptr;
}

void runtime_core::wake_a_thief(const worker_link& busy) noexcept {
    for (const auto& link : links_) {
        if (link.get() != &busy && link->notify()) { return; }
    }
}

bool runtime_core::any_shared_work() const noexcept {
    for (const auto& link : links_) {
        if (link->has_shared()) { return true; }
    }
    return false;
}

runtime_metrics runtime_core::metrics() const {
    runtime_metrics now;
    now.workers.reserve(links_.size());
    for (const auto& link : links_) {
        now.workers.push_back(link->counters().read());
        // Uptime is real time: they cannot be compared.
        if (time_ != nullptr) { now.workers.back().next_timer.reset(); }
        now.shared_ready += link->shared_count();
    }
    return now;
}

// What the headers need.

void add_shared(const std::shared_ptr<runtime_core>& runtime, process_header& process) noexcept {
    runtime->add_shared(process);
}
clock::time_point now_of(const runtime_core& runtime) noexcept { return runtime.now(); }
void request_stop(runtime_core& runtime) noexcept { runtime.request_stop(); }
bool stop_requested(const runtime_core& runtime) noexcept { return runtime.stop_requested(); }
runtime_metrics metrics_of(const runtime_core& runtime) { return runtime.metrics(); }
std::size_t worker_count(const runtime_core& runtime) noexcept { return runtime.worker_count(); }

}  // namespace heph::rt::detail
