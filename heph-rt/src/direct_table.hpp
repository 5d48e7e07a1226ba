#pragma once

// The table of a ring's direct descriptors.
//
// A direct descriptor is a slot of a table that the kernel keeps for one ring. What stands for it
// in the place of a descriptor is its number, which names the table and the slot:
//
//     bit 30: set     bits 16 to 29: the table     bits 0 to 15: the slot
//
// No descriptor is as large, so that a system call which is given one fails with EBADF.
//
// States of a slot
//     free --the kernel puts a file in: accepted, or handed over--> owned
//     owned --closed, no operation names it--> free          (its close is queued)
//     owned --closed, while operations name it--> doomed
//     doomed --last completion of the last of them--> free   (its close is queued)
//
// Invariants
//     1. The kernel chooses the slots, and chooses one again only after it has carried out the
//     close
//        that was queued for it. So what is free here may be full in the kernel, never the reverse.
//     2. One object owns an owned slot, by its number, and closes it once.
//     3. No close is queued while an operation that names the slot is under way: some of them (a
//        sync, an allocation) find their file only when a thread of the kernel begins with them,
//        and would find who has the slot next.
//     4. A number is taken by the driver of its own table only; all others refuse it. No table's
//     name
//        is given out again, so that a number which outlives its ring means nothing for ever. When
//        no name is left, further rings have no table.
//     5. What is closed by another thread goes to the table's worker. What nobody has closed by the
//        end of the ring is closed by that.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <heph/rt/descriptor.hpp>

namespace heph::rt::detail {

class worker_link;

/// Knows what is in the slots of one ring's table.
///
/// *Thread safety*: used by the worker's thread, but for `drop_direct`.
class direct_table {
public:
    static constexpr std::size_t slots_max = std::size_t{1} << 16U;

    /// Gives nothing when no name is left. *Errors*: throws `std::bad_alloc`.
    [[nodiscard]] static std::unique_ptr<direct_table> make(worker_link& link, std::size_t slots);
    direct_table(const direct_table&) = delete;
    direct_table& operator=(const direct_table&) = delete;
    ~direct_table();

    [[nodiscard]] bool owns(int number) const noexcept { return (number & ~slot_mask) == name_; }
    [[nodiscard]] static unsigned slot_of(int number) noexcept {
        return static_cast<unsigned>(number & slot_mask);
    }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] std::size_t in_use() const noexcept { return in_use_; }
    /// Tells whether there is room for all connections that a multishot accept may put in before
    /// anybody can stop it: for one that finds none, the kernel closes the connection.
    [[nodiscard]] bool has_room_to_accept() const noexcept { return free() > spared_; }
    /// Tells whether there is so much that accepting may go back to direct ones.
    [[nodiscard]] bool has_ample_room() const noexcept { return free() > spared_ + spared_ / 4; }

    /// Notes that the kernel has put a file in. Gives its number.
    [[nodiscard]] int note_taken(unsigned slot) noexcept;
    /// Notes that an operation begins which names it. *Requires*: `owns`.
    void begin_operation(int number) noexcept { ++entry_of(number).operations; }
    /// Notes that one has ended. Gives whether the slot's close is to be queued now.
    [[nodiscard]] bool end_operation(int number) noexcept;
    /// Closes it. Gives whether that is to be queued now; else `end_operation` will say so.
    [[nodiscard]] bool close(int number) noexcept;

    [[nodiscard]] bool any_dropped() const noexcept {
        return any_dropped_.load(std::memory_order_seq_cst);  // See `worker_link`, Sleeping.
    }
    /// Calls `visit` with each number that was dropped since the last call.
    template <typename Visit>
    void take_dropped(Visit visit) {
        for (std::uint32_t slot = take_dropped(); slot != none;) {
            const std::uint32_t following = entries_[slot].next_dropped;
            visit(name_ | static_cast<int>(slot));
            slot = following;
        }
    }

private:
    friend void drop_direct(int number) noexcept;

    static constexpr int slot_mask = static_cast<int>(slots_max) - 1;
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    struct entry {
        std::uint32_t operations = 0;
        std::uint32_t next_dropped = none;  // Guarded by the mutex of all tables.
        bool owned = false;
        bool doomed = false;
    };

    direct_table(worker_link& link, std::size_t slots, int name);
    [[nodiscard]] entry& entry_of(int number) noexcept { return entries_[slot_of(number)]; }
    [[nodiscard]] std::size_t free() const noexcept { return entries_.size() - in_use_; }
    void release(entry& closed) noexcept;
    [[nodiscard]] std::uint32_t take_dropped() noexcept;

    worker_link* link_;
    int name_;
    std::size_t in_use_ = 0;
    std::size_t spared_;
    std::vector<entry> entries_;
    std::uint32_t dropped_ = none;  // Guarded by the mutex of all tables.
    std::atomic<bool> any_dropped_{false};
};

/// Has the worker of a direct descriptor close it. Does nothing once that has ended.
/// *Thread safety*: safe.
void drop_direct(int number) noexcept;

}  // namespace heph::rt::detail
