#pragma once

// Links between actors that run.
//
//     auto reader = worker.spawn(heph::linkable(heph::stop_supervisor()), heph::actor_fn(reads));
//     auto writer = worker.spawn(heph::linkable(heph::stop_supervisor()), heph::actor_fn(writes));
//     auto linked = heph::link(reader, writer);      // from now on, they end together
//     …
//     heph::unlink(reader, writer);                  // no more
//
// A link goes both ways. When one of the two fails and is not restarted, is dropped, or is itself
// ended by a link, the other one ends: where it is suspended, without its supervisor being asked;
// monitors see `end_reason::linked` with the words of the failure. One that just finishes leaves
// the other alone, and so does a restart. Links make nets, and circles: the end of one goes through
// all of it.
//
// Only who is made with `linkable` can be linked, as others do not pay for it. Those that start
// together and are linked for life take a `link_group` instead. One that wants to know of another's
// end, but to outlive it, takes a `monitor`.

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <utility>

#include <heph/core/actor_ref.hpp>
#include <heph/core/detail/link_seat.hpp>
#include <heph/core/failure.hpp>
#include <heph/core/sendable.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/inbox/channel_id.hpp>
#include <heph/inbox/observer.hpp>

namespace heph {

/// Says why two actors cannot be linked.
enum class link_error : std::uint8_t {
    not_linkable,  ///< One runs whose supervisor is not `linkable(…)`.
    no_actor,      ///< One of the references leads to a function, or to nothing.
};

/// Describes why for a log line.
[[nodiscard]] constexpr std::string_view to_string(link_error error) noexcept {
    switch (error) {
        case link_error::not_linkable:
            return "the actor cannot be linked: spawn it with heph::linkable(supervisor)";
        case link_error::no_actor: break;
    }
    return "there is no actor behind the reference";
}

/// Decides like another supervisor, and has the actor linkable. Made by `linkable`.
template <typename S>
class linkable_supervisor {
public:
    static constexpr bool is_linkable = true;
    static constexpr bool is_sendable = sendable<S>;
    static constexpr bool refuses_errors = requires { requires S::refuses_errors; };

    explicit linkable_supervisor(S inner) : inner_(std::move(inner)) {}

    auto decide(const failure& why)
        requires(detail::decides_by_name<S> || detail::decides_by_call<S>)
    {
        detail::untimed none;
        return detail::ask_supervisor(inner_, why, none);
    }
    auto decide(const failure& why, steady_time now)
        requires(detail::decides_by_name_and_time<S> || detail::decides_by_call_and_time<S>)
    {
        if constexpr (detail::decides_by_name_and_time<S>) {
            return inner_.decide(why, now);
        } else {
            return inner_(why, now);
        }
    }

private:
    S inner_;
};

/// Makes a supervisor whose actor can be linked while it runs. It costs the actor some 200 bytes,
/// and each of its polls a look at a flag. For actors that a `supervision_tree` runs, and for sync
/// actors, it does not compile: the first end together by the tree's strategy, and nobody can end
/// the second from outside.
template <supervisor S>
[[nodiscard]] linkable_supervisor<S> linkable(S inner) {
    return linkable_supervisor<S>(std::move(inner));
}

namespace detail {

[[nodiscard]] std::expected<void, link_error> link_actors(
    inbox::channel_id first, const std::optional<inbox::observer>& sees_first,
    inbox::channel_id second, const std::optional<inbox::observer>& sees_second);
bool unlink_actors(inbox::channel_id first, inbox::channel_id second);

}  // namespace detail

/// Links two actors, whatever messages they take and wherever they run: see above. Linking twice is
/// as good as once, and an actor with itself is nothing. When one of them has ended already, it is
/// as if it ended now.
///
/// *Errors*: see `link_error`; throws `std::bad_alloc`. *Thread safety*: safe.
template <typename A, typename B>
[[nodiscard]] std::expected<void, link_error> link(const actor_ref<A>& first,
                                                   const actor_ref<B>& second) {
    return detail::link_actors(first.id(), first.observe(), second.id(), second.observe());
}

/// Takes a link away. Tells whether there was one; after that, neither actor ends for the other.
/// *Thread safety*: safe.
template <typename A, typename B>
bool unlink(const actor_ref<A>& first, const actor_ref<B>& second) {
    return detail::unlink_actors(first.id(), second.id());
}

}  // namespace heph
