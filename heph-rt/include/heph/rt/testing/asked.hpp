#pragma once

// What a test asks of a worker: a future, for so long; and its answer.

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/either.hpp>
#include <heph/core/task.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/oneshot.hpp>
#include <heph/rt/worker.hpp>

namespace heph::rt::testing {

/// How long to wait at most: any duration. One that the clock cannot hold, such as `hours::max()`,
/// is as long as it can.
class time_limit {
public:
    template <typename Rep, typename Period>
    constexpr time_limit(std::chrono::duration<Rep, Period> longest) noexcept
        : longest_(heph::detail::to_clock(longest)) {}

    [[nodiscard]] constexpr std::chrono::nanoseconds longest() const noexcept { return longest_; }

private:
    std::chrono::nanoseconds longest_;
};

namespace detail {

/// What a future gives, as a value.
template <typename T>
using held = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// What comes back from a worker: a value, what was thrown, or nothing. All of it changes hands
/// under the lock, and has one owner at a time.
template <typename T>
class answer {
public:
    /// Waits until the other end is through. Tells whether it is within that time.
    [[nodiscard]] bool wait_for(std::chrono::nanoseconds within) {
        std::unique_lock lock(mutex_);
        const auto until = heph::detail::later(std::chrono::steady_clock::now(), within);
        return changed_.wait_until(lock, until, [this] { return is_over_; });
    }
    [[nodiscard]] bool is_over() {
        const std::lock_guard lock(mutex_);
        return is_over_;
    }
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return is_over_; });
    }
    /// Gives the value, if there is one. *Errors*: throws what was thrown.
    std::optional<T> take() {
        std::unique_lock lock(mutex_);
        if (auto thrown = std::exchange(thrown_, nullptr)) {
            lock.unlock();
            std::rethrow_exception(std::move(thrown));
        }
        return std::exchange(value_, std::nullopt);
    }
    void end(std::optional<T> value, std::exception_ptr thrown) {
        const std::lock_guard lock(mutex_);
        value_ = std::move(value);
        thrown_ = std::move(thrown);
        is_over_ = true;
        changed_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<T> value_;
    std::exception_ptr thrown_;
    bool is_over_ = false;
};

/// The worker's end of an answer: destroyed, it gives what it was told, or nothing.
template <typename T>
class answering {
public:
    explicit answering(std::shared_ptr<answer<T>> to) noexcept : to_(std::move(to)) {}
    answering(answering&&) noexcept = default;
    answering& operator=(answering&&) = delete;
    ~answering() {
        if (to_) { to_->end(std::move(value), std::move(thrown)); }
    }

    std::optional<T> value;
    std::exception_ptr thrown;

private:
    std::shared_ptr<answer<T>> to_;
};

/// Runs what `make` makes until it is done or the other end of `given_up` is gone. All that it made
/// is destroyed before `to` hears of it, or hears nothing, so that the test may go on and drop what
/// it lent.
template <typename Make, typename T>
task<> run_for(Make made, worker here, answering<held<T>> to,
               inbox::oneshot_receiver<bool> given_up) {
    try {
        Make make = std::move(made);
        auto running = make(here);
        auto stopped = std::move(given_up).recv_once();
        auto first = co_await either(running, stopped);
        if (first.index() == 0) { to.value.emplace(std::get<0>(std::move(first))); }
    } catch (...) { to.thrown = std::current_exception(); }
}

/// A future that a worker runs for a test, which waits for its outcome, or gives it up.
template <typename Make>
class asked {
    using value_type = future_value_t<std::invoke_result_t<Make&, worker&>>;

public:
    using held_type = held<value_type>;

    /// Gives what starts it: to be called once, on the worker that is to run it, or not at all.
    [[nodiscard]] auto job(Make make) {
        auto [wanted, end] = inbox::oneshot<bool>();
        wanted_.emplace(std::move(wanted));
        return [make = std::move(make), to = answering<held_type>(outcome_),
                given_up = std::move(end)](worker& here) mutable {
            here.spawn_future(run_for<Make, value_type>(std::move(make), here, std::move(to),
                                                        std::move(given_up)));
        };
    }
    /// Has it dropped. The outcome then is that it is over, with nothing.
    void give_up() noexcept { wanted_.reset(); }

    [[nodiscard]] answer<held_type>& outcome() noexcept { return *outcome_; }

private:
    std::shared_ptr<answer<held_type>> outcome_ = std::make_shared<answer<held_type>>();
    std::optional<inbox::oneshot_sender<bool>> wanted_;
};

}  // namespace detail

}  // namespace heph::rt::testing
