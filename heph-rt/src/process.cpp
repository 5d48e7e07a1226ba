#include <heph/rt/detail/process.hpp>

#include <heph/inbox/assert.hpp>

#include "runtime_core.hpp"
#include "worker_core.hpp"
#include "worker_link.hpp"

namespace heph::rt {

std::string_view schedulable::name() const noexcept {
    const auto& process = static_cast<const detail::process_header&>(*this);
    return process.vtable->name(process);
}

scheduler::~scheduler() = default;

void scheduler::charge(schedulable& /*process*/, std::chrono::nanoseconds /*ran*/) noexcept {}

}  // namespace heph::rt

namespace heph::rt::detail {

static_assert(sizeof(process_header) <= 80, "every actor has one");

namespace {

// Whether this thread is the one that counts the references of a process without atomics.
bool counts_here(const process_header& process) noexcept {
    return !process.shared && process.home == this_thread_link &&
           (process.local & process_header::merged) == 0;
}

// Puts a thread-safe process that was idle, and is marked woken, into the queue it belongs to.
void enqueue_shared(process_header& process) noexcept {
    worker_core* here = current_worker();
    worker_link& home = *process.home;
    if (process.pins.load(std::memory_order_acquire) == 0) {
        // From elsewhere, a busy worker cannot be told from one that is about to look: an idle one
        // is woken, too. This worker looks in this turn.
        runtime_core& runtime = home.runtime();
        if (!home.push_shared(process) && (here == nullptr || &here->link() != &home)) {
            runtime.wake_a_thief(home);
        }
        return;
    }
    if (here != nullptr && &here->link() == &home) {
        here->push_bound(process);
    } else {
        home.push_remote(process);
    }
}

void clone_process(void* data) noexcept { add_reference(*static_cast<process_header*>(data)); }

void wake_process(void* data) noexcept {
    auto& process = *static_cast<process_header*>(data);
    if (!process.shared) {
        if (process.home == this_thread_link) {
            this_thread_worker->wake_local(process);
        } else if (process.state.fetch_or(process_header::woken, std::memory_order_acq_rel) == 0) {
            process.references.other_add();  // The queue's.
            process.home->push_remote(process);
        }
        return;
    }
    // Release: pairs with the acquire of the dequeue in worker_core::run_shared.
    // Acquire: an idle process's `home` and `pins` were written by its last worker.
    if (process.state.fetch_or(process_header::woken, std::memory_order_acq_rel) == 0) {
        enqueue_shared(process);
    }
}

void drop_process(void* data) noexcept { drop_reference(*static_cast<process_header*>(data)); }

[[gnu::noinline]] void wake_and_drop_otherwise(process_header& process) noexcept {
    if (counts_here(process)) {
        this_thread_worker->wake_local(process);
        process.references.owner_drop();
        return;
    }
    wake_process(&process);
    drop_process(&process);
}

// What is woken is mostly an idle process of this worker: then few instructions do, and no call.
void wake_and_drop_process(void* data) noexcept {
    auto& process = *static_cast<process_header*>(data);
    if (process.shared || process.home != this_thread_link || process.local != 0) [[unlikely]] {
        wake_and_drop_otherwise(process);
        return;
    }
    process.local = process_header::woken;
    process.references.owner_drop();
    this_thread_worker->push_ready(process);
}

}  // namespace

constexpr waker_vtable process_waker{&clone_process, &wake_process, &drop_process,
                                     &wake_and_drop_process};

void add_reference(process_header& process) noexcept {
    if (counts_here(process)) {
        process.references.owner_add();
    } else {
        process.references.other_add();
    }
}

void drop_reference(process_header& process) noexcept {
    if (counts_here(process)) {
        process.references.owner_drop();
    } else if (process.references.other_drop()) {
        free_process(process);
    }
}

void free_process(process_header& process) noexcept {
    worker_link& home = *process.home;
    const bool shared = process.shared;
    process.vtable->free(&process);
    home.drop_header(shared);
}

}  // namespace heph::rt::detail
