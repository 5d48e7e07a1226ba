#pragma once

// What a channel does that has nothing to do with its messages: who is there, who waits for whom to
// go, and who frees the memory. The invariants are in <heph/inbox/channel.hpp>; their numbers are
// used here.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/inbox/detail/environment.hpp>
#include <heph/inbox/detail/kept_waker.hpp>
#include <heph/inbox/detail/spin_lock.hpp>
#include <heph/inbox/detail/wait_list.hpp>
#include <heph/inbox/waker.hpp>

namespace heph::inbox::detail {

/// Assumed size of a cache line. A wrong guess costs speed, nothing else.
inline constexpr std::size_t cache_line = 64;

/// The most messages a channel can be made for.
inline constexpr std::size_t capacity_max = std::size_t{1} << 24U;

/// What the last owner of the receiving side leaves behind, for who asks why it went.
struct last_word {
    void (*drop)(const last_word& self) noexcept;  // Null when nobody has to free it.
};

/// The head of a channel's allocation; the cells with the messages follow it.
///
/// It is one cache line. Senders write it (`head_`) with each message; the receiver's fast path
/// does not touch it, and finds all it needs in the cell it works at and in itself.
///
/// Positions go up by `step` from one message to the next. So the bits below are free for what
/// `head_` says besides, and a send gets from `head_` to its slot by one mask and one sum: what
/// either side does between two messages bounds how many of them the processor can have on their
/// way between two cores at a time.
template <typename Environment>
class basic_channel_core {
public:
    basic_channel_core(std::size_t capacity, unsigned slots_log2) noexcept
        : mask_(static_cast<std::uint32_t>(((std::uint64_t{1} << slots_log2) - 1) * step)),
          capacity_low_(static_cast<std::uint16_t>(capacity - 1)),
          capacity_high_(static_cast<std::uint8_t>((capacity - 1) >> 16U)) {}
    basic_channel_core(const basic_channel_core&) = delete;
    basic_channel_core& operator=(const basic_channel_core&) = delete;

    /// What is between the positions of two messages that follow each other.
    static constexpr std::uint64_t step = 16;

    [[nodiscard]] std::size_t capacity() const noexcept {
        return (std::size_t{capacity_high_} << 16U) + capacity_low_ + 1U;
    }

    /// Gives what a position is masked with to get the place of its slot, in steps.
    [[nodiscard]] std::uint32_t mask() const noexcept { return mask_; }
    [[nodiscard]] std::size_t slots() const noexcept { return mask_ / step + 1; }

    /// Tells whether sends wait for room. A hint, but exact for the calling thread's own ones.
    [[nodiscard]] bool senders_wait() const noexcept {
        return (head_.load(std::memory_order_relaxed) & waiting_bit) != 0;
    }

    [[nodiscard]] bool closed() const noexcept {
        // Acquire, pairs with the release in `close_to_senders`.
        return (head_.load(std::memory_order_acquire) & closed_bit) != 0;
    }

    // ---- The receiver ----

    /// Keeps the waker of the receiver and marks it as waiting for the message at `position`
    /// (invariant 12), on behalf of `owner` (invariant 13). Tells whether no wake is sure to come,
    /// because a sender has claimed that position already, or is just about to wake the receiver.
    [[nodiscard]] bool park_receiver(std::uint64_t position, const waker& who,
                                     const void* owner) noexcept {
        // Acquire, pairs with the release in `change_head`.
        std::uint64_t head = head_.load(std::memory_order_acquire);
        for (;;) {
            if (position_in(head) != position || (head & taking_bit) != 0) { return true; }
            if ((head & parked_bit) == 0) { break; }
            Environment::reads(&receiver_);
            if (receiver_.will_wake(who)) {
                if (!owns_wait(owner)) { own_wait(nullptr); }  // It is both of theirs.
                return false;
            }
            if (change_head(head, head & ~parked_bit)) {
                receiver_.drop();
                head &= ~parked_bit;
                break;
            }
        }
        own_wait(owner);
        Environment::writes(&receiver_);
        receiver_.keep(who);
        return !say_that_it_waits(head, position);
    }

    /// Does so, for what is so nearly always: nobody has claimed the position, and no bit is set.
    /// Tells whether it did; only then it took over the waker's reference, which was added already.
    /// So there is no call in it, for which registers would have to be saved.
    [[nodiscard, gnu::always_inline]] bool try_park(std::uint64_t position, const waker& who,
                                                    const void* owner) noexcept {
        // Acquire, pairs with the release in `change_head`.
        std::uint64_t head = head_.load(std::memory_order_acquire);
        if (head != position) [[unlikely]] { return false; }
        own_wait(owner);
        Environment::writes(&receiver_);
        receiver_.hold(who);
        // Sequentially consistent, for `wake_receiver`.
        return head_.compare_exchange_weak(head, head | parked_bit, std::memory_order_seq_cst,
                                           std::memory_order_relaxed);
    }

private:
    // Sets `parked` for the waker that is there, unless no wake is sure to come, and drops it then.
    [[gnu::noinline]] bool say_that_it_waits(std::uint64_t head, std::uint64_t position) noexcept {
        while (position_in(head) == position && (head & taking_bit) == 0) {
            // Sequentially consistent, for `wake_receiver`.
            if (head_.compare_exchange_weak(head, head | parked_bit, std::memory_order_seq_cst,
                                            std::memory_order_acquire)) {
                return true;
            }
        }
        receiver_.drop();
        return false;
    }

    // While there is a receiver, nobody needs the saved position: it makes room for this.
    void own_wait(const void* owner) noexcept {
        Environment::writes(&saved_position_);
        saved_position_ = reinterpret_cast<std::uintptr_t>(owner);
    }
    [[nodiscard]] bool owns_wait(const void* owner) const noexcept {
        Environment::reads(&saved_position_);
        return saved_position_ == reinterpret_cast<std::uintptr_t>(owner);
    }

public:
    /// Drops the receiver's waker, if it is there on behalf of `owner` only (invariant 13), unless
    /// a sender has taken it.
    void forget_wait_of(const void* owner) noexcept {
        if (owns_wait(owner)) { forget_receiver(); }
    }
    /// Drops the receiver's waker, unless a sender has taken it.
    void forget_receiver() noexcept {
        // Relaxed: the bit is set by the receiver only, which is the caller.
        std::uint64_t head = head_.load(std::memory_order_relaxed);
        while ((head & parked_bit) != 0) {
            if (!change_head(head, head & ~parked_bit)) { continue; }
            Environment::reads(&receiver_);
            receiver_.drop();
            return;
        }
    }

    /// Keeps a position while there is no receiver.
    void save_position(std::uint64_t position) noexcept {
        Environment::writes(&saved_position_);
        saved_position_ = position;
    }
    [[nodiscard]] std::uint64_t saved_position() const noexcept {
        Environment::reads(&saved_position_);
        return saved_position_;
    }

    // ---- The last word: why the receiving side went ----

    /// Leaves a word behind. *Requires*: receiver and manager are gone, and the channel is not
    /// closed yet: so the saved position is not needed any more, and makes room for it.
    void leave_word(const last_word& word) noexcept {
        // No position comes near the mark: 2^59 messages, one a nanosecond, take 18 years.
        Environment::writes(&saved_position_);
        saved_position_ = reinterpret_cast<std::uintptr_t>(&word) | word_mark;
    }

    /// Gives the word that was left, or null. *Requires*: `closed()` said so; its acquire pairs
    /// with the release in `close_to_senders`, so that the word is seen.
    [[nodiscard]] const last_word* word() const noexcept {
        Environment::reads(&saved_position_);
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
        if (!node.linked()) {
            // Pairs with `uncount_sender`: the last sender sees the bit, or is seen to be gone.
            references_.fetch_or(joined_bit, std::memory_order_acq_rel);
        }
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
        // Acquire, pairs with the release in `uncount_sender`: what they sent is seen. Sequentially
        // consistent, for `wake_receiver`.
        return (references_.load(std::memory_order_seq_cst) & senders_mask) != 0;
    }
    [[nodiscard]] bool has_receiver() const noexcept {
        return (references_.load(std::memory_order_acquire) & receiver_bit) != 0;
    }

    /// Tells whether anybody but the receiving side uses the channel: a sender, or an observer.
    [[nodiscard]] bool is_watched() const noexcept {
        const auto now = references_.load(std::memory_order_relaxed);
        return (now & ~(receiver_bit | manager_bit | joined_bit)) != one_hold;
    }

    /// Counts one more sender, made from a sender.
    void copy_sender() noexcept {
        // Relaxed: the sender that is copied keeps everything alive.
        references_.fetch_add(one_sender, std::memory_order_relaxed);
    }

    /// Counts the manager. *Requires*: no other thread has the channel yet.
    void add_manager() noexcept {
        references_.store(references_.load(std::memory_order_relaxed) | manager_bit,
                          std::memory_order_relaxed);
    }

    /// Counts a receiver, unless there is one.
    [[nodiscard]] bool try_add_receiver() noexcept {
        // Acquire, pairs with the release in `leave`: the last receiver's position is seen.
        const auto before = references_.fetch_or(receiver_bit, std::memory_order_acq_rel);
        return (before & receiver_bit) == 0;
    }

    /// Tells whether the receiver, or the manager, is the only one that still uses the channel. It
    /// then frees it, and needs no other step to do so.
    [[nodiscard]] bool receiver_is_alone() const noexcept { return is_alone(receiver_bit); }
    [[nodiscard]] bool manager_is_alone() const noexcept { return is_alone(manager_bit); }

    /// Takes away the receiver or the manager. Tells whether the other one is gone as well, so
    /// that the caller has to close the channel, and then to call `drop_hold`.
    [[nodiscard]] bool drop_receiver() noexcept { return leave(receiver_bit, manager_bit); }
    [[nodiscard]] bool drop_manager() noexcept { return leave(manager_bit, receiver_bit); }

    /// Keeps the memory for someone who only looks on. *Requires*: the caller's side has a hold.
    void add_hold() noexcept { references_.fetch_add(one_hold, std::memory_order_relaxed); }

    /// Ends one side's use of the memory. Tells whether the caller has to free the channel.
    [[nodiscard]] bool drop_hold() noexcept {
        // Release and acquire, pairs with itself: the last one sees what all others did.
        const auto before = references_.fetch_sub(one_hold, std::memory_order_acq_rel);
        return (before & ~joined_bit) == one_hold;
    }

protected:
    template <typename V>
    using atomic = typename Environment::template atomic<V>;

    static constexpr std::uint64_t parked_bit = 1;
    static constexpr std::uint64_t closed_bit = 2;
    static constexpr std::uint64_t taking_bit = 4;
    static constexpr std::uint64_t waiting_bit = 8;  // Written under `lock_`.

    static constexpr std::uint64_t word_mark = std::uint64_t{1} << 63U;

    static constexpr std::uint64_t one_sender = 1;
    static constexpr std::uint64_t senders_mask = 0xffff'ffff;
    static constexpr std::uint64_t one_hold = std::uint64_t{1} << 32U;
    static constexpr std::uint64_t joined_bit = std::uint64_t{1} << 61U;  // `joins_` was used.
    static constexpr std::uint64_t receiver_bit = std::uint64_t{1} << 62U;
    static constexpr std::uint64_t manager_bit = std::uint64_t{1} << 63U;

    ~basic_channel_core() = default;

    /// Counts one more sender. Tells whether it is the only one.
    [[nodiscard]] bool count_sender() noexcept {
        std::uint64_t now = references_.load(std::memory_order_relaxed);
        std::uint64_t then = 0;
        do {
            then = now + one_sender + ((now & senders_mask) == 0 ? one_hold : 0);
            // Relaxed: the caller keeps everything alive.
        } while (!references_.compare_exchange_weak(now, then, std::memory_order_relaxed));
        return (now & senders_mask) == 0;
    }

    /// What is left when one sender has gone.
    enum class remaining : std::uint8_t {
        senders,   ///< Others.
        receiver,  ///< No other sender, but the receiver, or who makes one.
        joined,    ///< The same, and maybe somebody who waits for just that.
        holds,     ///< Nobody but who keeps the memory.
        nothing,   ///< Nobody at all: the caller has to free it.
    };

    /// Counts one sender less.
    [[nodiscard]] remaining uncount_sender() noexcept {
        if (is_alone(one_sender)) { return remaining::nothing; }
        // Release, pairs with the acquire in `has_senders`. Acquire, for `drop_hold`. Sequentially
        // consistent, for `wake_receiver`.
        const auto before = references_.fetch_sub(one_sender, std::memory_order_seq_cst);
        if ((before & senders_mask) != one_sender) { return remaining::senders; }
        if ((before & (receiver_bit | manager_bit)) == 0) { return remaining::holds; }
        return (before & joined_bit) != 0 ? remaining::joined : remaining::receiver;
    }

    [[nodiscard]] bool is_alone(std::uint64_t mine) const noexcept {
        // Acquire, pairs with the release of who has gone: what they did is seen.
        return references_.load(std::memory_order_acquire) == (mine | one_hold);
    }

    /// Gives the position behind the last message that was, or is being, sent.
    [[nodiscard]] std::uint64_t end_position() const noexcept {
        return position_in(head_.load(std::memory_order_relaxed));
    }

    /// Refuses all sends from now on, and tells everyone who waits. Gives the position behind the
    /// last message that was, or is being, sent.
    [[nodiscard]] std::uint64_t close_to_senders() noexcept {
        // Release, pairs with the acquire in `closed`.
        const std::uint64_t head = head_.fetch_or(closed_bit, std::memory_order_acq_rel);
        bool somebody_waits = false;
        {
            std::lock_guard lock(lock_);
            somebody_waits = !senders_.empty() || !joins_.empty();
        }
        if (somebody_waits) {
            wake_all(senders_);
            wake_all(joins_);
        }
        return position_in(head);
    }

    void wake_first_sender() noexcept {
        waker first;
        {
            std::lock_guard lock(lock_);
            if (!senders_.empty()) { first = std::move(senders_.front()->who); }
        }
        std::move(first).wake();
    }

    /// Gives what `head_` is after a claim of so many positions.
    [[nodiscard]] static constexpr std::uint64_t advanced(std::uint64_t head,
                                                          std::uint64_t count) noexcept {
        return (head + count * step) & ~parked_bit;
    }
    [[nodiscard]] static constexpr std::uint64_t position_in(std::uint64_t head) noexcept {
        return head & ~(step - 1);
    }

    /// Says whether `senders_` has entries. *Requires*: the lock is held.
    void say_whether_senders_wait(bool waiting) noexcept {
        // Relaxed: invariant 6 has fences, and the bit itself says all. As a read-modify-write it
        // goes between a release and who acquires it without a break.
        if (waiting) {
            head_.fetch_or(waiting_bit, std::memory_order_relaxed);
        } else {
            head_.fetch_and(~waiting_bit, std::memory_order_relaxed);
        }
    }

    // Release and acquire, pairs with itself: whoever clears a bit, or finds it cleared, sees what
    // was done before.
    [[nodiscard]] bool change_head(std::uint64_t& head, std::uint64_t to) noexcept {
        return head_.compare_exchange_weak(head, to, std::memory_order_acq_rel,
                                           std::memory_order_acquire);
    }

    /// Takes the waker of the receiver. *Requires*: the caller has claimed the position that it
    /// waits for, and has not published its message yet (invariant 12).
    [[nodiscard]] waker take_receiver() const noexcept {
        Environment::reads(&receiver_);
        return receiver_.take();
    }

    /// Wakes the receiver, if it waits, because the last sender has gone.
    ///
    /// Sequentially consistent, as are the steps of `uncount_sender`, `park_receiver` and
    /// `has_senders`: when nobody waits here yet, the receiver looks whether there are senders
    /// after the last one has gone.
    void wake_receiver() noexcept {
        std::uint64_t head = head_.load(std::memory_order_seq_cst);
        do {
            if ((head & parked_bit) == 0) { return; }
        } while (!change_head(head, (head & ~parked_bit) | taking_bit));
        waker woken = take_receiver();
        // Release, pairs with the acquire in `park_receiver`, which may write the waker now.
        head_.fetch_and(~taking_bit, std::memory_order_acq_rel);
        std::move(woken).wake();
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
                if (&list == &senders_ && list.empty()) { say_whether_senders_wait(false); }
            }
            std::move(woken).wake();
        }
    }

    [[nodiscard]] bool leave(std::uint64_t mine, std::uint64_t other) noexcept {
        // Release, pairs with the acquire in `try_add_receiver`; acquire, to close after what the
        // other one did.
        const auto before = references_.fetch_and(~mine, std::memory_order_acq_rel);
        return (before & other) == 0;
    }

    // One sender, the receiver, and a hold on the memory for each side.
    atomic<std::uint64_t> references_ = one_sender | receiver_bit | (2 * one_hold);
    std::uint64_t saved_position_ = 0;  // Or the last word, or who waits (invariant 13).
    kept_waker receiver_;               // Invariant 12.
    wait_list senders_;                 // Guarded by `lock_`.
    wait_list joins_;                   // Guarded by `lock_`.
    atomic<std::uint64_t> head_ = 0;    // Position of the next message, and four bits.
    std::uint32_t mask_;
    std::uint16_t capacity_low_;  // With `capacity_high_`: the capacity, less 1.
    std::uint8_t capacity_high_;
    spin_lock<Environment> lock_;
};

using channel_core = basic_channel_core<standard_environment>;

static_assert(sizeof(channel_core) == cache_line);

}  // namespace heph::inbox::detail
