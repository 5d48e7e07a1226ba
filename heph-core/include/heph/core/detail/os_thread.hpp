#pragma once

// A thread with a name, and the timers and the stop of a thread that waits for futures.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <heph/core/block_on.hpp>
#include <heph/core/stopping.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>

namespace heph::detail {

/// What a thread does.
struct thread_main {
    thread_main() = default;
    thread_main(const thread_main&) = delete;
    thread_main& operator=(const thread_main&) = delete;
    virtual ~thread_main() = default;
    virtual void run() noexcept = 0;
};

/// Owns a thread until it is joined or detached. One of them must happen before it goes.
class os_thread {
public:
    os_thread(os_thread&& other) noexcept
        : handle_(other.handle_), is_owned_(std::exchange(other.is_owned_, false)) {}
    os_thread& operator=(os_thread&&) = delete;
    ~os_thread();

    /// Starts a thread. `stack_size` in bytes; 0 takes the system's.
    /// *Errors*: the system's, `EAGAIN` when there can be no more threads; then `main` is
    /// destroyed.
    [[nodiscard]] static std::expected<os_thread, std::error_code> start(
        std::string name, std::size_t stack_size, std::unique_ptr<thread_main> main) noexcept;

    [[nodiscard]] bool is_owned() const noexcept { return is_owned_; }
    [[nodiscard]] bool is_current() const noexcept;
    /// Gives how long it ran on processors. *Requires*: it runs, or is not joined yet.
    [[nodiscard]] std::chrono::nanoseconds cpu_time() const noexcept;
    void join() noexcept;
    void detach() noexcept;

private:
    explicit os_thread(unsigned long handle) noexcept : handle_(handle), is_owned_(true) {}

    unsigned long handle_;
    bool is_owned_;
};

/// The timers of the calling thread, which it looks after itself while it waits. *Thread safety*:
/// a timer belongs to the thread that polled it first.
class thread_timer {
public:
    using value_type = void;

    explicit thread_timer(steady_time when) noexcept : when_(when) {}
    thread_timer(thread_timer&& other) noexcept : when_(other.when_) { other.disarm(); }
    thread_timer& operator=(thread_timer&&) = delete;
    ~thread_timer() { disarm(); }

    polled<void> poll(const waker& waker) noexcept;

    /// Wakes who waits for a timer that is due. Gives the time of the next one, if there is one.
    [[nodiscard]] static steady_time wake_due() noexcept;

private:
    void disarm() noexcept;

    steady_time when_;
    waker waker_;
    thread_timer* next_ = nullptr;
    thread_timer* previous_ = nullptr;
    bool armed_ = false;
};

/// Makes a signal that of the calling thread, for as long as this lives: what `thread_stopping`
/// gives meanwhile waits for it. *Lifetime*: refers to the signal.
class thread_stop {
public:
    explicit thread_stop(const stop_signal& signal) noexcept;
    thread_stop(const thread_stop&) = delete;
    thread_stop& operator=(const thread_stop&) = delete;
    ~thread_stop();
};

/// Makes a future that is ready when the calling thread is asked to stop; never, where nobody does.
[[nodiscard]] stop_future thread_stopping() noexcept;

/// Runs a future on the calling thread, and looks after the thread's timers meanwhile.
template <future F>
polled<future_value_t<F>> run_on_thread(F& running) {
    parker sleeping;
    const waker mine = sleeping.make_waker();
    for (;;) {
        auto result = running.poll(mine);
        if (result.is_ready()) { return result; }
        const steady_time next = thread_timer::wake_due();
        if (next == steady_time::max()) {
            sleeping.park();
        } else {
            (void)sleeping.park_until(next);
        }
    }
}

}  // namespace heph::detail
