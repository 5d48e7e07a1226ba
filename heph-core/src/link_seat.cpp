#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include <heph/core/detail/link_seat.hpp>
#include <heph/core/linkable.hpp>
#include <heph/inbox/assert.hpp>

namespace heph::detail {

namespace {

// Actors by their id, in parts, so that threads that start and end actors seldom meet.
struct seats_part {
    std::mutex mutex;
    std::unordered_map<inbox::channel_id, std::shared_ptr<link_seat>> seats;
};

seats_part& part_of(inbox::channel_id actor) {
    // Never destroyed: actors may end while the program's statics go away.
    static auto& parts = *new std::array<seats_part, 16>();
    return parts[(actor.hash() >> 8U) % parts.size()];
}

}  // namespace

bool link_seat::must_end(const waker& who) noexcept {
    if (!who_.will_wake(who)) {
        waker old;
        const std::lock_guard lock(mutex_);
        old = std::exchange(who_, who);
    }
    // Acquire, pairs with the release in `set_told`: the reason is seen. Invariant 2.
    return told_.load(std::memory_order_acquire);
}

std::shared_ptr<link_seat> link_seat::take(const link_seat& partner) noexcept {
    const auto found = std::ranges::find(partners_, &partner, &std::shared_ptr<link_seat>::get);
    if (found == partners_.end()) { return nullptr; }
    std::swap(*found, partners_.back());
    auto taken = std::move(partners_.back());
    partners_.pop_back();
    return taken;
}

waker link_seat::set_told(const actor_end& how) noexcept {
    // Relaxed: set with the lock held.
    if (end_ || told_.load(std::memory_order_relaxed)) { return {}; }
    try {
        reason_ = actor_end(end_reason::linked,
                            how.text().empty() ? std::string(to_string(how.reason())) : how.text());
    } catch (...) {
        // No memory for the text: the reason alone has to do.
    }
    told_.store(true, std::memory_order_release);  // Pairs with the acquire in `must_end`.
    return who_;
}

void link_seat::end(const actor_end& how) noexcept {
    seat_list partners;
    waker old;
    {
        const std::lock_guard lock(mutex_);
        if (end_) { return; }
        try {
            end_.emplace(how);
        } catch (...) { end_.emplace(how.reason()); }
        partners = std::move(partners_);
        old = std::exchange(who_, waker());
    }
    for (auto& partner : partners) {
        std::shared_ptr<link_seat> mine;
        waker woken;
        {
            const std::lock_guard lock(partner->mutex_);
            mine = partner->take(*this);  // Invariant 1.
            if (mine && how.is_abnormal()) { woken = partner->set_told(how); }
        }
        std::move(woken).wake();
    }
}

void link_seat::tell(const actor_end& how) noexcept {
    waker woken;
    {
        const std::lock_guard lock(mutex_);
        woken = set_told(how);
    }
    woken.wake();
}

void link_seat::link(const std::shared_ptr<link_seat>& first,
                     const std::shared_ptr<link_seat>& second) {
    if (first == second) { return; }
    waker woken;
    {
        const std::scoped_lock both(first->mutex_, second->mutex_);
        if (first->end_ || second->end_) {
            if (first->end_ && first->end_->is_abnormal()) {
                woken = second->set_told(*first->end_);
            } else if (second->end_ && second->end_->is_abnormal()) {
                woken = first->set_told(*second->end_);
            }
        } else if (std::ranges::find(first->partners_, second) == first->partners_.end()) {
            first->partners_.reserve(first->partners_.size() + 1);
            second->partners_.push_back(first);
            first->partners_.push_back(second);
        }
    }
    woken.wake();
}

bool link_seat::unlink(link_seat& first, link_seat& second) noexcept {
    if (&first == &second) { return false; }
    std::shared_ptr<link_seat> firsts;
    std::shared_ptr<link_seat> seconds;
    const std::scoped_lock both(first.mutex_, second.mutex_);
    firsts = first.take(second);
    seconds = second.take(first);
    return firsts || seconds;  // One that has just ended has no entries any more.
}

std::shared_ptr<link_seat> find_seat(inbox::channel_id actor) {
    seats_part& part = part_of(actor);
    const std::lock_guard lock(part.mutex);
    const auto found = part.seats.find(actor);
    return found != part.seats.end() ? found->second : nullptr;
}

link_membership::link_membership(inbox::observer actor)
    : actor_(std::move(actor)), seat_(std::make_shared<link_seat>()) {
    seats_part& part = part_of(actor_.id());
    const std::lock_guard lock(part.mutex);
    [[maybe_unused]] const bool is_new = part.seats.emplace(actor_.id(), seat_).second;
    HEPH_ASSERT(is_new);  // Invariant 4.
}

link_membership::~link_membership() {
    if (!seat_) { return; }
    seats_part& part = part_of(actor_.id());
    std::shared_ptr<link_seat> mine;  // Let go outside of the lock.
    const std::lock_guard lock(part.mutex);
    const auto found = part.seats.find(actor_.id());
    mine = std::move(found->second);
    part.seats.erase(found);
}

std::expected<void, link_error> link_actors(inbox::channel_id first,
                                            const std::optional<inbox::observer>& sees_first,
                                            inbox::channel_id second,
                                            const std::optional<inbox::observer>& sees_second) {
    if (!sees_first || !sees_second) { return std::unexpected(link_error::no_actor); }
    const auto first_seat = find_seat(first);
    const auto second_seat = find_seat(second);
    if (first_seat && second_seat) {
        link_seat::link(first_seat, second_seat);
        return {};
    }
    // Who has no seat, has ended, or cannot be linked.
    if ((!first_seat && sees_first->is_connected()) ||
        (!second_seat && sees_second->is_connected())) {
        return std::unexpected(link_error::not_linkable);
    }
    if (!first_seat && !second_seat) { return {}; }
    const actor_end end = read_end_word((first_seat ? sees_second : sees_first)->word());
    if (end.is_abnormal()) { (first_seat ? first_seat : second_seat)->tell(end); }
    return {};
}

bool unlink_actors(inbox::channel_id first, inbox::channel_id second) {
    const auto first_seat = find_seat(first);
    const auto second_seat = find_seat(second);
    return first_seat && second_seat && link_seat::unlink(*first_seat, *second_seat);
}

}  // namespace heph::detail
