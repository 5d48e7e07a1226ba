#pragma once

// A bounded channel: many senders, one receiver.
//
// Invariants
//     1. Positions count messages from 0, without end. Position p uses slot p mod n, where n is the
//        capacity rounded up to a power of two. The messages of the positions from the receiver's
//        one up to `head` are in the channel; there are never more than the capacity.
//     2. Only who moves `head` past p builds the message of p, and only when p's slot is free for
//        p. Only the receiver destroys it, or, once it is gone, who closes the channel.
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
//        wait, and a sender, which says that it waits and then reads the slot: at least one of the
//        two sees the other. That takes a full fence on both sides, and a receiver should not pay
//        for one with each message. So there are two ways:
//          - As long as `watch_closely` is unset, the receiver has no fence at all. The sender that
//            sets it then runs a fence on all processors (see detail/fences.hpp), and only then
//            reads the slot. A receiver that read the bit unset did so before that fence, so it
//            had freed its slot before it, too, and the sender sees that.
//          - As long as it is set, both sides have a fence of their own. The bit stays set after
//            the last sender has stopped waiting, so that the expensive fence is rare; the receiver
//            unsets it, under the lock, after many messages for which nobody waited. It counts
//            those in the other bits of the same word, without the lock: while the bit is set
//            nobody else writes there.
//        The receiver reads the bit after it freed the slot. Would it read it before, then a fence
//        of another sender, which has stopped waiting since, could be between the two, and a second
//        sender would rely on a fence that the receiver does not run. Only the first of the queue
//        reads slots, and it comes to be first by itself, with these fences, or under the lock.
//        Where the system has no such fence, the bit is always set.
//     7. The first waiting sender keeps its place until it has claimed all it wants or is dropped,
//        even when it is woken and finds the channel full again. Whoever leaves the front of the
//        queue wakes the next one when there is room. Only the first one claims, so one wake goes a
//        long way, and none is needed behind it.
//     8. The memory has one hold for the senders, one for receiver and manager, and one for each
//        observer. A side that is empty gives its hold back as the last thing it does.
//     9. Wakers are woken, and messages moved or destroyed, outside the lock.
//    10. Many messages are claimed by one move of `head`. The slots of positions p to q are all
//        free when that of q is, because the receiver frees them in order, and nobody else claims
//        them when `head` is still p. They are published from the last to the first, so that the
//        receiver, which looks at the first one, sees none of them or all of them. It is woken
//        once, for all of them: the claim took its waker, and the wake comes after the last
//        publish.
//    11. `senders_gone` is set after the last sender has gone and before the receiver is woken for
//        it, and unset before a new sender is given to anybody. So `try_recv` need not read the
//        count of senders, which is in a cache line that senders write all the time, to know that
//        there are some. It is a hint, which may stay set for a while after a new sender came:
//        after a yes the count decides.
//    12. Only the receiver writes its waker, and only while it is at the position of `head`, so
//        that nobody has claimed that position, and while neither `parked` nor `taking` is set.
//        (Who only looks on, see detail/message_watch.hpp, is behind all that it saw.)
//        Whoever clears `parked` has the reference that is in the waker, and reads it once:
//          - a sender that claims the position, before it publishes its message. Until then the
//            receiver is at that position, which `head` has passed, so that it stays away from the
//            waker;
//          - a sender that was the last one, while `taking` is set;
//          - the receiver, to put another one there or to stop waiting.
//    13. Of the futures of a receiver more than one may have been polled, and the waker is that of
//        the last one. The receiver remembers by its address which one that is, where a position is
//        saved while there is no receiver: a future that ends forgets a waker only if it is its
//        own. A waker that two of them were polled with is nobody's: it stays until it is taken, or
//        the receiver goes, or waits with another one. The address says enough, as a future stays
//        where it is once it was polled, and forgets its own waker before another one can be there.
//
// States of a slot, as kept in its sequence number
//     free for p       16p      --sender: claim (moves head)-->  still 16p, owned by that sender
//     claimed for p    16p      --sender: publish-->             full with p
//     full with p      16p + 15 --receiver: take, release-->     free for the next position
//     When the capacity is no power of two, a release frees the slot of p + capacity, which is
//     another one, taken before; its own stays at 16p + 15 without a message until a later release.
//     Numbers wrap at 2^32, and are compared by their distance, which stays below 2^29.
//
// The word `head`: 16 times the position of the next message, and four bits
//     parked: set by a receiver that waits for the message of that position, after it left its
//         waker. Cleared by whoever claims the position, who then wakes. So a wake costs senders
//         nothing but a look at a bit that they read anyway, and each wait has one wake.
//     taking: set while the last sender takes the waker to say that it has gone. A receiver that
//         wants to wait meanwhile wakes itself instead.
//     closed: set once, when receiver and manager are gone. No claim succeeds after it.
//     waiting: set while sends are in the queue, under its lock. No claim succeeds then but that of
//         the first of them.
//
// Costs: a send is one contended read-modify-write (`head`) and one store; a receive is one store.
// A send writes two cache lines, that of `head` and that of its slot; a receive reads and writes
// that of its slot, and none that another sender is working at. While the senders are well ahead,
// it has a line some slots further on brought to it early: where a line takes long from core to
// core, that counts for more than all its instructions. When they are not, the line is one that a
// sender is about to write, and would have to take back.
//
// What is checked: tests/inbox/explore_*_test.cpp run these algorithms, with a model in the place
// of the atomics, through all interleavings of small programs; a missing fence, wake or order is
// found.

#include <bit>
#include <cstddef>
#include <tuple>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/inbox/detail/channel_state.hpp>
#include <heph/inbox/fwd.hpp>
#include <heph/inbox/layout.hpp>
#include <heph/inbox/manager.hpp>
#include <heph/inbox/receiver.hpp>
#include <heph/inbox/sender.hpp>

namespace heph::inbox {

namespace detail {

/// Lets the factories make the handles, and heph's libraries look into them.
struct access {
    /// Makes a send of a message where it is.
    template <typename T, typename Layout>
    static send_future<T, Layout> send(const sender<T, Layout>& by, T&& message) noexcept {
        return send_future<T, Layout>(*by.state_, std::move(message));
    }
    /// Polls a send, for who makes another result of it.
    template <typename T, typename Layout>
    [[gnu::always_inline]] static send_step step(send_future<T, Layout>& sending,
                                                 const waker& who) noexcept {
        return sending.step(who);
    }
    /// Tells whether the message was sent.
    template <typename T, typename Layout>
    [[gnu::always_inline]] static bool is_sent(const send_future<T, Layout>& sending) noexcept {
        return sending.is_sent();
    }
    /// Gives the message back. *Requires*: the last step was `disconnected`.
    template <typename T, typename Layout>
    static T take(send_future<T, Layout>& sending) noexcept {
        return sending.take();
    }

    /// Makes a sender that leads nowhere: what is left when one is moved from.
    template <typename T, typename Layout = layout::compact>
    static sender<T, Layout> no_sender() noexcept {
        return sender<T, Layout>();
    }

    template <typename T, typename Layout>
    static std::pair<sender<T, Layout>, receiver<T, Layout>> make(std::size_t capacity) {
        auto& state = *channel_state<T, Layout>::make(capacity);
        return {sender<T, Layout>(state), receiver<T, Layout>(state, 0)};
    }

    template <typename T, typename Layout>
    static std::tuple<manager<T, Layout>, sender<T, Layout>, receiver<T, Layout>> make_managed(
        std::size_t capacity) {
        auto& state = *channel_state<T, Layout>::make(capacity);
        state.add_manager();
        return {manager<T, Layout>(state), sender<T, Layout>(state), receiver<T, Layout>(state, 0)};
    }
};

}  // namespace detail

/// Makes a channel that holds at most `capacity` messages.
///
/// `Layout` chooses how the messages lie in memory, see <heph/inbox/layout.hpp>:
/// `channel<int, layout::padded>(8)`. The memory is one allocation.
/// *Requires*: `capacity` is 1 to 2^24. `T` moves and is destroyed without exceptions; it need not
/// be copyable or have a default.
/// *Errors*: throws `std::bad_alloc`, and `std::invalid_argument` for an impossible capacity.
template <typename T, typename Layout = layout::compact>
[[nodiscard]] std::pair<sender<T, Layout>, receiver<T, Layout>> channel(std::size_t capacity) {
    return detail::access::make<T, Layout>(capacity);
}

/// Makes a channel whose receiver can be replaced, see `manager`. Otherwise as `channel`.
template <typename T, typename Layout = layout::compact>
[[nodiscard]] std::tuple<manager<T, Layout>, sender<T, Layout>, receiver<T, Layout>>
managed_channel(std::size_t capacity) {
    return detail::access::make_managed<T, Layout>(capacity);
}

/// Tells how many bytes a channel takes, in its one allocation. *Requires*: `capacity` is 1 to
/// 2^24.
template <typename T, typename Layout = layout::compact>
[[nodiscard]] constexpr std::size_t channel_bytes(std::size_t capacity) noexcept {
    HEPH_ASSERT(capacity != 0 && capacity <= detail::capacity_max);
    return detail::channel_state<T, Layout>::bytes(std::bit_ceil(capacity));
}

}  // namespace heph::inbox
