#pragma once

#include <array>
#include <cstddef>
#include <system_error>

#include <csignal>

#include <heph/rt/signal.hpp>

namespace heph::rt::detail {

/// Blocks the signals that a runtime handles in the calling thread and those it starts, and puts
/// the mask back when destroyed.
class blocked_signals {
public:
    blocked_signals() noexcept;
    ~blocked_signals();
    blocked_signals(const blocked_signals&) = delete;
    blocked_signals& operator=(const blocked_signals&) = delete;

    /// Gives the signals that are blocked.
    [[nodiscard]] const sigset_t& set() const noexcept { return blocked_; }

private:
    sigset_t blocked_{};
    sigset_t previous_{};
};

/// Listens to the signals that runtimes handle, for one of them. Each listener of the process is
/// told of each signal, whichever thread the kernel gives it to:
///
///     to none, as all have it blocked --> it is pending, and whichever listener looks first finds
///     it to one that has it not blocked  --> a handler notes it, and wakes all listeners
///
/// Whoever finds one counts it for all listeners. The handler is there in place of the default
/// action only, which would end the process: what the program handles or ignores by itself stays
/// so.
///
/// The listener's thread, and those that it starts, have the signals blocked; its mask, and the
/// actions, are put back with it, and with the last one.
///
/// *Thread safety*: distinct objects: safe. Made, used and destroyed on one thread.
class signal_listener {
public:
    static constexpr std::size_t signal_count = 6;
    /// How often each signal came, in the order of their numbers in `signal`.
    using counts = std::array<unsigned, signal_count>;

    /// Begins to listen. An eventfd, which outlives the listener, is written to when another
    /// listener found a signal.
    explicit signal_listener(int wakes) noexcept;
    ~signal_listener();
    signal_listener(const signal_listener&) = delete;
    signal_listener& operator=(const signal_listener&) = delete;

    /// Tells why it cannot listen, if so.
    [[nodiscard]] std::error_code failure() const noexcept { return failure_; }

    /// Gives the descriptors that are readable when there may be a signal; -1 for none.
    [[nodiscard]] int pending_descriptor() const noexcept { return pending_; }
    [[nodiscard]] static int noted_descriptor() noexcept;

    /// Takes what came since the last call.
    [[nodiscard]] counts take() noexcept;
    /// Gives the signal of an index of `counts`.
    [[nodiscard]] static signal at(std::size_t index) noexcept;

private:
    void find_pending() noexcept;

    signal_listener* next_ = nullptr;  // Of all of them, as are the counts: under their lock.
    counts came_{};
    int wakes_;
    int pending_ = -1;
    blocked_signals blocked_;
    std::error_code failure_;
};

}  // namespace heph::rt::detail
