#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <heph/rt/detail/timer_node.hpp>

namespace heph::rt::detail {

/// A hierarchical timing wheel (Varghese and Lauck, 1987): adding, removing and expiring a node
/// cost the same however many there are. Sans-io: it is told the time.
///
/// Layout
///     Three levels of 4,096 places: of 1 ms, of 4 s and of 4.7 hours each. A node lies on the
///     level of the highest base-4,096 digit in which its time differs from the wheel's, in the
///     place of that digit. A place of the upper levels is several lists, its lanes, of which a
///     node takes the next one by turns.
///
/// Invariants
///     1. Every node's time is later than the wheel's time; one that is not goes to the next
///        millisecond.
///     2. A place's bit in `occupied_` is set exactly while it has nodes, and a word's bit in
///        `words_` exactly while that word has bits.
///     3. When the wheel's time reaches the start of an occupied place of level n > 0, its nodes
///        move to lower levels; so a node moves at most twice.
///
/// What costs is memory far away: each move of a node among a million takes its cache line from
/// there. Hence few levels, and lanes: their nodes are walked in turn, so that as many lines are on
/// their way at a time. 192 KiB of address space, of which what is used becomes memory.
///
/// *Thread safety*: unsafe.
class timing_wheel {
public:
    /// How far the wheel reaches, about two years. A node that is further ahead lies there, and is
    /// looked at again when the wheel's time gets there.
    static constexpr std::uint64_t span_ms = (std::uint64_t{1} << 36U) - 1;

    /// *Errors*: throws `std::bad_alloc`.
    timing_wheel();
    timing_wheel(const timing_wheel&) = delete;
    timing_wheel& operator=(const timing_wheel&) = delete;

    /// Adds a node for `node.when`. *Requires*: it is in no wheel.
    void add(timer_node& node) noexcept;
    /// Removes a node. *Requires*: it is in this wheel.
    void remove(timer_node& node) noexcept;

    /// Sets the wheel's time to `now_ms` and calls `fire` with each node whose time has come, after
    /// taking it out, in the order of their times. `fire` must not add or remove nodes. A time that
    /// was before does nothing.
    template <typename Fire>
    void advance(std::uint64_t now_ms, Fire fire) {
        while (const auto due = next_place()) {
            if (due->at > now_ms) { break; }
            now_ = due->at;
            if (due->level != 0) {
                move_down(*due);
                continue;
            }
            timer_node* node = take_list(due->index);
            while (node != nullptr) {
                timer_node* following = after(*node);
                node->next = nullptr;
                node->previous = nullptr;
                --count_;
                fire(*node);
                node = following;
            }
        }
        if (now_ms > now_) { now_ = now_ms; }
    }

    /// Gives when the wheel has to be advanced next: at or before the earliest node's time.
    [[nodiscard]] std::optional<std::uint64_t> next_expiry() const noexcept {
        const auto due = next_place();
        return due ? std::optional(due->at) : std::nullopt;
    }

    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] std::uint64_t now() const noexcept { return now_; }

private:
    static constexpr unsigned levels = 3;
    static constexpr unsigned bits = 12;
    static constexpr unsigned places = 1U << bits;
    static constexpr unsigned word_bits = 64;
    static constexpr unsigned words = places / word_bits;
    static constexpr unsigned lanes = 4;  // Of a place of the upper levels; level 0 has one.

    struct place_time {
        unsigned level;
        unsigned index;
        std::uint64_t at;
    };
    struct free_lists {
        void operator()(timer_node** lists) const noexcept;
    };

    [[nodiscard]] std::optional<place_time> next_place() const noexcept;
    [[nodiscard]] std::optional<unsigned> first_from(unsigned level, unsigned digit) const noexcept;
    [[nodiscard]] static std::size_t list_of(unsigned level, unsigned index) noexcept {
        return level == 0 ? index : places + ((level - 1) * places + index) * lanes;
    }
    [[nodiscard]] static timer_node* after(const timer_node& node) noexcept {
        return static_cast<timer_node*>(node.next);  // It has no others.
    }
    void insert(timer_node& node) noexcept;
    void move_down(const place_time& due) noexcept;
    void note_emptied(std::uint32_t list) noexcept;
    [[nodiscard]] timer_node* take_list(unsigned index) noexcept;
    void mark(unsigned level, unsigned index) noexcept {
        occupied_[level][index / word_bits] |= std::uint64_t{1} << index % word_bits;
        words_[level] |= std::uint64_t{1} << index / word_bits;
    }
    void unmark(unsigned level, unsigned index) noexcept {
        std::uint64_t& word = occupied_[level][index / word_bits];
        word &= ~(std::uint64_t{1} << index % word_bits);
        if (word == 0) { words_[level] &= ~(std::uint64_t{1} << index / word_bits); }
    }

    std::uint64_t now_ = 0;
    std::size_t count_ = 0;
    unsigned next_lane_ = 0;
    std::array<std::uint64_t, levels> words_{};
    std::array<std::array<std::uint64_t, words>, levels> occupied_{};
    std::unique_ptr<timer_node*[], free_lists>
        lists_;  // See `list_of`; a node's `place` is its list.
};

}  // namespace heph::rt::detail
