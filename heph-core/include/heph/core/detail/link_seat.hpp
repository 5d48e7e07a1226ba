#pragma once

// An actor's place in the net of links. See <heph/core/linkable.hpp>.
//
// States of a seat
//     open  --a partner ended, and not well-->  told: the actor ends at its next poll
//     open, told  --the actor ended, or was destroyed-->  ended: tells its partners, has none left
//
// Invariants
//     1. A link is an entry in both seats. Both are made, or taken away, with both locks held; but
//        a seat that ends takes all of its own first, and then itself out of each partner's. A
//        partner is told only by who took the entry out of it: so an `unlink` that says yes means
//        that neither actor is ended by the other one.
//     2. The waker is that of the actor's last poll. It is kept before the poll looks at `told_`,
//        and `told_` is set before the waker is taken, both with the lock held: so whoever is told
//        has seen it, or is woken.
//     3. Wakers are woken, and seats let go, outside of the locks.
//     4. A seat is found by its actor's id, which is not used again meanwhile: the membership keeps
//        the memory of the actor's inbox.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/actor_end.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/inbox/channel_id.hpp>
#include <heph/inbox/observer.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::detail {

/// What is known of an actor that may be linked while it runs. *Thread safety*: safe, but for
/// `must_end`, which is for the thread that polls the actor.
class link_seat {
public:
    link_seat() = default;
    link_seat(const link_seat&) = delete;
    link_seat& operator=(const link_seat&) = delete;

    /// Keeps the waker of a poll, and tells whether the actor has to end in it.
    [[nodiscard]] bool must_end(const waker& who) noexcept;
    /// Gives why. *Requires*: `must_end` said so.
    [[nodiscard]] const actor_end& reason() const noexcept { return reason_; }

    /// Says how the actor ended, and ends its partners unless it just finished.
    void end(const actor_end& how) noexcept;
    /// Ends the actor, because of how one that it was linked to ended.
    void tell(const actor_end& how) noexcept;

    /// Links two actors. When one of them has ended, it is as if it ended now.
    static void link(const std::shared_ptr<link_seat>& first,
                     const std::shared_ptr<link_seat>& second);
    /// Tells whether the actors were linked, and are no more.
    static bool unlink(link_seat& first, link_seat& second) noexcept;

private:
    using seat_list = std::vector<std::shared_ptr<link_seat>>;

    // Both take an entry out, for the caller to let go. They need the lock.
    [[nodiscard]] std::shared_ptr<link_seat> take(const link_seat& partner) noexcept;
    [[nodiscard]] waker set_told(const actor_end& how) noexcept;

    std::mutex mutex_;
    seat_list partners_;
    std::optional<actor_end> end_;
    waker who_;  // Written by the thread that polls, with the lock held; it reads without.
    std::atomic<bool> told_ = false;
    actor_end reason_{end_reason::linked};  // Written once, before `told_` is set.
};

/// Finds the seat of an actor by its id; null when it has none.
[[nodiscard]] std::shared_ptr<link_seat> find_seat(inbox::channel_id actor);

/// Gives an actor a seat for as long as it lives.
class link_membership {
public:
    /// *Errors*: throws `std::bad_alloc`.
    explicit link_membership(inbox::observer actor);
    template <typename M>
    explicit link_membership(inbox::manager<M>& actors_inbox)
        : link_membership(actors_inbox.new_sender().observe()) {}
    link_membership(link_membership&& other) noexcept = default;
    link_membership& operator=(link_membership&&) = delete;
    ~link_membership();

    [[nodiscard]] link_seat& seat() const noexcept { return *seat_; }

private:
    inbox::observer actor_;
    std::shared_ptr<link_seat> seat_;  // Null when it was moved from.
};

/// Stands in for one, in an actor that cannot be linked while it runs.
struct no_membership {
    template <typename M>
    explicit no_membership(inbox::manager<M>&) noexcept {}
};

/// Whether a supervisor has its actor linkable.
template <typename Supervisor>
inline constexpr bool is_linkable = requires { requires Supervisor::is_linkable; };

}  // namespace heph::detail
