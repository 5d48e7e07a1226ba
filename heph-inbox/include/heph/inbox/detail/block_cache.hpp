#pragma once

// Keeps a few freed blocks of memory for the thread that freed them.
//
// Channels and one-shots come and go with actors and calls, and aligned memory is what the system's
// allocator is slowest at: tens of nanoseconds, where a list of free blocks takes one or two.
//
// Invariants
//     1. Every block is one of the system's own, of its class's size and alignment. So it does not
//        matter which thread frees it, nor whether it is kept or given back.
//     2. A thread keeps at most `kept_max` blocks of a class; what is more goes to the system.
//     3. When a thread ends it gives back what it kept, and keeps nothing from then on. Only
//        trivially destructible state is looked at by then, as other thread-locals may free later.

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

// Under the address sanitizer no block is kept, so that it sees what is used after it was freed; so
// it is where a program that counts or fails allocations defines `HEPH_INBOX_KEEP_NO_BLOCKS`. That
// may differ between parts of a program: all blocks have the sizes of their classes (invariant 1).
#if defined(__SANITIZE_ADDRESS__)
#define HEPH_INBOX_KEEP_NO_BLOCKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEPH_INBOX_KEEP_NO_BLOCKS 1
#endif
#endif

namespace heph::inbox::detail {

struct cached_block {
    cached_block* next;
};

struct cached_blocks {
    cached_block* first = nullptr;
    std::uint32_t length = 0;
};

struct cached_blocks_of_thread {
    std::array<cached_blocks, 4> lists;  // Blocks of up to 64, 128, 192 and 256 bytes.
    std::uint32_t kept_now = 0;  // 0 before the first block is freed, and at the thread's end.
    bool ended = false;
};

class block_cache {
public:
    static constexpr std::size_t class_bytes = 64;
    static constexpr std::size_t class_count = 4;
#if defined(HEPH_INBOX_KEEP_NO_BLOCKS)
    static constexpr std::uint32_t kept_max = 0;
#else
    static constexpr std::uint32_t kept_max = 256;
#endif

    /// Gives a block of `bytes`, or more, aligned to 64. *Errors*: throws `std::bad_alloc`.
    /// *Requires*: `is_kept(bytes)`.
    [[nodiscard]] static void* allocate(std::size_t bytes) {
        free_list& list = mine.lists[class_of(bytes)];
        if (list.first != nullptr) [[likely]] {
            --list.length;
            return std::exchange(list.first, list.first->next);
        }
        return ::operator new((class_of(bytes) + 1) * class_bytes, std::align_val_t(class_bytes));
    }

    /// Frees a block that `allocate` gave for as many bytes, on any thread.
    static void deallocate(void* memory, std::size_t bytes) noexcept {
        free_list& list = mine.lists[class_of(bytes)];
        if (list.length >= mine.kept_now && !may_keep(list)) {
            ::operator delete(memory, std::align_val_t(class_bytes));
            return;
        }
        list.first = ::new (memory) free_block{list.first};
        ++list.length;
    }

    /// Tells whether blocks of that size are kept at all.
    [[nodiscard]] static constexpr bool is_kept(std::size_t bytes, std::size_t alignment) noexcept {
        // The same in all builds, whatever they are checked with: parts of a program that were
        // built differently, such as a library without and a program with the address sanitizer,
        // free one another's blocks.
        return bytes != 0 && bytes <= class_bytes * class_count && alignment <= class_bytes;
        // Where none is kept, `deallocate` gives each one to the system at once.
    }

private:
    using free_block = cached_block;
    using free_list = cached_blocks;
    struct closer {
        closer() noexcept { mine.kept_now = kept_max; }
        closer(const closer&) = delete;
        closer& operator=(const closer&) = delete;
        ~closer() {
            mine.kept_now = 0;
            mine.ended = true;
            for (free_list& list : mine.lists) {
                while (list.first != nullptr) {
                    ::operator delete(std::exchange(list.first, list.first->next),
                                      std::align_val_t(class_bytes));
                }
                list.length = 0;
            }
        }
    };

    static constexpr std::size_t class_of(std::size_t bytes) noexcept {
        return (bytes - 1) / class_bytes;
    }

    // The slow path: the first block that a thread frees, or one too many.
    static bool may_keep(const free_list& list) noexcept {
        if (mine.ended || mine.kept_now != 0) { return false; }
        thread_local closer at_end;
        (void)at_end;
        return list.length < mine.kept_now;
    }

    static inline constinit thread_local cached_blocks_of_thread mine{};
};

}  // namespace heph::inbox::detail
