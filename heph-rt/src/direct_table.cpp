#include "direct_table.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include <heph/inbox/assert.hpp>

#include "worker_link.hpp"

namespace heph::rt::detail {

namespace {

constexpr int tables_max = 1 << 14;
// As many connections wait for a listener by default, and come at once when it is looked at.
constexpr std::size_t spared_usually = 1024;

struct known_tables {
    std::mutex mutex;
    std::vector<direct_table*> all;
    int next_name = 0;
};

// Never destroyed: what is static in a program may own a direct descriptor, too.
known_tables& tables() noexcept {
    static auto& known = *new known_tables;
    return known;
}

}  // namespace

std::unique_ptr<direct_table> direct_table::make(worker_link& link, std::size_t slots) {
    known_tables& known = tables();
    const std::lock_guard lock(known.mutex);
    if (known.next_name == tables_max) { return nullptr; }
    known.all.reserve(known.all.size() + 1);  // Afterwards nothing fails while the lock is held.
    const int name = first_direct | known.next_name << 16;
    std::unique_ptr<direct_table> made(new direct_table(link, slots, name));
    known.all.push_back(made.get());
    ++known.next_name;
    return made;
}

direct_table::direct_table(worker_link& link, std::size_t slots, int name)
    : link_(&link), name_(name), spared_(std::min(slots / 2, spared_usually)), entries_(slots) {
    link_->counters().direct_slots.set(slots);
}

direct_table::~direct_table() {
    known_tables& known = tables();
    const std::lock_guard lock(known.mutex);
    std::erase(known.all, this);
    link_->counters().direct_in_use.set(0);
    link_->counters().direct_slots.set(0);
}

int direct_table::note_taken(unsigned slot) noexcept {
    HEPH_ASSERT(slot < entries_.size() && !entries_[slot].owned && !entries_[slot].doomed);
    entries_[slot].owned = true;
    link_->counters().direct_in_use.set(++in_use_);
    return name_ | static_cast<int>(slot);
}

void direct_table::release(entry& closed) noexcept {
    closed.doomed = false;
    link_->counters().direct_in_use.set(--in_use_);
}

bool direct_table::end_operation(int number) noexcept {
    entry& ended = entry_of(number);
    HEPH_ASSERT(ended.operations != 0);
    if (--ended.operations != 0 || !ended.doomed) { return false; }
    release(ended);
    return true;
}

bool direct_table::close(int number) noexcept {
    entry& closed = entry_of(number);
    HEPH_ASSERT(closed.owned && !closed.doomed);
    closed.owned = false;
    closed.doomed = closed.operations != 0;
    if (closed.doomed) { return false; }
    release(closed);
    return true;
}

std::uint32_t direct_table::take_dropped() noexcept {
    const std::lock_guard lock(tables().mutex);
    any_dropped_.store(false, std::memory_order_seq_cst);
    return std::exchange(dropped_, none);
}

void drop_direct(int number) noexcept {
    known_tables& known = tables();
    const std::lock_guard lock(known.mutex);
    for (direct_table* const each : known.all) {
        if (!each->owns(number)) { continue; }
        const unsigned slot = direct_table::slot_of(number);
        each->entries_[slot].next_dropped = std::exchange(each->dropped_, slot);
        each->any_dropped_.store(true, std::memory_order_seq_cst);
        each->link_->notify();
        return;
    }
}

}  // namespace heph::rt::detail
