#pragma once

// A channel with its messages: one allocation. The invariants are in <heph/inbox/channel.hpp>;
// their numbers are used here.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
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
    std::uint64_t
        position;          // Of the first one. Counts all messages from the first one on, in steps.
    void* cell = nullptr;  // Of the first one.
};

/// A ring of at most so many cells is small: each of them has what the receiver looks at; see
/// `channel_state`.
inline constexpr std::uint32_t small_ring_cells = 8;

/// Where a receiver is, with what it needs to know of the channel without looking at what senders
/// write all the time.
struct cursor {
    // The position of the next message, in steps, as all that follows. Below a step: how many
    // messages were received since the receiver last found none, as far as that can be counted
    // there. In one word, so that to go on is one write.
    std::uint64_t position_and_run;
    std::uint32_t mask;  // See `mask()`.
    std::uint32_t capacity;

    static constexpr std::uint64_t run_bits = channel_core::step - 1;

    [[nodiscard]] std::uint64_t position() const noexcept { return position_and_run & ~run_bits; }
    /// Tells whether all cells are close by, so that nothing is gained by fetching them early.
    [[nodiscard]] bool is_small() const noexcept {
        return mask < small_ring_cells * channel_core::step;
    }
    /// Gives what `position() & mask` does, for less.
    [[nodiscard]] std::uint64_t slot() const noexcept { return position_and_run & mask; }
    /// Tells whether the receiver has found a message so many times in a row that the senders are
    /// well ahead of it.
    [[nodiscard]] bool is_behind() const noexcept { return (~position_and_run & run_bits) == 0; }
    void go_on() noexcept { position_and_run += channel_core::step + (is_behind() ? 0U : 1U); }
    void end_run() noexcept { position_and_run &= ~run_bits; }
};

/// What a channel counts.
struct channel_counts {
    std::size_t queued = 0;      ///< Messages that are in it.
    std::uint64_t received = 0;  ///< Messages that were taken out of it, by all its receivers.
};

/// The core, and a ring of cells behind it.
///
/// The receiver reads two words besides its messages, `watch` and `senders_gone`. In a small ring
/// each cell has them, so that the receiver finds them in the cache line that it works at anyway. A
/// larger ring has them in one more cell behind it, with a cache line for itself, which
/// is hardly ever written.
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
            throw std::invalid_argument("heph::inbox: a channel's capacity is 1 to 2^24");
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
            const std::size_t cells = this->slots() + (this->slots() > small_ring_cells ? 1U : 0U);
            for (std::size_t i = 0; i < cells; ++i) { std::destroy_at(&cell_at(i * core::step)); }
        }
        const std::size_t size = bytes(this->slots());
        this->~channel_state();
        environment::deallocate(this, size, alignment);
    }

    /// Tells how much memory a channel with so many slots takes.
    static constexpr std::size_t bytes(std::size_t slots) noexcept {
        const std::size_t notices = slots <= small_ring_cells    ? 0
                                    : sizeof(cell) <= cache_line ? cache_line
                                                                 : sizeof(cell);
        return cells_offset + slots * sizeof(cell) + notices;
    }

    // ---- Who looks on ----

    /// Counts messages, by the free slots behind the last one that was sent. Senders and the
    /// receiver go on meanwhile; it is right for a moment since the call.
    [[nodiscard]] channel_counts counts() const noexcept {
        // Acquire: slots that were claimed before look claimed.
        const std::uint64_t end = core::position_in(this->head_.load(std::memory_order_acquire));
        // As in `free_from`, but for slots of positions that were claimed since: they were free.
        const std::size_t capacity = this->capacity();
        std::size_t free = 0;
        std::size_t high = capacity;
        while (free < high) {
            const std::size_t middle = high - (high - free) / 2;
            if (until_free(end + (middle - 1) * core::step) >= 0) {
                free = middle;
            } else {
                high = middle - 1;
            }
        }
        const std::size_t queued = capacity - free;
        return {queued, end / core::step - queued};
    }

    // ---- Senders: the fast path ----

    /// What a send gives way to, so that it finds the channel full: sends that wait. The first of
    /// those gives way to nobody.
    enum class gives_way_to : std::uint64_t {
        nobody = core::closed_bit,
        waiting_sends = core::closed_bit | core::waiting_bit,
    };

    /// Gets the next slot, if it is free (invariants 2, 3 and 4).
    template <gives_way_to Others = gives_way_to::waiting_sends>
    [[nodiscard, gnu::always_inline]] claim try_claim() noexcept {
        const std::uint32_t mask = this->mask();
        std::uint64_t head = this->head_.load(std::memory_order_relaxed);
        for (;;) {
            if ((head & std::to_underlying(Others)) != 0) [[unlikely]] { return refused(head); }
            const std::uint64_t position = core::position_in(head);
            cell& its = cell_at(head & mask);
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
            } else {
                const std::uint64_t now = this->head_.load(std::memory_order_relaxed);
                if (distance < 0 && now == head) { return refused(claim_result::full); }
                head = now;  // Another one was faster.
            }
        }
    }

    /// Gets as many of the next slots as are free, one after the other (invariant 10).
    /// *Requires*: 1 <= `least` <= `most`.
    /// *Errors*: `full` when fewer than `least` are free.
    template <gives_way_to Others = gives_way_to::waiting_sends>
    [[nodiscard]] claim try_claim_many(std::size_t least, std::size_t most) noexcept {
        std::uint64_t head = this->head_.load(std::memory_order_relaxed);
        for (;;) {
            if ((head & std::to_underlying(Others)) != 0) { return refused(head); }
            if (least > this->capacity()) { return refused(claim_result::full); }
            const std::uint64_t position = core::position_in(head);
            const std::int32_t distance = until_free(position + (least - 1) * core::step);
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
            build(cell_at((claimed.position + i * core::step) & this->mask()), next());
        }
        waker woken = claimed.wake_receiver ? this->take_receiver() : waker();  // Invariant 12.
        // The first one last: until then the receiver sees none of them (invariant 10).
        for (std::uint32_t i = claimed.count; i-- > 0;) {
            const std::uint64_t position = claimed.position + i * core::step;
            publish(cell_at(position & this->mask()), position);
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
                got = most == 1 ? try_claim<gives_way_to::nobody>()
                                : try_claim_many<gives_way_to::nobody>(1, most);
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
        return {position, this->mask(), static_cast<std::uint32_t>(this->capacity() * core::step)};
    }

    [[nodiscard, gnu::always_inline]] bool has_message(const cursor& place) const noexcept {
        return is_published(place.position_and_run, place.mask);
    }

    /// Gives the next message. *Requires*: it is there.
    [[nodiscard, gnu::always_inline]] T& next(const cursor& place) noexcept {
        return *cell_at(place.slot()).message();
    }

    /// Gives a message further on, `ahead` behind the next one, or null when it is not there yet.
    [[nodiscard]] T* peek(const cursor& place, std::size_t ahead) noexcept {
        if (ahead >= this->capacity()) { return nullptr; }
        const std::uint64_t position = place.position() + ahead * core::step;
        if (!is_published(position, place.mask)) { return nullptr; }
        return cell_at(position & place.mask).message();
    }

    /// Ends the life of the next message, which was moved from, gives its room to the senders
    /// without telling them, and goes on to the one behind it.
    [[gnu::always_inline]] void release(cursor& place) noexcept {
        destroy(place.position_and_run, place.mask);
        make_free(place);
        place.go_on();
    }

    /// Has the cache line of a message further on brought here while the messages before it are
    /// worked at, when the senders are well ahead. Else a sender is about to write there, and would
    /// have to take the line back.
    [[gnu::always_inline]] void fetch_ahead(const cursor& place) noexcept {
        constexpr std::uint64_t ahead = 12;
        if (place.is_small() || !place.is_behind()) { return; }
        __builtin_prefetch(&cell_at((place.position_and_run + ahead * core::step) & place.mask));
    }

    /// Releases the next message likewise. Tells whether to `look_for_waiting_senders`.
    [[nodiscard, gnu::always_inline]] bool release_and_watch(cursor& place) noexcept {
        if (!place.is_small()) {
            release(place);
            return must_look_for_senders(place);
        }
        // No run is counted, and the words are in the cell at hand.
        const cell& its = cell_at(place.slot());
        destroy(place.position_and_run, place.mask);
        make_free(place);
        place.position_and_run += core::step;
        environment::light_fence();  // As in `must_look_for_senders`.
        return (its.watch.load(std::memory_order_relaxed) & watch_closely) != 0;
    }

    /// Tells the first waiting sender, if there is one, that there is room (invariant 6).
    void tell_senders(const cursor& place) noexcept {
        if (must_look_for_senders(place)) [[unlikely]] { look_for_waiting_senders(place); }
    }

    /// The part of `tell_senders` that nearly always suffices.
    [[nodiscard, gnu::always_inline]] bool must_look_for_senders(
        const cursor& place) const noexcept {
        environment::light_fence();  // Pairs with the heavy one in `join_senders`.
        return (notice_at(place).watch.load(std::memory_order_relaxed) & watch_closely) != 0;
    }

    /// The other part (invariant 6). It takes a sample of the releases for which nobody waited; the
    /// count of those is beside the bit that it is about.
    [[gnu::noinline]] void look_for_waiting_senders(const cursor& place) noexcept {
        environment::full_fence();  // Pairs with the one in `join_senders`.
        const bool somebody_waits = this->senders_wait();
        if (somebody_waits) { this->wake_first_sender(); }
        if (place.position() % (sample * core::step) != 0 || !environment::has_heavy_fence()) {
            return;
        }
        // As long as the bit is set only the receiver, which is the caller, writes here.
        auto& watch = notice_at(place).watch;
        const std::uint8_t watched = watch.load(std::memory_order_relaxed);
        const auto quiet = static_cast<std::uint8_t>(somebody_waits ? 0 : watched / one_quiet + 1);
        if (quiet < environment::quiet_max) {
            watch.store(static_cast<std::uint8_t>(watch_closely + quiet * one_quiet),
                        std::memory_order_relaxed);
            return;
        }
        std::lock_guard lock(this->lock_);
        set_watch(this->senders_.empty() ? 0 : watch_closely);
    }

    /// Tells whether senders may be gone, without a look at what they write. After a yes,
    /// `has_senders` knows; a no may be late, for who does not wait.
    [[nodiscard]] bool senders_may_be_gone(const cursor& place) const noexcept {
        // Relaxed: `has_senders` acquires.
        return notice_at(place).senders_gone.load(std::memory_order_relaxed) != 0;
    }

    /// Closes the channel, destroys what is in it, from `position` on, and gives up the hold of the
    /// receiver and the manager, which are both gone.
    void close(std::uint64_t position) noexcept {
        const std::uint64_t end = this->close_to_senders();
        for (; position != end; position += core::step) {
            // Invariant 5: the sender of this message is half-way, a few instructions from done.
            backoff<environment> waiting;
            while (!is_published(position, this->mask())) { waiting.wait(); }
            destroy(position, this->mask());
        }
        if (this->drop_hold()) { free(); }
    }

    /// Does so for the only one who still uses the channel.
    void close_alone(std::uint64_t position) noexcept {
        for (const std::uint64_t end = this->end_position(); position != end;
             position += core::step) {
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

    static constexpr std::uint8_t watch_closely = 1;  // Invariant 6.
    static constexpr std::uint8_t one_quiet = 2;      // See `look_for_waiting_senders`.
    static_assert(environment::quiet_max * one_quiet + watch_closely <= 0xff);
    static constexpr std::uint64_t sample = environment::quiet_sample;

    using core::core;
    ~channel_state() = default;

    static constexpr std::uint32_t free_state(std::uint64_t position) noexcept {
        return static_cast<std::uint32_t>(position);
    }
    static constexpr std::uint32_t full_state(std::uint64_t position) noexcept {
        return static_cast<std::uint32_t>(position | cursor::run_bits);
    }
    static constexpr claim refused(claim_result why) noexcept { return {why, false, 0, 0}; }
    static constexpr claim refused(std::uint64_t head) noexcept {
        return refused((head & core::closed_bit) != 0 ? claim_result::closed : claim_result::full);
    }

    void make_cells() noexcept {
        const std::uint64_t slots = this->slots() * core::step;
        const std::uint64_t capacity = this->capacity() * core::step;
        std::uint64_t place = 0;
        for (; place < capacity; place += core::step) {
            ::new (static_cast<void*>(&cell_at(place))) cell(free_state(place));
        }
        for (; place < slots; place += core::step) {
            // A slot that no message may use in the first round looks as if its message of the
            // round before, which never was, had not been released yet.
            ::new (static_cast<void*>(&cell_at(place))) cell(full_state(place - slots));
        }
        if (this->slots() > small_ring_cells) {
            ::new (static_cast<void*>(&cell_at(slots))) cell(0);
        }
        if (!environment::has_heavy_fence()) { set_watch(watch_closely); }
    }

    // `place` is a masked position; bits below a step do not count.
    [[nodiscard]] cell& cell_at(std::uint64_t place) noexcept {
        return const_cast<cell&>(std::as_const(*this).cell_at(place));
    }
    [[nodiscard]] const cell& cell_at(std::uint64_t place) const noexcept {
        // As few instructions as there can be: for a cell of 16 bytes, the place is its offset.
        constexpr std::size_t part = std::gcd(sizeof(cell), core::step);
        const std::size_t offset = place / (core::step / part) * (sizeof(cell) / part);
        const auto* memory = reinterpret_cast<const std::byte*>(this) + cells_offset;
        return *std::launder(reinterpret_cast<const cell*>(memory + offset));
    }

    // The cell with the words for a receiver that is there: in a small ring the one that it is at,
    // else the one behind the last.
    [[nodiscard, gnu::always_inline]] const cell& notice_at(const cursor& place) const noexcept {
        return cell_at(place.is_small() ? place.slot() : place.mask + std::uint32_t{core::step});
    }
    [[nodiscard]] cell& notice_at(const cursor& place) noexcept {
        return const_cast<cell&>(std::as_const(*this).notice_at(place));
    }
    // The first of these cells, which are side by side.
    [[nodiscard]] cell& first_notice() noexcept {
        return cell_at(this->slots() <= small_ring_cells ? 0 : this->slots() * core::step);
    }
    // Calls `visit` with each of them.
    template <typename Visit>
    void each_notice(Visit visit) noexcept {
        const std::size_t count = this->slots() <= small_ring_cells ? this->slots() : 1;
        cell* const first = &first_notice();
        for (std::size_t i = 0; i < count; ++i) { visit(first[i]); }
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
        std::size_t high = most < this->capacity() ? most : this->capacity();
        while (low < high) {
            const std::size_t middle = high - (high - low) / 2;
            if (until_free(position + (middle - 1) * core::step) == 0) {
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

    // Gives the room of the next message, which is gone, to the senders.
    [[gnu::always_inline]] void make_free(const cursor& place) noexcept {
        // Release, pairs with the acquire in `until_free`: the slot's last message is gone.
        const std::uint64_t freed = place.position() + place.capacity;
        cell_at(freed & place.mask).sequence.store(free_state(freed), std::memory_order_release);
    }

    // Ends the life of a message, which was moved from or is not wanted.
    void destroy(std::uint64_t position, std::uint32_t mask) noexcept {
        cell& its = cell_at(position & mask);
        environment::writes(its.storage);
        std::destroy_at(its.message());
    }

    // *Requires*: `lock_` is held, as it is while they are changed: so one tells of all.
    [[nodiscard]] bool is_watched_closely() noexcept {
        return (first_notice().watch.load(std::memory_order_relaxed) & watch_closely) != 0;
    }

    // *Requires*: `lock_` is held, or nobody else has the channel yet.
    void set_watch(std::uint8_t watch) noexcept {
        // Relaxed: invariant 6 has fences.
        each_notice([watch](cell& its) { its.watch.store(watch, std::memory_order_relaxed); });
    }

    // Invariant 11.
    void say_whether_senders_are_gone(bool gone) noexcept {
        each_notice(
            [gone](cell& its) { its.senders_gone.store(gone ? 1 : 0, std::memory_order_relaxed); });
    }

    // Invariant 6, the sender's part. *Requires*: `lock` is locked; it may be unlocked meanwhile.
    void join_senders(wait_node& node, const waker& who,
                      std::unique_lock<spin_lock<environment>>& lock) noexcept {
        this->senders_.push_back(node);
        node.who = who;
        this->say_whether_senders_wait(true);
        if (is_watched_closely()) {
            environment::full_fence();  // Pairs with the one in `look_for_waiting_senders`.
            return;
        }
        set_watch(watch_closely);
        lock.unlock();
        environment::heavy_fence();  // Pairs with the light one in `must_look_for_senders`.
        lock.lock();
    }

    // Invariant 7. *Requires*: `lock_` is held. The waker given back is to be woken without it.
    [[nodiscard]] waker unlink_sender(wait_node& node) noexcept {
        const bool was_first = this->senders_.front() == &node;
        this->senders_.remove(node);
        if (this->senders_.empty()) {
            this->say_whether_senders_wait(false);
            return {};
        }
        return was_first && has_room() ? std::move(this->senders_.front()->who) : waker();
    }

    // A stale head makes for a spurious wake. What was freed before the lock was taken is seen.
    [[nodiscard]] bool has_room() const noexcept {
        const auto head = this->head_.load(std::memory_order_relaxed);
        return until_free(core::position_in(head)) >= 0;
    }
};

}  // namespace heph::inbox::detail
