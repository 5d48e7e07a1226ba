#pragma once

// The coroutine that is a future.
//
// Chain
//     A task that is polled from outside is a root. A task that another task awaits becomes its
//     child: both belong to the chain of one root. Exactly one coroutine of a chain is innermost;
//     it is running, or it is suspended on one leaf, a future that is not a task.
//
// States of a task
//     lazy       --first poll-->            running   (it is now a root)
//     lazy       --awaited by a task-->     running   (it is now a child of that task's root)
//     running    --leaf is pending-->       suspended (root->leaf names the leaf's awaiter)
//     suspended  --root polled, leaf ready--> running
//     running    --co_return or throw-->    done      (a child queues its continuation)
//     any but running --dropped-->          gone      (frames are destroyed from the outside in)
//
// Invariants
//     1. A wake costs one indirect call to the leaf's poll, however deep the chain is: the root
//        keeps the innermost leaf.
//     2. A coroutine is resumed only from the loop in its root's `poll`. Children and
//        continuations are put into the root's `link`, never resumed from where they become ready,
//        so the stack stays flat. Symmetric transfer would do the same, but g++ makes it a tail
//        call only when optimising, and not under its sanitizers.
//     3. The root's `driver` leads to the waker only while a coroutine of the chain runs.
//     4. Nothing in a chain caches the thread: the next poll may come from another one.

#include <coroutine>
#include <cstdint>
#include <exception>
#include <expected>
#include <string>
#include <type_traits>
#include <utility>

#include <heph/core/detail/task_promise.hpp>
#include <heph/core/dump.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// Runs a coroutine lazily, as a future: nothing happens before the first poll, and destroying the
/// task cancels it where it is suspended, destroying its locals, innermost first.
///
/// Within a task, `co_await` takes any `future`. A task to await is given by value
/// (`co_await child()` or `co_await std::move(child)`); one that was already polled, for example in
/// a combinator, is awaited by reference (`co_await child`). Any other future is awaited where it
/// is: a temporary lives until the end of the expression.
///
/// A poll ends after 128 awaits that found their futures ready, and the task wakes itself: one that
/// never has to wait shares its executor all the same.
///
/// *Errors*: an exception that leaves the coroutine leaves the `poll` that ran it, or the
/// `co_await` of the task that awaits it.
/// *Thread safety*: unsafe, but it may be polled from one thread after another.
/// A finished task has destroyed its parameters and locals already.
/// *Cancellation*: destroying it. *Requires* then: it is not running; a task cannot be destroyed
/// from within. It takes stack in proportion to the depth of the chain, some 200 bytes for each
/// task that awaits another; everything else needs none. *Lifetime*: reference parameters must
/// outlive it; a lambda's captures live in the lambda, not in the task. Take values, and give a
/// coroutine lambda parameters instead of captures.
template <typename T>
class [[nodiscard]] task {
    static_assert(!std::is_reference_v<T>,
                  "a task gives a value; use a pointer or reference_wrapper");

public:
    using value_type = T;
    using promise_type = detail::task_promise<T>;

    task(task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        task old(std::move(*this));
        handle_ = std::exchange(other.handle_, nullptr);
        return *this;
    }
    ~task() {
        if (handle_) { handle_.destroy(); }
    }

    /// Runs the coroutine until it gives its value or has to wait.
    polled<T> poll(const waker& waker) {
        if (!run(waker)) { return pending; }
        // The frame goes now: its parameters may be what others wait to see gone.
        const task finished(std::move(*this));
        auto& promise = finished.handle_.promise();
        if constexpr (std::is_void_v<T>) {
            promise.take();
            return ready;
        } else {
            return polled<T>(std::in_place, promise.take());
        }
    }

    /// Runs the coroutine like `poll`, but gives an exception that leaves it instead of throwing it
    /// once more, which takes a microsecond.
    polled<std::expected<T, std::exception_ptr>> try_poll(const waker& waker) noexcept(
        std::is_void_v<T> || std::is_nothrow_move_constructible_v<T>) {
        using result = polled<std::expected<T, std::exception_ptr>>;
        if (!handle_.done() && !run(waker)) { return pending; }
        const task finished(std::move(*this));
        auto& promise = finished.handle_.promise();
        if (promise.has_failed()) [[unlikely]] {
            return result(std::in_place, std::unexpect, promise.take_exception());
        }
        if constexpr (std::is_void_v<T>) {
            return result(std::in_place);
        } else {
            return result(std::in_place, promise.take());
        }
    }

    /// Tells what it waits for, and where in its coroutines, as `heph::dump` does.
    [[nodiscard]] std::string dump() const { return heph::dump(*this); }
    /// Shows its chain to `heph::dump`.
    void visit_tasks(detail::task_stack_visitor& visitor) const {
        visitor.visit(handle_ ? &handle_.promise() : nullptr);
    }

    /// Tells whether it was polled or awaited before.
    [[nodiscard]] bool started() const noexcept {
        return !handle_ || handle_.promise().root != nullptr;
    }

private:
    friend promise_type;
    friend struct detail::task_access;
    template <typename, bool>
    friend class detail::child_awaiter;

    explicit task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

    // True when the coroutine is at its end, with a value or an exception.
    [[gnu::always_inline]] bool run(const waker& waker) noexcept {
        using base = detail::task_promise_base;
        HEPH_ASSERT(handle_ && !handle_.done());
        base& promise = handle_.promise();
        std::coroutine_handle<> next;
        if (promise.link != 0) [[likely]] {
            detail::leaf_base& leaf = base::leaf_in(promise.link);
            if (!leaf.poll(leaf, waker)) { return false; }
            next = leaf.waiting;
        } else {
            HEPH_ASSERT(promise.root == nullptr);
            promise.root = &promise;
            next = handle_;
        }
        detail::root_poll now{&waker};
        promise.driver = reinterpret_cast<std::uintptr_t>(&now);
        for (;;) {
            promise.link = 0;
            next.resume();
            if (promise.link == 0) { return true; }
            if (base::names_leaf(promise.link)) { return promise.has_failed(); }
            next = base::frame_in(promise.link);
        }
    }

    std::coroutine_handle<promise_type> handle_;
};

namespace detail {

/// Lets the libraries poll a task in two steps.
struct task_access {
    /// Polls a task, and tells whether it is at its end: then `try_poll` gives what came of it.
    template <typename T>
    [[gnu::always_inline]] static bool run(task<T>& polled, const waker& waker) noexcept {
        return polled.run(waker);
    }
};

template <typename T>
task<T> task_promise<T>::get_return_object() noexcept {
    return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}

inline task<void> task_promise<void>::get_return_object() noexcept {
    return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

#if HEPH_TASK_NAMES
template <typename T>
auto task_promise_base::await_transform(task<T>&& child, std::source_location where) noexcept {
    HEPH_ASSERT(!child.started());
    return child_awaiter<T, true>(std::move(child), *root, await_site{where, nullptr});
}
#else
template <typename T>
auto task_promise_base::await_transform(task<T>&& child) noexcept {
    HEPH_ASSERT(!child.started());
    return child_awaiter<T, false>(std::move(child), *root, no_await_site());
}
#endif

}  // namespace detail

}  // namespace heph
