#pragma once

// An actor, with its supervisor and its inbox, as a plain future.
//
//     auto [running, ref] = heph::actor_builder()
//                               .name("greeter")
//                               .inbox_size(32)
//                               .make(heph::stop_supervisor(), heph::actor_fn(greeter),
//                                     heph::no_runtime(), "Hello");
//     block_on(std::move(running));

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <heph/core/actor_end.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/context.hpp>
#include <heph/core/detail/actor_cell.hpp>
#include <heph/core/detail/link_seat.hpp>
#include <heph/core/failure.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/sendable.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/inbox/assert.hpp>
#include <heph/inbox/channel.hpp>

namespace heph {

namespace detail {
struct link_access;

/// Logs that a failure was escalated to nobody.
void log_lost_escalation(const failure& why) noexcept;
/// Gives what to leave behind after a failure; without the text when nobody could read it.
[[nodiscard]] actor_end end_of(const failure& why, bool is_watched) noexcept;
}  // namespace detail

/// The settings of one actor.
struct actor_options {
    std::size_t inbox_size = 8;  ///< Messages that fit into its inbox, at least 1.
    std::string name = {};       ///< For the log.
};

/// What an actor has done so far.
struct actor_counts {
    std::size_t queued = 0;      ///< Messages in its inbox.
    std::uint64_t received = 0;  ///< Messages that it took out of it, before restarts as well.
    std::uint32_t restarts = 0;  ///< How often a new actor took its place.
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
    static constexpr bool is_sendable = sendable<Supervisor> && sendable<NewActor> && sendable<RT>;

    actor_future(Supervisor supervisor, NewActor new_actor, RT runtime, std::string&& name,
                 inbox::manager<message_type> inbox, Actor actor)
        : cell_(std::move(supervisor), std::move(new_actor), std::move(runtime),
                detail::short_name(std::move(name)), std::move(inbox)),
          links_(cell_.inbox()) {
        cell_.start(std::move(actor));
    }
    actor_future(actor_future&& other) noexcept
        : cell_(std::move(other.cell_)),
          links_(std::move(other.links_)),
          is_done_(std::exchange(other.is_done_, true)) {}
    actor_future& operator=(actor_future&&) = delete;
    ~actor_future() {
        if (is_done_) { return; }
        cell_.drop();
        leave(detail::dropped_word);
    }

    polled<void> poll(const waker& waker) noexcept {
        HEPH_ASSERT(!is_done_);
        if constexpr (!is_linkable) {
            if (cell_.goes_on(waker)) [[likely]] { return pending; }
        }
        return poll_in_full(waker);
    }

    /// Names the actor. Empty if it was not given a name.
    [[nodiscard]] std::string_view name() const noexcept { return cell_.name(); }

    /// Counts its messages and restarts; the former are 0 when it is done. That costs the actor
    /// nothing before. *Thread safety*: as `poll`; for other threads there are the following two.
    [[nodiscard]] actor_counts counts() const noexcept {
        if (is_done_) { return {0, 0, restarts()}; }
        const auto messages = cell_.inbox().counts();
        return {messages.queued, messages.received, restarts()};
    }
    /// Makes what counts its messages on any thread. *Requires*: it is not done.
    [[nodiscard]] inbox::gauge<message_type> new_gauge() const noexcept {
        return cell_.inbox().new_gauge();
    }
    /// Tells how often it was restarted. *Thread safety*: safe.
    [[nodiscard]] std::uint32_t restarts() const noexcept { return cell_.restarts(); }

private:
    friend struct detail::link_access;

    // Apart, so that the usual poll has few registers to save.
    [[gnu::noinline]] polled<void> poll_in_full(const waker& waker) noexcept {
        return poll_and_tell(waker, false, [](const actor_end&) noexcept {});
    }

    // Polls, and calls `on_end(actor_end)` when the actor ended.
    template <typename OnEnd>
    polled<void> poll_and_tell(const waker& waker, bool with_text, OnEnd&& on_end) noexcept {
        HEPH_ASSERT(!is_done_);
        if constexpr (is_linkable) {
            if (links_.seat().must_end(waker)) {
                const actor_end& end = links_.seat().reason();
                on_end(end);
                end_as(end);
                return ready;
            }
        }
        const auto polled_cell =
            cell_.poll(waker, [&](const failure& why, detail::cell_end how) noexcept {
                if (how == detail::cell_end::escalated) { detail::log_lost_escalation(why); }
                // Who may be linked is always watched: by its membership.
                const actor_end end = detail::end_of(why, with_text || cell_.inbox().is_watched());
                on_end(end);
                leave(detail::make_end_word(end));
            });
        if (!polled_cell.is_ready()) { return pending; }
        if (!is_done_) {
            const bool is_dropped = polled_cell.value() == detail::cell_end::dropped;
            if (is_dropped) {
                on_end(actor_end(end_reason::dropped));
            } else if (with_text) {
                on_end(actor_end(end_reason::finished));
            }
            leave(is_dropped ? detail::dropped_word : detail::finished_word);
        }
        return ready;
    }

    void end_as(const actor_end& end) noexcept {
        cell_.drop();
        leave(detail::make_end_word(end));
    }

    void leave(const detail::end_word& word) noexcept {
        is_done_ = true;
        if constexpr (is_linkable) { links_.seat().end(detail::end_in(word)); }
        std::move(cell_.inbox()).leave(word);
    }

    static constexpr bool is_linkable = detail::is_linkable<Supervisor>;
    using membership =
        std::conditional_t<is_linkable, detail::link_membership, detail::no_membership>;

    [[no_unique_address]] detail::actor_cell<Supervisor, NewActor, RT, Actor> cell_;
    [[no_unique_address]] membership links_;
    bool is_done_ = false;  // Or moved from: the inbox has gone.
};

namespace detail {

/// Tells whether an actor can be made again with the arguments of a restart.
template <typename NewActor, typename RT, typename Args>
struct remakes;
template <typename NewActor, typename RT, typename... Args>
struct remakes<NewActor, RT, std::tuple<Args...>>
    : std::bool_constant<heph::new_actor<NewActor, RT, Args...>> {};

/// Refuses what `make_actor` cannot run, in words.
template <typename Supervisor, typename NewActor, typename RT, typename... Args>
consteval bool check_actor() {
    static_assert(heph::supervisor<Supervisor>,
                  "a supervisor decides on a const failure&: stop, escalate, restart(…) or a "
                  "decision<…>");
    static_assert(heph::new_actor<NewActor, RT, Args...>,
                  "the actor function takes a context for this runtime, then these arguments, and "
                  "returns task<> or task<std::expected<void, E>>");
    if constexpr (heph::supervisor<Supervisor>) {
        if constexpr (may_restart<Supervisor>) {
            static_assert(
                remakes<NewActor, RT, typename restart_args<answer_of_t<Supervisor>>::type>::value,
                "the arguments that this supervisor restarts the actor with are not what "
                "the actor function takes after its context: name them, as for the start, "
                "in restart_supervisor(limit, …), backoff_supervisor(limit, backoff, …), "
                "restart(…) or decision<…>");
        }
    }
    return true;
}

/// What making an actor gives: the actor, or `std::expected` of it.
template <typename NewActor, typename RT, typename... Args>
using made_type_of = std::remove_cvref_t<decltype(std::declval<NewActor&>().make(
    std::declval<context<typename NewActor::message_type, RT>>(), std::declval<Args&&>()...))>;

}  // namespace detail

/// Makes an actor and a reference to it. The actor runs when the future is polled.
///
///     auto [running, ref] = heph::make_actor(heph::stop_supervisor(), heph::actor_fn(greeter),
///                                            heph::no_runtime(), heph::actor_options(), "Hello");
///
/// Gives a pair of the future and the `actor_ref`; where `new_actor.make` gives a `std::expected`,
/// so does this. The options are used up where they are given as a temporary or moved.
template <typename Supervisor, typename NewActor, typename RT, typename... Args>
[[nodiscard]] auto make_actor(Supervisor supervisor, NewActor new_actor, RT runtime,
                              actor_options&& options, Args... args) {
    static_assert(detail::check_actor<Supervisor, NewActor, RT, Args...>());
    using message_type = typename NewActor::message_type;
    using made_type = detail::made_type_of<NewActor, RT, Args...>;
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
            std::piecewise_construct,
            std::forward_as_tuple(std::move(supervisor), std::move(new_actor), std::move(runtime),
                                  std::move(options.name), std::move(inbox), std::move(actor)),
            std::forward_as_tuple(std::move(sender)));
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

/// Makes an actor with a copy of these options.
template <typename Supervisor, typename NewActor, typename RT, typename... Args>
[[nodiscard]] auto make_actor(Supervisor supervisor, NewActor new_actor, RT runtime,
                              const actor_options& options, Args... args) {
    return make_actor(std::move(supervisor), std::move(new_actor), std::move(runtime),
                      actor_options(options), std::move(args)...);
}

/// Makes an actor like `make_actor`, for an executor that may poll it on one thread after another,
/// or destroy it on another one than made it. What is not fit for that does not compile: see
/// `sendable`.
template <typename Supervisor, typename NewActor, typename RT, typename... Args>
[[nodiscard]] auto make_shared_actor(Supervisor supervisor, NewActor new_actor, RT runtime,
                                     actor_options options, Args... args) {
    static_assert(check_sendable_actor<Supervisor, NewActor, RT, Args...>());
    return make_actor(std::move(supervisor), std::move(new_actor), std::move(runtime),
                      std::move(options), std::move(args)...);
}

/// Collects an actor's settings, then makes it.
class actor_builder {
public:
    actor_builder() = default;

    /// Says how many messages fit into the inbox: at least 1; 8 unless given.
    actor_builder& inbox_size(std::size_t messages) & noexcept {
        options_.inbox_size = messages;
        return *this;
    }
    actor_builder&& inbox_size(std::size_t messages) && noexcept {
        return std::move(inbox_size(messages));
    }

    /// Names the actor in the log.
    actor_builder& name(std::string text) & noexcept {
        options_.name = std::move(text);
        return *this;
    }
    actor_builder&& name(std::string text) && noexcept { return std::move(name(std::move(text))); }

    [[nodiscard]] const actor_options& options() const noexcept { return options_; }

    /// Makes an actor with these settings: see `make_actor`. The builder can be used again.
    template <typename Supervisor, typename NewActor, typename RT, typename... Args>
    [[nodiscard]] auto make(Supervisor supervisor, NewActor new_actor, RT runtime,
                            Args... args) const {
        return make_actor(std::move(supervisor), std::move(new_actor), std::move(runtime), options_,
                          std::move(args)...);
    }

    /// Makes a thread-safe actor with these settings: see `make_shared_actor`.
    template <typename Supervisor, typename NewActor, typename RT, typename... Args>
    [[nodiscard]] auto make_shared(Supervisor supervisor, NewActor new_actor, RT runtime,
                                   Args... args) const {
        return make_shared_actor(std::move(supervisor), std::move(new_actor), std::move(runtime),
                                 options_, std::move(args)...);
    }

private:
    actor_options options_;
};

}  // namespace heph
