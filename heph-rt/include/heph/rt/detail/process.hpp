#pragma once

// A future that a runtime runs, and how it is woken.
//
// State of a process, bits of one atomic word
//     0                 idle: waits to be woken
//     woken             in exactly one queue
//     running           being polled by one worker
//     running | woken   woken while being polled; its worker queues it again after the poll
//     finished          done; wakes do nothing (`woken` may be set besides)
//
// Transitions
//     0       --wake-->      woken             the waker's thread puts it into a queue
//     woken   --dequeued-->  running
//     running --wake-->      running | woken
//     running --pending-->   0
//     running | woken --pending--> woken       its worker puts it into a queue
//     any     --done, or dropped by its worker--> finished
//
// Invariants
//     1. Only its worker polls or destroys the future, below the run loop, never from inside a
//        wake. A process may therefore end itself, its sender or its parent.
//     2. The header outlives the future for as long as a waker refers to it.
//     3. A wake is a read-modify-write in every state: its release pairs with the acquire of the
//        dequeue, so that what was written before the wake is seen by the poll that follows.
//     4. A process with pins is polled by its home worker only. A pin stands for kernel operations
//        and timers that belong to that worker.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include <heph/inbox/future.hpp>

namespace heph::rt::detail {

class runtime_core;
class worker_core;
class worker_link;
struct process_header;

/// Gives the calling thread's worker, or null.
[[nodiscard]] worker_core* current_worker() noexcept;

struct process_vtable {
    bool (*poll)(process_header& process, const waker& waker);  // True when it is finished.
    void (*drop_future)(process_header& process) noexcept;
    void (*free)(process_header* process) noexcept;
};

/// What the run queues, wakers and timers know of a process.
struct process_header {
    static constexpr std::uint32_t woken = 1;
    static constexpr std::uint32_t running = 2;
    static constexpr std::uint32_t finished = 4;

    explicit process_header(const process_vtable& functions) noexcept : vtable(&functions) {}
    process_header(const process_header&) = delete;
    process_header& operator=(const process_header&) = delete;

    const process_vtable* vtable;
    std::atomic<std::uint32_t> references{1};  // The first one is the live list's.
    std::atomic<std::uint32_t> state{0};
    // Changed on the home worker's thread; a waker's thread may look at any time. Release: what
    // that thread did comes before the poll by another worker that the last pin's end allows.
    // Acquire, in `enqueue`: pairs with it.
    std::atomic<std::uint32_t> pins{0};
    bool shared = false;             // Thread-safe: may be polled by any worker, if not pinned.
    process_header* next = nullptr;  // In the one queue it is in.
    process_header* live_next = nullptr;
    process_header* live_previous = nullptr;
    worker_link* home = nullptr;         // Where it ran last. Stable while queued or idle.
    std::shared_ptr<runtime_core> core;  // Keeps `home` valid for late wakers.
};

/// Makes a waker of a process. It owns a reference to the header.
[[nodiscard]] waker waker_of(process_header& process) noexcept;

void add_reference(process_header& process) noexcept;
void drop_reference(process_header& process) noexcept;

/// A process and its future in one allocation.
template <future F>
class process final : public process_header {
public:
    explicit process(F&& running_future) : process_header(functions) {
        ::new (static_cast<void*>(&storage_)) F(std::move(running_future));
    }

private:
    F& stored() noexcept { return *std::launder(reinterpret_cast<F*>(&storage_)); }

    static bool poll_it(process_header& header, const waker& waker) {
        return static_cast<process&>(header).stored().poll(waker).is_ready();
    }
    static void drop_it(process_header& header) noexcept {
        static_cast<process&>(header).stored().~F();
    }
    static void free_it(process_header* header) noexcept { delete static_cast<process*>(header); }

    static constexpr process_vtable functions{&poll_it, &drop_it, &free_it};

    alignas(F) std::byte storage_[sizeof(F)];
};

}  // namespace heph::rt::detail
