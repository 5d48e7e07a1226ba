#include <heph/rt/detail/process.hpp>

#include <heph/inbox/assert.hpp>

#include "runtime_core.hpp"
#include "worker_core.hpp"
#include "worker_link.hpp"

namespace heph::rt::detail {

namespace {

// Puts a process that was idle, and is marked woken, into the queue it belongs to.
void enqueue(process_header& process) noexcept {
    worker_core* here = current_worker();
    worker_link& home = *process.home;
    if (process.shared && process.pins.load(std::memory_order_acquire) == 0) {
        // From elsewhere, a busy worker cannot be told from one that is about to look: an idle one
        // is woken, too. This worker looks in this turn.
        if (!home.push_shared(process) && (here == nullptr || &here->link() != &home)) {
            process.core->wake_a_thief(home);
        }
        return;
    }
    if (here != nullptr && &here->link() == &home) {
        here->push_ready(process);
    } else {
        home.push_remote(process);
    }
}

void clone_process(void* data) noexcept { add_reference(*static_cast<process_header*>(data)); }

void wake_process(void* data) noexcept {
    auto& process = *static_cast<process_header*>(data);
    // Release: pairs with the acquire of the dequeue in worker_core::run_process.
    // Acquire: an idle process's `home` and `pins` were written by its last worker.
    if (process.state.fetch_or(process_header::woken, std::memory_order_acq_rel) == 0) {
        enqueue(process);
    }
}

void drop_process(void* data) noexcept { drop_reference(*static_cast<process_header*>(data)); }

constexpr waker_vtable process_waker{&clone_process, &wake_process, &drop_process};

}  // namespace

waker waker_of(process_header& process) noexcept {
    add_reference(process);
    return waker(&process, &process_waker);
}

void add_reference(process_header& process) noexcept {
    process.references.fetch_add(1, std::memory_order_relaxed);
}

void drop_reference(process_header& process) noexcept {
    // Release: what this thread did with the header comes before its end. Acquire: pairs with it.
    if (process.references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        HEPH_ASSERT((process.state.load(std::memory_order_relaxed) & process_header::finished) !=
                    0);
        process.vtable->free(&process);
    }
}

}  // namespace heph::rt::detail
