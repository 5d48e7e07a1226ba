#include "timing_wheel.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

namespace heph::rt::detail {

timing_wheel::timing_wheel()
    // Zeroed by the system: pages that are never used take no memory.
    : lists_(static_cast<timer_node**>(
          std::calloc(list_of(levels, 0), sizeof(timer_node*)))) {  // NOLINT(*-no-malloc)
    if (lists_ == nullptr) { throw std::bad_alloc(); }
}

void timing_wheel::free_lists::operator()(timer_node** lists) const noexcept {
    std::free(lists);  // NOLINT(*-no-malloc)
}

void timing_wheel::add(timer_node& node) noexcept {
    node.when = std::max(node.when, now_ + 1);
    insert(node);
    ++count_;
}

// Puts a node into its place; one that is due, as it may be on its way down, into the current one.
void timing_wheel::insert(timer_node& node) noexcept {
    const std::uint64_t at = std::clamp(node.when, now_, now_ + span_ms);
    const std::uint64_t different = (at ^ now_) | (places - 1);
    const auto highest = static_cast<unsigned>(std::bit_width(different) - 1) / bits;
    const unsigned level = std::min(highest, levels - 1);
    const auto index = static_cast<unsigned>((at >> (level * bits)) % places);
    const unsigned lane = level == 0 ? 0 : ++next_lane_ % lanes;
    node.place = static_cast<std::uint32_t>(list_of(level, index) + lane);
    timer_node*& list = lists_[node.place];
    node.previous = nullptr;
    node.next = list;
    if (list != nullptr) {
        list->previous = &node;
    } else {
        mark(level, index);
    }
    list = &node;
}

void timing_wheel::remove(timer_node& node) noexcept {
    if (node.previous != nullptr) {
        node.previous->next = node.next;
    } else {
        lists_[node.place] = after(node);
    }
    if (node.next != nullptr) {
        node.next->previous = node.previous;
    } else if (node.previous == nullptr) {
        note_emptied(node.place);
    }
    node.next = nullptr;
    node.previous = nullptr;
    --count_;
}

// Marks the place of a list that has become empty as such, if its other lanes are.
void timing_wheel::note_emptied(std::uint32_t list) noexcept {
    if (list < places) {
        unmark(0, list);
        return;
    }
    static_assert(places % lanes == 0);
    const timer_node* const* first = &lists_[list - list % lanes];
    if (!std::all_of(first, first + lanes, [](const auto* each) { return each == nullptr; })) {
        return;
    }
    const unsigned above = (list - places) / lanes;  // Places before it, on the upper levels.
    unmark(1 + above / places, above % places);
}

timer_node* timing_wheel::take_list(unsigned index) noexcept {
    unmark(0, index);
    return std::exchange(lists_[index], nullptr);
}

void timing_wheel::move_down(const place_time& due) noexcept {
    std::array<timer_node*, lanes> heads;
    timer_node** place = &lists_[list_of(due.level, due.index)];
    std::copy_n(place, lanes, heads.begin());
    std::fill_n(place, lanes, nullptr);
    unmark(due.level, due.index);
    for (bool any = true; any;) {
        any = false;
        for (timer_node*& head : heads) {
            if (head == nullptr) { continue; }
            timer_node* node = std::exchange(head, after(*head));
            // Asked for now, while the other lanes have their turns.
            __builtin_prefetch(head, 1);
            insert(*node);
            any = true;
        }
    }
}

// Gives the first occupied place from `digit` on, wrapping around.
std::optional<unsigned> timing_wheel::first_from(unsigned level, unsigned digit) const noexcept {
    if (words_[level] == 0) { return std::nullopt; }
    const unsigned word = digit / word_bits;
    const std::uint64_t rest = occupied_[level][word] >> digit % word_bits;
    if (rest != 0) { return digit + static_cast<unsigned>(std::countr_zero(rest)); }
    // The next word with bits; at the end this one again, for what is before the digit.
    const unsigned next = (word + 1) % words;
    const std::uint64_t rotated = std::rotr(words_[level], static_cast<int>(next));
    const unsigned found = (next + static_cast<unsigned>(std::countr_zero(rotated))) % words;
    return found * word_bits + static_cast<unsigned>(std::countr_zero(occupied_[level][found]));
}

std::optional<timing_wheel::place_time> timing_wheel::next_place() const noexcept {
    // What lies on a lower level comes before everything on a higher one.
    for (unsigned level = 0; level < levels; ++level) {
        const unsigned shift = level * bits;
        const auto digit = static_cast<unsigned>((now_ >> shift) % places);
        // The current place of level 0 has what is due. On the others it comes last: only the
        // highest has nodes there, a turn ahead.
        const auto index = first_from(level, level == 0 ? digit : (digit + 1) % places);
        if (!index) { continue; }
        const std::uint64_t turn = std::uint64_t{1} << (shift + bits);
        std::uint64_t at = now_ - now_ % turn + (std::uint64_t{*index} << shift);
        if (at <= now_ && level != 0) { at += turn; }  // Only the highest level wraps around.
        return place_time{level, *index, at};
    }
    return std::nullopt;
}

}  // namespace heph::rt::detail
