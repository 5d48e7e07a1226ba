#pragma once

// An asymmetric fence: one side pays nothing, the other one pays for both.
//
// Two threads that each write one word and then read the other's must not both read old values.
// Usually each puts a full fence in between. Here the frequent side only keeps the compiler from
// moving its read (`light_fence`), and the rare side makes the kernel run a full fence on every
// processor that runs a thread of this process (`heavy_fence`, membarrier(2)). Whatever the
// frequent side was doing, it was either before that fence, then its write is visible now, or
// behind it, then its read sees what the rare side wrote.

#include <atomic>
#include <ctime>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace heph::inbox::detail {

/// Asks the kernel for one membarrier command. Tells whether it did it.
inline bool membarrier(int command) noexcept {
    return ::syscall(SYS_membarrier, command, 0U, 0) == 0;
}

/// Tells whether the kernel does heavy fences for this process, which is asked once, by the first
/// channel. In a process that has threads already the answer may take some milliseconds.
inline bool has_heavy_fence() noexcept {
    static const bool registered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    return registered;
}

/// Keeps the compiler from moving memory accesses across. Costs nothing; orders only against
/// another thread's `heavy_fence`.
inline void light_fence() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

/// Runs a full fence on every processor that runs a thread of this process, in 1 to 10 µs.
/// *Requires*: `has_heavy_fence()`.
inline void heavy_fence() noexcept {
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) { return; }
    // Not registered any more, for example in a child after a fork.
    if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
        membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
        return;
    }
    if (membarrier(MEMBARRIER_CMD_GLOBAL)) { return; }
    // A sandbox refuses it by now. What the fence waits for is that stores leave the buffers of
    // running processors, which takes them less than a microsecond, and a change of threads none.
    const timespec long_enough{0, 1'000'000};
    (void)::nanosleep(&long_enough, nullptr);
}

}  // namespace heph::inbox::detail
