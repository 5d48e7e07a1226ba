#pragma once

// Sleeping on a word of memory until another thread changes it, with an end in time, which
// `std::atomic::wait` does not have. See futex(2).

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <limits>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace heph::inbox::detail {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));

/// Sleeps while `word` has the value `expected`, until a `futex_wake`, or for no reason.
inline void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept {
    (void)::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

/// Sleeps like `futex_wait`, but not longer than until `deadline`, a time since the clock's epoch.
/// *Requires*: it is not negative.
inline void futex_wait_until(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                             std::chrono::nanoseconds deadline, bool realtime) noexcept {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(deadline);
    timespec until{};
    until.tv_sec = static_cast<std::time_t>(seconds.count());
    until.tv_nsec = static_cast<long>((deadline - seconds).count());
    const int operation =
        FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | (realtime ? FUTEX_CLOCK_REALTIME : 0);
    (void)::syscall(SYS_futex, &word, operation, expected, &until, nullptr, FUTEX_BITSET_MATCH_ANY);
}

/// Ends the sleep of one thread.
inline void futex_wake(const std::atomic<std::uint32_t>& word) noexcept {
    (void)::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

/// Gives a time as nanoseconds since its epoch, kept within what fits and is not negative: a
/// deadline of `time_point::max()` is a legal way to say "never".
template <typename Clock, typename Duration>
[[nodiscard]] std::chrono::nanoseconds clamped(
    const std::chrono::time_point<Clock, Duration>& time) noexcept {
    using wide = std::chrono::duration<double, std::nano>;
    constexpr auto most = std::chrono::nanoseconds::max();
    const double guess = wide(time.time_since_epoch()).count();
    if (!(guess > 0)) { return std::chrono::nanoseconds(0); }
    if (guess >= static_cast<double>(std::numeric_limits<std::int64_t>::max()) * 0.99) {
        return most;
    }
    return std::chrono::ceil<std::chrono::nanoseconds>(time.time_since_epoch());
}

/// Gives the seconds since a clock's epoch, whatever a time counts in.
template <typename Clock, typename Duration>
[[nodiscard]] double rough_seconds(const std::chrono::time_point<Clock, Duration>& time) noexcept {
    return std::chrono::duration<double>(time.time_since_epoch()).count();
}

/// Tells whether a deadline has passed. It may be further off than the clock can count: comparing
/// it with the time would then overflow.
template <typename Clock, typename Duration>
[[nodiscard]] bool has_passed(const std::chrono::time_point<Clock, Duration>& deadline) noexcept {
    const auto now = Clock::now();
    const double left = rough_seconds(deadline) - rough_seconds(now);
    constexpr double certain = 3600.0;  // Far beyond what the rounding makes of a time.
    if (left > certain) { return false; }
    if (left < -certain) { return true; }
    return now >= deadline;
}

/// Sleeps like `futex_wait`, until `deadline` of any clock. Tells whether there is time left.
template <typename Clock, typename Duration>
[[nodiscard]] bool futex_wait_until(
    const std::atomic<std::uint32_t>& word, std::uint32_t expected,
    const std::chrono::time_point<Clock, Duration>& deadline) noexcept {
    using std::chrono::steady_clock;
    using std::chrono::system_clock;
    if (has_passed(deadline)) { return false; }
    if constexpr (std::is_same_v<Clock, steady_clock> || std::is_same_v<Clock, system_clock>) {
        futex_wait_until(word, expected, clamped(deadline), std::is_same_v<Clock, system_clock>);
    } else {
        // A clock that the kernel does not know: sleep as long as it takes by now, then look again.
        const std::chrono::duration<double> left(rough_seconds(deadline) -
                                                 rough_seconds(Clock::now()));
        const auto longest = std::chrono::duration<double>(3600.0);
        const auto step = left < longest ? left : longest;
        futex_wait_until(
            word, expected,
            clamped(steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(step) +
                    std::chrono::nanoseconds(1)),
            false);
    }
    return true;
}

}  // namespace heph::inbox::detail
