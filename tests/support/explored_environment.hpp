#pragma once

// The environment of heph-inbox's algorithms, as the explorer models it, and broken variants of it.

#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include <heph/inbox/layout.hpp>
#include <heph/inbox/waker.hpp>

#include "support/explorer.hpp"

namespace heph::test::explored {

/// The environment as it should be. A variant hides what it changes.
struct sound {
    static constexpr bool kernel_has_heavy_fence = true;
    static constexpr bool heavy_fence_works = true;
    static constexpr bool full_fence_works = true;
    static constexpr bool releases = true;     // Stores and read-modify-writes.
    static constexpr bool acquires = true;     // Loads and read-modify-writes.
    static constexpr bool reads_back = false;  // A read-modify-write gives what is there after it.
    static constexpr std::uint32_t quiet_max = 1;
};

/// Stands in for `std::atomic`.
template <typename V, typename Variant>
class atomic {
    static_assert(sizeof(V) <= sizeof(std::uint64_t) && (std::is_integral_v<V>));

public:
    atomic(V initial) noexcept : at_(static_cast<std::uint64_t>(initial)) {}  // NOLINT
    atomic(const atomic&) = delete;
    atomic& operator=(const atomic&) = delete;

    V load(std::memory_order order) const noexcept {
        return static_cast<V>(explored::load(at_, weakened(order)));
    }
    void store(V value, std::memory_order order) noexcept {
        explored::store(at_, static_cast<std::uint64_t>(value), weakened(order));
    }
    V exchange(V value, std::memory_order order) noexcept {
        return change(update::exchange, value, order);
    }
    V fetch_add(V value, std::memory_order order) noexcept {
        return change(update::add, value, order);
    }
    V fetch_sub(V value, std::memory_order order) noexcept {
        return change(update::subtract, value, order);
    }
    V fetch_or(V value, std::memory_order order) noexcept {
        return read_back(change(update::bit_or, value, order), order);
    }
    V fetch_and(V value, std::memory_order order) noexcept {
        return read_back(change(update::bit_and, value, order), order);
    }
    bool compare_exchange_weak(V& expected, V desired, std::memory_order success,
                               std::memory_order failure) noexcept {
        return compare_exchange_strong(expected, desired, success, failure);
    }
    bool compare_exchange_weak(V& expected, V desired, std::memory_order order) noexcept {
        return compare_exchange_strong(expected, desired, order, order);
    }
    bool compare_exchange_strong(V& expected, V desired, std::memory_order success,
                                 std::memory_order) noexcept {
        auto word = static_cast<std::uint64_t>(expected);
        const bool done = explored::compare_exchange(at_, word, static_cast<std::uint64_t>(desired),
                                                     weakened(success));
        expected = static_cast<V>(word);
        return done;
    }

    [[nodiscard]] const place& where() const noexcept { return at_; }

private:
    static constexpr std::memory_order weakened(std::memory_order order) noexcept {
        if (!Variant::releases && order == std::memory_order_release) {
            return std::memory_order_relaxed;
        }
        if (!Variant::acquires && order == std::memory_order_acquire) {
            return std::memory_order_relaxed;
        }
        return order;
    }
    V change(update how, V value, std::memory_order order) noexcept {
        constexpr auto mask = static_cast<std::uint64_t>(
            static_cast<std::make_unsigned_t<
                std::conditional_t<std::is_same_v<V, bool>, unsigned char, V>>>(-1));
        return static_cast<V>(
            explored::modify(at_, how, static_cast<std::uint64_t>(value), mask, weakened(order)));
    }
    V read_back(V before, std::memory_order order) noexcept {
        return Variant::reads_back ? load(order) : before;
    }

    place at_;
};

/// A clock that stands still. A deadline after it comes when the explorer chooses.
struct still_clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<still_clock>;
    static constexpr bool is_steady = true;
    static time_point now() noexcept { return time_point(duration(0)); }
    static time_point later() noexcept { return time_point(duration(1)); }
};

/// Stands in for `heph::inbox::detail::standard_environment`.
template <typename Variant = sound>
struct environment {
    template <typename V>
    using atomic = explored::atomic<V, Variant>;

    static bool has_heavy_fence() noexcept { return Variant::kernel_has_heavy_fence; }
    static void light_fence() noexcept {}
    static void heavy_fence() noexcept {
        if (Variant::heavy_fence_works) { explored::heavy_fence(); }
    }
    static void full_fence() noexcept {
        if (Variant::full_fence_works) { explored::full_fence(); }
    }

    static constexpr int pauses_max = 1;
    static constexpr std::uint32_t quiet_sample = 1;
    static constexpr std::uint32_t quiet_max = Variant::quiet_max;
    static void pause() noexcept { explored::pause(); }
    static void yield() noexcept { explored::pause(); }

    static void wait(const atomic<std::uint32_t>& word, std::uint32_t expected) noexcept {
        (void)futex_wait(word.where(), expected, false);
    }
    template <typename Clock, typename Duration>
    [[nodiscard]] static bool wait_until(const atomic<std::uint32_t>& word, std::uint32_t expected,
                                         const std::chrono::time_point<Clock, Duration>&) noexcept {
        return futex_wait(word.where(), expected, true);
    }
    static void wake(const atomic<std::uint32_t>& word) noexcept { futex_wake(word.where()); }
    static bool may_spin() noexcept { return false; }

    template <typename Owner>
    static Owner* of_this_thread() {
        static constexpr char key = 0;
        void*& slot = thread_slot(&key, [](void* owner) { delete static_cast<Owner*>(owner); });
        if (slot == nullptr) { slot = new Owner(); }
        return static_cast<Owner*>(slot);
    }

    static void* allocate(std::size_t bytes, std::align_val_t alignment) {
        return explored::allocate(bytes, static_cast<std::size_t>(alignment));
    }
    static void deallocate(void* memory, std::size_t, std::align_val_t) noexcept {
        explored::deallocate(memory);
    }
    static void reads(const void* what) noexcept { access(what, false); }
    static void writes(const void* what) noexcept { access(what, true); }
};

/// A layout of channels in that environment.
template <typename Variant = sound>
struct layout : inbox::layout::compact {
    using environment = explored::environment<Variant>;
};

/// A message that the explorer keeps an eye on.
class tracked {
public:
    explicit tracked(int number) noexcept : number_(number) { born(this); }
    tracked(tracked&& other) noexcept : number_(other.number()) {
        born(this);
        other.number_ = moved_from;
    }
    tracked& operator=(tracked&& other) noexcept {
        check(is_alive(this), "a message was assigned to that does not live");
        number_ = other.number();
        other.number_ = moved_from;
        return *this;
    }
    ~tracked() { died(this); }

    [[nodiscard]] int number() const noexcept {
        check(is_alive(this), "a message was read that does not live");
        check(number_ != moved_from, "a message was read that was moved from");
        return number_;
    }

private:
    static constexpr int moved_from = -1;
    int number_;
};

/// Polls futures on the thread that uses it, which waits between polls. It must outlive the
/// threads: somebody may just be waking it.
class executor {
public:
    executor() = default;
    executor(const executor&) = delete;
    executor& operator=(const executor&) = delete;
    ~executor() { check(references_ == 0, "a waker was kept"); }

    [[nodiscard]] waker get() noexcept {
        ++references_;
        return waker(this, &vtable);
    }
    void wait() { woken_.wait(); }

    template <typename F>
    auto block_on(F&& future) {
        const waker mine = get();
        for (;;) {
            auto polled = future.poll(mine);
            if (polled.is_ready()) { return polled; }
            wait();
        }
    }

private:
    static void clone(void* self) noexcept { ++static_cast<executor*>(self)->references_; }
    static void wake(void* self) noexcept { static_cast<executor*>(self)->woken_.set(); }
    static void drop(void* self) noexcept { --static_cast<executor*>(self)->references_; }
    static constexpr waker_vtable vtable{&clone, &wake, &drop};

    event woken_;
    int references_ = 0;
};

}  // namespace heph::test::explored
