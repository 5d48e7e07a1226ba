#pragma once

// An operation of Boost.Asio that waits for a future. Its states and invariants are in
// <heph/inbox/asio.hpp>; their numbers are used here.

#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/system_error.hpp>

#include <heph/inbox/detail/posted_poll.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

namespace detail {

/// An operation as its execution context sees it.
class asio_operation_base : public posted_poll {
public:
    asio_operation_base* list_next = nullptr;
    asio_operation_base* list_previous = nullptr;

    /// Destroys the future and the handler, which is not called, and drops the owner's reference.
    virtual void abandon() noexcept = 0;
};

/// Lists the operations whose handlers an execution context runs, and destroys them with it.
class asio_operations final : public boost::asio::execution_context::service {
public:
    static inline boost::asio::execution_context::id id;

    explicit asio_operations(boost::asio::execution_context& context) : service(context) {}

    /// Adds an operation, unless the context is being destroyed.
    [[nodiscard]] bool add(asio_operation_base& added) noexcept {
        const std::lock_guard lock(mutex_);
        if (shut_down_) { return false; }
        added.list_next = first_;
        if (first_ != nullptr) { first_->list_previous = &added; }
        first_ = &added;
        return true;
    }

    void remove(asio_operation_base& removed) noexcept {
        const std::lock_guard lock(mutex_);
        unlink(removed);
    }

private:
    void shutdown() override {
        for (;;) {
            asio_operation_base* last = nullptr;
            {
                const std::lock_guard lock(mutex_);
                shut_down_ = true;
                last = first_;
                if (last == nullptr) { return; }
                unlink(*last);
            }
            last->abandon();  // Outside of the lock: it destroys what users wrote.
        }
    }

    void unlink(asio_operation_base& removed) noexcept {
        (removed.list_previous != nullptr ? removed.list_previous->list_next : first_) =
            removed.list_next;
        if (removed.list_next != nullptr) {
            removed.list_next->list_previous = removed.list_previous;
        }
        removed.list_next = removed.list_previous = nullptr;
    }

    std::mutex mutex_;
    asio_operation_base* first_ = nullptr;
    bool shut_down_ = false;
};

/// What a future's value is in a completion signature: handlers are called with some value even
/// when there is none, so a value without a default becomes optional.
template <typename T>
using asio_value_t = std::conditional_t<std::is_default_constructible_v<T>, T, std::optional<T>>;

/// How a completion says that there is no value: in an error code, unless polling may throw.
template <future F>
using asio_error_t =
    std::conditional_t<noexcept(std::declval<F&>().poll(std::declval<const waker&>())),
                       boost::system::error_code, std::exception_ptr>;

template <future F, typename T = future_value_t<F>>
struct asio_signature {
    using type = void(asio_error_t<F>, asio_value_t<T>);
};
template <future F>
struct asio_signature<F, void> {
    using type = void(asio_error_t<F>);
};

/// Stands for no executor.
struct asio_no_executor {};

template <typename Executor>
boost::asio::execution_context& asio_execution_context(const Executor& executor) noexcept {
    if constexpr (boost::asio::can_query<const Executor&,
                                         boost::asio::execution::context_t>::value) {
        return boost::asio::query(executor, boost::asio::execution::context);
    } else {
        return executor.context();
    }
}

/// What is left to do once a future has given its value: the handler is to be called.
template <typename Handler, typename Executor, typename F>
class asio_completion {
    using value_type = future_value_t<F>;
    using error_type = asio_error_t<F>;

public:
    asio_completion(Handler&& handler, const Executor& executor)
        : handler_(std::move(handler)),
          slot_(boost::asio::get_associated_cancellation_slot(handler_)),
          work_(executor),
          error_() {}

    [[nodiscard]] auto& slot() noexcept { return slot_; }
    [[nodiscard]] Executor executor() const noexcept { return work_.get_executor(); }

    /// Tells whether there is something to call the handler with.
    [[nodiscard]] bool is_ready() const noexcept { return result_ || error_; }

    void set(polled<value_type>&& result) { result_.emplace(std::move(result)); }
    void set(std::exception_ptr error) noexcept { error_ = std::move(error); }
    void set(boost::system::error_code error) {
        if constexpr (std::is_same_v<error_type, std::exception_ptr>) {
            error_ = std::make_exception_ptr(boost::system::system_error(error));
        } else {
            error_ = error;
        }
    }

    /// Calls the handler. Runs where its associated executor says. The work is done when the
    /// handler has returned, or thrown.
    void operator()() {
        if (slot_.is_connected()) { slot_.clear(); }
        if constexpr (std::is_void_v<value_type>) {
            std::move(handler_)(std::move(error_));
        } else if (result_) {
            std::move(handler_)(std::move(error_),
                                asio_value_t<value_type>(std::move(*result_).value()));
        } else {
            std::move(handler_)(std::move(error_), asio_value_t<value_type>());
        }
    }

private:
    using slot_type =
        boost::asio::associated_cancellation_slot_t<Handler, boost::asio::cancellation_slot>;

    Handler handler_;
    slot_type slot_;
    boost::asio::executor_work_guard<Executor> work_;
    std::optional<polled<value_type>> result_;
    error_type error_;
};

/// A future that somebody waits for with a completion handler.
template <typename Held, typename Handler, typename NamedExecutor>
class asio_operation final : public asio_operation_base {
    using future_type = std::remove_cvref_t<Held>;
    using handler_executor = boost::asio::associated_executor_t<Handler, NamedExecutor>;
    using completion = asio_completion<Handler, handler_executor, future_type>;

    static constexpr bool is_named = !std::is_same_v<NamedExecutor, asio_no_executor>;
    using poll_executor = std::conditional_t<is_named, NamedExecutor, handler_executor>;

public:
    asio_operation(Handler&& handler, Held&& awaited, const NamedExecutor& named)
        : parts_(std::in_place, std::move(handler), std::forward<Held>(awaited), named) {}

    /// Starts a new operation with its first poll.
    static void initiate(Handler handler, Held&& awaited, const NamedExecutor& named) {
        auto* made = new asio_operation(std::move(handler), std::forward<Held>(awaited), named);
        parts& mine = *made->parts_;
        if (!mine.operations.add(*made)) { return made->abandon(); }
        try {
            auto& slot = mine.todo.slot();
            if (slot.is_connected()) { slot.template emplace<canceller>(canceller(*made)); }
            made->poll_first();
        } catch (...) {  // Out of memory; nothing was posted.
            mine.operations.remove(*made);
            made->abandon();
            throw;
        }
    }

private:
    /// What there is until the operation is complete.
    struct parts {
        completion todo;
        boost::asio::executor_work_guard<poll_executor> work;
        asio_operations& operations;
        Held awaited;
        waker own_waker;

        parts(Handler&& handler, Held&& future, const NamedExecutor& named)
            : parts(boost::asio::associated_executor<Handler, NamedExecutor>::get(handler, named),
                    std::move(handler), std::forward<Held>(future), named) {}

    private:
        parts(handler_executor executor, Handler&& handler, Held&& future,
              const NamedExecutor& named)
            : todo(std::move(handler), executor),
              work(choose(executor, named)),
              operations(boost::asio::use_service<asio_operations>(
                  asio_execution_context(choose(executor, named)))),
              awaited(std::forward<Held>(future)) {}

        static const poll_executor& choose([[maybe_unused]] const handler_executor& executor,
                                           [[maybe_unused]] const NamedExecutor& named) noexcept {
            if constexpr (is_named) {
                return named;
            } else {
                return executor;
            }
        }
    };

    /// What a cancellation signal calls. The operation may be gone by then.
    class canceller {
    public:
        explicit canceller(asio_operation& of) noexcept : of_(&of) { of_->add_reference(); }
        canceller(canceller&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
        canceller& operator=(canceller&&) = delete;
        ~canceller() {
            if (of_ != nullptr) { of_->drop_reference(); }
        }
        void operator()(boost::asio::cancellation_type_t type) noexcept {
            if (type != boost::asio::cancellation_type_t::none) { of_->cancel(); }
        }

    private:
        asio_operation* of_;
    };

    void post(resumption next) override {
        boost::asio::post(parts_->work.get_executor(), std::move(next));
    }

    // In the initiating function. Throws when posting does.
    void poll_first() {
        parts_->own_waker = make_waker();
        if (poll_or_catch()) { parts_->own_waker.wake(); }  // To complete is to be posted, too.
        if (end_poll()) { post_again(); }
    }

    // Where the operation is polled, alone.
    void run() override {
        completion& todo = parts_->todo;
        if (!todo.is_ready()) {
            if (cancelled()) {
                todo.set(make_error_code(boost::asio::error::operation_aborted));
            } else if (!poll_or_catch()) {
                if (!end_poll()) { return; }
                try {
                    return post_again();
                } catch (const std::bad_alloc&) {  // Nothing was posted; nobody else runs this.
                    todo.set(make_error_code(boost::system::errc::not_enough_memory));
                }
            }
        }
        complete();
    }

    [[nodiscard]] bool poll_or_catch() {
        if constexpr (std::is_same_v<asio_error_t<future_type>, std::exception_ptr>) {
            try {
                return poll_once();
            } catch (...) {
                parts_->todo.set(std::current_exception());
                return true;
            }
        } else {
            return poll_once();
        }
    }

    [[nodiscard]] bool poll_once() {
        auto polled = parts_->awaited.poll(parts_->own_waker);
        if (!polled.is_ready()) { return false; }
        parts_->todo.set(std::move(polled));
        return true;
    }

    void complete() {
        close();
        parts_->operations.remove(*this);
        const boost::asio::executor_work_guard<poll_executor> work(std::move(parts_->work));
        completion todo(std::move(parts_->todo));
        parts_.reset();    // Invariant 5.
        drop_reference();  // The owner's; the resumption that runs this has its own.
        const handler_executor executor = todo.executor();
        if constexpr (std::is_same_v<handler_executor, poll_executor>) {
            if (executor == work.get_executor()) { return todo(); }
        }
        boost::asio::dispatch(executor, std::move(todo));
    }

    void abandon() noexcept override {
        close();
        parts_.reset();
        drop_reference();
    }

    std::optional<parts> parts_;
};

/// Starts the operation once the completion handler is there.
template <typename NamedExecutor>
class asio_initiation {
public:
    using executor_type = NamedExecutor;

    explicit asio_initiation(const NamedExecutor& named) noexcept : named_(named) {}
    [[nodiscard]] executor_type get_executor() const noexcept { return named_; }

    template <typename Handler, typename Held>
    void operator()(Handler&& handler, Held held) const {
        asio_operation<typename Held::type, std::decay_t<Handler>, NamedExecutor>::initiate(
            std::forward<Handler>(handler), std::move(held).get(), named_);
    }

private:
    NamedExecutor named_;
};

/// The same, when only the handler can say who calls it.
template <>
class asio_initiation<asio_no_executor> {
public:
    explicit asio_initiation(const asio_no_executor&) noexcept {}

    template <typename Handler, typename Held>
    void operator()(Handler&& handler, Held held) const {
        using handler_type = std::decay_t<Handler>;
        constexpr bool says_who =
            !std::is_same_v<boost::asio::associated_executor_t<handler_type, asio_no_executor>,
                            asio_no_executor>;
        static_assert(
            says_who,
            "this completion handler has no associated executor: say who calls it, as in "
            "heph::async_await(context, future, token) or with boost::asio::bind_executor");
        if constexpr (says_who) {
            asio_operation<typename Held::type, handler_type, asio_no_executor>::initiate(
                std::forward<Handler>(handler), std::move(held).get(), asio_no_executor());
        }
    }
};

/// Carries a future, or a reference to one, through Boost.Asio's decaying copies.
template <typename F>
class asio_held {
public:
    using type = F;
    explicit asio_held(F&& held) noexcept(std::is_nothrow_move_constructible_v<F>)
        : held_(std::move(held)) {}
    [[nodiscard]] F&& get() && noexcept { return std::move(held_); }

private:
    F held_;
};
template <typename F>
class asio_held<F&> {
public:
    using type = F&;
    explicit asio_held(F& held) noexcept : held_(&held) {}
    [[nodiscard]] F& get() && noexcept { return *held_; }

private:
    F* held_;
};

/// *Requires*: `Token` is deduced from a forwarding reference, so that a token which is an lvalue
/// is copied.
template <typename Token, typename NamedExecutor, typename F>
auto asio_async_await(const NamedExecutor& named, F&& awaited,
                      std::remove_reference_t<Token>& token) {
    return boost::asio::async_initiate<Token,
                                       typename asio_signature<std::remove_cvref_t<F>>::type>(
        asio_initiation<NamedExecutor>(named), token, asio_held<F>(std::forward<F>(awaited)));
}

}  // namespace detail

}  // namespace heph
