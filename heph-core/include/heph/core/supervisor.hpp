#pragma once

// Who decides what happens to an actor that failed.

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <heph/core/failure.hpp>

namespace heph {

/// Answers a failure with: leave it stopped.
struct stop_t {
    explicit constexpr stop_t() noexcept = default;
};
inline constexpr stop_t stop{};

/// Answers a failure with: start again with these arguments. See `restart`.
template <typename... Args>
class restart_with {
public:
    explicit restart_with(Args... args) : args_(std::move(args)...) {}

    /// Gives the arguments for the new actor.
    [[nodiscard]] std::tuple<Args...>& args() noexcept { return args_; }

private:
    std::tuple<Args...> args_;
};

/// Answers a failure with: start again, with these arguments.
template <typename... Args>
[[nodiscard]] restart_with<std::decay_t<Args>...> restart(Args&&... args) {
    return restart_with<std::decay_t<Args>...>(std::forward<Args>(args)...);
}

/// Holds a supervisor's answer that may be either: `stop`, or `restart(args...)`.
template <typename... Args>
class decision {
public:
    decision(stop_t) noexcept {}  // NOLINT(google-explicit-constructor)

    template <typename... Others>
        requires std::constructible_from<std::tuple<Args...>, Others...>
    decision(restart_with<Others...> again)  // NOLINT(google-explicit-constructor)
        : again_(std::apply([](auto&... args) { return restart_with<Args...>(std::move(args)...); },
                            again.args())) {}

    [[nodiscard]] bool is_restart() const noexcept { return again_.has_value(); }

    /// Gives the arguments for the new actor. *Requires*: `is_restart()`.
    [[nodiscard]] std::tuple<Args...>& args() noexcept { return again_->args(); }

private:
    std::optional<restart_with<Args...>> again_;
};

namespace detail {

template <typename T>
inline constexpr bool is_decision = false;
template <>
inline constexpr bool is_decision<stop_t> = true;
template <typename... Args>
inline constexpr bool is_decision<restart_with<Args...>> = true;
template <typename... Args>
inline constexpr bool is_decision<decision<Args...>> = true;

template <typename S>
concept has_decide = requires(S& supervisor, const failure& why) {
    requires is_decision<std::remove_cvref_t<decltype(supervisor.decide(why))>>;
};

template <typename S>
concept decides_by_call = requires(S& supervisor, const failure& why) {
    requires is_decision<std::remove_cvref_t<decltype(supervisor(why))>>;
};

/// Asks either kind of supervisor.
template <typename S>
auto ask_supervisor(S& supervisor, const failure& why) {
    if constexpr (has_decide<S>) {
        return supervisor.decide(why);
    } else {
        return supervisor(why);
    }
}

/// Writes "actor NAME failed: TEXT; WHAT_NOW" to the log.
void log_failure(const failure& why, std::string_view what_now, bool critical) noexcept;

}  // namespace detail

/// Decides on the failures of an actor: an object with `decide(const failure&)`, or anything that
/// is called with a `const failure&`, a lambda for one. It answers `stop`, `restart(args...)`, or a
/// `decision<Args...>` that holds either.
///
/// It is asked once for each failure. When the actor cannot be made again it is asked once more,
/// with `failure_stage::restarting`; when that fails too, the actor is stopped.
///
///     auto supervisor = [](const heph::failure& why) -> heph::decision<std::string> {
///         if (why.is_exception()) { return heph::stop; }
///         return heph::restart(std::string("again"));
///     };
template <typename S>
concept supervisor =
    std::move_constructible<S> && (detail::has_decide<S> || detail::decides_by_call<S>);

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

/// Says how often an actor may be restarted: `restarts` times within any span of `within`.
struct restart_limit {
    std::size_t restarts = 5;
    std::chrono::nanoseconds within = std::chrono::seconds(5);
};

namespace detail {

/// Remembers the last restarts, at most as many as are allowed in a period.
class restart_history {
public:
    explicit restart_history(restart_limit limit) noexcept : limit_(limit) {}

    /// Counts a restart, unless it would be one too many.
    [[nodiscard]] bool allow(std::chrono::steady_clock::time_point now);

    [[nodiscard]] const restart_limit& limit() const noexcept { return limit_; }

private:
    restart_limit limit_;
    std::vector<std::chrono::steady_clock::time_point> times_;  // A ring.
    std::size_t oldest_ = 0;
};

[[nodiscard]] bool decide_restart(restart_history& history, const failure& why) noexcept;

}  // namespace detail

/// Restarts the actor with copies of the same arguments, and logs each failure, but stops it when
/// it fails more often than its limit allows (5 restarts within 5 seconds, unless given).
///
///     heph::restart_supervisor supervisor(heph::restart_limit{3, 10s}, std::string("Hello"));
template <typename... Args>
class restart_supervisor {
public:
    explicit restart_supervisor(restart_limit limit, Args... args)
        : history_(limit), args_(std::move(args)...) {}

    explicit restart_supervisor(Args... args)
        requires(!std::same_as<restart_limit, std::tuple_element_t<0, std::tuple<Args..., void>>>)
        : restart_supervisor(restart_limit{}, std::move(args)...) {}

    decision<Args...> decide(const failure& why) {
        if (!detail::decide_restart(history_, why)) { return stop; }
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

}  // namespace heph
