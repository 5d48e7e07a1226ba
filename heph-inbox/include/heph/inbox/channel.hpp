#pragma once

// A bounded channel: many senders, one receiver.
//
// Invariants
//     1. Positions count messages from 0, without end. Position p uses slot p mod n, where n is the
//        capacity rounded up to a power of two. The messages of the positions from the receiver's
//        one up to `head` are in the channel; there are never more than the capacity.
//     2. Only who moves `head` from p to p + 1 builds the message of p, and only when p's slot is
//        free for p. Only the receiver destroys it, or, once it is gone, who closes the channel.
//     3. A slot becomes free for p only when the message of p - capacity was received.
//     4. The receiver takes positions in order. Hence one sender's messages arrive in the order in
//        which it claimed positions; and because `try_send` fails while sends wait, and waiting
//        sends claim in the order of their queue, that is the order in which it sent them.
//     5. A sender between claim and publish holds up the receiver at its position, and nobody else:
//        other senders go on until the channel is full. `try_recv` says `empty` meanwhile; a
//        waiting receive spins for under a microsecond, then wakes itself, so that its thread does
//        other things between polls; closing spins and gives its time slice away. All last until
//        the sender has run a few more instructions, or, when it was descheduled just there, until
//        it is scheduled again. The alternative, that receivers pass over the gap, would give up
//        the order.
//     6. No wake is lost between the receiver, which frees a slot and then reads whether senders
//        wait, and a sender, which says that it waits and then reads the slot. These four are
//        sequentially consistent, so at least one of the two sees the other. Nothing else is.
//     7. The first waiting sender keeps its place until it has claimed or is dropped, even when it
//        is woken and finds the channel full again. Whoever leaves the front of the queue wakes the
//        next one when there is room. Only the first one claims, so one wake goes a long way, and
//        none is needed behind it.
//     8. The memory has one hold for the senders and one for receiver and manager. A side that is
//        empty gives its hold back as the last thing it does.
//     9. Wakers are woken, and messages moved or destroyed, outside the lock.
//
// States of a slot, as kept in its sequence number
//     free for p       2p       --sender: claim (moves head)-->  still 2p, owned by that sender
//     claimed for p    2p       --sender: publish-->             full with p
//     full with p      2p + 1   --receiver: take, release-->     free for the next position
//     When the capacity is no power of two, a release frees the slot of p + capacity, which is
//     another one, taken before; its own stays at 2p + 1 without a message until a later release.
//     Numbers wrap at 2^32, and are compared by their distance, which stays below 2^30.
//
// The word `head`
//     parked: set by a receiver that waits, after it left its waker. Cleared by whoever claims the
//         next position, who then wakes. So a wake costs senders nothing but a look at a bit that
//         they read anyway, and each wait has one wake. When a sender was faster, the bit stays set
//         beyond the position that was waited for: one spurious wake, if anyone waits at all.
//     closed: set once, when receiver and manager are gone. No claim succeeds after it.
//
// Costs: a send is one contended read-modify-write (`head`) and one store; a receive has none
// contended, and one store that is sequentially consistent, for invariant 6.

#include <cstddef>
#include <tuple>
#include <utility>

#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/manager.hpp>
#include <heph/inbox/receiver.hpp>
#include <heph/inbox/sender.hpp>

namespace heph::inbox {

namespace detail {

/// Lets the factories make the handles.
struct access {
    /// Makes a sender that leads nowhere: what is left when one is moved from.
    template <typename T>
    static sender<T> no_sender() noexcept {
        return sender<T>();
    }

    template <typename T>
    static std::pair<sender<T>, receiver<T>> make(std::size_t capacity) {
        auto& state = *channel_state<T>::make(capacity);
        return {sender<T>(state), receiver<T>(state, 0)};
    }

    template <typename T>
    static std::tuple<manager<T>, sender<T>, receiver<T>> make_managed(std::size_t capacity) {
        auto& state = *channel_state<T>::make(capacity);
        state.add_manager();
        return {manager<T>(state), sender<T>(state), receiver<T>(state, 0)};
    }
};

}  // namespace detail

/// Makes a channel that holds at most `capacity` messages.
/// *Requires*: `capacity` is 1 to 2^28. `T` moves and is destroyed without exceptions; it need not
/// be copyable or have a default.
/// *Errors*: throws `std::bad_alloc`, and `std::invalid_argument` for an impossible capacity.
template <typename T>
[[nodiscard]] std::pair<sender<T>, receiver<T>> channel(std::size_t capacity) {
    return detail::access::make<T>(capacity);
}

/// Makes a channel whose receiver can be replaced, see `manager`. Otherwise as `channel`.
template <typename T>
[[nodiscard]] std::tuple<manager<T>, sender<T>, receiver<T>> managed_channel(std::size_t capacity) {
    return detail::access::make_managed<T>(capacity);
}

}  // namespace heph::inbox
