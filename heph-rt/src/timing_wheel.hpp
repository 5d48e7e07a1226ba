#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <heph/rt/detail/timer_node.hpp>

namespace heph::rt::detail {

/// A hierarchical timing wheel (Varghese and Lauck, 1987): adding, removing and expiring a node
/// cost the same however many there are. Sans-io: it is told the time.
///
/// Layout
///     Six levels of 64 places. A place of level n spans 64^n ms. A node lies on the level of the
///     highest base-64 digit in which its time differs from the wheel's, in the place of that
///     digit.
///
/// Invariants
///     1. Every node's time is later than the wheel's time; one that is not goes to the next
///        millisecond.
///     2. A place's bit in `occupied_` is set exactly while it has nodes.
///     3. When the wheel's time reaches the start of an occupied place of level n > 0, its nodes
///        move to lower levels; so a node moves at most five times.
///
/// *Thread safety*: unsafe.
class timing_wheel {
public:
    /// How far the wheel reaches, about two years. A node that is further ahead lies there, and is
    /// looked at again when the wheel's time gets there.
    static constexpr std::uint64_t span_ms = (std::uint64_t{1} << 36U) - 1;

    timing_wheel() noexcept = default;
    timing_wheel(const timing_wheel&) = delete;
    timing_wheel& operator=(const timing_wheel&) = delete;

    /// Adds a node for `node.when`. *Requires*: it is in no wheel.
    void add(timer_node& node) noexcept;
    /// Removes a node. *Requires*: it is in this wheel.
    void remove(timer_node& node) noexcept;

    /// Sets the wheel's time to `now_ms` and calls `fire` with each node whose time has come, after
    /// taking it out, in the order of their times. `fire` must not add or remove nodes.
    template <typename Fire>
    void advance(std::uint64_t now_ms, Fire fire) {
        while (const auto due = next_place()) {
            if (due->at > now_ms) { break; }
            now_ = due->at;
            timer_node*& place = places_[due->level][due->index];
            if (due->level == 0) {
                while (timer_node* node = place) {
                    remove(*node);
                    fire(*node);
                }
            } else {
                timer_node* node = place;
                place = nullptr;
                occupied_[due->level] &= ~(std::uint64_t{1} << due->index);
                while (node != nullptr) {
                    timer_node* following = node->next;
                    --count_;
                    if (node->when <= now_) {
                        node->next = nullptr;
                        node->previous = nullptr;
                        fire(*node);
                    } else {
                        add(*node);
                    }
                    node = following;
                }
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
    static constexpr unsigned levels = 6;
    static constexpr unsigned bits = 6;
    static constexpr unsigned places = 1U << bits;

    struct place_time {
        unsigned level;
        unsigned index;
        std::uint64_t at;
    };
    [[nodiscard]] std::optional<place_time> next_place() const noexcept;

    std::uint64_t now_ = 0;
    std::size_t count_ = 0;
    std::array<std::uint64_t, levels> occupied_{};
    std::array<std::array<timer_node*, places>, levels> places_{};
};

}  // namespace heph::rt::detail
