#pragma once

// Where channels, one-shots and, in the libraries above, coroutine frames and processes get their
// memory: small blocks that come and go all the time.
//
// The system's allocator takes tens of nanoseconds for one, more if it is aligned, and adds 8 to 70
// bytes to it. Here a thread has a list of free blocks of each size, which takes one or two
// nanoseconds, and a block has no header: the list is found by its size, which who frees it knows.
// What a thread has too much or too little goes in batches to and from a depot that all threads
// share. The depot cuts blocks from slabs, which are aligned to their size, so that a block's
// address tells its slab; once all blocks of a slab are there, it can become one of another size,
// or goes back to the system's allocator.
//
// Places of a block
//     in use    --freed, on any thread-->            in that thread's list
//     in a list --made, by that thread-->            in use
//     in a list --one too many, or thread ends-->    in its slab, in the depot
//     in a slab --a list is empty-->                 in the list of the thread that asked
//     A thread that is ending has no lists any more: it goes straight to the depot.
//
// Invariants
//     1. A block is in exactly one place. It may be freed by another thread than made it, and may
//        outlive that one: no place remembers a thread.
//     2. Only its thread touches a list; only who holds a shelf's lock touches the shelf and its
//        slabs, but for the word that names their shelf, which stays the same. So what was done
//        with a block on one thread happens before what the next one does with it. The memory of
//        slabs to come, `spares`, has a lock of its own. Nobody holds two of these locks.
//     3. A slab is on its shelf exactly when it has free blocks. `free` of them are not handed out
//        to threads, those that were never cut included. When that becomes all of them, and there
//        are others on its shelf, the slab ends: its memory is a spare one, or goes back to the
//        system's allocator when there are `spares_max` already. (That allocator seldom finds a
//        place for another slab where one was between two that remain.)
//     4. A list has at most `list_max` blocks. `room` is how many more it takes; in a list that
//        was never used, and for good in one of a thread that has ended, it is 0, and there is no
//        block in it.
//     5. A block goes back to the shelf that its slab names. Mostly there is one depot, but parts
//        of a program that hide their symbols from one another, such as plugins, have one each, and
//        their blocks may be in the same lists. So such a part must not be unloaded.
//     6. Either all blocks of the process come from slabs, or all from the system: in a program
//        with the address sanitizer, which would not see what is used after it was freed, and
//        where a test asks for it. A plugin has to be built with that sanitizer, or without, as
//        the program is.
//
// The depot is never destroyed, as other objects may give blocks back later than any of its own.
// The child of a fork may find a lock held by a thread that it does not have: it has to exec.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>

// Is there exactly when the address sanitizer is, whatever this part of the program is built with.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" [[gnu::weak]] void __asan_init();

namespace heph::inbox::detail {

class block_pool {
public:
    /// Sizes are rounded up to this, and all blocks are aligned to it.
    static constexpr std::size_t granule = 16;
    /// The largest block there is.
    static constexpr std::size_t bytes_max = 2048;
    /// The largest alignment there is, for sizes that are a multiple of it.
    static constexpr std::size_t alignment_max = 64;

    /// Gives a block, aligned to 16, and to 32 or 64 when `bytes` is a multiple of that.
    /// *Requires*: `bytes` is 1 to `bytes_max`. *Errors*: throws `std::bad_alloc`.
    [[nodiscard]] static void* allocate(std::size_t bytes) {
        list& from = mine.lists[class_of(bytes)];
        if (from.first != nullptr) [[likely]] {
            ++from.room;
            return std::exchange(from.first, from.first->next);
        }
        return allocate_slowly(bytes);
    }

    /// Frees a block that `allocate` gave for as many bytes, on any thread.
    static void deallocate(void* memory, std::size_t bytes) noexcept {
        list& to = mine.lists[class_of(bytes)];
        if (to.room == 0) [[unlikely]] {
            deallocate_slowly(memory, bytes);
            return;
        }
        push(to, memory);
    }

    /// Gives the size of the block that is made for so many bytes.
    [[nodiscard]] static constexpr std::size_t rounded(std::size_t bytes) noexcept {
        return (bytes + granule - 1) / granule * granule;
    }

    /// Tells whether every block comes from the system (invariant 6).
    [[nodiscard]] static bool is_from_system() noexcept {
        return &__asan_init != nullptr || asked_for_system;
    }
    /// Has every block come from the system, for a program that counts or fails allocations.
    /// *Requires*: no block was made yet.
    static void take_from_system() noexcept { asked_for_system = true; }

private:
    struct block {
        block* next;
    };

    // Some blocks, one behind the other.
    struct chain {
        block* first = nullptr;
        std::uint32_t count = 0;
    };

    // Invariant 4.
    struct list {
        block* first = nullptr;
        std::uint32_t room = 0;
    };

    static constexpr std::size_t class_count = bytes_max / granule;

    struct lists_of_thread {
        std::array<list, class_count> lists;
        bool ended = false;
    };

    struct slab;

    // The slabs of one size that have free blocks.
    struct shelf {
        std::mutex lock;
        slab* first = nullptr;
    };

    // Memory of slabs that ended, linked by its first bytes.
    struct spare_slabs {
        std::mutex lock;
        block* first = nullptr;
        std::uint32_t count = 0;
    };
    static constexpr std::uint32_t spares_max = 64;

    // At the beginning of its memory; its blocks follow.
    struct alignas(alignment_max) slab {
        slab* next = nullptr;  // On its shelf.
        slab* previous = nullptr;
        block* returned = nullptr;  // Free blocks that were in use before.
        std::uint32_t free;         // Invariant 3.
        std::uint32_t cut = 0;      // How many of its blocks were handed out at least once.
        std::uint32_t blocks;       // How many it has.
        shelf* const place;         // Invariant 5.

        slab(shelf& at, std::uint32_t count) noexcept : free(count), blocks(count), place(&at) {}
    };

    // A little less than a power of two, so that the system's allocator puts one right behind the
    // other, with its header in between.
    static constexpr std::size_t slab_alignment = std::size_t{32} * 1024;
    static constexpr std::size_t slab_bytes = slab_alignment - 16;

    static constexpr std::size_t class_of(std::size_t bytes) noexcept {
        return (bytes - 1) / granule;
    }
    static constexpr std::size_t bytes_of(std::size_t size_class) noexcept {
        return (size_class + 1) * granule;
    }
    static constexpr std::uint32_t list_max(std::size_t size_class) noexcept {
        return static_cast<std::uint32_t>(
            std::min<std::size_t>(std::size_t{32} * 1024 / bytes_of(size_class), 256));
    }
    static constexpr std::uint32_t batch_of(std::size_t size_class) noexcept {
        return static_cast<std::uint32_t>(
            std::clamp<std::size_t>(std::size_t{4096} / bytes_of(size_class), 1, 32));
    }

    static void push(list& to, void* memory) noexcept {
        --to.room;
        to.first = ::new (memory) block{to.first};
    }

    // ---- A thread's lists ----

    // The first block of a size, or none left.
    [[gnu::noinline]] static void* allocate_slowly(std::size_t bytes) {
        const std::size_t size_class = class_of(bytes);
        if (is_from_system()) { return ::operator new(bytes, system_alignment(size_class)); }
        list& to = mine.lists[size_class];
        const bool has_list = to.room != 0 || begin(to, size_class);
        const chain taken = take(size_class, has_list ? batch_of(size_class) : 1);
        to.first = taken.first->next;
        to.room -= taken.count - 1;
        return taken.first;
    }

    // The first block of a size, or one too many.
    [[gnu::noinline]] static void deallocate_slowly(void* memory, std::size_t bytes) noexcept {
        const std::size_t size_class = class_of(bytes);
        if (is_from_system()) {
            ::operator delete(memory, system_alignment(size_class));
            return;
        }
        list& to = mine.lists[size_class];
        if (to.first != nullptr) {
            give_some(to, (list_max(size_class) + 1) / 2);
        } else if (!begin(to, size_class)) {
            give({::new (memory) block{nullptr}, 1});
            return;
        }
        push(to, memory);
    }

    // Makes a list ready for use, unless the thread is ending: tells whether it did.
    static bool begin(list& unused, std::size_t size_class) noexcept {
        if (mine.ended) { return false; }
        thread_local closer at_end;
        (void)at_end;
        unused.room = list_max(size_class);
        return true;
    }

    struct closer {
        closer() noexcept = default;
        closer(const closer&) = delete;
        closer& operator=(const closer&) = delete;
        ~closer() {
            mine.ended = true;
            for (std::size_t i = 0; i < class_count; ++i) {
                list& each = mine.lists[i];
                if (each.first != nullptr) { give_some(each, list_max(i) - each.room); }
                each.room = 0;
            }
        }
    };

    // Gives so many blocks of a list to the depot. *Requires*: it has them, at least one.
    static void give_some(list& from, std::uint32_t count) noexcept {
        block* last = from.first;
        for (std::uint32_t i = 1; i < count; ++i) { last = last->next; }
        const chain given{from.first, count};
        from.first = std::exchange(last->next, nullptr);
        from.room += count;
        give(given);
    }

    // ---- The depot ----

    // Takes at least one block, at most so many.
    static chain take(std::size_t size_class, std::uint32_t most) {
        shelf& at = depot[size_class];
        std::unique_lock lock(at.lock);
        slab* from = at.first;
        if (from == nullptr) {
            lock.unlock();
            from = make_slab(at, size_class);
            lock.lock();
            put_on(at, *from);
        }
        chain taken;
        while (taken.count < most && from->free != 0) {
            block* next = from->returned;
            if (next != nullptr) {
                from->returned = next->next;
            } else {
                auto* behind = reinterpret_cast<std::byte*>(from + 1);
                next = ::new (behind + from->cut * bytes_of(size_class)) block;
                ++from->cut;
            }
            --from->free;
            next->next = taken.first;
            taken.first = next;
            ++taken.count;
        }
        if (from->free == 0) { take_off(at, *from); }
        return taken;
    }

    // Gives at least one block.
    static void give(chain given) noexcept {
        slab* unneeded = nullptr;
        std::unique_lock<std::mutex> lock;
        while (given.first != nullptr) {
            block* next = std::exchange(given.first, given.first->next);
            slab& home = slab_of(next);
            shelf& at = *home.place;
            if (lock.mutex() != &at.lock) {
                if (lock.owns_lock()) { lock.unlock(); }
                lock = std::unique_lock(at.lock);
            }
            next->next = std::exchange(home.returned, next);
            if (home.free++ == 0) { put_on(at, home); }
            if (home.free == home.blocks && (at.first != &home || home.next != nullptr)) {
                take_off(at, home);
                home.next = std::exchange(unneeded, &home);
            }
        }
        lock.unlock();
        while (unneeded != nullptr) { end_slab(std::exchange(unneeded, unneeded->next)); }
    }

    static slab* make_slab(shelf& at, std::size_t size_class) {
        void* memory = take_spare();
        if (memory == nullptr && ::posix_memalign(&memory, slab_alignment, slab_bytes) != 0) {
            throw std::bad_alloc();
        }
        const std::size_t blocks = (slab_bytes - sizeof(slab)) / bytes_of(size_class);
        return ::new (memory) slab(at, static_cast<std::uint32_t>(blocks));
    }

    static void end_slab(slab* ended) noexcept {
        static_assert(std::is_trivially_destructible_v<slab>);
        void* memory = ended;
        {
            const std::lock_guard lock(spares.lock);
            if (spares.count < spares_max) {
                ++spares.count;
                spares.first = ::new (memory) block{spares.first};
                memory = nullptr;
            }
        }
        std::free(memory);
    }

    static void* take_spare() noexcept {
        const std::lock_guard lock(spares.lock);
        if (spares.first == nullptr) { return nullptr; }
        --spares.count;
        return std::exchange(spares.first, spares.first->next);
    }

    static slab& slab_of(block* its) noexcept {
        const auto address = reinterpret_cast<std::uintptr_t>(its);
        return *reinterpret_cast<slab*>(address & ~(slab_alignment - 1));
    }

    static void put_on(shelf& at, slab& added) noexcept {
        added.previous = nullptr;
        added.next = at.first;
        if (at.first != nullptr) { at.first->previous = &added; }
        at.first = &added;
    }
    static void take_off(shelf& at, slab& taken) noexcept {
        (taken.previous != nullptr ? taken.previous->next : at.first) = taken.next;
        if (taken.next != nullptr) { taken.next->previous = taken.previous; }
    }

    static constexpr std::align_val_t system_alignment(std::size_t size_class) noexcept {
        const std::size_t bytes = bytes_of(size_class);
        return std::align_val_t(std::min(bytes & (~bytes + 1), alignment_max));
    }

    static constinit thread_local lists_of_thread mine;
    static constinit std::array<shelf, class_count> depot;
    static constinit spare_slabs spares;
    static constinit bool asked_for_system;
};

inline constinit thread_local block_pool::lists_of_thread block_pool::mine{};
inline constinit std::array<block_pool::shelf, block_pool::class_count> block_pool::depot{};
inline constinit block_pool::spare_slabs block_pool::spares{};
inline constinit bool block_pool::asked_for_system = false;

}  // namespace heph::inbox::detail
