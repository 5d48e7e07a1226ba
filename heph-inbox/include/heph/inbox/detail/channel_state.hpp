#pragma once

// A channel with its messages: one allocation. The invariants are in <heph/inbox/channel.hpp>;
// their numbers are used here.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <heph/inbox/detail/cell.hpp>
#include <heph/inbox/detail/channel_core.hpp>
#include <heph/inbox/layout.hpp>

namespace heph::inbox::detail {

/// What came of the try to get a slot for a message.
enum class claim_result : std::uint8_t { claimed, full, closed };

/// Slots that a sender got. It owes the channel that many messages, and soon.
struct claim {
    claim_result result;
    bool wake_receiver;       // The receiver waits for the first of these messages.
    std::uint32_t count = 1;  // How many slots, one after the other.
    std::uint64_t position;   // Of the first one. Counts all messages from the first one on.
    void* cell = nullptr;     // Of the first one.
};

/// Where a receiver is, with what it needs to know of the channel without looking at what senders
/// write all the time.
struct cursor {
    std::uint64_t position;  // Of the next message.
    std::uint32_t mask;
    std::uint32_t capacity;
    std::uint32_t watch_mask;  // Of the positions, to get the cell whose `watch` counts.
    std::uint32_t quiet = 0;   // How many releases it has watched without anybody waiting.
};

/// The core, and a ring of cells behind it.
template <typename T, typename Layout>
class channel_state : public basic_channel_core<typename Layout::environment> {
    static_assert(check_message_type<T>());
    using environment = typename Layout::environment;
    using core = basic_channel_core<environment>;
    using cell = detail::cell<T, Layout>;

public:
    /// Makes a channel with one sender and the receiver.
    [[nodiscard]] static channel_state* make(std::size_t capacity) {
        if (capacity == 0 || capacity > capacity_max) {
            throw std::invalid_argument("heph::inbox: a channel's capacity is 1 to 2^28");
        }
        const auto slots_log2 = static_cast<unsigned>(std::countr_zero(std::bit_ceil(capacity)));
        void* memory = environment::allocate(bytes(std::size_t{1} << slots_log2), alignment);
        auto* made = ::new (memory) channel_state(capacity, slots_log2);
        made->make_cells();
        return made;
    }

    /// Frees the channel. *Requires*: nobody uses it any more.
    void free() noexcept {
        if (const last_word* left = this->word(); left != nullptr && left->drop != nullptr) {
            left->drop(*left);
        }
        if constexpr (!std::is_trivially_destructible_v<cell>) {
            for (std::size_t i = 0; i <= this->mask(); ++i) { std::destroy_at(&cell_at(i)); }
        }
        const std::size_t size = bytes(std::size_t{this->mask()} + 1);
        this->~channel_state();
        environment::deallocate(this, size, alignment);
    }

    /// Tells how much memory a channel with so many slots takes.
    static constexpr std::size_t bytes(std::size_t slots) noexcept {
        return cells_offset + slots * sizeof(cell);
    }

    // ---- Senders: the fast path ----

    /// Gets the next slot, if it is free (invariants 2 and 3).
    [[nodiscard, gnu::always_inline]] claim try_claim() noexcept {
        const std::uint32_t mask = this->mask();
        std::uint64_t head = this->head_.load(std::memory_order_relaxed);
        for (;;) {
            if ((head & core::closed_bit) != 0) { return refused(claim_result::closed); }
            const std::uint64_t position = head >> core::position_shift;
            cell& its = cell_at(position & mask);
            const std::int32_t distance = until_free(its, position);
            if (distance == 0) {
                // Release and acquire, pairs with `park_receiver`: whoever clears the bit sees the
                // waker that was registered before it was set.
                if (this->head_.compare_exchange_weak(head, core::advanced(head, 1),
                                                      std::memory_order_acq_rel,
                                                      std::memory_order_relaxed)) {
                    return {claim_result::claimed, (head & core::parked_bit) != 0, 1, position,
                            &its};
                }
            } else if (distance < 0) {
                return refused(claim_result::full);
            } else {
                head = this->head_.load(std::memory_order_relaxed);  // Another one was faster.
            }
        }
    }

    /// Gets as many of the next slots as are free, one after the other (invariant 10).
    /// *Requires*: 1 <= `least` <= `most`.
    /// *Errors*: `full` when fewer than `least` are free.
    [[nodiscard]] claim try_claim_many(std::size_t least, std::size_t most) noexcept {
        std::uint64_t head = this->head_.load(std::memory_order_relaxed);
        for (;;) {
            if ((head & core::closed_bit) != 0) { return refused(claim_result::closed); }
            if (least > this->capacity_) { return refused(claim_result::full); }
            const std::uint64_t position = head >> core::position_shift;
            const std::int32_t distance = until_free(position + least - 1);
            if (distance == 0) {
                const std::size_t count = free_from(position, least, most);
                // As in `try_claim`.
                if (this->head_.compare_exchange_weak(head, core::advanced(head, count),
                                                      std::memory_order_acq_rel,
                                                      std::memory_order_relaxed)) {
                    return {claim_result::claimed, (head & core::parked_bit) != 0,
                            static_cast<std::uint32_t>(count), position,
                            &cell_at(position & this->mask())};
                }
                continue;
            }
            const std::uint64_t now = this->head_.load(std::memory_order_relaxed);
            if (distance < 0 && now == head) { return refused(claim_result::full); }
            head = now;  // Another one was faster.
        }
    }

    /// Moves a message into a claimed slot and hands it over.
    template <typename From>
    [[gnu::always_inline]] void put(const claim& claimed, From&& message) noexcept {
        cell& its = *static_cast<cell*>(claimed.cell);
        build(its, std::forward<From>(message));
        if (claimed.wake_receiver) [[unlikely]] {
            publish_and_wake(its, claimed.position);
        } else {
            publish(its, claimed.position);
        }
    }

    /// Builds messages in claimed slots from what `next()` gives, and hands them over all at once.
    template <typename Next>
    void put_many(const claim& claimed, Next next) noexcept {
        for (std::uint32_t i = 0; i < claimed.count; ++i) {
            build(cell_at((claimed.position + i) & this->mask()), next());
        }
        waker woken = claimed.wake_receiver ? this->take_receiver() : waker();  // Invariant 12.
        // The first one last: until then the receiver sees none of them (invariant 10).
        for (std::uint32_t i = claimed.count; i-- > 0;) {
            publish(cell_at((claimed.position + i) & this->mask()), claimed.position + i);
        }
        std::move(woken).wake();
    }

    // ---- Senders: waiting for room ----

    /// Joins the queue of waiting senders, or keeps its place in it, and tries to get slots, at
    /// most `most`, when it is the first. After `closed`, and when it got `most`, the node is out
    /// of the queue; else it keeps its place.
    [[nodiscard]] claim claim_or_wait(wait_node& node, const waker& who,
                                      std::size_t most = 1) noexcept {
        waker next;
        claim got = refused(claim_result::full);
        {
            std::unique_lock lock(this->lock_);
            if (!node.linked() && !this->closed()) { join_senders(node, who, lock); }
            if (this->closed()) {
                got.result = claim_result::closed;
            } else if (this->senders_.front() == &node) {
                got = most == 1 ? try_claim() : try_claim_many(1, most);
            }
            const bool done = got.result == claim_result::closed ||
                              (got.result == claim_result::claimed && got.count == most);
            if (!done) {
                node.who = who;
                return got;
            }
            if (node.linked()) { next = unlink_sender(node); }
        }
        std::move(next).wake();
        return got;
    }

    /// Leaves the queue of waiting senders. If that was the first one, the next one is told.
    void forget_waiting_sender(wait_node& node) noexcept {
        waker next;
        {
            std::lock_guard lock(this->lock_);
            if (node.linked()) { next = unlink_sender(node); }
        }
        std::move(next).wake();
    }

    // ---- The receiver ----

    /// Gives a new receiver's place. *Requires*: the caller is the receiver, or about to be.
    [[nodiscard]] cursor cursor_from(std::uint64_t position) const noexcept {
        const std::uint32_t mask = this->mask();
        return {position, mask, this->capacity_, mask < watched_cells ? mask : 0U};
    }

    [[nodiscard]] bool has_message(const cursor& place) const noexcept {
        return is_published(place.position, place.mask);
    }

    /// Gives the next message. *Requires*: it is there.
    [[nodiscard]] T& next(const cursor& place) noexcept {
        return *cell_at(place.position & place.mask).message();
    }

    /// Gives a message further on, `ahead` behind the next one, or null when it is not there yet.
    [[nodiscard]] T* peek(const cursor& place, std::size_t ahead) noexcept {
        const std::uint64_t position = place.position + ahead;
        if (ahead >= place.capacity || !is_published(position, place.mask)) { return nullptr; }
        return cell_at(position & place.mask).message();
    }

    /// Ends the life of the next message, which was moved from, gives its room to the senders
    /// without telling them, and goes on to the one behind it.
    void release(cursor& place) noexcept {
        destroy(place.position, place.mask);
        // Release, pairs with the acquire in `until_free`: the slot's last message is gone.
        const std::uint64_t freed = place.position + place.capacity;
        cell_at(freed & place.mask).sequence.store(free_state(freed), std::memory_order_release);
        ++place.position;
    }

    /// Tells the first waiting sender, if there is one, that there is room (invariant 6).
    void tell_senders(cursor& place) noexcept {
        if (must_look_for_senders(place)) [[unlikely]] { look_for_waiting_senders(place); }
    }

    /// The part of `tell_senders` that nearly always suffices.
    [[nodiscard]] bool must_look_for_senders(const cursor& place) const noexcept {
        environment::light_fence();  // Pairs with the heavy one in `join_senders`.
        const auto watch =
            cell_at(place.position & place.watch_mask).watch.load(std::memory_order_relaxed);
        return (watch & watch_closely) != 0;
    }

    /// The other part (invariant 6).
    [[gnu::noinline]] void look_for_waiting_senders(cursor& place) noexcept {
        environment::full_fence();  // Pairs with the one in `join_senders`.
        if (this->senders_wait()) {
            place.quiet = 0;
            this->wake_first_sender();
            return;
        }
        if (++place.quiet < environment::quiet_max || !environment::has_heavy_fence()) { return; }
        place.quiet = 0;
        std::lock_guard lock(this->lock_);
        if (this->senders_.empty()) {
            set_watch(static_cast<std::uint8_t>(this->watch_ & ~watch_closely));
        }
    }

    /// Tells whether senders may be gone, without a look at what they write. After a yes,
    /// `has_senders` knows; a no may be late, for who does not wait.
    [[nodiscard]] bool senders_may_be_gone(const cursor& place) const noexcept {
        // Relaxed: `has_senders` acquires.
        return cell_at(place.position & place.watch_mask)
                   .senders_gone.load(std::memory_order_relaxed) != 0;
    }

    /// Closes the channel, destroys what is in it, from `position` on, and gives up the hold of the
    /// receiver and the manager, which are both gone.
    void close(std::uint64_t position) noexcept {
        const std::uint64_t end = this->close_to_senders();
        for (; position != end; ++position) {
            // Invariant 5: the sender of this message is half-way, a few instructions from done.
            backoff<environment> waiting;
            while (!is_published(position, this->mask())) { waiting.wait(); }
            destroy(position, this->mask());
        }
        if (this->drop_hold()) { free(); }
    }

    /// Does so for the only one who still uses the channel.
    void close_alone(std::uint64_t position) noexcept {
        for (const std::uint64_t end = this->end_position(); position != end; ++position) {
            destroy(position, this->mask());
        }
        free();
    }

    // ---- References to senders ----

    /// Counts one more sender, made by the receiver or the manager; it may be the only one.
    void add_sender() noexcept {
        if (this->count_sender()) { say_whether_senders_are_gone(false); }
    }

    /// Counts one sender less. Tells whether the caller has to free the channel.
    [[nodiscard]] bool drop_sender() noexcept {
        const auto now = this->uncount_sender();
        if (now == core::remaining::senders) { return false; }
        if (now == core::remaining::nothing) { return true; }
        if (now != core::remaining::holds) {
            say_whether_senders_are_gone(true);
            this->wake_receiver();
            if (now == core::remaining::joined) { this->wake_all(this->joins_); }
        }
        return this->drop_hold();
    }

private:
    static constexpr std::align_val_t alignment{alignof(cell) > cache_line ? alignof(cell)
                                                                           : cache_line};
    static constexpr std::size_t cells_offset =
        (sizeof(core) + alignof(cell) - 1) / alignof(cell) * alignof(cell);

    // In a ring of no more cells than this, each one has the word that the receiver reads; in a
    // larger one the first cell has it for all. So it is hardly ever in a cache line that senders
    // write while the receiver does not.
    static constexpr std::uint32_t watched_cells = 8;

    static constexpr std::uint8_t watch_closely = 1;  // Invariant 6.

    using core::core;
    ~channel_state() = default;

    static constexpr std::uint32_t free_state(std::uint64_t position) noexcept {
        return static_cast<std::uint32_t>(position) * 2U;
    }
    static constexpr std::uint32_t full_state(std::uint64_t position) noexcept {
        return static_cast<std::uint32_t>(position) * 2U + 1U;
    }
    static constexpr claim refused(claim_result why) noexcept { return {why, false, 0, 0}; }

    void make_cells() noexcept {
        const std::uint32_t slots = this->mask() + 1U;
        std::uint32_t i = 0;
        for (; i < this->capacity_; ++i) {
            ::new (static_cast<void*>(&cell_at(i))) cell(free_state(i));
        }
        for (; i < slots; ++i) {
            // A slot that no message may use in the first round looks as if its message of the
            // round before, which never was, had not been released yet.
            ::new (static_cast<void*>(&cell_at(i))) cell(full_state(i - slots));
        }
        if (!environment::has_heavy_fence()) { set_watch(watch_closely); }
    }

    [[nodiscard]] cell& cell_at(std::size_t index) noexcept {
        return const_cast<cell&>(std::as_const(*this).cell_at(index));
    }
    [[nodiscard]] const cell& cell_at(std::size_t index) const noexcept {
        const auto* memory = reinterpret_cast<const std::byte*>(this) + cells_offset;
        return *std::launder(reinterpret_cast<const cell*>(memory + index * sizeof(cell)));
    }

    // How far the slot of a position is from being free for it: 0 when it is, less when a message
    // is in the way, more when the position has been claimed.
    [[nodiscard]] static std::int32_t until_free(const cell& its, std::uint64_t position) noexcept {
        // Acquire, pairs with the release in `release`: the slot's last message is gone.
        const std::uint32_t state = its.sequence.load(std::memory_order_acquire);
        return static_cast<std::int32_t>(state - free_state(position));
    }
    [[nodiscard]] std::int32_t until_free(std::uint64_t position) const noexcept {
        return until_free(cell_at(position & this->mask()), position);
    }

    // How many slots are free from a position on, at most `most`. *Requires*: `least` of them are,
    // at least one. The receiver frees them in order, so a search by halves finds the end.
    [[nodiscard]] std::size_t free_from(std::uint64_t position, std::size_t least,
                                        std::size_t most) const noexcept {
        std::size_t low = least;
        std::size_t high = most < this->capacity_ ? most : this->capacity_;
        while (low < high) {
            const std::size_t middle = high - (high - low) / 2;
            if (until_free(position + middle - 1) == 0) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        return low;
    }

    template <typename From>
    static void build(cell& its, From&& message) noexcept {
        environment::writes(its.storage);
        ::new (static_cast<void*>(its.storage)) T(std::forward<From>(message));
    }

    static void publish(cell& its, std::uint64_t position) noexcept {
        // Release, pairs with the acquire in `is_published`.
        its.sequence.store(full_state(position), std::memory_order_release);
    }

    // Apart, so that a send without a wake stays small enough to be part of its caller.
    [[gnu::noinline]] void publish_and_wake(cell& its, std::uint64_t position) noexcept {
        waker woken = this->take_receiver();  // Invariant 12: before the message can be seen.
        publish(its, position);
        std::move(woken).wake();
    }

    [[nodiscard]] bool is_published(std::uint64_t position, std::uint32_t mask) const noexcept {
        // Acquire, pairs with the release in `publish`: the message is there.
        return cell_at(position & mask).sequence.load(std::memory_order_acquire) ==
               full_state(position);
    }

    // Ends the life of a message, which was moved from or is not wanted.
    void destroy(std::uint64_t position, std::uint32_t mask) noexcept {
        cell& its = cell_at(position & mask);
        environment::writes(its.storage);
        std::destroy_at(its.message());
    }

    // *Requires*: `lock_` is held, or nobody else has the channel yet.
    void set_watch(std::uint8_t watch) noexcept {
        this->watch_ = watch;
        const std::uint32_t mask = this->mask();
        for (std::uint32_t i = 0; i <= (mask < watched_cells ? mask : 0U); ++i) {
            // Relaxed: invariant 6 has fences.
            cell_at(i).watch.store(watch, std::memory_order_relaxed);
        }
    }

    // Invariant 11.
    void say_whether_senders_are_gone(bool gone) noexcept {
        const std::uint32_t mask = this->mask();
        for (std::uint32_t i = 0; i <= (mask < watched_cells ? mask : 0U); ++i) {
            cell_at(i).senders_gone.store(gone ? 1 : 0, std::memory_order_relaxed);
        }
    }

    // Invariant 6, the sender's part. *Requires*: `lock` is locked; it may be unlocked meanwhile.
    void join_senders(wait_node& node, const waker& who,
                      std::unique_lock<spin_lock<environment>>& lock) noexcept {
        this->senders_.push_back(node);
        node.who = who;
        this->senders_wait_.store(true, std::memory_order_relaxed);
        if ((this->watch_ & watch_closely) != 0) {
            environment::full_fence();  // Pairs with the one in `look_for_waiting_senders`.
            return;
        }
        set_watch(this->watch_ | watch_closely);
        lock.unlock();
        environment::heavy_fence();  // Pairs with the light one in `must_look_for_senders`.
        lock.lock();
    }

    // Invariant 7. *Requires*: `lock_` is held. The waker given back is to be woken without it.
    [[nodiscard]] waker unlink_sender(wait_node& node) noexcept {
        const bool was_first = this->senders_.front() == &node;
        this->senders_.remove(node);
        if (this->senders_.empty()) {
            this->senders_wait_.store(false, std::memory_order_relaxed);
            return {};
        }
        return was_first && has_room() ? std::move(this->senders_.front()->who) : waker();
    }

    // A stale head makes for a spurious wake. What was freed before the lock was taken is seen.
    [[nodiscard]] bool has_room() const noexcept {
        const auto head = this->head_.load(std::memory_order_relaxed);
        return until_free(head >> core::position_shift) >= 0;
    }
};

}  // namespace heph::inbox::detail
