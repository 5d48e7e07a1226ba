#pragma once

// An actor, with its supervisor and its inbox, as a plain future.

#include <concepts>
#include <cstddef>
#include <exception>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <heph/core/actor_ref.hpp>
#include <heph/core/context.hpp>
#include <heph/core/failure.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/channel.hpp>

namespace heph {

/// The settings of one actor.
struct actor_options {
    std::size_t inbox_size = 8;  ///< Messages that fit into its inbox, at least 1.
    std::string name = {};       ///< For the log.
};

/// Runs an actor under its supervisor. It is done when the actor is finished for good.
///
/// Any executor can run it: `poll` never throws, whatever leaves the actor goes to its supervisor.
/// A restart destroys the old actor fully before it makes the new one, and keeps the inbox with
/// its messages. As soon as it is done, senders see that the actor is disconnected.
///
/// `Actor` is the future that `NewActor` makes. Made by `make_actor`. It may be moved before its
/// first poll. *Cancellation*: destroys the actor, where it is suspended, and its inbox.
template <typename Supervisor, typename NewActor, typename RT, typename Actor>
class [[nodiscard]] actor_future {
    using message_type = typename NewActor::message_type;

public:
    using value_type = void;

    actor_future(Supervisor supervisor, NewActor new_actor, RT runtime, std::string name,
                 inbox::manager<message_type> inbox, Actor actor)
        : supervisor_(std::move(supervisor)),
          new_actor_(std::move(new_actor)),
          runtime_(std::move(runtime)),
          name_(std::move(name)),
          inbox_(std::move(inbox)),
          actor_(std::move(actor)) {}

    polled<void> poll(const waker& waker) noexcept {
        HEPH_ASSERT(actor_.has_value());
        // An exception is handled after its handler, so that it is gone when the actor goes.
        std::exception_ptr exception;
        try {
            auto result = actor_->poll(waker);
            if (!result.is_ready()) { return pending; }
            if constexpr (!std::is_void_v<future_value_t<Actor>>) {
                if (!result.value()) {
                    return after_failure(failure(result.value().error(), name_), waker);
                }
            }
        } catch (...) { exception = std::current_exception(); }
        if (exception) { return after_failure(failure(std::move(exception), name_), waker); }
        return finish();
    }

    /// Names the actor. Empty if it was not given a name.
    [[nodiscard]] std::string_view name() const noexcept { return name_; }

private:
    polled<void> finish() noexcept {
        actor_.reset();
        inbox_.reset();
        return ready;
    }

    polled<void> after_failure(const failure& why, const waker& waker) noexcept {
        actor_.reset();
        if (!restart_after<true>(why)) { return finish(); }
        // The new actor gets its first poll like any other: a restart loop blocks nobody.
        waker.wake();
        return pending;
    }

    // Asks the supervisor, and does what it answers. A second failure, to make the new actor, is
    // asked about once more. False to stop.
    template <bool AskAgain>
    bool restart_after(const failure& why) noexcept {
        std::exception_ptr exception;
        try {
            auto answer = detail::ask_supervisor(supervisor_, why);
            if constexpr (std::same_as<decltype(answer), stop_t>) {
                return false;
            } else {
                if constexpr (requires { answer.is_restart(); }) {
                    if (!answer.is_restart()) { return false; }
                }
                return make_again<AskAgain>(answer.args());
            }
        } catch (...) { exception = std::current_exception(); }
        return second_failure<AskAgain>(
            failure(std::move(exception), name_, failure_stage::restarting));
    }

    template <bool AskAgain, typename... Args>
    bool make_again(std::tuple<Args...>& args) {
        auto inbox = inbox_->new_receiver();
        if (!inbox) {
            return second_failure<false>(
                failure(std::string_view("the failed actor's context is still in use"), name_,
                        failure_stage::restarting));
        }
        context<message_type, RT> ctx(std::move(*inbox), runtime_);
        auto made = std::apply(
            [&](Args&... each) { return new_actor_.make(std::move(ctx), std::move(each)...); },
            args);
        if constexpr (detail::is_expected<decltype(made)>) {
            if (!made) {
                return second_failure<AskAgain>(
                    failure(made.error(), name_, failure_stage::restarting));
            }
            actor_.emplace(std::move(*made));
        } else {
            actor_.emplace(std::move(made));
        }
        return true;
    }

    template <bool AskAgain>
    bool second_failure(const failure& why) noexcept {
        if constexpr (AskAgain) {
            return restart_after<false>(why);
        } else {
            detail::log_failure(why, "stopping it", true);
            return false;
        }
    }

    [[no_unique_address]] Supervisor supervisor_;
    [[no_unique_address]] NewActor new_actor_;
    [[no_unique_address]] RT runtime_;
    std::string name_;
    // Before the actor, so that it goes after the actor's receiver.
    std::optional<inbox::manager<message_type>> inbox_;
    std::optional<Actor> actor_;
};

/// Makes an actor and a reference to it. The actor runs when the future is polled.
///
///     auto [running, ref] = heph::make_actor(heph::stop_supervisor(), heph::actor_fn(greeter),
///                                            heph::no_runtime(), heph::actor_options(), "Hello");
///
/// Gives a pair of the future and the `actor_ref`; where `new_actor.make` gives a `std::expected`,
/// so does this.
template <typename Supervisor, typename NewActor, typename RT, typename... Args>
[[nodiscard]] auto make_actor(Supervisor supervisor, NewActor new_actor, RT runtime,
                              actor_options options, Args... args) {
    static_assert(heph::supervisor<Supervisor>,
                  "a supervisor decides on a const failure&: stop, restart(…) or a decision<…>");
    static_assert(heph::new_actor<NewActor, RT, Args...>,
                  "the actor function takes a context for this runtime, then these arguments, and "
                  "returns task<> or task<std::expected<void, E>>");
    using message_type = typename NewActor::message_type;
    using made_type =
        decltype(new_actor.make(std::declval<context<message_type, RT>>(), std::move(args)...));
    using actor_type = typename detail::made_actor<made_type>::type;
    if constexpr (requires { requires Supervisor::refuses_errors; }) {
        static_assert(std::is_void_v<future_value_t<actor_type>> && !detail::is_expected<made_type>,
                      "no_supervisor is for actors that return task<>; take stop_supervisor");
    }
    using future_type = actor_future<Supervisor, NewActor, RT, actor_type>;
    using result_type = std::pair<future_type, actor_ref<message_type>>;

    auto [inbox, sender, receiver] = inbox::managed_channel<message_type>(options.inbox_size);
    made_type made =
        new_actor.make(context<message_type, RT>(std::move(receiver), runtime), std::move(args)...);
    const auto finish = [&](actor_type&& actor) {
        return result_type(
            future_type(std::move(supervisor), std::move(new_actor), std::move(runtime),
                        std::move(options.name), std::move(inbox), std::move(actor)),
            actor_ref<message_type>(std::move(sender)));
    };
    if constexpr (detail::is_expected<made_type>) {
        using error_type = typename made_type::error_type;
        using expected_type = std::expected<result_type, error_type>;
        if (!made) { return expected_type(std::unexpect, std::move(made.error())); }
        return expected_type(finish(std::move(*made)));
    } else {
        return finish(std::move(made));
    }
}

}  // namespace heph
