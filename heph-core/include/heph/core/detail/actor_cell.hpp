#pragma once

// An actor between its supervisor and its inbox: what `actor_future` and supervision trees share.
//
// States
//     empty    --start-->                          running
//     running  --finished-->                       empty    (gives `finished`)
//     running  --failed: stop, escalate-->         empty    (gives `failed` or `escalated`)
//     running  --failed: restart-->                running  (a new actor, polled later)
//     running  --failed: restart after a while-->  waiting
//     waiting  --time passed, made again-->        running
//     waiting  --time passed, not made-->          asked again, as after a failure
//     waiting  --its runtime is asked to stop-->   empty    (gives `dropped`)
//     waiting  --`terminate` in its inbox-->       empty    (gives `finished`)
//     running, waiting  --drop-->                  empty
//
// Invariants
//     1. The old actor is destroyed before its supervisor is asked: what it held is free again.
//     2. The inbox is there in all states; who owns the cell closes it.
//     3. A new actor gets its first poll in a later poll of the cell, so that a restart loop blocks
//        nobody; and a new actor that cannot be made is tried twice at most without waiting.
//     4. `poll` never throws.
//
// A waiting actor's arguments and timer are in memory of their own, so that they cost a running
// one a pointer, and nothing at all when its supervisor never makes it wait.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <expected>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/actor_end.hpp>
#include <heph/core/context.hpp>
#include <heph/core/detail/frame_pool.hpp>
#include <heph/core/detail/message_map.hpp>
#include <heph/core/failure.hpp>
#include <heph/core/messages.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/stopping.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/timing.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/inbox/detail/message_watch.hpp>

namespace heph::detail {

/// A name in one word, which is null when there is none.
class short_name {
public:
    explicit short_name(std::string&& name)
        : name_(name.empty() ? nullptr : std::make_unique<const std::string>(std::move(name))) {}

    [[nodiscard]] std::string_view view() const noexcept {
        return name_ ? std::string_view(*name_) : std::string_view();
    }

private:
    std::unique_ptr<const std::string> name_;
};

/// How the actor in a cell ended. `dropped`: it waited for a restart as its runtime stopped.
enum class cell_end : std::uint8_t { finished, failed, escalated, dropped };

/// Whether one of the messages of an actor asks it to end.
template <typename M>
inline constexpr bool takes_terminate =
    std::same_as<M, messages::terminate> || holds_once<M, messages::terminate>;

/// Looks for that message in the inbox of an actor that is not there.
template <typename M>
class terminate_watch {
public:
    explicit terminate_watch(inbox::manager<M>& inbox) noexcept {
        // There is none while the failed actor's context is still in use.
        if (auto receiver = inbox.new_receiver()) { messages_.emplace(std::move(*receiver)); }
    }
    /// Tells whether it is there.
    [[nodiscard]] bool poll(const waker& waker) noexcept {
        if (!messages_) { return false; }
        while (const M* shown = messages_->next(waker)) {
            if constexpr (std::same_as<M, messages::terminate>) {
                return true;
            } else {
                if (std::holds_alternative<messages::terminate>(*shown)) { return true; }
            }
        }
        return false;
    }
    /// Gives the inbox back.
    void stop() noexcept { messages_.reset(); }

private:
    std::optional<inbox::detail::message_watch<M>> messages_;
};
template <typename M>
    requires(!takes_terminate<M>)
class terminate_watch<M> {
public:
    explicit terminate_watch(const inbox::manager<M>& /*inbox*/) noexcept {}
    [[nodiscard]] static bool poll(const waker& /*waker*/) noexcept { return false; }
    static void stop() noexcept {}
};

/// The arguments of a restart, the timer until then, and what ends the waiting before.
template <typename M, typename Args, typename Timer, typename Stopping>
struct waiting_restart {
    waiting_restart(inbox::manager<M>& inbox, Args&& arguments, Timer&& until, Stopping&& unless)
        : args(std::move(arguments)),
          timer(std::move(until)),
          stopping(std::move(unless)),
          terminate(inbox) {}

    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* memory, std::size_t size) noexcept {
        free_frame(memory, size);
    }

    Args args;
    Timer timer;
    [[no_unique_address]] Stopping stopping;
    [[no_unique_address]] terminate_watch<M> terminate;
};

struct nothing_waits {
    void reset() const noexcept {}
};

template <typename M, typename Supervisor, typename RT>
struct waiting_of : std::type_identity<nothing_waits> {};
template <typename M, typename Supervisor, typename RT>
    requires(may_delay<Supervisor> && timed_runtime<RT>)
struct waiting_of<M, Supervisor, RT>
    : std::type_identity<std::unique_ptr<
          waiting_restart<M, typename restart_args<answer_of_t<Supervisor>>::type, timer_of_t<RT>,
                          decltype(stopping_of(std::declval<RT&>()))>>> {};

/// Holds what only a restart needs, or nothing where there is none: an idle actor is small.
template <typename T, bool Kept>
struct kept_if {
    explicit kept_if(T&& kept) noexcept : value(std::move(kept)) {}
    [[no_unique_address]] T value;
};
template <typename T>
struct kept_if<T, false> {
    explicit kept_if(T&& /*dropped*/) noexcept {}
    [[no_unique_address]] struct {
    } value;
};

/// Counts restarts. *Thread safety*: one thread counts, any may ask.
template <bool Possible>
class restart_count {
public:
    restart_count() noexcept = default;
    restart_count(restart_count&& other) noexcept : count_(other.get()) {}
    restart_count& operator=(restart_count&&) = delete;
    ~restart_count() = default;

    void add() noexcept { count_.store(get() + 1, std::memory_order_relaxed); }
    [[nodiscard]] std::uint32_t get() const noexcept {
        return count_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint32_t> count_{0};
};
template <>
class restart_count<false> {
public:
    [[nodiscard]] static std::uint32_t get() noexcept { return 0; }
};

/// `RestartedFromOutside` says that `make` is called by who owns the cell, whatever the supervisor
/// decides.
template <typename Supervisor, typename NewActor, typename RT, typename Actor,
          bool RestartedFromOutside = false>
class actor_cell {
    using message_type = typename NewActor::message_type;
    static constexpr bool waits = may_delay<Supervisor>;
    static_assert(!waits || timed_runtime<RT>,
                  "this supervisor may restart after a while, for which the actor's runtime access "
                  "has to be a heph::timed_runtime; or take heph::without_delay(supervisor), which "
                  "restarts at once");
    static constexpr bool restarts_are_possible = RestartedFromOutside || may_restart<Supervisor>;

public:
    actor_cell(Supervisor supervisor, NewActor new_actor, RT runtime, short_name name,
               inbox::manager<message_type> inbox) noexcept
        : supervisor_(std::move(supervisor)),
          new_actor_(std::move(new_actor)),
          runtime_(std::move(runtime)),
          name_(std::move(name)),
          inbox_(std::move(inbox)) {}

    actor_cell(actor_cell&& other) noexcept
        : supervisor_(std::move(other.supervisor_)),
          new_actor_(std::move(other.new_actor_)),
          runtime_(std::move(other.runtime_)),
          name_(std::move(other.name_)),
          inbox_(std::move(other.inbox_)),
          waiting_(std::move(other.waiting_)),
          restarts_(std::move(other.restarts_)) {
        if (other.state_ == state::running) {
            start(std::move(other.actor_));
            other.drop();
        }
    }
    actor_cell& operator=(actor_cell&&) = delete;
    ~actor_cell() { drop(); }

    /// Puts an actor in. *Requires*: it is empty.
    void start(Actor&& actor) noexcept {
        HEPH_ASSERT(state_ == state::empty);
        std::construct_at(&actor_, std::move(actor));
        state_ = state::running;
    }

    /// Makes an actor with these arguments. *Requires*: it is empty.
    /// *Errors*: `report(failure)` is called with why it could not be made, and it stays empty.
    template <typename... Args, typename Report>
    bool make(std::tuple<Args...>& args, Report&& report) noexcept {
        HEPH_ASSERT(state_ == state::empty);
        std::exception_ptr exception;
        try {
            auto inbox = inbox_.new_receiver();
            if (!inbox) {
                report(describe(std::string_view("the failed actor's context is still in use"),
                                failure_stage::restarting));
                return false;
            }
            context<message_type, RT> ctx(std::move(*inbox), runtime_.value);
            auto made = std::apply(
                [&](Args&... each) {
                    return new_actor_.value.make(std::move(ctx), std::move(each)...);
                },
                args);
            if constexpr (is_expected<decltype(made)>) {
                if (!made) {
                    report(describe(made.error(), failure_stage::restarting));
                    return false;
                }
                start(std::move(*made));
            } else {
                start(std::move(made));
            }
            restarts_.add();
            return true;
        } catch (...) { exception = std::current_exception(); }
        report(describe(std::move(exception), failure_stage::restarting));
        return false;
    }

    /// Polls the actor, and does what its supervisor says. `on_failure(why, end)` is called with
    /// the failure that ends it. *Requires*: it is not empty.
    template <typename OnFailure>
    [[gnu::always_inline]] polled<cell_end> poll(const waker& waker,
                                                 OnFailure&& on_failure) noexcept {
        HEPH_ASSERT(state_ != state::empty);
        if constexpr (waits) {
            if (state_ == state::waiting) { return poll_waiting(waker, on_failure); }
        }
        return poll_running(waker, [&](const failure& why) noexcept {
            return after<true>(why, waker, on_failure);
        });
    }

    /// Polls the actor, and tells whether that is all: it goes on. Otherwise `poll` does the rest,
    /// and it may be that nothing was done yet. So the usual poll stays short.
    /// *Requires*: it is not empty.
    [[nodiscard, gnu::always_inline]] bool goes_on(const waker& waker) noexcept {
        HEPH_ASSERT(state_ != state::empty);
        if constexpr (runs_in_steps) {
            if constexpr (waits) {
                if (state_ != state::running) [[unlikely]] { return false; }
            }
            return !task_access::run(actor_, waker);
        } else {
            return false;
        }
    }

    /// Polls an actor that is being stopped: it ends when it fails, and its supervisor, which might
    /// restart it, is not asked. *Requires*: there is an actor.
    template <typename OnFailure>
    polled<cell_end> poll_last(const waker& waker, OnFailure&& on_failure) noexcept {
        HEPH_ASSERT(state_ == state::running);
        return poll_running(waker, [&](const failure& why) noexcept {
            log_failure(why, "not restarting it, as it is being stopped", false);
            return end(why, cell_end::failed, on_failure);
        });
    }

    /// Destroys the actor, or gives up the restart that is waited for.
    void drop() noexcept {
        if (state_ == state::running) { drop_actor(); }
        waiting_.reset();
        state_ = state::empty;
    }

    /// Replaces the supervisor by one that remembers nothing.
    void renew(Supervisor fresh) noexcept(std::is_nothrow_move_assignable_v<Supervisor>)
        requires std::is_move_assignable_v<Supervisor>
    {
        supervisor_ = std::move(fresh);
    }

    /// Tells whether it waits for a restart, so that there is no actor to talk to.
    [[nodiscard]] bool is_waiting() const noexcept { return state_ == state::waiting; }
    [[nodiscard]] bool is_empty() const noexcept { return state_ == state::empty; }
    [[nodiscard]] inbox::manager<message_type>& inbox() noexcept { return inbox_; }
    [[nodiscard]] const inbox::manager<message_type>& inbox() const noexcept { return inbox_; }
    [[nodiscard]] std::string_view name() const noexcept { return name_.view(); }
    /// Tells how often a new actor took the place of one. *Thread safety*: safe.
    [[nodiscard]] std::uint32_t restarts() const noexcept { return restarts_.get(); }

private:
    enum class state : std::uint8_t { empty, running, waiting };

    template <typename What>
    [[nodiscard]] failure describe(What&& what, failure_stage stage) const noexcept {
        return failure(std::forward<What>(what), name_.view(), stage, inbox_.id().hash());
    }

    // Polls the actor, and gives what `failed(why)` gives when it failed.
    template <typename Failed>
    [[gnu::always_inline]] polled<cell_end> poll_running(const waker& waker,
                                                         Failed&& failed) noexcept {
        auto result = poll_actor(waker);
        if (!result.is_ready()) { return pending; }
        drop_actor();  // Invariant 1.
        if (!result.value().has_value()) {
            return failed(describe(std::move(result.value().error()), failure_stage::running));
        }
        if constexpr (!std::is_void_v<actor_value>) {
            if (!result.value()->has_value()) {
                return failed(describe(result.value()->error(), failure_stage::running));
            }
        }
        return cell_end::finished;
    }

    using actor_value = future_value_t<Actor>;
    using outcome = polled<std::expected<actor_value, std::exception_ptr>>;

    static constexpr bool gives_exceptions =
        requires(Actor& actor, const waker& waker) { requires noexcept(actor.try_poll(waker)); };
    static constexpr bool runs_in_steps =
        gives_exceptions &&
        requires(Actor& actor, const waker& waker) { task_access::run(actor, waker); };

    // An exception is given, not thrown: a task can do so without throwing it a second time. Its
    // handler is left before the actor goes.
    outcome poll_actor(const waker& waker) noexcept {
        if constexpr (gives_exceptions) {
            return actor_.try_poll(waker);
        } else {
            try {
                auto result = actor_.poll(waker);
                if (!result.is_ready()) { return pending; }
                if constexpr (std::is_void_v<actor_value>) {
                    return outcome(std::in_place);
                } else {
                    return outcome(std::in_place, std::move(result).value());
                }
            } catch (...) {
                return outcome(std::in_place, std::unexpect, std::current_exception());
            }
        }
    }

    void drop_actor() noexcept {
        state_ = state::empty;  // First: the actor may look at whoever looks at this.
        std::destroy_at(&actor_);
    }

    template <typename OnFailure>
    polled<cell_end> end(const failure& why, cell_end how, OnFailure& on_failure) noexcept {
        on_failure(why, how);
        return how;
    }

    // Asks the supervisor, and does what it answers. A second failure, to make the new actor, is
    // asked about once more.
    template <bool AskAgain, typename OnFailure>
    polled<cell_end> after(const failure& why, const waker& waker, OnFailure& on_failure) noexcept {
        std::exception_ptr exception;
        try {
            auto answer = ask_supervisor(supervisor_, why, runtime_.value);
            using answer_type = decltype(answer);
            if constexpr (std::same_as<answer_type, stop_t>) {
                return end(why, cell_end::failed, on_failure);
            } else if constexpr (std::same_as<answer_type, escalate_t>) {
                return end(why, cell_end::escalated, on_failure);
            } else {
                if constexpr (requires { answer.is_restart(); }) {
                    if (answer.is_escalation()) {
                        return end(why, cell_end::escalated, on_failure);
                    }
                    if (!answer.is_restart()) { return end(why, cell_end::failed, on_failure); }
                }
                if constexpr (requires { answer.delay(); }) {
                    if (answer.delay().count() > 0) { return wait(answer, waker); }
                }
                return make_again<AskAgain>(answer.args(), waker, on_failure);
            }
        } catch (...) { exception = std::current_exception(); }
        return second_failure<AskAgain>(describe(std::move(exception), failure_stage::restarting),
                                        waker, on_failure);
    }

    template <bool AskAgain, typename... Args, typename OnFailure>
    polled<cell_end> make_again(std::tuple<Args...>& args, const waker& waker,
                                OnFailure& on_failure) noexcept {
        std::optional<cell_end> ended;
        const bool made = make(args, [&](const failure& why) noexcept {
            auto result = second_failure<AskAgain>(why, waker, on_failure);
            if (result.is_ready()) { ended.emplace(result.value()); }
        });
        if (ended) { return *ended; }
        if (made) { waker.wake(); }  // Invariant 3.
        return pending;
    }

    template <bool AskAgain, typename OnFailure>
    polled<cell_end> second_failure(const failure& why, const waker& waker,
                                    OnFailure& on_failure) noexcept {
        if constexpr (AskAgain) {
            return after<false>(why, waker, on_failure);
        } else {
            log_failure(why, "stopping it", true);
            return end(why, cell_end::failed, on_failure);
        }
    }

    // Waits before the restart. An exception goes to the caller.
    template <typename Answer>
    polled<cell_end> wait(Answer& answer, const waker& waker) {
        using waiting_type = typename decltype(waiting_)::element_type;
        waiting_.reset(new waiting_type(
            inbox_, std::move(answer.args()),
            runtime_.value.timer_at(later(runtime_.value.now(), to_clock(answer.delay()))),
            stopping_of(runtime_.value)));
        state_ = state::waiting;
        waker.wake();  // The timer gets the waker by its first poll.
        return pending;
    }

    template <typename OnFailure>
    polled<cell_end> poll_waiting(const waker& waker, OnFailure& on_failure) noexcept {
        std::exception_ptr exception;
        const bool is_asked = waiting_->terminate.poll(waker);
        bool stops = false;
        try {
            if constexpr (stoppable_runtime<RT>) {
                stops = waiting_->stopping.poll(waker).is_ready();
            }
            if (!is_asked && !stops && !waiting_->timer.poll(waker).is_ready()) { return pending; }
        } catch (...) { exception = std::current_exception(); }
        const auto due = std::move(waiting_);
        due->terminate.stop();
        state_ = state::empty;
        if (is_asked || stops) {
            log_no_restart(is_asked ? "it was asked to terminate" : "its runtime stops",
                           name_.view(), inbox_.id().hash());
            return is_asked ? cell_end::finished : cell_end::dropped;
        }
        if (exception) {
            return second_failure<false>(describe(std::move(exception), failure_stage::restarting),
                                         waker, on_failure);
        }
        return make_again<true>(due->args, waker, on_failure);
    }

    [[no_unique_address]] Supervisor supervisor_;
    // One that owns nothing is not missed by the actor that it made.
    [[no_unique_address]] kept_if<
        NewActor, restarts_are_possible || !std::is_trivially_destructible_v<NewActor>> new_actor_;
    [[no_unique_address]] kept_if<RT, restarts_are_possible || decides_by_time<Supervisor>>
        runtime_;
    short_name name_;
    // Before the actor, so that it goes after the actor's receiver.
    inbox::manager<message_type> inbox_;
    [[no_unique_address]] typename waiting_of<message_type, Supervisor, RT>::type waiting_;
    union {
        Actor actor_;
    };
    [[no_unique_address]] restart_count<restarts_are_possible> restarts_;
    state state_ = state::empty;
};

}  // namespace heph::detail
