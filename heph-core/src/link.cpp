#include <heph/core/link.hpp>

#include <mutex>
#include <string>
#include <utility>

namespace heph::detail {

bool link_state::listen(member& mine, const waker& who) noexcept {
    if (mine.listed && mine.last.will_wake(who)) { return true; }
    mine.last = who;
    waker old;  // Dropped outside the lock.
    const std::lock_guard lock(mutex_);
    // Relaxed: set under the lock.
    if (broken_.load(std::memory_order_relaxed)) { return false; }
    if (!mine.listed) {
        mine.listed = true;
        push(first_, mine);
    }
    old = std::exchange(mine.who, who);
    return true;
}

void link_state::leave(member& mine) noexcept {
    mine.last = waker();
    if (!std::exchange(mine.listed, false)) { return; }
    waker old;  // Dropped outside the lock.
    const std::lock_guard lock(mutex_);
    remove(mine);
    old = std::move(mine.who);
}

void link_state::push(member*& list, member& added) noexcept {
    added.previous = nullptr;
    added.next = list;
    if (list != nullptr) { list->previous = &added; }
    list = &added;
}

void link_state::remove(member& gone) noexcept {
    if (gone.previous != nullptr) {
        gone.previous->next = gone.next;
    } else {
        (first_ == &gone ? first_ : woken_) = gone.next;
    }
    if (gone.next != nullptr) { gone.next->previous = gone.previous; }
}

void link_state::break_by(const actor_end& end) noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (broken_.load(std::memory_order_relaxed)) { return; }
        try {
            reason_ =
                actor_end(end_reason::linked,
                          end.text().empty() ? std::string(to_string(end.reason())) : end.text());
        } catch (...) {
            // No memory for the text: the reason alone has to do.
        }
        broken_.store(true, std::memory_order_release);  // Invariant 1.
    }
    // Nobody joins the list any more. A member stays in one of the two until it leaves.
    for (;;) {
        waker woken;
        {
            const std::lock_guard lock(mutex_);
            if (first_ == nullptr) { return; }
            member& next = *first_;
            remove(next);
            push(woken_, next);
            woken = std::move(next.who);
        }
        woken.wake();
    }
}

}  // namespace heph::detail
