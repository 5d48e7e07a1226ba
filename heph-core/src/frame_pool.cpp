// Keeps coroutine frames for reuse, by thread and by size.
//
// Each thread has a pool, made at its first frame. A frame remembers its pool in a header in front
// of it. Freed on its pool's thread, it goes to a plain list of its size class; freed elsewhere,
// it is pushed to the pool's remote-free list, which the pool empties when a class runs out.
//
// Invariants
//     1. Only its thread touches a pool's lists and `outstanding`; other threads touch only
//        `remote` and `orphaned`.
//     2. `outstanding` counts the frames that are neither in a list of the pool nor given back to
//        the system, as far as its thread knows: frames in `remote` still count.
//     3. When its thread ends, a pool closes `remote` for good. A frame freed after that goes to
//        the system, and counts -1 in `orphaned`. The pool adds the number of frames that were
//        left; whoever brings the sum to zero deletes the pool.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include <heph/core/detail/frame_pool.hpp>

#if defined(__SANITIZE_ADDRESS__)
#define HEPH_FRAMES_FROM_SYSTEM 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEPH_FRAMES_FROM_SYSTEM 1
#endif
#endif

namespace heph::detail {

#if defined(HEPH_FRAMES_FROM_SYSTEM)

// Frames that are never reused let the sanitizer find what is used after it was freed.

namespace {
constinit thread_local std::size_t system_bytes = 0;
}  // namespace

void* allocate_frame(std::size_t size) {
    void* frame = ::operator new(size);
    system_bytes += size;
    return frame;
}

void free_frame(void* frame, std::size_t size) noexcept {
    system_bytes -= size;
    ::operator delete(frame, size);
}

std::size_t frame_bytes_in_use() noexcept { return system_bytes; }

#else

namespace {

constexpr std::size_t class_bytes = 32;
constexpr std::size_t class_count = 64;  // Frames beyond 2 KiB come from the system.
constexpr std::size_t kept_bytes_max = std::size_t{256} * 1024;  // Free, in one class of one pool.

class frame_pool;

struct alignas(16) frame_header {
    frame_pool* owner;   // Null: from the system.
    frame_header* next;  // In a free list.
};
static_assert(sizeof(frame_header) == 16);

constexpr std::size_t class_of(std::size_t size) noexcept { return (size - 1) / class_bytes; }

constexpr std::size_t block_bytes(std::size_t size_class) noexcept {
    return sizeof(frame_header) + (size_class + 1) * class_bytes;
}

void* frame_of(frame_header* header) noexcept { return header + 1; }

frame_header* header_of(void* frame) noexcept { return static_cast<frame_header*>(frame) - 1; }

// What a frame in the remote-free list says of itself, in its own memory.
std::size_t& remote_class(frame_header* header) noexcept {
    return *static_cast<std::size_t*>(frame_of(header));
}

frame_header* new_block(frame_pool* owner, std::size_t bytes) {
    return ::new (::operator new(bytes)) frame_header{owner, nullptr};
}

void delete_block(frame_header* header) noexcept { ::operator delete(header); }

class frame_pool {
public:
    frame_pool() = default;
    frame_pool(const frame_pool&) = delete;
    frame_pool& operator=(const frame_pool&) = delete;

    void* allocate(std::size_t size_class) {
        free_list& list = lists_[size_class];
        // Relaxed: the exchange in `collect` is what reads what was pushed.
        if (list.head == nullptr && remote_.load(std::memory_order_relaxed) != nullptr) {
            collect(remote_.exchange(nullptr, std::memory_order_acquire));
        }
        frame_header* header = list.head;
        if (header != nullptr) {
            list.head = header->next;
            --list.length;
        } else {
            header = new_block(this, block_bytes(size_class));
            held_bytes_ += block_bytes(size_class);
        }
        ++outstanding_;
        return frame_of(header);
    }

    void free_local(frame_header* header, std::size_t size_class) noexcept {
        --outstanding_;
        free_list& list = lists_[size_class];
        if (list.length * block_bytes(size_class) >= kept_bytes_max) {
            held_bytes_ -= block_bytes(size_class);
            delete_block(header);
            return;
        }
        header->next = list.head;
        list.head = header;
        ++list.length;
    }

    // Counts what it has got from the system, less what is free. Only slow paths keep books.
    [[nodiscard]] std::size_t bytes_in_use() const noexcept {
        std::size_t free = 0;
        for (std::size_t i = 0; i < class_count; ++i) { free += lists_[i].length * block_bytes(i); }
        return held_bytes_ - free;
    }

    // From any thread but the pool's own.
    void free_remote(frame_header* header, std::size_t size_class) noexcept {
        remote_class(header) = size_class;
        frame_header* head = remote_.load(std::memory_order_relaxed);
        do {
            if (head == closed()) {
                delete_block(header);
                count_orphans(-1);
                return;
            }
            header->next = head;
            // Release pairs with the acquire of the exchanges in `allocate` and `close`.
        } while (!remote_.compare_exchange_weak(head, header, std::memory_order_release,
                                                std::memory_order_relaxed));
    }

    // Called once, by the pool's thread when it ends. The pool may be gone afterwards.
    void close() noexcept {
        collect(remote_.exchange(closed(), std::memory_order_acq_rel));
        for (free_list& list : lists_) {
            while (list.head != nullptr) {
                frame_header* next = list.head->next;
                delete_block(list.head);
                list.head = next;
            }
        }
        count_orphans(outstanding_);
    }

private:
    struct free_list {
        frame_header* head = nullptr;
        std::size_t length = 0;
    };

    // No block has this address.
    frame_header* closed() noexcept { return reinterpret_cast<frame_header*>(this); }

    void collect(frame_header* header) noexcept {
        while (header != nullptr) {
            frame_header* next = header->next;
            free_local(header, remote_class(header));
            header = next;
        }
    }

    // Acquire and release: what each thread did with the pool happens before the delete.
    void count_orphans(std::ptrdiff_t change) noexcept {
        if (orphaned_.fetch_add(change, std::memory_order_acq_rel) + change == 0) { delete this; }
    }

    free_list lists_[class_count];
    std::size_t held_bytes_ = 0;
    std::ptrdiff_t outstanding_ = 0;
    std::atomic<frame_header*> remote_{nullptr};
    std::atomic<std::ptrdiff_t> orphaned_{0};
};

// Trivially destructible, so that frames may be made and freed while a thread's other
// thread-locals are destroyed.
constinit thread_local frame_pool* current_pool = nullptr;
constinit thread_local bool pool_is_closed = false;
// In frames of no pool, less those that were freed here and made elsewhere.
constinit thread_local std::size_t system_bytes = 0;

struct pool_closer {
    pool_closer() = default;
    pool_closer(const pool_closer&) = delete;
    pool_closer& operator=(const pool_closer&) = delete;
    ~pool_closer() {
        frame_pool* pool = current_pool;
        current_pool = nullptr;
        pool_is_closed = true;
        if (pool != nullptr) { pool->close(); }
    }
};

// Null when the thread is ending.
frame_pool* make_pool() {
    if (pool_is_closed) { return nullptr; }
    thread_local pool_closer closer;
    (void)closer;
    current_pool = new frame_pool();
    return current_pool;
}

}  // namespace

void* allocate_frame(std::size_t size) {
    const std::size_t size_class = class_of(size);
    if (size_class < class_count) {
        frame_pool* pool = current_pool != nullptr ? current_pool : make_pool();
        if (pool != nullptr) { return pool->allocate(size_class); }
    }
    frame_header* header = new_block(nullptr, sizeof(frame_header) + size);
    system_bytes += sizeof(frame_header) + size;
    return frame_of(header);
}

void free_frame(void* frame, std::size_t size) noexcept {
    frame_header* header = header_of(frame);
    if (header->owner == nullptr) {
        system_bytes -= sizeof(frame_header) + size;
        delete_block(header);
    } else if (header->owner == current_pool) {
        header->owner->free_local(header, class_of(size));
    } else {
        header->owner->free_remote(header, class_of(size));
    }
}

std::size_t frame_bytes_in_use() noexcept {
    return system_bytes + (current_pool != nullptr ? current_pool->bytes_in_use() : 0);
}

#endif

}  // namespace heph::detail
