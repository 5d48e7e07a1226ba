#pragma once

// Actors that live and die together.
//
//     auto [reader, reader_ref] = heph::make_actor(…);
//     auto [writer, writer_ref] = heph::make_actor(…);
//     heph::link_group session;
//     worker.spawn_future(session.link(std::move(reader)));
//     worker.spawn_future(session.link(std::move(writer)));
//
// States of a group
//     alive  --a member failed or was dropped-->  broken: all members end, now or when they join
//     alive  --a member finished-->               alive, without it
//
// Invariants
//     1. `broken` is set once, under the lock, with the reason. Members read it without the lock
//        before they poll their actor: acquire, pairs with the release when it is set.
//     2. Whoever breaks the group wakes every member, outside the lock. A member destroys its actor
//        only within its own poll: so one actor may break the group while it is running, from
//        any thread, also by destroying the future that runs another member.
//     3. A member is in the list from its first poll until it ends or goes. It leaves under the
//        lock, so that who breaks the group never sees a member that is gone.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/actor_end.hpp>
#include <heph/core/sendable.hpp>
#include <heph/inbox/future.hpp>
#include <heph/inbox/waker.hpp>

namespace heph {

namespace detail {

/// What the members of a group share.
class link_state {
public:
    /// A member's place in the list.
    struct member {
        bool listed = false;  // The member's own, as is `last`: so that it need not lock to know.
        waker last;
        member* next = nullptr;  // Guarded by the lock, as is all below.
        member* previous = nullptr;
        waker who;
    };

    [[nodiscard]] bool is_broken() const noexcept {
        return broken_.load(std::memory_order_acquire);  // Invariant 1.
    }
    /// Gives why it is broken. *Requires*: `is_broken()`.
    [[nodiscard]] const actor_end& reason() const noexcept { return reason_; }

    /// Keeps a member's waker, and lists it. False when the group is broken.
    [[nodiscard]] bool listen(member& mine, const waker& who) noexcept;
    /// Takes a member out of the list.
    void leave(member& mine) noexcept;
    /// Breaks the group, unless it is broken.
    void break_by(const actor_end& end) noexcept;

private:
    static void push(member*& list, member& added) noexcept;
    void remove(member& gone) noexcept;

    std::mutex mutex_;
    member* first_ = nullptr;  // Those to wake,
    member* woken_ = nullptr;  // and those that were.
    std::atomic<bool> broken_ = false;
    actor_end reason_{end_reason::linked};
};

/// Lets a link see how an actor ended, and end it.
struct link_access {
    template <typename Actor, typename OnEnd>
    static polled<void> poll(Actor& actor, const waker& waker, OnEnd&& on_end) noexcept {
        return actor.poll_and_tell(waker, true, on_end);
    }
    template <typename Actor>
    static void end(Actor& actor, const actor_end& end) noexcept {
        actor.end_as(end);
    }
};

}  // namespace detail

/// Runs an actor as long as the group it is linked to is not broken. Made by `link_group::link`. It
/// may be moved before its first poll. *Cancellation*: destroys the actor, and breaks the group.
template <typename Actor>
class [[nodiscard]] linked_future {
public:
    using value_type = void;
    static constexpr bool is_sendable = sendable<Actor>;

    linked_future(std::shared_ptr<detail::link_state> group, Actor actor) noexcept
        : group_(std::move(group)), actor_(std::in_place, std::move(actor)) {}
    linked_future(linked_future&& other) noexcept
        : group_(std::move(other.group_)), actor_(std::move(other.actor_)) {
        other.actor_.reset();
    }
    linked_future& operator=(linked_future&&) = delete;
    ~linked_future() {
        if (group_ == nullptr) { return; }
        group_->leave(member_);
        if (!actor_) { return; }
        actor_.reset();
        group_->break_by(actor_end(end_reason::dropped));
    }

    polled<void> poll(const waker& waker) noexcept {
        if (group_->is_broken() || !group_->listen(member_, waker)) { return end_with_group(); }
        const auto result = detail::link_access::poll(*actor_, waker, [this](const actor_end& end) {
            if (end.is_abnormal()) { group_->break_by(end); }
        });
        if (!result.is_ready()) { return pending; }
        group_->leave(member_);
        actor_.reset();
        return ready;
    }

private:
    polled<void> end_with_group() noexcept {
        group_->leave(member_);
        detail::link_access::end(*actor_, group_->reason());
        actor_.reset();
        return ready;
    }

    std::shared_ptr<detail::link_state> group_;
    std::optional<Actor> actor_;
    detail::link_state::member member_;
};

/// Links actors: when one of them fails and is not restarted, or is dropped, all of them end.
/// Monitors of the others see `end_reason::linked`, with the text of the failure. One that just
/// finishes leaves the rest alone. A link costs an actor one look at a flag per poll.
///
/// The group is needed to link only: it may go before the actors do. *Thread safety*: safe; the
/// actors may run on different threads.
class link_group {
public:
    link_group() : state_(std::make_shared<detail::link_state>()) {}

    /// Links an actor that did not run yet: gives the future to run in its place. When the group is
    /// broken already, the actor ends at its first poll without having run.
    template <typename Actor>
    [[nodiscard]] linked_future<Actor> link(Actor actor) const noexcept {
        return linked_future<Actor>(state_, std::move(actor));
    }

    /// Tells whether an actor failed or was dropped, so that all end.
    [[nodiscard]] bool is_broken() const noexcept { return state_->is_broken(); }

    /// Ends all actors, as if one of them had failed with this text.
    void break_with(std::string text) const {
        state_->break_by(actor_end(end_reason::failed, std::move(text)));
    }

private:
    std::shared_ptr<detail::link_state> state_;
};

/// Links two actors with each other: gives a pair of what to run in their place.
template <typename A, typename B>
[[nodiscard]] std::pair<linked_future<A>, linked_future<B>> link(A first, B second) {
    const link_group both;
    return {both.link(std::move(first)), both.link(std::move(second))};
}

}  // namespace heph
