#include "fair_queue.hpp"

#include <algorithm>

namespace heph::rt::detail {

void fair_queue::push_ahead(schedulable& process) noexcept {
    list& same_level = ahead_[static_cast<std::size_t>(process.priority())];
    const std::uint64_t at = process.virtual_time;
    first_ahead_ = std::min(first_ahead_, at);
    if (same_level.head == nullptr || same_level.tail->virtual_time <= at) {
        same_level.push_back(process);
        return;
    }
    schedulable** place = &same_level.head;
    while ((*place)->virtual_time <= at) { place = &(*place)->next; }
    process.next = *place;
    *place = &process;
}

// Nobody is eligible, but somebody is ahead (invariant 3).
void fair_queue::skip_to_next() noexcept {
    // Those ahead may have been charged since they came: it may take another look.
    while (eligible_.head == nullptr) {
        time_ = first_ahead_ - quantum;
        admit();
    }
}

void fair_queue::admit() noexcept {
    first_ahead_ = never;
    for (list& level : ahead_) {
        while (level.head != nullptr && level.head->virtual_time <= time_ + quantum) {
            eligible_.push_back(*level.pop_front());
        }
        if (level.head != nullptr) {
            first_ahead_ = std::min(first_ahead_, level.head->virtual_time);
        }
    }
}

}  // namespace heph::rt::detail
