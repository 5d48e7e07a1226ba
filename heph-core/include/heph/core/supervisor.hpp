#pragma once

// Who decides what happens to an actor that failed.
//
//     auto supervisor = [](const heph::failure& why) -> heph::decision<std::string> {
//         if (why.is_exception()) { return heph::escalate; }
//         return heph::restart(std::string("again"));
//     };
//
// What a supervisor is asked, and when
//     running    --the actor returns an error, or an exception leaves it-->  asked (running)
//     asked      --stop, escalate-->            ended
//     asked      --restart(args)-->             made again
//     asked      --restart(args).after(time)--> waiting   --time passes-->  made again
//                                               waiting   --its runtime stops-->  ended
//     made again --it works-->                  running
//     made again --it fails-->                  asked (restarting): once, unless it waited between
//
// The old actor is gone before the supervisor is asked. The inbox stays for all of it.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <heph/core/detail/restart_history.hpp>
#include <heph/core/failure.hpp>
#include <heph/core/sendable.hpp>
#include <heph/core/timing.hpp>

namespace heph {

/// Answers a failure with: leave it stopped.
struct stop_t {
    explicit constexpr stop_t() noexcept = default;
};
inline constexpr stop_t stop{};

/// Answers a failure with: it is not for me to decide. The actor is stopped, and the failure goes
/// to the supervision tree that runs it. Where there is none, that is logged as critical.
struct escalate_t {
    explicit constexpr escalate_t() noexcept = default;
};
inline constexpr escalate_t escalate{};

/// Answers a failure with: start again with these arguments, after a while. See `restart`.
template <typename... Args>
class delayed_restart {
public:
    delayed_restart(std::chrono::nanoseconds delay, std::tuple<Args...> args)
        : args_(std::move(args)), delay_(delay) {}

    /// Gives the arguments for the new actor.
    [[nodiscard]] std::tuple<Args...>& args() noexcept { return args_; }
    [[nodiscard]] std::chrono::nanoseconds delay() const noexcept { return delay_; }

private:
    std::tuple<Args...> args_;
    std::chrono::nanoseconds delay_;
};

/// Answers a failure with: start again with these arguments. See `restart`.
template <typename... Args>
class restart_with {
public:
    explicit restart_with(Args... args) : args_(std::move(args)...) {}

    /// Gives the arguments for the new actor.
    [[nodiscard]] std::tuple<Args...>& args() noexcept { return args_; }

    /// Says to wait before that. Messages queue meanwhile. Where the runtime access is a
    /// `stoppable_runtime`, a stop of the runtime ends the waiting, and the actor.
    /// *Requires*: the actor's runtime access is a `timed_runtime`.
    [[nodiscard]] delayed_restart<Args...> after(std::chrono::nanoseconds delay) && {
        return delayed_restart<Args...>(delay, std::move(args_));
    }

private:
    std::tuple<Args...> args_;
};

/// Answers a failure with: start again, with these arguments.
template <typename... Args>
[[nodiscard]] restart_with<std::decay_t<Args>...> restart(Args&&... args) {
    return restart_with<std::decay_t<Args>...>(std::forward<Args>(args)...);
}

/// Holds a supervisor's answer that may be any of these: `stop`, `escalate`, `restart(args...)`.
template <typename... Args>
class decision {
public:
    // NOLINTBEGIN(google-explicit-constructor): a supervisor returns what it decided.
    decision(stop_t) noexcept {}
    decision(escalate_t) noexcept : escalates_(true) {}

    template <typename... Others>
        requires std::constructible_from<std::tuple<Args...>, Others...>
    decision(restart_with<Others...> again)
        : args_(std::apply([](auto&... each) { return std::tuple<Args...>(std::move(each)...); },
                           again.args())) {}
    // NOLINTEND(google-explicit-constructor)

    [[nodiscard]] bool is_restart() const noexcept { return args_.has_value(); }
    [[nodiscard]] bool is_escalation() const noexcept { return escalates_; }

    /// Gives the arguments for the new actor. *Requires*: `is_restart()`.
    [[nodiscard]] std::tuple<Args...>& args() noexcept { return *args_; }

private:
    std::optional<std::tuple<Args...>> args_;
    bool escalates_ = false;
};

/// Holds a supervisor's answer that may be any of these: `stop`, `escalate`, `restart(args...)`,
/// `restart(args...).after(time)`.
template <typename... Args>
class timed_decision : public decision<Args...> {
public:
    using decision<Args...>::decision;

    template <typename... Others>
        requires std::constructible_from<std::tuple<Args...>, Others...>
    timed_decision(delayed_restart<Others...> later)  // NOLINT(google-explicit-constructor)
        : decision<Args...>(
              std::apply([](auto&... each) { return restart_with<Others...>(std::move(each)...); },
                         later.args())),
          delay_(later.delay()) {}

    /// Gives how long to wait before the restart.
    [[nodiscard]] std::chrono::nanoseconds delay() const noexcept { return delay_; }

private:
    std::chrono::nanoseconds delay_{0};
};

namespace detail {

template <typename T>
inline constexpr bool is_decision = false;
template <>
inline constexpr bool is_decision<stop_t> = true;
template <>
inline constexpr bool is_decision<escalate_t> = true;
template <typename... Args>
inline constexpr bool is_decision<restart_with<Args...>> = true;
template <typename... Args>
inline constexpr bool is_decision<delayed_restart<Args...>> = true;
template <typename... Args>
inline constexpr bool is_decision<decision<Args...>> = true;
template <typename... Args>
inline constexpr bool is_decision<timed_decision<Args...>> = true;

template <typename S>
concept decides_by_name_and_time = requires(S& supervisor, const failure& why, steady_time now) {
    requires is_decision<std::remove_cvref_t<decltype(supervisor.decide(why, now))>>;
};
template <typename S>
concept decides_by_name = requires(S& supervisor, const failure& why) {
    requires is_decision<std::remove_cvref_t<decltype(supervisor.decide(why))>>;
};
template <typename S>
concept decides_by_call_and_time = requires(S& supervisor, const failure& why, steady_time now) {
    requires is_decision<std::remove_cvref_t<decltype(supervisor(why, now))>>;
};
template <typename S>
concept decides_by_call = requires(S& supervisor, const failure& why) {
    requires is_decision<std::remove_cvref_t<decltype(supervisor(why))>>;
};

template <typename RT>
steady_time time_of(RT& runtime) {
    if constexpr (timed_runtime<RT>) {
        return runtime.now();
    } else {
        return std::chrono::steady_clock::now();
    }
}

/// Asks any kind of supervisor. It reads the clock only for those that want to know the time.
template <typename S, typename RT>
auto ask_supervisor(S& supervisor, const failure& why, RT& runtime) {
    if constexpr (decides_by_name_and_time<S>) {
        return supervisor.decide(why, time_of(runtime));
    } else if constexpr (decides_by_name<S>) {
        return supervisor.decide(why);
    } else if constexpr (decides_by_call_and_time<S>) {
        return supervisor(why, time_of(runtime));
    } else {
        return supervisor(why);
    }
}

struct untimed {};
template <typename S>
using answer_of_t = decltype(ask_supervisor(std::declval<S&>(), std::declval<const failure&>(),
                                            std::declval<untimed&>()));

/// The arguments that an answer restarts with, or nothing when it never restarts.
template <typename Answer>
struct restart_args : std::type_identity<std::tuple<>> {};
template <typename Answer>
    requires requires(Answer& answer) { answer.args(); }
struct restart_args<Answer>
    : std::type_identity<std::remove_cvref_t<decltype(std::declval<Answer&>().args())>> {};

/// Whether a supervisor wants to know the time.
template <typename S>
inline constexpr bool decides_by_time =
    decides_by_name_and_time<S> || (!decides_by_name<S> && decides_by_call_and_time<S>);

/// Whether a supervisor may answer to restart.
template <typename S>
inline constexpr bool may_restart =
    !std::same_as<answer_of_t<S>, stop_t> && !std::same_as<answer_of_t<S>, escalate_t>;

/// Whether a supervisor's answers may say to wait.
template <typename S>
inline constexpr bool may_delay = requires(answer_of_t<S>& answer) { answer.delay(); };

/// Writes "actor NAME failed: TEXT; WHAT_NOW" to the log.
void log_failure(const failure& why, std::string_view what_now, bool critical) noexcept;
/// Writes "actor NAME is not restarted, as WHY" to the log.
void log_no_restart(std::string_view why, std::string_view name, std::uint64_t id) noexcept;

}  // namespace detail

/// Decides on the failures of an actor: an object with `decide(const failure&)`, or anything that
/// is called with a `const failure&`, a lambda for one. Either may take the time, a `steady_time`,
/// as a second parameter: the runtime's, where the actor's runtime access has one. It answers
/// `stop`, `escalate`, `restart(args...)`, `restart(args...).after(time)`, a `decision<Args...>`
/// that holds any of them but the last one, or a `timed_decision<Args...>` that holds any.
///
/// It is asked once for each failure. When the actor cannot be made again it is asked once more,
/// with `failure_stage::restarting`; when that fails too, the actor is stopped. Answering with a
/// time to wait, it may try as often as it likes.
template <typename S>
concept supervisor = std::move_constructible<S> &&
                     (detail::decides_by_name<S> || detail::decides_by_name_and_time<S> ||
                      detail::decides_by_call<S> || detail::decides_by_call_and_time<S>);

/// Supervises an actor that cannot fail: one that returns nothing. Should an exception leave it
/// all the same, that is logged as critical and the actor is stopped.
class no_supervisor {
public:
    /// Tells `make_actor` to refuse an actor that returns errors.
    static constexpr bool refuses_errors = true;

    static stop_t decide(const failure& why) noexcept;
};

/// Stops the actor, and logs why.
class stop_supervisor {
public:
    static stop_t decide(const failure& why) noexcept;
};

/// Leaves everything to the supervision tree that runs the actor.
class escalate_supervisor {
public:
    static constexpr escalate_t decide(const failure&) noexcept { return escalate; }
};

/// Restarts the actor with copies of the same arguments, and logs each failure, but stops it when
/// it fails more often than its limit allows (5 restarts within 5 seconds, unless given).
///
///     heph::restart_supervisor supervisor(heph::restart_limit{3, 10s}, std::string("Hello"));
template <typename... Args>
class restart_supervisor {
    static_assert((std::copy_constructible<Args> && ...),
                  "each restart takes copies of these arguments: give what can be copied, and have "
                  "the rest made of it by map_args");

public:
    static constexpr bool is_sendable = (sendable<Args> && ...);

    explicit restart_supervisor(restart_limit limit, Args... args)
        : history_(limit), args_(std::move(args)...) {}

    explicit restart_supervisor(Args... args)
        requires(!std::same_as<restart_limit, std::tuple_element_t<0, std::tuple<Args..., void>>>)
        : restart_supervisor(restart_limit{}, std::move(args)...) {}

    decision<Args...> decide(const failure& why, steady_time now) {
        if (!detail::decide_restart(history_, why, now)) { return stop; }
        return std::apply([](const Args&... args) { return restart(args...); }, args_);
    }

private:
    detail::restart_history history_;
    std::tuple<Args...> args_;
};

template <typename... Args>
restart_supervisor(restart_limit, Args...) -> restart_supervisor<Args...>;
template <typename... Args>
restart_supervisor(Args...) -> restart_supervisor<Args...>;

/// Says how long to wait before a restart: `initial` before the first one, `factor` times as long
/// before each further one, but never longer than `longest`; and each time a random part less, of
/// at most `jitter` of it, so that what failed together does not return together. An actor that ran
/// for `reset_after` since it was restarted begins at `initial` again.
struct backoff {
    std::chrono::nanoseconds initial = std::chrono::milliseconds(100);
    std::chrono::nanoseconds longest = std::chrono::seconds(30);
    double factor = 2.0;
    double jitter = 0.2;
    std::chrono::nanoseconds reset_after = std::chrono::seconds(60);
    std::uint64_t seed = 0;  ///< Of the random part; 0 takes one that differs each time.
};

namespace detail {

/// Counts the restarts in a row, and gives the time to wait before each.
class backoff_state {
public:
    explicit backoff_state(const backoff& settings);

    [[nodiscard]] std::chrono::nanoseconds next(steady_time now) noexcept;

private:
    backoff settings_;
    double delay_;  // The next one, without its random part, in nanoseconds.
    steady_time due_{};
    std::uint64_t random_;
};

/// Decides like `decide_restart`, and says in the log how long it waits.
[[nodiscard]] std::optional<std::chrono::nanoseconds> decide_backoff(restart_history& history,
                                                                     backoff_state& state,
                                                                     const failure& why,
                                                                     steady_time now) noexcept;

}  // namespace detail

/// Restarts like `restart_supervisor`, and waits before each restart, longer and longer. Messages
/// queue meanwhile, and nothing blocks. An actor that waits so ends at once when its runtime is
/// asked to stop, see `stoppable_runtime`: its end is `end_reason::dropped`. So it does when a
/// `messages::terminate` is in its inbox, if it takes that; then it has finished, and what was
/// queued is dropped, as there is nobody to finish it.
///
///     heph::backoff_supervisor supervisor(heph::restart_limit{20, 1h}, heph::backoff{50ms, 10s},
///                                         std::string("Hello"));
///
/// *Requires*: the actor's runtime access is a `timed_runtime`; `without_delay` does without.
template <typename... Args>
class backoff_supervisor {
    static_assert((std::copy_constructible<Args> && ...),
                  "each restart takes copies of these arguments: give what can be copied, and have "
                  "the rest made of it by map_args");

public:
    static constexpr bool is_sendable = (sendable<Args> && ...);

    backoff_supervisor(restart_limit limit, const backoff& waits, Args... args)
        : history_(limit), state_(waits), args_(std::move(args)...) {}

    timed_decision<Args...> decide(const failure& why, steady_time now) {
        const auto delay = detail::decide_backoff(history_, state_, why, now);
        if (!delay) { return stop; }
        return std::apply([&](const Args&... args) { return restart(args...).after(*delay); },
                          args_);
    }

private:
    detail::restart_history history_;
    detail::backoff_state state_;
    std::tuple<Args...> args_;
};

template <typename... Args>
backoff_supervisor(restart_limit, backoff, Args...) -> backoff_supervisor<Args...>;

/// Restarts at once where another supervisor would wait. See `without_delay`.
template <typename S>
class undelayed_supervisor {
public:
    static constexpr bool is_sendable = sendable<S>;

    explicit undelayed_supervisor(S inner) : inner_(std::move(inner)) {}

    auto decide(const failure& why, steady_time now) {
        if constexpr (detail::decides_by_name_and_time<S>) {
            return at_once(inner_.decide(why, now));
        } else if constexpr (detail::decides_by_name<S>) {
            return at_once(inner_.decide(why));
        } else if constexpr (detail::decides_by_call_and_time<S>) {
            return at_once(inner_(why, now));
        } else {
            return at_once(inner_(why));
        }
    }

private:
    template <typename... Args>
    static decision<Args...> at_once(timed_decision<Args...> answer) {
        return answer;  // Its base: what it has but the time.
    }
    template <typename... Args>
    static restart_with<Args...> at_once(delayed_restart<Args...> answer) {
        return std::apply([](auto&... each) { return restart_with<Args...>(std::move(each)...); },
                          answer.args());
    }
    template <typename Answer>
    static Answer at_once(Answer answer) {
        return answer;
    }

    S inner_;
};

/// Makes a supervisor that restarts at once where `inner` says to wait: for actors whose runtime
/// has no timers.
template <supervisor S>
[[nodiscard]] undelayed_supervisor<S> without_delay(S inner) {
    return undelayed_supervisor<S>(std::move(inner));
}

}  // namespace heph
