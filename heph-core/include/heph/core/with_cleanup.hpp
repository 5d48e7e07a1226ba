#pragma once

// Cleaning up in ways that have to wait: saying goodbye to a peer, flushing a file.
//
// A destructor cannot wait. What may wait, and has to happen however a piece of work ends, goes
// into a cleanup:
//
//     auto saved = co_await heph::with_cleanup(transfer(session), close(session));
//
// How the body ends, and what follows
//     a value        the cleanup runs, then the value is given
//     an exception   the cleanup runs, then the exception is thrown on
//     dropped        whoever waits is gone, and with it the thread of control that could wait for
//                    the cleanup. Without a third argument it is destroyed, unstarted or where it
//                    is. With one, it is given to that to be run elsewhere:
//
//     auto saved = co_await heph::with_cleanup(transfer(session), close(session),
//         [worker](heph::task<> rest) mutable { worker.spawn_future(std::move(rest)); });
//
// States
//     body      --value or exception-->  cleaning   (the body is destroyed first)
//     cleaning  --cleanup is done-->     done
//     body, cleaning  --dropped-->       gone; the cleanup, if it is not done, to `elsewhere`

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/detail/future_traits.hpp>
#include <heph/core/log.hpp>
#include <heph/core/sendable.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

namespace detail {

/// Destroys a cleanup that nobody can wait for.
struct drop_cleanup {
    void operator()(task<>&&) const noexcept {}
};

/// Says that an exception of a cleanup was lost to that of the body.
void log_lost_cleanup(const std::exception_ptr& lost) noexcept;

}  // namespace detail

/// Runs a body, then a cleanup. See `with_cleanup`.
template <future Body, typename Elsewhere>
class [[nodiscard]] cleanup_future {
    using body_value = future_value_t<Body>;

public:
    using value_type = body_value;
    static constexpr bool is_sendable = sendable<Body> && sendable<Elsewhere>;

    cleanup_future(Body body, task<> cleanup, Elsewhere elsewhere)
        : body_(std::move(body)), cleanup_(std::move(cleanup)), elsewhere_(std::move(elsewhere)) {}
    cleanup_future(cleanup_future&& other) noexcept(std::is_nothrow_move_constructible_v<Body> &&
                                                    std::is_nothrow_move_constructible_v<Elsewhere>)
        : body_(std::move(other.body_)),
          cleanup_(std::exchange(other.cleanup_, std::nullopt)),
          elsewhere_(std::move(other.elsewhere_)),
          polled_(other.polled_) {}
    cleanup_future& operator=(cleanup_future&&) = delete;
    ~cleanup_future() {
        body_.reset();
        // What was never begun needs no cleanup.
        if (!cleanup_ || !polled_) { return; }
        try {
            elsewhere_(*std::move(cleanup_));
        } catch (...) { detail::log_lost_cleanup(std::current_exception()); }
    }

    polled<value_type> poll(const waker& waker) {
        polled_ = true;
        if (body_ && !poll_body(waker)) { return pending; }
        std::exception_ptr lost;
        try {
            if (!cleanup_->poll(waker).is_ready()) { return pending; }
        } catch (...) { lost = std::current_exception(); }
        cleanup_.reset();
        if (error_) {
            if (lost) { detail::log_lost_cleanup(lost); }
            std::rethrow_exception(std::move(error_));
        }
        if (lost) { std::rethrow_exception(std::move(lost)); }
        if constexpr (std::is_void_v<value_type>) {
            return ready;
        } else {
            return polled<value_type>(std::in_place, std::move(*value_));
        }
    }

private:
    // Tells whether the body has ended; keeps how.
    bool poll_body(const waker& waker) {
        try {
            auto result = body_->poll(waker);
            if (!result.is_ready()) { return false; }
            if constexpr (std::is_void_v<value_type>) {
                value_.emplace();
            } else {
                value_.emplace(std::move(result).value());
            }
        } catch (...) { error_ = std::current_exception(); }
        body_.reset();
        return true;
    }

    std::optional<Body> body_;
    std::optional<task<>> cleanup_;
    [[no_unique_address]] Elsewhere elsewhere_;
    std::optional<detail::held_value_t<Body>> value_;
    std::exception_ptr error_;
    bool polled_ = false;
};

/// Runs `body`, and then `cleanup`, however the body ends; gives what the body gives.
///
/// Both are run by the same task, one after the other; the body is destroyed before the cleanup
/// begins. `elsewhere` is called with what is left of the cleanup when the whole is dropped after
/// its first poll, by the destructor, which is no place to wait in: have it spawn the task. The
/// cleanup then outlives the task that made it: let it own what it uses. Without `elsewhere`, it is
/// dropped with the rest.
///
/// *Errors*: an exception of the body leaves after the cleanup; one of the cleanup leaves when the
/// body had none, else it is logged. *Cancellation*: cancels the body, see above for the cleanup.
template <future Body, typename Elsewhere = detail::drop_cleanup>
    requires std::is_invocable_v<Elsewhere&, task<>>
[[nodiscard]] cleanup_future<Body, Elsewhere> with_cleanup(Body body, task<> cleanup,
                                                           Elsewhere elsewhere = Elsewhere()) {
    return cleanup_future<Body, Elsewhere>(std::move(body), std::move(cleanup),
                                           std::move(elsewhere));
}

}  // namespace heph
