#pragma once

// What a channel does that has nothing to do with the type of its messages. The invariants are in
// <heph/inbox/channel.hpp>; their numbers are used here.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/inbox/detail/spin_lock.hpp>
#include <heph/inbox/detail/wait_list.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::inbox::detail {

/// Assumed size of a cache line. A wrong guess costs speed, nothing else.
inline constexpr std::size_t cache_line = 64;

/// The most messages a channel can be made for.
inline constexpr std::size_t capacity_max = std::size_t{1} << 28U;

/// The most messages a channel has room for within its small, single allocation.
inline constexpr std::size_t capacity_small = 8;

/// What came of the try to get a slot for a message.
enum class claim_result : std::uint8_t { claimed, full, closed };

/// What the last owner of the receiving side leaves behind, for who asks why it went.
struct last_word {
    void (*drop)(const last_word& self) noexcept;  // Null when nobody has to free it.
};

/// A slot that a sender got. It owes the channel a message, and soon.
struct claim {
    claim_result result;
    bool wake_receiver;      // The receiver waits for this very message.
    std::uint64_t position;  // Counts all messages from the first one on.
};

/// The head of a channel's allocation; sequence numbers and slots follow it.
///
/// The first cache line is written on slow paths only, so that the fast paths of both sides can
/// read it for free. `head_`, which all senders write, begins the second one.
class channel_core {
public:
    /// The slots begin `slots_offset` bytes behind the beginning of the core.
    channel_core(std::size_t capacity, std::size_t slots, std::size_t slots_offset) noexcept
        : capacity_(static_cast<std::uint32_t>(capacity)),
          mask_(static_cast<std::uint32_t>(slots - 1)),
          sequence_offset_(static_cast<std::uint8_t>(sequence_offset(slots))),
          slots_offset_(static_cast<std::uint32_t>(slots_offset)) {}
    channel_core(const channel_core&) = delete;
    channel_core& operator=(const channel_core&) = delete;

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    // ---- Senders: the fast path ----

    /// Tells whether sends wait for room. A hint, but exact for the calling thread's own ones.
    [[nodiscard]] bool senders_wait() const noexcept {
        return senders_wait_.load(std::memory_order_relaxed);
    }

    [[nodiscard]] bool closed() const noexcept {
        // Acquire, pairs with the release in `close_to_senders`.
        return (head_.load(std::memory_order_acquire) & closed_bit) != 0;
    }

    /// Gets the next slot, if it is free (invariants 2 and 3).
    [[nodiscard]] claim try_claim() noexcept {
        std::uint64_t head = head_.load(std::memory_order_relaxed);
        for (;;) {
            if ((head & closed_bit) != 0) { return {claim_result::closed, false, 0}; }
            const std::uint64_t position = head >> position_shift;
            // Acquire, pairs with `release_slot`: the slot's last message is gone. Sequentially
            // consistent for invariant 6; it is a plain load on x86.
            const std::uint32_t state = sequence(position).load(std::memory_order_seq_cst);
            const auto distance = static_cast<std::int32_t>(state - free_state(position));
            if (distance == 0) {
                // Release and acquire, pairs with `park_receiver`: whoever clears the bit sees the
                // waker that was registered before it was set.
                if (head_.compare_exchange_weak(head, (position + 1) << position_shift,
                                                std::memory_order_acq_rel,
                                                std::memory_order_relaxed)) {
                    return {claim_result::claimed, (head & parked_bit) != 0, position};
                }
            } else if (distance < 0) {
                return {claim_result::full, false, 0};
            } else {
                head = head_.load(std::memory_order_relaxed);  // Another sender was faster.
            }
        }
    }

    /// Hands over the message that was built in a claimed slot.
    void publish(const claim& claimed) noexcept {
        // Release, pairs with the acquire in `is_published`.
        sequence(claimed.position).store(full_state(claimed.position), std::memory_order_release);
        if (claimed.wake_receiver) [[unlikely]] { wake_receiver(); }
    }

    // ---- Senders: waiting for room ----

    /// Joins the queue of waiting senders, or keeps its place in it, and tries to get a slot when
    /// it is the first. After anything but `full` the node is out of the queue.
    [[nodiscard]] claim claim_or_wait(wait_node& node, const waker& who) noexcept {
        waker next;
        claim got{claim_result::full, false, 0};
        {
            std::lock_guard lock(lock_);
            if (!node.linked() && !closed()) {
                senders_.push_back(node);
                // Sequentially consistent, for invariant 6: before `try_claim` reads the slot.
                senders_wait_.store(true, std::memory_order_seq_cst);
            }
            if (closed()) {
                got.result = claim_result::closed;
            } else if (senders_.front() == &node) {
                got = try_claim();
            }
            if (got.result == claim_result::full) {
                node.who = who;
                return got;
            }
            if (node.linked()) { next = unlink_sender(node); }
        }
        next.wake();
        return got;
    }

    /// Leaves the queue of waiting senders. If that was the first one, the next one is told.
    void forget_waiting_sender(wait_node& node) noexcept {
        waker next;
        {
            std::lock_guard lock(lock_);
            if (node.linked()) { next = unlink_sender(node); }
        }
        next.wake();
    }

    // ---- The receiver ----

    [[nodiscard]] bool is_published(std::uint64_t position) const noexcept {
        // Acquire, pairs with the release in `publish`: the message is there.
        return sequence(position).load(std::memory_order_acquire) == full_state(position);
    }

    /// Gives the room of the message at `position` to the senders, without telling them.
    void release_slot(std::uint64_t position) noexcept {
        // Release, pairs with the load in `try_claim`. Sequentially consistent for invariant 6:
        // before `wake_waiting_sender` reads whether senders wait.
        const std::uint64_t freed = position + capacity_;
        sequence(freed).store(free_state(freed), std::memory_order_seq_cst);
    }

    /// Tells the first waiting sender, if there is one, that there is room.
    void wake_waiting_sender() noexcept {
        // Sequentially consistent, for invariant 6.
        if (senders_wait_.load(std::memory_order_seq_cst)) [[unlikely]] { wake_first_sender(); }
    }

    /// Keeps the waker of the receiver and marks it as waiting for the message at `position`.
    /// Tells whether a sender has already claimed that slot, so that no wake will come.
    [[nodiscard]] bool park_receiver(std::uint64_t position, const waker& who) noexcept {
        {
            std::lock_guard lock(lock_);
            receiver_ = who;
        }
        std::uint64_t head = head_.load(std::memory_order_acquire);
        if ((head & parked_bit) == 0) {
            // Release, pairs with the acquire in `try_claim`. Its acquire pairs with the release
            // there, so that what a sender did before is seen.
            head = head_.fetch_or(parked_bit, std::memory_order_acq_rel);
        }
        return (head >> position_shift) != position;
    }

    /// Drops the receiver's waker. Nothing else refers to what it would wake.
    void forget_receiver() noexcept {
        waker dropped;
        std::lock_guard lock(lock_);
        std::swap(dropped, receiver_);
    }

    /// Refuses all sends from now on, and tells everyone who waits. Gives the position behind the
    /// last message that was, or is being, sent.
    [[nodiscard]] std::uint64_t close_to_senders() noexcept {
        // Release, pairs with the acquire in `closed`.
        const std::uint64_t head = head_.fetch_or(closed_bit, std::memory_order_acq_rel);
        wake_all(senders_);
        wake_all(joins_);
        return head >> position_shift;
    }

    /// Keeps a position while there is no receiver.
    void save_position(std::uint64_t position) noexcept { saved_position_ = position; }
    [[nodiscard]] std::uint64_t saved_position() const noexcept { return saved_position_; }

    // ---- The last word: why the receiving side went ----

    /// Leaves a word behind. *Requires*: receiver and manager are gone, and the channel is not
    /// closed yet: so the saved position is not needed any more, and makes room for it.
    void leave_word(const last_word& word) noexcept {
        // No position comes near the mark: one message a nanosecond takes centuries to get there.
        saved_position_ = reinterpret_cast<std::uintptr_t>(&word) | word_mark;
    }

    /// Gives the word that was left, or null. *Requires*: `closed()` said so; its acquire pairs
    /// with the release in `close_to_senders`, so that the word is seen.
    [[nodiscard]] const last_word* word() const noexcept {
        if ((saved_position_ & word_mark) == 0) { return nullptr; }
        return reinterpret_cast<const last_word*>(
            static_cast<std::uintptr_t>(saved_position_ & ~word_mark));
    }

    // ---- Who waits for the other side to go ----

    /// Waits for a wake that comes when one side is gone. `is_gone` is asked again once the node
    /// can no longer be missed; when it says yes, the node is not in the list.
    template <typename IsGone>
    [[nodiscard]] bool gone_or_wait(wait_node& node, const waker& who, IsGone is_gone) noexcept {
        std::lock_guard lock(lock_);
        if (is_gone()) {
            if (node.linked()) { joins_.remove(node); }
            return true;
        }
        if (!node.linked()) { joins_.push_back(node); }
        node.who = who;
        return false;
    }

    /// Takes a node out of the list, if it is in there.
    void forget_join(wait_node& node) noexcept {
        std::lock_guard lock(lock_);
        if (node.linked()) { joins_.remove(node); }
    }

    // ---- References: who is there, and who frees the memory (invariant 8) ----

    [[nodiscard]] bool has_senders() const noexcept {
        // Acquire, pairs with the release in `drop_sender`: what they sent is seen.
        return (references_.load(std::memory_order_acquire) & senders_mask) != 0;
    }
    [[nodiscard]] bool has_receiver() const noexcept {
        return (references_.load(std::memory_order_acquire) & receiver_bit) != 0;
    }

    /// Tells whether anybody but the receiving side uses the channel: a sender, or an observer.
    [[nodiscard]] bool is_watched() const noexcept {
        const auto now = references_.load(std::memory_order_relaxed);
        return (now & ~(receiver_bit | manager_bit)) != one_hold;
    }

    /// Counts one more sender, made from a sender.
    void copy_sender() noexcept {
        // Relaxed: the sender that is copied keeps everything alive.
        references_.fetch_add(one_sender, std::memory_order_relaxed);
    }

    /// Counts one more sender, made by the receiver or the manager; it may be the only one.
    void add_sender() noexcept {
        std::uint64_t now = references_.load(std::memory_order_relaxed);
        std::uint64_t then = 0;
        do {
            then = now + one_sender + ((now & senders_mask) == 0 ? one_hold : 0);
            // Relaxed: the caller keeps everything alive.
        } while (!references_.compare_exchange_weak(now, then, std::memory_order_relaxed));
    }

    /// Counts one sender less. Tells whether the caller has to free the channel.
    [[nodiscard]] bool drop_sender() noexcept {
        // Release, pairs with the acquire in `has_senders`. Acquire, for `drop_hold`.
        const auto before = references_.fetch_sub(one_sender, std::memory_order_acq_rel);
        if ((before & senders_mask) != one_sender) { return false; }
        wake_receiver();
        wake_all(joins_);
        return drop_hold();
    }

    /// Counts the manager. *Requires*: no other thread has the channel yet.
    void add_manager() noexcept { references_.fetch_or(manager_bit, std::memory_order_relaxed); }

    /// Counts a receiver, unless there is one.
    [[nodiscard]] bool try_add_receiver() noexcept {
        // Acquire, pairs with the release in `leave`: the last receiver's position is seen.
        const auto before = references_.fetch_or(receiver_bit, std::memory_order_acq_rel);
        return (before & receiver_bit) == 0;
    }

    /// Takes away the receiver or the manager. Tells whether the other one is gone as well, so
    /// that the caller has to close the channel, and then to call `drop_hold`.
    [[nodiscard]] bool drop_receiver() noexcept { return leave(receiver_bit, manager_bit); }
    [[nodiscard]] bool drop_manager() noexcept { return leave(manager_bit, receiver_bit); }

    /// Keeps the memory for someone who only looks on. *Requires*: the caller's side has a hold.
    void add_hold() noexcept { references_.fetch_add(one_hold, std::memory_order_relaxed); }

    /// Ends one side's use of the memory. Tells whether the caller has to free the channel.
    [[nodiscard]] bool drop_hold() noexcept {
        // Release and acquire, pairs with itself: the last one sees what all others did.
        return references_.fetch_sub(one_hold, std::memory_order_acq_rel) == one_hold;
    }

    // ---- Layout ----

    /// Where the sequence numbers begin: right behind the core in a small channel, in a cache line
    /// of their own in others, apart from `head_`.
    static constexpr std::size_t sequence_offset(std::size_t slots) noexcept {
        return slots <= capacity_small ? cache_line + sizeof(std::uint64_t) : 2 * cache_line;
    }

    /// Builds the sequence numbers. *Requires*: the memory behind the core is there.
    void make_sequence() noexcept {
        std::byte* memory = reinterpret_cast<std::byte*>(this) + sequence_offset_;
        for (std::uint32_t i = 0; i <= mask_; ++i) {
            // A slot that no message may use in the first round looks as if its message of the
            // round before, which never was, had not been released yet.
            const std::uint32_t state = i < capacity_ ? free_state(i) : full_state(i - mask_ - 1U);
            ::new (static_cast<void*>(memory + i * sizeof(sequence_type))) sequence_type(state);
        }
    }

    [[nodiscard]] std::size_t slots_offset() const noexcept { return slots_offset_; }

    [[nodiscard]] std::size_t index(std::uint64_t position) const noexcept {
        return static_cast<std::size_t>(position) & mask_;
    }

private:
    using sequence_type = std::atomic<std::uint32_t>;

    static constexpr std::uint64_t parked_bit = 1;
    static constexpr std::uint64_t closed_bit = 2;
    static constexpr unsigned position_shift = 2;

    static constexpr std::uint64_t word_mark = std::uint64_t{1} << 63U;

    static constexpr std::uint64_t one_sender = 1;
    static constexpr std::uint64_t senders_mask = 0xffff'ffff;
    static constexpr std::uint64_t one_hold = std::uint64_t{1} << 32U;
    static constexpr std::uint64_t receiver_bit = std::uint64_t{1} << 62U;
    static constexpr std::uint64_t manager_bit = std::uint64_t{1} << 63U;

    static constexpr std::uint32_t free_state(std::uint64_t position) noexcept {
        return static_cast<std::uint32_t>(position) * 2U;
    }
    static constexpr std::uint32_t full_state(std::uint64_t position) noexcept {
        return static_cast<std::uint32_t>(position) * 2U + 1U;
    }

    [[nodiscard]] const sequence_type& sequence(std::uint64_t position) const noexcept {
        const auto* memory = reinterpret_cast<const std::byte*>(this) + sequence_offset_ +
                             index(position) * sizeof(sequence_type);
        return *std::launder(reinterpret_cast<const sequence_type*>(memory));
    }
    [[nodiscard]] sequence_type& sequence(std::uint64_t position) noexcept {
        return const_cast<sequence_type&>(std::as_const(*this).sequence(position));
    }

    // Invariant 7. *Requires*: `lock_` is held. The waker given back is to be woken without it.
    [[nodiscard]] waker unlink_sender(wait_node& node) noexcept {
        const bool was_first = senders_.front() == &node;
        senders_.remove(node);
        if (senders_.empty()) {
            senders_wait_.store(false, std::memory_order_relaxed);  // Guarded by the lock.
            return {};
        }
        return was_first && has_room() ? std::move(senders_.front()->who) : waker();
    }

    [[nodiscard]] bool has_room() const noexcept {
        const auto position = head_.load(std::memory_order_relaxed) >> position_shift;
        // Sequentially consistent, for invariant 6. A stale head makes for a spurious wake.
        return static_cast<std::int32_t>(sequence(position).load(std::memory_order_seq_cst) -
                                         free_state(position)) >= 0;
    }

    void wake_first_sender() noexcept {
        waker first;
        {
            std::lock_guard lock(lock_);
            if (!senders_.empty()) { first = std::move(senders_.front()->who); }
        }
        first.wake();
    }

    void wake_receiver() noexcept {
        waker woken;
        {
            std::lock_guard lock(lock_);
            std::swap(woken, receiver_);
        }
        woken.wake();
    }

    // Wakes everyone who is in a list now, and takes them out. Its futures look for themselves what
    // has happened when they are polled; those that wait on are behind the last one of now.
    void wake_all(wait_list& list) noexcept {
        const wait_node* last = nullptr;
        for (bool done = false; !done;) {
            waker woken;
            {
                std::lock_guard lock(lock_);
                if (!list.empty()) {
                    wait_node& first = *list.front();
                    if (last == nullptr) { last = first.previous; }
                    done = last == &first;
                    list.remove(first);
                    woken = std::move(first.who);
                }
                done = done || list.empty();
                if (&list == &senders_ && list.empty()) {
                    senders_wait_.store(false, std::memory_order_relaxed);
                }
            }
            woken.wake();
        }
    }

    [[nodiscard]] bool leave(std::uint64_t mine, std::uint64_t other) noexcept {
        // Release, pairs with the acquire in `try_add_receiver`; acquire, to close after what the
        // other one did.
        const auto before = references_.fetch_and(~mine, std::memory_order_acq_rel);
        return (before & other) == 0;
    }

    std::uint32_t capacity_;
    std::uint32_t mask_;
    // One sender, the receiver, and a hold on the memory for each side.
    std::atomic<std::uint64_t> references_ = one_sender | receiver_bit | (2 * one_hold);
    std::uint64_t saved_position_ = 0;
    waker receiver_;     // Guarded by `lock_`.
    wait_list senders_;  // Guarded by `lock_`.
    wait_list joins_;    // Guarded by `lock_`.
    spin_lock lock_;
    std::atomic<bool> senders_wait_ = false;  // Whether `senders_` has entries. Written under lock.
    std::uint8_t sequence_offset_;            // Kept, as they are needed for each message.
    std::uint32_t slots_offset_;
    std::atomic<std::uint64_t> head_ = 0;  // Position of the next message, and two bits.
};

static_assert(sizeof(channel_core) == cache_line + sizeof(std::uint64_t));

}  // namespace heph::inbox::detail
