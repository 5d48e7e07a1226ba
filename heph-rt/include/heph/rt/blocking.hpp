#pragma once

// Running what blocks, or computes for long, off the workers.

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/inbox/future.hpp>

namespace heph::rt {

namespace detail {

class blocking_pool;

/// A function to be run on a thread of the pool, and its result.
///
///     idle --first poll--> queued --taken by a thread--> running --it returned--> done
///     queued  --future dropped--> idle       (it never runs)
///     running --future dropped--> running    (it runs to its end; its result is dropped)
class blocking_job {
public:
    blocking_job() = default;
    blocking_job(const blocking_job&) = delete;
    blocking_job& operator=(const blocking_job&) = delete;
    virtual ~blocking_job() = default;

    /// Runs the function and keeps what it gives, or the exception that left it.
    virtual void run() noexcept = 0;

    // The pool's, and guarded by it.
    enum class state { idle, queued, running, done };
    state now = state::idle;
    heph::waker waker;
    blocking_job* next = nullptr;
    blocking_job* previous = nullptr;
    std::shared_ptr<blocking_job> self;  // While it is queued.
};

template <typename F>
class blocking_call final : public blocking_job {
public:
    using value_type = std::invoke_result_t<F&>;

    explicit blocking_call(F&& function) { function_.emplace(std::move(function)); }

    void run() noexcept override {
        try {
            if constexpr (std::is_void_v<value_type>) {
                (*function_)();
            } else {
                value_.emplace((*function_)());
            }
        } catch (...) { error_ = std::current_exception(); }
        function_.reset();
    }

    polled<value_type> take() {
        if (error_) { std::rethrow_exception(std::move(error_)); }
        if constexpr (std::is_void_v<value_type>) {
            return ready;
        } else {
            return polled<value_type>(std::in_place, std::move(*value_));
        }
    }

private:
    struct nothing {};
    std::optional<F> function_;
    [[no_unique_address]] std::conditional_t<std::is_void_v<value_type>, nothing,
                                             std::optional<value_type>> value_;
    std::exception_ptr error_;
};

/// Gives the pool of the calling worker's runtime.
/// *Errors*: throws `std::system_error` with `errc::no_worker` outside of a worker.
[[nodiscard]] std::shared_ptr<blocking_pool> current_blocking_pool();
/// Queues the job at the first call. Tells whether it is done; if not, `waker` will be woken.
/// *Errors*: throws `std::system_error` when not a single thread is to be had.
[[nodiscard]] bool poll_job(blocking_pool& pool, const std::shared_ptr<blocking_job>& job,
                            const waker& waker);
void drop_job(blocking_pool& pool, blocking_job& job) noexcept;

}  // namespace detail

/// Completes with what a function gives that runs on a thread of the runtime's pool.
/// See `spawn_blocking`.
template <typename F>
class [[nodiscard]] blocking_future {
public:
    using value_type = std::invoke_result_t<F&>;
    static_assert(!std::is_reference_v<value_type>, "the function gives a value, or nothing");

    explicit blocking_future(F function)
        : job_(std::make_shared<detail::blocking_call<F>>(std::move(function))) {}
    blocking_future(blocking_future&&) noexcept = default;
    blocking_future& operator=(blocking_future&&) = delete;
    ~blocking_future() {
        if (pool_ != nullptr) { detail::drop_job(*pool_, *job_); }
    }

    polled<value_type> poll(const waker& waker) {
        if (pool_ == nullptr) { pool_ = detail::current_blocking_pool(); }
        if (!detail::poll_job(*pool_, job_, waker)) { return pending; }
        return job_->take();
    }

private:
    std::shared_ptr<detail::blocking_call<F>> job_;
    std::shared_ptr<detail::blocking_pool> pool_;
};

/// Runs a function that blocks or computes for long on a thread of the runtime's pool, so that it
/// holds no worker up, and gives what it returns:
///
///     auto digest = co_await heph::rt::spawn_blocking([file] { return hash_of(file); });
///
/// It is queued at the first poll. The pool has a limited number of threads (see
/// `setup::blocking_threads`), which start when they are needed and end when they had nothing to do
/// for a while; calls beyond that wait for their turn, first come, first served, and the actors
/// that wait for them with them.
///
/// *Requires*: what the function refers to outlives its run, which may be longer than the future's
/// life; let it own what it uses.
/// *Errors*: an exception of the function leaves `poll`. `std::system_error`: polled outside of a
/// worker (`errc::no_worker`), or not a single thread could be started.
/// *Cancellation*: a function that has not begun never runs. One that runs cannot be interrupted:
/// its result is dropped on the pool's thread. The runtime's end waits for it.
template <typename F>
    requires std::invocable<F&>
[[nodiscard]] blocking_future<F> spawn_blocking(F function) {
    return blocking_future<F>(std::move(function));
}

}  // namespace heph::rt
