#pragma once

// What the algorithms stand on: atomics, fences, memory, and how a thread waits. It is a parameter,
// so that a test can put a model in its place, and run every interleaving of them.
//
// An environment has the members of `standard_environment`. Those that only a model needs (`reads`,
// `writes`) cost nothing here.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <thread>
#include <type_traits>

#include <heph/inbox/detail/block_pool.hpp>
#include <heph/inbox/detail/fences.hpp>
#include <heph/inbox/detail/futex.hpp>

namespace heph::inbox::detail {

/// The machine and the operating system as they are.
struct standard_environment {
    template <typename V>
    using atomic = std::atomic<V>;

    // ---- Fences, see fences.hpp ----

    static bool has_heavy_fence() noexcept { return detail::has_heavy_fence(); }
    static void light_fence() noexcept { detail::light_fence(); }
    static void heavy_fence() noexcept { detail::heavy_fence(); }
    static void full_fence() noexcept {
#if defined(__GNUC__) && !defined(__clang__)
// ThreadSanitizer does not know fences. None of ours orders anything that is not atomic.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"
#endif
        std::atomic_thread_fence(std::memory_order_seq_cst);
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
    }

    // ---- Waiting for another thread that is about to be done ----

    static constexpr int pauses_max = 64;
    static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }
    static void yield() noexcept { std::this_thread::yield(); }

    /// Of how many receives a receiver that looks closely counts one, and after how many of those
    /// without anybody waiting it stops.
    static constexpr std::uint32_t quiet_sample = 4;
    static constexpr std::uint32_t quiet_max = 64;

    // ---- Sleeping ----

    static void wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept {
        futex_wait(word, expected);
    }
    template <typename Clock, typename Duration>
    [[nodiscard]] static bool wait_until(
        const std::atomic<std::uint32_t>& word, std::uint32_t expected,
        const std::chrono::time_point<Clock, Duration>& deadline) noexcept {
        return futex_wait_until(word, expected, deadline);
    }
    static void wake(const std::atomic<std::uint32_t>& word) noexcept { futex_wake(word); }

    /// Tells whether it makes sense to spin before sleeping: another thread may run meanwhile.
    static bool may_spin() noexcept {
        static const bool several = std::thread::hardware_concurrency() > 1;
        return several;
    }

    /// Gives the calling thread's own `Owner`, made at the first call; null when the thread is
    /// ending and it is destroyed already, as in the destructor of a static object. One with a
    /// trivial destructor is always there.
    template <typename Owner>
    static Owner* of_this_thread() {
        if constexpr (std::is_trivially_destructible_v<Owner>) {
            thread_local Owner owner;
            return &owner;
        } else {
            if (is_destroyed<Owner>) { return nullptr; }
            thread_local ending<Owner> owner;
            return &owner.owned;
        }
    }

    // ---- Memory ----

    static void* allocate(std::size_t bytes, std::align_val_t alignment) {
        const auto aligned = static_cast<std::size_t>(alignment);
        if (is_pooled(bytes, aligned)) { return block_pool::allocate(multiple(bytes, aligned)); }
        return ::operator new(bytes, alignment);
    }
    /// *Requires*: `bytes` and `alignment` are those of the `allocate`.
    static void deallocate(void* memory, std::size_t bytes, std::align_val_t alignment) noexcept {
        const auto aligned = static_cast<std::size_t>(alignment);
        if (is_pooled(bytes, aligned)) {
            block_pool::deallocate(memory, multiple(bytes, aligned));
            return;
        }
        ::operator delete(memory, alignment);
    }

    /// Names an access to what is not atomic, so that a model can tell whether it is in order.
    static void reads(const void*) noexcept {}
    static void writes(const void*) noexcept {}

private:
    template <typename Owner>
    static inline constinit thread_local bool is_destroyed = false;

    template <typename Owner>
    struct ending {
        Owner owned;
        ending() = default;
        ending(const ending&) = delete;
        ending& operator=(const ending&) = delete;
        ~ending() { is_destroyed<Owner> = true; }
    };

    static constexpr std::size_t multiple(std::size_t bytes, std::size_t alignment) noexcept {
        return (bytes + alignment - 1) / alignment * alignment;
    }
    static constexpr bool is_pooled(std::size_t bytes, std::size_t alignment) noexcept {
        return alignment <= block_pool::alignment_max &&
               multiple(bytes, alignment) <= block_pool::bytes_max;
    }
};

}  // namespace heph::inbox::detail
