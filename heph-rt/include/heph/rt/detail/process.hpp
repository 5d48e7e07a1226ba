#pragma once

// A future that a runtime runs, and how it is woken.
//
// A local process belongs to the worker that it was spawned on. That worker's thread wakes it,
// queues it and counts its references without atomic operations.
//
// State of a local process: `local`, which only its worker touches
//     0                 idle: waits to be woken
//     woken             in the run queue
//     running           being polled
//     running | woken   woken while being polled; queued again after the poll
//     finished          done; wakes do nothing (`woken` may be set besides, while it is queued)
// Besides, `state`, which others touch
//     woken             in its worker's remote queue, which holds a reference to it
//     finished          no wakes are taken any more
// A wake from elsewhere sets `woken` and, if nothing was set, pushes the process to the remote
// queue. The worker clears the bit when it takes the process out, then wakes it as its own.
//
// State of a thread-safe process: `state`, one atomic word with the bits of the first list
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
//     3. A wake from another thread is a read-modify-write of `state` in every state: its release
//        pairs with the acquire of the one that takes the process out of the queue, so that what
//        was written before the wake is seen by the poll that follows.
//     4. A thread-safe process with pins is polled by its home worker only. A pin stands for
//        kernel operations and timers that belong to that worker.

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/inbox/future.hpp>
#include <heph/rt/detail/biased_count.hpp>
#include <heph/rt/scheduler.hpp>

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
    // While it has its future: on any thread if it is thread-safe.
    std::string_view (*name)(const process_header& process) noexcept;
    actor_counts (*counts)(const process_header& process) noexcept;
};

/// What the run queues, wakers and timers know of a process.
struct process_header : schedulable {
    static constexpr std::uint8_t woken = 1;
    static constexpr std::uint8_t running = 2;
    static constexpr std::uint8_t finished = 4;
    static constexpr std::uint8_t merged = 8;  // In `local`: the count of references is.
    static constexpr std::uint8_t bound = 16;  // In `local`, of a thread-safe process only.

    explicit process_header(const process_vtable& functions) noexcept : vtable(&functions) {}

    void set_priority(rt::priority value) noexcept { priority_ = value; }

    // Of a local process, for which there are no pins: its place in the meter's window, from 1.
    [[nodiscard]] std::uint32_t measured() const noexcept {
        return pins.load(std::memory_order_relaxed);
    }
    void set_measured(std::uint32_t place) noexcept {
        pins.store(place, std::memory_order_relaxed);
    }

    /// Notes that it ran for so long.
    void ran(std::chrono::nanoseconds time) noexcept {
        run_time.store(run_time.load(std::memory_order_relaxed) + time.count(),
                       std::memory_order_relaxed);
    }

    /// Notes with whom a thread-safe process is queued from now on: with its home worker's own ones
    /// or the thread-safe ones, and its virtual time there. Called by who queues it.
    void set_bound(bool to_worker, std::uint64_t time_there) noexcept {
        if (to_worker != is_bound()) { local ^= bound; }
        virtual_time = time_there;
    }
    [[nodiscard]] bool is_bound() const noexcept { return (local & bound) != 0; }

    bool shared = false;                 // Thread-safe: may be polled by any worker, if not pinned.
    std::uint8_t local = 0;              // Of a local process; see above.
    std::atomic<std::uint8_t> state{0};  // See above.
    // Changed on the home worker's thread; a waker's thread may look at any time. Release: what
    // that thread did comes before the poll by another worker that the last pin's end allows.
    // Acquire, in `enqueue`: pairs with it.
    std::atomic<std::uint32_t> pins{0};
    biased_count references;      // The first one is the live list's. Merged if thread-safe.
    worker_link* home = nullptr;  // Where it ran last. Stable while queued or idle.
    process_header* remote_next = nullptr;  // In a remote queue.
    // Up to here, without `next` and the times, is what a wake from another thread touches: mostly
    // one cache line.
    const process_vtable* vtable;
    process_header* live_next = nullptr;
    process_header* live_previous = nullptr;
    std::atomic<std::int64_t> run_time{0};  // In ns. Only who runs it changes it; see `ran`.
};

/// Lists how wakers reach processes. The waker's data is the header.
extern const waker_vtable process_waker;

void add_reference(process_header& process) noexcept;
void drop_reference(process_header& process) noexcept;
/// Frees a header to which nothing refers any more.
void free_process(process_header& process) noexcept;

/// Gives memory for a process, and takes it back on any thread.
[[nodiscard]] void* allocate_process(std::size_t size);
void free_process_memory(void* block, std::size_t size) noexcept;

template <typename F>
concept counts_messages = requires(const F& actor) {
    { actor.counts() } -> std::same_as<actor_counts>;
    actor.new_gauge();
    actor.restarts();
};

/// What a process without an actor has in the place of a gauge, and a local one, whose worker looks
/// at the actor itself.
struct no_gauge {
    template <typename F>
    explicit no_gauge(const F& /*future*/) noexcept {}
};
template <typename F>
struct own_gauge {
    explicit own_gauge(const F& actor) noexcept : gauge(actor.new_gauge()) {}
    decltype(std::declval<const F&>().new_gauge()) gauge;
};

/// A process and its future in one allocation.
template <future F, bool Shared = false>
class process final : public process_header {
    static constexpr bool has_gauge = Shared && counts_messages<F>;

public:
    explicit process(F&& running_future, rt::priority priority = rt::priority::normal)
        : process_header(functions), gauge_(std::as_const(running_future)) {
        ::new (static_cast<void*>(&storage_)) F(std::move(running_future));
        set_priority(priority);
    }

    static void* operator new(std::size_t size) { return allocate_process(size); }
    static void operator delete(void* block, std::size_t size) noexcept {
        free_process_memory(block, size);
    }
    static void* operator new(std::size_t size, std::align_val_t alignment) {
        return ::operator new(size, alignment);
    }
    static void operator delete(void* block, std::size_t size,
                                std::align_val_t alignment) noexcept {
        ::operator delete(block, size, alignment);
    }

private:
    F& stored() noexcept { return *std::launder(reinterpret_cast<F*>(&storage_)); }
    const F& stored() const noexcept {
        return *std::launder(reinterpret_cast<const F*>(&storage_));
    }

    static bool poll_it(process_header& header, const waker& waker) {
        return static_cast<process&>(header).stored().poll(waker).is_ready();
    }
    static void drop_it(process_header& header) noexcept {
        auto& self = static_cast<process&>(header);
        self.stored().~F();
        if constexpr (has_gauge) {  // The header may live on, not the inbox.
            [[maybe_unused]] const auto gone = std::move(self.gauge_.gauge);
        }
    }
    static void free_it(process_header* header) noexcept { delete static_cast<process*>(header); }
    static std::string_view name_it(const process_header& header) noexcept {
        if constexpr (requires(const F& named) { std::string_view(named.name()); }) {
            return static_cast<const process&>(header).stored().name();
        } else {
            (void)header;
            return {};
        }
    }

    static actor_counts count_it(const process_header& header) noexcept {
        const auto& self = static_cast<const process&>(header);
        if constexpr (has_gauge) {
            const auto messages = self.gauge_.gauge.counts();
            return {messages.queued, messages.received, self.stored().restarts()};
        } else if constexpr (counts_messages<F>) {
            return self.stored().counts();
        } else {
            return {};
        }
    }

    static constexpr process_vtable functions{&poll_it, &drop_it, &free_it, &name_it, &count_it};

    alignas(F) std::byte storage_[sizeof(F)];
    [[no_unique_address]] std::conditional_t<has_gauge, own_gauge<F>, no_gauge> gauge_;
};

}  // namespace heph::rt::detail
