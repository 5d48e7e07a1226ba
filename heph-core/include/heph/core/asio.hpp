#pragma once

// Actors on Boost.Asio, and Boost.Asio's operations in actors. Optional: nothing else of heph-core
// includes this header, and who does needs Boost.Asio 1.81 or later.
//
//     boost::asio::io_context context;
//     heph::asio_runtime runtime(context.get_executor());
//     auto ref = runtime.spawn(heph::stop_supervisor(), heph::actor_fn(greeter));
//     context.run();  // returns when every actor is finished
//
//     heph::task<> greeter(heph::asio_context<std::string> ctx) {
//         boost::asio::steady_timer timer(ctx.runtime().get_executor(), 1s);
//         auto waited = co_await timer.async_wait(heph::as_future);
//         …
//     }
//
// States of an operation of Boost.Asio that is a future
//     made     --first poll-->             started: the operation is initiated
//     made     --dropped-->                gone; it never was
//     started  --handler is called-->      ready, and woken
//     started  --handler is destroyed-->   ready: poll throws `operation_abandoned`
//     started  --dropped-->                gone; the operation is told to cancel itself, and what
//                                          it gives is discarded

#include <chrono>
#include <exception>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>

#include <heph/core/actor_future.hpp>
#include <heph/core/context.hpp>
#include <heph/core/detail/outcome.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/asio.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/oneshot.hpp>

namespace heph {

/// Is a completion token that makes a future of an operation of Boost.Asio, for a task to await:
/// `co_await socket.async_read_some(buffer, heph::as_future)`.
///
/// What the future gives follows from the operation's signature: for `void(error_code, T)` a
/// `std::expected<T, boost::system::error_code>`; for `void(std::exception_ptr, T)`, as of
/// `co_spawn`, the `T`, or that exception; for another `void(T)` the `T`. Nothing stands for no
/// `T`, and a `std::tuple` for several.
///
/// *Cancellation*: dropping the future cancels the operation, by its cancellation slot, as far as
/// it supports that; what it gives is discarded.
/// *Requires*: the task is dropped where it may use the operation's object: on its executor, or
/// while the execution context does not run. That is so by itself when the task runs on that
/// executor; on a context with several threads, make both a strand.
/// *Lifetime*: the object (the socket, the timer) has to outlive the future, and buffers the
/// operation: locals of the task do, and what the task owns. A task that its execution context
/// drops goes after all objects outside of it are gone, so there it has to own what it uses. An
/// operation that supports no cancellation goes on when it is dropped: let its buffers be owned
/// elsewhere, as `from_callback` does.
struct as_future_t {
    explicit constexpr as_future_t() noexcept = default;
};
inline constexpr as_future_t as_future{};

namespace detail {

/// Finds what a future gives for the arguments of a handler, and makes it of them.
template <typename... Args>
struct asio_value {
    using type = std::conditional_t<sizeof...(Args) == 0, void, std::tuple<std::decay_t<Args>...>>;
    template <typename... Given>
    static void settle(outcome<type>& result, Given&&... given) {
        result.set_value(std::forward<Given>(given)...);
    }
};
template <typename Arg>
struct asio_value<Arg> {
    using type = std::decay_t<Arg>;
    template <typename Given>
    static void settle(outcome<type>& result, Given&& given) {
        result.set_value(std::forward<Given>(given));
    }
};

template <typename... Args>
struct asio_result : asio_value<Args...> {};
template <typename... Args>
struct asio_result<boost::system::error_code, Args...> {
    using value = typename asio_value<Args...>::type;
    using type = std::expected<value, boost::system::error_code>;
    template <typename... Given>
    static void settle(outcome<type>& result, const boost::system::error_code& error,
                       Given&&... given) {
        if (error) {
            result.set_value(std::unexpect, error);
        } else if constexpr (std::is_void_v<value>) {
            result.set_value();
        } else {
            result.set_value(std::in_place, std::forward<Given>(given)...);
        }
    }
};
template <typename... Args>
struct asio_result<std::exception_ptr, Args...> {
    using type = typename asio_value<Args...>::type;
    template <typename... Given>
    static void settle(outcome<type>& result, std::exception_ptr thrown, Given&&... given) {
        if (thrown) {
            result.set_exception(std::move(thrown));
        } else {
            asio_value<Args...>::settle(result, std::forward<Given>(given)...);
        }
    }
};

/// Lets a future cancel its operation as long as that has not ended. A cancellation may run the
/// handler from within, hence the recursive mutex; with a strand it is never contended.
class asio_cancellation {
public:
    [[nodiscard]] boost::asio::cancellation_slot slot() noexcept { return signal_.slot(); }

    void end() noexcept {
        const std::scoped_lock lock(mutex_);
        ended_ = true;
        signal_.slot().clear();
    }
    void cancel() noexcept {
        const std::scoped_lock lock(mutex_);
        if (!ended_) { signal_.emit(boost::asio::cancellation_type::all); }
    }

private:
    std::recursive_mutex mutex_;
    bool ended_ = false;
    boost::asio::cancellation_signal signal_;
};

/// Is the handler of an operation whose result a future gives.
template <typename... Args>
class asio_handler {
    using result = asio_result<std::decay_t<Args>...>;
    using outcome_type = outcome<typename result::type>;

public:
    using cancellation_slot_type = boost::asio::cancellation_slot;

    asio_handler(inbox::oneshot_sender<outcome_type> reply,
                 std::shared_ptr<asio_cancellation> cancellation) noexcept
        : reply_(std::move(reply)), cancellation_(std::move(cancellation)) {}
    asio_handler(asio_handler&&) noexcept = default;
    asio_handler& operator=(asio_handler&&) = delete;
    ~asio_handler() {
        if (cancellation_ != nullptr) { cancellation_->end(); }
    }

    [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept {
        return cancellation_->slot();
    }

    void operator()(Args... args) {
        std::exchange(cancellation_, nullptr)->end();
        outcome_type settled;
        try {
            result::settle(settled, std::move(args)...);
        } catch (...) { settled.set_exception(std::current_exception()); }
        // What comes back, nobody waits for any more.
        (void)std::move(reply_).try_send(std::move(settled));
    }

private:
    inbox::oneshot_sender<outcome_type> reply_;
    std::shared_ptr<asio_cancellation> cancellation_;
};

}  // namespace detail

/// Waits for an operation of Boost.Asio. Made by passing `as_future` as its completion token.
template <typename Signature, typename Initiation, typename... InitiationArgs>
class asio_future;

template <typename R, typename... Args, typename Initiation, typename... InitiationArgs>
class [[nodiscard]] asio_future<R(Args...), Initiation, InitiationArgs...> {
public:
    using value_type = typename detail::asio_result<std::decay_t<Args>...>::type;

    explicit asio_future(Initiation initiation, InitiationArgs... args)
        : initiation_(std::in_place, std::move(initiation),
                      std::tuple<InitiationArgs...>(std::move(args)...)) {}
    asio_future(asio_future&&) = default;
    asio_future& operator=(asio_future&&) = delete;
    ~asio_future() {
        if (!reply_.is_waited_for()) { return; }
        // First, as the handler may be called by the cancellation.
        reply_.forget();
        cancellation_->cancel();
    }

    polled<value_type> poll(const waker& waker) {
        if (initiation_) { start(); }
        return reply_.poll(waker);
    }

private:
    using outcome_type = detail::outcome<value_type>;

    void start() {
        auto [initiation, args] = *std::exchange(initiation_, std::nullopt);
        auto [sender, receiver] = inbox::oneshot<outcome_type>();
        cancellation_ = std::make_shared<detail::asio_cancellation>();
        reply_.begin(std::move(receiver));
        detail::asio_handler<Args...> handler(std::move(sender), cancellation_);
        std::apply(
            [&](auto&... each) { std::move(initiation)(std::move(handler), std::move(each)...); },
            args);
    }

    std::optional<std::pair<Initiation, std::tuple<InitiationArgs...>>> initiation_;
    std::shared_ptr<detail::asio_cancellation> cancellation_;
    detail::awaited_outcome<value_type> reply_;
};

}  // namespace heph

/// Makes `as_future` a completion token.
template <typename R, typename... Args>
class boost::asio::async_result<heph::as_future_t, R(Args...)> {
public:
    template <typename Initiation, typename... InitiationArgs>
    static auto initiate(Initiation&& initiation, heph::as_future_t, InitiationArgs&&... args) {
        return heph::asio_future<R(Args...), std::decay_t<Initiation>,
                                 std::decay_t<InitiationArgs>...>(
            std::forward<Initiation>(initiation), std::forward<InitiationArgs>(args)...);
    }
};

namespace heph {

/// Is ready at a point in time. Made by `asio_runtime::timer_at`.
class [[nodiscard]] asio_timer {
public:
    using value_type = void;

    asio_timer(boost::asio::any_io_executor executor, steady_time when)
        : executor_(std::move(executor)), when_(when) {}
    asio_timer(asio_timer&& other) noexcept
        : executor_(std::move(other.executor_)), when_(other.when_) {}
    asio_timer& operator=(asio_timer&&) = delete;
    ~asio_timer() = default;

    polled<void> poll(const waker& waker) {
        if (!waiting_) {
            timer_.emplace(executor_, when_);
            waiting_.emplace(timer_->async_wait(as_future));
        }
        auto waited = waiting_->poll(waker);
        if (!waited.is_ready()) { return pending; }
        waiting_.reset();
        return ready;
    }

private:
    using waiting_type = decltype(std::declval<boost::asio::steady_timer&>().async_wait(as_future));

    boost::asio::any_io_executor executor_;
    steady_time when_;
    std::optional<boost::asio::steady_timer> timer_;
    std::optional<waiting_type> waiting_;  // Goes before the timer.
};

namespace detail {

/// Is what follows a future that was spawned: nothing, or its exception.
struct asio_spawned {
    template <typename... Value>
    void operator()(boost::system::error_code, Value&&...) const noexcept {}
    template <typename... Value>
    void operator()(const std::exception_ptr& thrown, Value&&...) const {
        if (thrown) { std::rethrow_exception(thrown); }
    }
};

}  // namespace detail

/// Runs actors on an executor of Boost.Asio, and is the runtime of those actors, with timers: a
/// `timed_runtime`.
///
/// Each actor is polled by one thread at a time, whatever the executor; with a strand, so are all
/// of those on it. An execution context runs on as long as there is an actor. Destroying it drops
/// what is left.
///
/// *Thread safety*: safe. *Lifetime*: the execution context's.
class asio_runtime {
public:
    explicit asio_runtime(boost::asio::any_io_executor executor) noexcept
        : executor_(std::move(executor)) {}

    [[nodiscard]] const boost::asio::any_io_executor& get_executor() const noexcept {
        return executor_;
    }

    /// Starts an actor. Gives a reference to it.
    template <typename Supervisor, typename NewActor, typename... Args>
    auto spawn(actor_options options, Supervisor supervisor, NewActor new_actor,
               Args... args) const {
        auto [running, ref] = make_actor(std::move(supervisor), std::move(new_actor), *this,
                                         std::move(options), std::move(args)...);
        spawn_future(std::move(running));
        return std::move(ref);
    }
    template <typename Supervisor, typename NewActor, typename... Args>
        requires(!std::same_as<Supervisor, actor_options>)
    auto spawn(Supervisor supervisor, NewActor new_actor, Args... args) const {
        return spawn(actor_options{}, std::move(supervisor), std::move(new_actor),
                     std::move(args)...);
    }

    /// Runs a future on the executor; its value is dropped. An exception that leaves it leaves the
    /// execution context's `run`.
    template <future F>
    void spawn_future(F running) const {
        async_await(executor_, std::move(running), detail::asio_spawned());
    }

    [[nodiscard]] static steady_time now() noexcept { return std::chrono::steady_clock::now(); }
    [[nodiscard]] asio_timer timer_at(steady_time when) const {
        return asio_timer(executor_, when);
    }

private:
    boost::asio::any_io_executor executor_;
};

static_assert(timed_runtime<asio_runtime>);

/// The context of an actor that `asio_runtime` runs.
template <typename M = no_message>
using asio_context = context<M, asio_runtime>;

}  // namespace heph
