#include "slot_pool.hpp"

#include <unistd.h>

#include <thread>
#include <utility>

#include <heph/inbox/assert.hpp>

#include "direct_table.hpp"
#include "worker_link.hpp"

namespace heph::rt::detail {

namespace {

// Closes what the owner of a dropped slot left, when no worker does it any more.
void close_left(slot& dropped) noexcept {
    const int left = std::exchange(dropped.close_after, -1);
    if (is_direct(left)) {
        drop_direct(left);
    } else if (left >= 0) {
        ::close(left);
    }
}

}  // namespace

void slot_pool::grow() {
    chunks_.push_back(std::make_unique<chunk>());
    const std::size_t first = (chunks_.size() - 1) * chunk_slots;
    chunk& added = *chunks_.back();
    for (std::size_t i = chunk_slots; i-- > 0;) {
        added[i].index = static_cast<std::uint32_t>(first + i + 1);  // 0 stands for no slot.
        added[i].pool = this;
        added[i].next_free = std::exchange(free_, &added[i]);
    }
}

slot& slot_pool::acquire(slot_kind kind, process_header* process) {
    if (free_ == nullptr) { grow(); }
    slot& taken = *free_;
    free_ = std::exchange(taken.next_free, nullptr);
    HEPH_ASSERT(taken.state == slot_state::free);
    taken.state = slot_state::in_flight;
    taken.kind = kind;
    taken.holder = pin(process);
    return taken;
}

void slot_pool::release(slot& freed) noexcept {
    HEPH_ASSERT(freed.state != slot_state::free && !freed.armed);
    freed.state = slot_state::free;
    ++freed.generation;
    freed.pausing = false;
    freed.starved = false;
    freed.ended = false;
    freed.watched = false;
    freed.short_is_all = false;
    freed.accepts_direct = false;
    freed.result = 0;
    freed.waker = waker();
    freed.holder = pin();
    freed.data = buffer();
    freed.call.reset();
    freed.path.reset();
    freed.address.reset();
    freed.accepted.clear();
    freed.accepted_taken = 0;
    freed.next_free = std::exchange(free_, &freed);
}

slot* slot_pool::find(std::uint64_t user_data) noexcept {
    const auto index = static_cast<std::uint32_t>(user_data);
    HEPH_ASSERT(index != 0 && index <= chunks_.size() * chunk_slots);
    slot& found = (*chunks_[(index - 1) / chunk_slots])[(index - 1) % chunk_slots];
    return found.generation == user_data >> 32U ? &found : nullptr;
}

void slot_pool::drop_elsewhere(slot& dropped) noexcept {
    bool last = false;
    {
        const std::lock_guard lock(elsewhere_);
        if (!closed_) {
            dropped.next_free = std::exchange(dropped_, &dropped);
            any_dropped_.store(true, std::memory_order_seq_cst);
            link_->notify();
            // The caller may close the descriptor next, and another get the same.
            while (touching_.load(std::memory_order_seq_cst)) { std::this_thread::yield(); }
        } else {
            close_left(dropped);
            last = --held_after_close_ == 0;
        }
    }
    if (last) { delete this; }
}

slot* slot_pool::take_dropped() noexcept {
    const std::lock_guard lock(elsewhere_);
    any_dropped_.store(false, std::memory_order_seq_cst);
    return std::exchange(dropped_, nullptr);
}

void slot_pool::close(std::unique_ptr<slot_pool> pool) noexcept {
    const std::lock_guard lock(pool->elsewhere_);
    pool->closed_ = true;
    pool->for_each_used([&](slot&) { ++pool->held_after_close_; });
    // Slots that were dropped elsewhere and not seen by the worker any more are held by nobody.
    for (slot* each = pool->dropped_; each != nullptr; each = each->next_free) {
        close_left(*each);
        --pool->held_after_close_;
    }
    if (pool->held_after_close_ != 0) { (void)pool.release(); }
}

}  // namespace heph::rt::detail
