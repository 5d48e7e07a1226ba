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
//        continuations are put into `root->next`, never resumed from where they become ready, so
//        the stack stays flat. Symmetric transfer would do the same, but g++ makes it a tail call
//        only when optimising, and not under its sanitizers.
//     3. `root->waker` is valid only during the root's `poll`.
//     4. Nothing in a chain caches the thread: the next poll may come from another one.

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/core/detail/frame_pool.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

template <typename T = void>
class task;

namespace detail {

struct task_promise_base;

/// The awaiter of a future that is not a task: where a chain is suspended.
struct leaf_base {
    bool (*poll)(leaf_base& self, const waker& waker) = nullptr;
    std::coroutine_handle<> waiting;
};

/// Holds a future awaited by a task, by value or by reference, until it is ready.
template <typename Held>
class [[nodiscard]] leaf_awaiter final : leaf_base {
public:
    using future_type = std::remove_cvref_t<Held>;
    using value_type = future_value_t<future_type>;

    leaf_awaiter(Held&& future,
                 task_promise_base& root) noexcept(std::is_nothrow_constructible_v<Held, Held&&>)
        : future_(std::forward<Held>(future)), root_(&root) {}
    leaf_awaiter(const leaf_awaiter&) = delete;
    leaf_awaiter& operator=(const leaf_awaiter&) = delete;

    [[nodiscard]] bool await_ready();
    void await_suspend(std::coroutine_handle<> waiting) noexcept;
    value_type await_resume() {
        if constexpr (!polls_noexcept) {
            if (error_) { std::rethrow_exception(std::move(error_)); }
        }
        if constexpr (!std::is_void_v<value_type>) { return std::move(*result_).value(); }
    }

private:
    static constexpr bool polls_noexcept =
        noexcept(std::declval<future_type&>().poll(std::declval<const waker&>()));

    bool poll_once(const waker& waker) noexcept(polls_noexcept) {
        auto polled = future_.poll(waker);
        if (!polled.is_ready()) { return false; }
        if constexpr (!std::is_void_v<value_type>) { result_.emplace(std::move(polled)); }
        return true;
    }

    // Called by the root. An exception belongs into the coroutine that awaits, so it is kept for
    // `await_resume`.
    static bool poll_leaf(leaf_base& self, const waker& waker) noexcept {
        auto& awaiter = static_cast<leaf_awaiter&>(self);
        if constexpr (polls_noexcept) {
            return awaiter.poll_once(waker);
        } else {
            try {
                return awaiter.poll_once(waker);
            } catch (...) {
                awaiter.error_ = std::current_exception();
                return true;
            }
        }
    }

    struct nothing {};
    struct nothing_else {};
    Held future_;
    task_promise_base* root_;
    [[no_unique_address]] std::conditional_t<std::is_void_v<value_type>, nothing,
                                             std::optional<polled<value_type>>> result_;
    [[no_unique_address]] std::conditional_t<polls_noexcept, nothing_else, std::exception_ptr>
        error_;
};

/// What every promise has, whatever its task gives.
struct task_promise_base {
    task_promise_base* root = nullptr;  // Null while lazy, self in a root.
    union {
        leaf_base* leaf = nullptr;  // In a root: where the chain is suspended.
        void* continuation;         // In a child: the address of who awaits it.
    };
    const heph::waker* waker = nullptr;  // In a root, during its poll.
    std::coroutine_handle<> next;        // In a root: what the trampoline resumes next.
    std::exception_ptr exception;

    struct final_awaiter {
        static constexpr bool await_ready() noexcept { return false; }
        template <typename Promise>
        static void await_suspend(std::coroutine_handle<Promise> done) noexcept {
            task_promise_base& promise = done.promise();
            if (promise.root != &promise) {
                promise.root->next = std::coroutine_handle<>::from_address(promise.continuation);
            }
        }
        static constexpr void await_resume() noexcept {}
    };

    static constexpr std::suspend_always initial_suspend() noexcept { return {}; }
    static constexpr final_awaiter final_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept { exception = std::current_exception(); }

    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }

    /// Awaits a lazy task given by value: it becomes part of this chain.
    template <typename T>
    auto await_transform(task<T>&& child) noexcept;

    /// Awaits a future: by value when it is a temporary or moved, else by reference.
    template <typename F>
        requires future<std::remove_cvref_t<F>>
    leaf_awaiter<F> await_transform(F&& awaited) {
        return leaf_awaiter<F>(std::forward<F>(awaited), *root);
    }
};

template <typename Held>
bool leaf_awaiter<Held>::await_ready() {
    return poll_once(*root_->waker);
}

template <typename Held>
void leaf_awaiter<Held>::await_suspend(std::coroutine_handle<> handle) noexcept {
    poll = &poll_leaf;
    waiting = handle;
    root_->leaf = this;
}

template <typename T>
struct task_promise final : task_promise_base {
    std::optional<T> value;

    task<T> get_return_object() noexcept;
    template <typename U = T>
        requires std::is_constructible_v<T, U&&>
    void return_value(U&& result) {
        value.emplace(std::forward<U>(result));
    }
    T take() {
        if (exception) { std::rethrow_exception(std::move(exception)); }
        return std::move(*value);
    }
};

template <>
struct task_promise<void> final : task_promise_base {
    task<void> get_return_object() noexcept;
    static void return_void() noexcept {}
    void take() {
        if (exception) { std::rethrow_exception(std::move(exception)); }
    }
};

/// Awaits a child task. It owns the child's frame.
template <typename T>
class [[nodiscard]] child_awaiter {
public:
    child_awaiter(task<T>&& child, task_promise_base& root) noexcept
        : child_(std::move(child)), root_(&root) {}
    child_awaiter(const child_awaiter&) = delete;
    child_awaiter& operator=(const child_awaiter&) = delete;

    [[nodiscard]] bool await_ready() const noexcept { return child_.started(); }
    void await_suspend(std::coroutine_handle<> waiting) noexcept {
        auto& promise = child_.handle_.promise();
        promise.root = root_;
        promise.continuation = waiting.address();
        root_->next = child_.handle_;
    }
    T await_resume() { return child_.handle_.promise().take(); }

private:
    task<T> child_;
    task_promise_base* root_;
};

}  // namespace detail

/// Runs a coroutine lazily, as a future: nothing happens before the first poll, and destroying the
/// task cancels it where it is suspended, destroying its locals, innermost first.
///
/// Within a task, `co_await` takes any `future`. A task to await is given by value
/// (`co_await child()` or `co_await std::move(child)`); one that was already polled, for example in
/// a combinator, is awaited by reference (`co_await child`).
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
        HEPH_ASSERT(handle_ && !handle_.done());
        auto& promise = handle_.promise();
        promise.waker = &waker;
        std::coroutine_handle<> next;
        if (promise.root == nullptr) {
            promise.root = &promise;
            next = handle_;
        } else {
            detail::leaf_base& leaf = *promise.leaf;
            if (!leaf.poll(leaf, waker)) { return pending; }
            next = leaf.waiting;
        }
        do {
            promise.next = nullptr;
            next.resume();
            next = promise.next;
        } while (next);
        if (!handle_.done()) { return pending; }
        // The frame goes now: its parameters may be what others wait to see gone.
        const task finished(std::move(*this));
        if constexpr (std::is_void_v<T>) {
            promise.take();
            return ready;
        } else {
            return polled<T>(std::in_place, promise.take());
        }
    }

    /// Tells whether it was polled or awaited before.
    [[nodiscard]] bool started() const noexcept {
        return !handle_ || handle_.promise().root != nullptr;
    }

private:
    friend promise_type;
    friend class detail::child_awaiter<T>;

    explicit task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

    std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <typename T>
task<T> task_promise<T>::get_return_object() noexcept {
    return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}

inline task<void> task_promise<void>::get_return_object() noexcept {
    return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

template <typename T>
auto task_promise_base::await_transform(task<T>&& child) noexcept {
    HEPH_ASSERT(!child.started());
    return child_awaiter<T>(std::move(child), *root);
}

}  // namespace detail

}  // namespace heph
