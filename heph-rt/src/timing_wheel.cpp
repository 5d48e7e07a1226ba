#include "timing_wheel.hpp"

#include <algorithm>
#include <bit>

namespace heph::rt::detail {

void timing_wheel::add(timer_node& node) noexcept {
    node.when = std::max(node.when, now_ + 1);
    const std::uint64_t at = std::min(node.when, now_ + span_ms);
    const std::uint64_t different = (at ^ now_) | (places - 1);
    const auto level = static_cast<unsigned>(std::bit_width(different) - 1) / bits;
    node.level = static_cast<std::uint8_t>(std::min(level, levels - 1));
    node.index = static_cast<std::uint8_t>((at >> (node.level * bits)) % places);
    timer_node*& place = places_[node.level][node.index];
    node.previous = nullptr;
    node.next = place;
    if (place != nullptr) { place->previous = &node; }
    place = &node;
    occupied_[node.level] |= std::uint64_t{1} << node.index;
    ++count_;
}

void timing_wheel::remove(timer_node& node) noexcept {
    timer_node*& place = places_[node.level][node.index];
    if (node.previous != nullptr) {
        node.previous->next = node.next;
    } else {
        place = node.next;
    }
    if (node.next != nullptr) { node.next->previous = node.previous; }
    node.next = nullptr;
    node.previous = nullptr;
    if (place == nullptr) { occupied_[node.level] &= ~(std::uint64_t{1} << node.index); }
    --count_;
}

std::optional<timing_wheel::place_time> timing_wheel::next_place() const noexcept {
    // What lies on a lower level comes before everything on a higher one.
    for (unsigned level = 0; level < levels; ++level) {
        if (occupied_[level] == 0) { continue; }
        const unsigned shift = level * bits;
        const auto digit = static_cast<unsigned>((now_ >> shift) % places);
        // The current place comes last. Only the highest level has nodes there, a turn ahead.
        const std::uint64_t rotated = std::rotr(occupied_[level], static_cast<int>(digit + 1));
        const auto ahead = static_cast<unsigned>(std::countr_zero(rotated));
        const unsigned index = (digit + 1 + ahead) % places;
        const std::uint64_t turn = std::uint64_t{1} << (shift + bits);
        std::uint64_t at = now_ - now_ % turn + (std::uint64_t{index} << shift);
        if (at <= now_) { at += turn; }  // Only the highest level wraps around.
        return place_time{level, index, at};
    }
    return std::nullopt;
}

}  // namespace heph::rt::detail
