#pragma once

#include <heph/inbox/assert.hpp>

#include "slot.hpp"

namespace heph::rt::detail {

/// Slots in the order in which they came, linked through themselves; a slot is in one list at most.
class slot_list {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    [[nodiscard]] slot* front() const noexcept { return first_; }
    [[nodiscard]] slot* back() const noexcept { return last_; }

    void push(slot& added) noexcept {
        HEPH_ASSERT(added.list == nullptr);
        added.list = this;
        added.list_next = nullptr;
        added.list_previous = last_;
        (last_ != nullptr ? last_->list_next : first_) = &added;
        last_ = &added;
    }

    void remove(slot& removed) noexcept {
        HEPH_ASSERT(removed.list == this);
        (removed.list_previous != nullptr ? removed.list_previous->list_next : first_) =
            removed.list_next;
        (removed.list_next != nullptr ? removed.list_next->list_previous : last_) =
            removed.list_previous;
        removed.list = nullptr;
    }

private:
    slot* first_ = nullptr;
    slot* last_ = nullptr;
};

}  // namespace heph::rt::detail
