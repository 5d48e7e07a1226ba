#pragma once

// The promise of a task, and the awaiter of what is not a task. See <heph/core/task.hpp>, whose
// invariants are meant here.

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <expected>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <heph/core/detail/await_site.hpp>
#include <heph/core/detail/frame_pool.hpp>
#include <heph/core/detail/future_traits.hpp>
#include <heph/core/dump.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

template <typename T = void>
class task;

namespace detail {

struct task_access;
struct task_promise_base;
class stack_awaiter;

template <typename T, bool Named>
class child_awaiter;

/// The awaiter of a future that is not a task: where a chain is suspended.
struct leaf_base {
    bool (*poll)(leaf_base& self, const waker& waker) noexcept = nullptr;
    union {
        task_promise_base* root;          // Until it is suspended.
        std::coroutine_handle<> waiting;  // From then on.
    };

    explicit leaf_base(task_promise_base& root_of_chain) noexcept : root(&root_of_chain) {}
};

/// How many awaits of a chain may find their futures ready in one poll, with the one that it was
/// suspended at. The next one suspends without asking its future, and the chain wakes itself: so
/// who always finds a message, an answer or a chunk does not keep its executor from all others. As
/// nothing was taken out of that future, a task that is dropped then loses nothing.
inline constexpr std::uint32_t ready_awaits_max = 128;

/// What a root knows during its poll. It is on the stack of the poll.
struct root_poll {
    const waker* who;
    std::uint32_t ready_left = ready_awaits_max - 1;
};

/// What every promise has, whatever its task gives. The same in all builds, see `await_site`.
struct task_promise_base {
    union {
        task_promise_base* root;       // Null while lazy, self in a root.
        std::exception_ptr exception;  // Exactly when `link` is `failed`.
    };

    // In a child, the address of the frame that awaits it. In a root, what is to be done when the
    // coroutine that runs stops: 0 nothing, else the frame to resume next, or, with the lowest bit
    // set, the leaf that it waits for. In both, once an exception has left the coroutine, which
    // then needs neither root nor link any more, `failed`.
    std::uintptr_t link = 0;

    static constexpr std::uintptr_t failed = 1;  // As if of a leaf at the address 0.

    // In a root, the address of the `root_poll` while its coroutines run. With the lowest bit set,
    // the `await_site` of the await that is suspended: in a child of its own, in a root of the
    // chain's leaf.
    std::uintptr_t driver = 0;

    task_promise_base() noexcept : root(nullptr) {}
    task_promise_base(const task_promise_base&) = delete;
    task_promise_base& operator=(const task_promise_base&) = delete;

    [[nodiscard]] root_poll& current_poll() const noexcept {
        return *reinterpret_cast<root_poll*>(driver);
    }
    void resume_next(std::coroutine_handle<> next) noexcept {
        link = reinterpret_cast<std::uintptr_t>(next.address());
    }
    void wait_for(leaf_base& leaf) noexcept { link = reinterpret_cast<std::uintptr_t>(&leaf) | 1U; }
    void waits_at(const await_site& site) noexcept {
        driver = reinterpret_cast<std::uintptr_t>(&site) | 1U;
    }

    /// Gives the exception that left the coroutine. *Requires*: `has_failed()`.
    [[nodiscard]] std::exception_ptr take_exception() noexcept { return std::move(exception); }

    [[nodiscard]] static std::coroutine_handle<> frame_in(std::uintptr_t word) noexcept {
        return std::coroutine_handle<>::from_address(reinterpret_cast<void*>(word));
    }
    [[nodiscard]] static leaf_base& leaf_in(std::uintptr_t word) noexcept {
        return *reinterpret_cast<leaf_base*>(word - 1U);
    }
    [[nodiscard]] static bool names_leaf(std::uintptr_t word) noexcept { return (word & 1U) != 0; }
    /// Finds the promise of any task. They begin at the same place of a frame, as none is aligned
    /// to more than a frame is.
    [[nodiscard]] static task_promise_base& in_frame(std::coroutine_handle<> frame) noexcept {
        return std::coroutine_handle<task_promise_base>::from_address(frame.address()).promise();
    }

    struct final_awaiter {
        static constexpr bool await_ready() noexcept { return false; }
        template <typename Promise>
        static void await_suspend(std::coroutine_handle<Promise> done) noexcept {
            // In a root, where this changes nothing, it is 0.
            task_promise_base& promise = done.promise();
            if (!promise.has_failed()) [[likely]] { promise.root->link = promise.link; }
        }
        static constexpr void await_resume() noexcept {}
    };

    static constexpr std::suspend_always initial_suspend() noexcept { return {}; }
    static constexpr final_awaiter final_suspend() noexcept { return {}; }
    // Goes on as at the final suspension, before the exception takes the place of the root.
    void unhandled_exception() noexcept {
        root->link = link;
        std::construct_at(std::addressof(exception), std::current_exception());
        link = failed;
    }
    [[nodiscard]] bool has_failed() const noexcept { return link == failed; }

    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }

    // Awaits a lazy task given by value: it becomes part of this chain. Or a future, where it is:
    // a temporary lives until the end of the expression.
#if HEPH_TASK_NAMES
    template <typename T>
    auto await_transform(task<T>&& child,
                         std::source_location where = std::source_location::current()) noexcept;
    template <typename F>
        requires future<std::remove_cvref_t<F>>
    auto await_transform(F&& awaited,
                         std::source_location where = std::source_location::current()) noexcept;
    stack_awaiter await_transform(
        task_stack, std::source_location where = std::source_location::current()) const;
#else
    template <typename T>
    auto await_transform(task<T>&& child) noexcept;
    template <typename F>
        requires future<std::remove_cvref_t<F>>
    auto await_transform(F&& awaited) noexcept;
    stack_awaiter await_transform(task_stack) const;
#endif

protected:
    ~task_promise_base() {
        if (has_failed()) [[unlikely]] { std::destroy_at(std::addressof(exception)); }
    }
};

/// Gives a value out of an awaiter, moved. What is an optional or an expected is not copied as a
/// whole: it was written in parts a few instructions ago, and the processor would have to wait
/// until they are in the cache.
template <typename T>
T moved_out(T& value) noexcept(std::is_nothrow_move_constructible_v<T>) {
    return std::move(value);
}
template <typename T>
std::optional<T> moved_out(std::optional<T>& value) noexcept(
    std::is_nothrow_move_constructible_v<T>) {
    if (!value.has_value()) { return std::nullopt; }
    return std::optional<T>(std::in_place, std::move(*value));
}
template <typename T, typename E>
std::expected<T, E> moved_out(std::expected<T, E>& value) noexcept(
    (std::is_void_v<T> || std::is_nothrow_move_constructible_v<T>) &&
    std::is_nothrow_move_constructible_v<E>) {
    if (!value.has_value()) [[unlikely]] {
        return std::expected<T, E>(std::unexpect, std::move(value).error());
    }
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        return std::expected<T, E>(std::in_place, *std::move(value));
    }
}

/// What an awaiter keeps of a future that it polls: its result, or what the poll threw.
template <typename F>
class leaf_result {
    using value_type = future_value_t<F>;

public:
    static constexpr bool polls_noexcept =
        noexcept(std::declval<F&>().poll(std::declval<const waker&>()));

    /// Polls, and tells whether there is a result. It is built in its place: it is never moved, and
    /// the one before was `pending`.
    bool poll(F& future, const waker& waker) noexcept(polls_noexcept) {
        static_assert(std::is_nothrow_constructible_v<polled<value_type>, pending_t>);
        if constexpr (polls_noexcept) {
            ::new (static_cast<void*>(std::addressof(result_)))
                polled<value_type>(future.poll(waker));
        } else {
            try {
                ::new (static_cast<void*>(std::addressof(result_)))
                    polled<value_type>(future.poll(waker));
            } catch (...) {
                ::new (static_cast<void*>(std::addressof(result_))) polled<value_type>(pending);
                throw;
            }
        }
        return result_.is_ready();
    }
    /// Polls, and keeps an exception, which belongs into the coroutine that awaits.
    bool poll_or_keep(F& future, const waker& waker) noexcept {
        if constexpr (polls_noexcept) {
            return poll(future, waker);
        } else {
            try {
                return poll(future, waker);
            } catch (...) {
                thrown_ = std::current_exception();
                return true;
            }
        }
    }
    value_type take(F& /*future*/) {
        if constexpr (!polls_noexcept) {
            // Without a result, it was resumed for an exception.
            if (!result_.is_ready()) [[unlikely]] { std::rethrow_exception(std::move(thrown_)); }
        }
        if constexpr (!std::is_void_v<value_type>) { return moved_out(result_.value()); }
    }

private:
    struct nothing {};

    [[no_unique_address]] std::conditional_t<polls_noexcept, nothing, std::exception_ptr> thrown_;
    polled<value_type> result_{pending};
};

/// Nothing, when the future keeps it until it is taken.
template <two_step_future F>
class leaf_result<F> {
public:
    static constexpr bool polls_noexcept = true;

    static bool poll(F& future, const waker& waker) noexcept { return future.ready_to_take(waker); }
    static bool poll_or_keep(F& future, const waker& waker) noexcept { return poll(future, waker); }
    [[gnu::always_inline]] static future_value_t<F> take(F& future) noexcept(
        noexcept(future.take())) {
        return future.take();
    }
};

/// Polls a future until it is ready. The future stays where it is.
template <typename F, bool Named>
class [[nodiscard]] leaf_awaiter final : leaf_base {
    using result = leaf_result<F>;

public:
    using value_type = future_value_t<F>;

    leaf_awaiter(F& future, task_promise_base& root_of_chain, await_site_if<Named> site) noexcept
        : leaf_base(root_of_chain), future_(&future), site_(site) {}
    leaf_awaiter(const leaf_awaiter&) = delete;
    leaf_awaiter& operator=(const leaf_awaiter&) = delete;

    // Part of each coroutine, which g++ does not see to by itself: the awaiter was just written,
    // and need not be read again. That takes an eighth off the time of a ping-pong.
    [[nodiscard, gnu::always_inline]] bool await_ready() noexcept(result::polls_noexcept) {
        root_poll& now = root->current_poll();
        if (now.ready_left == 0) [[unlikely]] {
            now.who->wake();  // Not asked in this poll.
            return false;
        }
        if (!result_.poll(*future_, *now.who)) { return false; }
        --now.ready_left;
        return true;
    }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
        // No more than this, so that it becomes part of each coroutine, too.
        task_promise_base& chain = *root;
        poll = &poll_leaf;
        waiting = handle;
        chain.wait_for(*this);
        if constexpr (Named) { chain.waits_at(site_); }
    }
    [[gnu::always_inline]] value_type await_resume() noexcept(
        noexcept(std::declval<result&>().take(*future_))) {
        return result_.take(*future_);
    }

private:
    // Called by the root.
    static bool poll_leaf(leaf_base& self, const waker& waker) noexcept {
        auto& awaiter = static_cast<leaf_awaiter&>(self);
        return awaiter.result_.poll_or_keep(*awaiter.future_, waker);
    }

    F* future_;
    [[no_unique_address]] await_site_if<Named> site_;
    [[no_unique_address]] result result_;
};

/// Gives the text of the chain that awaits it, at once.
class stack_awaiter {
public:
    stack_awaiter(const task_promise_base& innermost, const await_site* here)
        : text_(dump_running(innermost, here)) {}
    static constexpr bool await_ready() noexcept { return true; }
    static constexpr void await_suspend(std::coroutine_handle<>) noexcept {}
    [[nodiscard]] std::string await_resume() noexcept { return std::move(text_); }

private:
    std::string text_;
};

#if HEPH_TASK_NAMES
template <typename F>
    requires future<std::remove_cvref_t<F>>
auto task_promise_base::await_transform(F&& awaited, std::source_location where) noexcept {
    using future_type = std::remove_reference_t<F>;
    await_site site{where, &typeid(future_type)};
    if constexpr (shows_tasks<future_type>) {
        site.visit = [](const void* erased, task_stack_visitor& visitor) {
            static_cast<const future_type*>(erased)->visit_tasks(visitor);
        };
        site.future = std::addressof(awaited);
    }
    return leaf_awaiter<future_type, true>(awaited, *root, site);
}
inline stack_awaiter task_promise_base::await_transform(task_stack,
                                                        std::source_location where) const {
    const await_site here{where, nullptr};
    return stack_awaiter(*this, &here);
}
#else
template <typename F>
    requires future<std::remove_cvref_t<F>>
auto task_promise_base::await_transform(F&& awaited) noexcept {
    return leaf_awaiter<std::remove_reference_t<F>, false>(awaited, *root, no_await_site());
}
inline stack_awaiter task_promise_base::await_transform(task_stack) const {
    return stack_awaiter(*this, nullptr);
}
#endif

template <typename T>
struct task_promise final : task_promise_base {
    static_assert(alignof(T) <= alignof(std::max_align_t),
                  "coroutine frames are aligned to 16 bytes only: give a std::unique_ptr to this");

    std::optional<T> value;

    task<T> get_return_object() noexcept;
    template <typename U = T>
    void return_value(U&& result) {
        static_assert(
            std::is_convertible_v<U&&, T>,
            "co_return takes what converts to the task's value by itself, as return "
            "does: where an explicit constructor is meant, name the type, co_return T(…)");
        value.emplace(std::forward<U>(result));
    }
    T take() {
        if (has_failed()) [[unlikely]] { std::rethrow_exception(take_exception()); }
        return std::move(*value);
    }
};

template <>
struct task_promise<void> final : task_promise_base {
    task<void> get_return_object() noexcept;
    static void return_void() noexcept {}
    void take() {
        if (has_failed()) [[unlikely]] { std::rethrow_exception(take_exception()); }
    }
};

static_assert(alignof(task_promise_base) <= alignof(std::max_align_t));
static_assert(sizeof(task_promise_base) == 3 * sizeof(void*));

/// Awaits a child task. It owns the child's frame.
template <typename T, bool Named>
class [[nodiscard]] child_awaiter {
public:
    child_awaiter(task<T>&& child, task_promise_base& root, await_site_if<Named> site) noexcept
        : child_(std::move(child)), root_(&root), site_(site) {}
    child_awaiter(const child_awaiter&) = delete;
    child_awaiter& operator=(const child_awaiter&) = delete;

    [[nodiscard]] bool await_ready() const noexcept { return child_.started(); }
    void await_suspend(std::coroutine_handle<> waiting) noexcept {
        task_promise_base& promise = child_.handle_.promise();
        promise.root = root_;
        promise.resume_next(waiting);
        if constexpr (Named) { promise.waits_at(site_); }
        root_->resume_next(child_.handle_);
    }
    T await_resume() { return child_.handle_.promise().take(); }

private:
    task<T> child_;
    task_promise_base* root_;
    [[no_unique_address]] await_site_if<Named> site_;
};

}  // namespace detail

}  // namespace heph
