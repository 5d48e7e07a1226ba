#pragma once

// Awaiting a future in a coroutine that is no heph::task.
//
// A future is polled, and wakes; a foreign coroutine has a handle, which is resumed by whatever
// executor it belongs to. `resume_on` stands between the two: wakes become resumptions in that
// executor's queue, and a resumption polls, and resumes the handle once the value is there.
//
//     heph::resume_on(executor, receiver.recv())
//     executor    what can post: executor(r), executor.post(r) or executor->post(r)
//     future      by value when it is a temporary or moved, else by reference
//
// States of one co_await; the phases of its `detail::posted_poll` are in that header
//     made        --co_await-->                     polling, on the coroutine's own thread
//     polling     --value-->                        goes on at once, without a suspension
//     polling     --pending-->                      suspended, in the future's hands
//     suspended   --woken-->                        suspended, with a resumption in the queue
//     in queue    --executor runs it, pending-->    suspended
//     in queue    --executor runs it, value-->      resumed: `co_await` gives the value
//     in queue    --executor runs it, exception-->  resumed: `co_await` throws it
//     any         --coroutine destroyed-->          gone; the future is cancelled
//
// Invariants
//     1. The future is polled, and the coroutine resumed, by its own `co_await` or by a resumption
//        that the executor runs: never from inside a wake, whoever wakes, and from where ever.
//     2. One wake puts at most one resumption into the queue; none is added while one is there.
//        A wake that comes during a poll is not lost: it posts when the poll is over.
//     3. Once the awaiter is gone, nobody uses the executor or the future: late wakes, and
//        resumptions that are still in the queue, find that out in memory which they own a part of.
//        So the executor has to outlive the coroutine, and nothing else.
//
// Costs: one allocation for each `co_await`, of five words; then one post for each wake.

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/inbox/detail/posted_poll.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

namespace detail {

template <typename E>
concept posts_by_call = requires(E& executor, resumption next) { executor(std::move(next)); };
template <typename E>
concept posts_by_member =
    requires(E& executor, resumption next) { executor.post(std::move(next)); };
template <typename E>
concept posts_by_pointer =
    requires(E& executor, resumption next) { executor->post(std::move(next)); };

}  // namespace detail

/// Describes how a coroutine is resumed: something that is handed a `resumption`, a `void()`
/// function object, and runs it later, where the coroutine lives. It is called as
/// `executor(resumption)`, `executor.post(resumption)` or `executor->post(resumption)`; so a
/// lambda, a handle to an executor, and a pointer to an event loop all do.
///
/// - Posting may happen on any thread, from inside a wake: it must only put the resumption into a
///   queue. It must not run it before it returns, and not destroy coroutines.
/// - It must not throw, or else the program ends: the wake would be lost. (An exception on the
///   coroutine's own thread comes out of `co_await`.)
/// - No two resumptions of one coroutine run at once by themselves. When the executor has several
///   threads, the coroutine moves between them from one suspension to the next.
/// - A resumption may be dropped instead of being run, as when the executor ends. The coroutine
///   then stays suspended, and its owner destroys it.
template <typename E>
concept resumption_executor =
    std::is_nothrow_move_constructible_v<E> &&
    (detail::posts_by_call<E> || detail::posts_by_member<E> || detail::posts_by_pointer<E>);

/// Lets a foreign coroutine await a future. Made by `resume_on`, and awaited once.
template <resumption_executor Executor, typename Held,
          typename Environment = inbox::detail::standard_environment>
    requires future<std::remove_cvref_t<Held>>
class [[nodiscard]] resume_on_awaiter {
public:
    using future_type = std::remove_cvref_t<Held>;
    using value_type = future_value_t<future_type>;

    resume_on_awaiter(Executor&& executor,
                      Held&& awaited) noexcept(std::is_nothrow_constructible_v<Held, Held&&>)
        : executor_(std::move(executor)), future_(std::forward<Held>(awaited)) {}
    resume_on_awaiter(const resume_on_awaiter&) = delete;
    resume_on_awaiter& operator=(const resume_on_awaiter&) = delete;

    /// Cancels, when the value has not been there yet.
    ~resume_on_awaiter() {
        if (link_ != nullptr) {
            link_->close();  // Invariant 3.
            link_->drop_reference();
        }
    }

    [[nodiscard]] bool await_ready() {
        HEPH_ASSERT(link_ == nullptr);
        link_ = new link(*this);
        waker_ = link_->make_waker();
        return poll_once();
    }

    void await_suspend(std::coroutine_handle<> waiting) {
        waiting_ = waiting;
        link& mine = *link_;
        // Once this says no, the coroutine may run, and this awaiter may end, on another thread;
        // after a post, too, though not while it is under way (invariant 3).
        if (mine.end_poll()) { mine.post_again(); }
    }

    value_type await_resume() {
        if (error_) { std::rethrow_exception(std::move(error_)); }
        if constexpr (!std::is_void_v<value_type>) { return std::move(*result_).value(); }
    }

private:
    /// What wakers and resumptions own a part of.
    class link final : public detail::basic_posted_poll<Environment> {
    public:
        explicit link(resume_on_awaiter& owner) noexcept : owner_(&owner) {}

    private:
        void post(resumption next) override {
            Executor& executor = owner_->executor_;
            if constexpr (detail::posts_by_call<Executor>) {
                executor(std::move(next));
            } else if constexpr (detail::posts_by_member<Executor>) {
                executor.post(std::move(next));
            } else {
                executor->post(std::move(next));
            }
        }
        void run() override { owner_->run(); }

        resume_on_awaiter* owner_;
    };

    struct nothing {};

    bool poll_once() {
        auto polled = future_.poll(waker_);
        if (!polled.is_ready()) { return false; }
        if constexpr (!std::is_void_v<value_type>) { result_.emplace(std::move(polled)); }
        return true;
    }

    // An exception belongs into the coroutine, so it is kept for `await_resume`.
    [[nodiscard]] bool poll_or_catch() noexcept {
        try {
            return poll_once();
        } catch (...) {
            error_ = std::current_exception();
            return true;
        }
    }

    // Runs on the executor, alone.
    void run() {
        if (!poll_or_catch()) {
            link& mine = *link_;
            if (!mine.end_poll()) { return; }
            try {
                mine.post_again();
                return;
            } catch (...) {  // Nothing was posted, so nobody else runs this.
                error_ = std::current_exception();
            }
        }
        link_->close();
        waiting_.resume();  // Ends this awaiter, most likely.
    }

    Executor executor_;
    Held future_;
    link* link_ = nullptr;
    waker waker_;
    std::coroutine_handle<> waiting_;
    std::exception_ptr error_;
    [[no_unique_address]] std::conditional_t<std::is_void_v<value_type>, nothing,
                                             std::optional<polled<value_type>>> result_;
};

/// Awaits a future within a coroutine of any type: `co_await resume_on(executor, future)`. When
/// the value is there already, the coroutine goes on at once; else it is suspended, and resumed by
/// `executor` when the value is there. Any `future` will do: those of channels, and heph-core's
/// tasks.
///
/// *Errors*: an exception that leaves the future's `poll` leaves the `co_await`.
/// *Thread safety*: the future is polled where the coroutine runs; wakes come from anywhere.
/// *Cancellation*: destroying the suspended coroutine destroys the future, and so cancels it. As
/// always, destroy it where it is resumed, or when its executor does not run; and not while holding
/// a lock that posting needs.
/// *Lifetime*: the executor, or whatever it refers to, has to outlive the coroutine. A future that
/// is given as an lvalue is awaited by reference, and has to stay where it is.
///
/// Example, in a coroutine that a `loop` with a member `post(std::function<void()>)` runs:
///
///     while (auto line = co_await heph::resume_on(&loop, receiver.recv())) { print(*line); }
template <resumption_executor Executor, typename F>
    requires future<std::remove_cvref_t<F>>
[[nodiscard]] resume_on_awaiter<Executor, F> resume_on(Executor executor, F&& awaited) {
    return resume_on_awaiter<Executor, F>(std::move(executor), std::forward<F>(awaited));
}

}  // namespace heph
