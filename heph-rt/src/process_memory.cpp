// Keeps the memory of processes for reuse, by thread and by size.
//
// A block goes to the list of the thread that frees it, whichever that is, up to a limit; it has no
// header, since any list will do. What a thread has left when it ends goes back to the system.

#include <array>
#include <cstddef>
#include <new>

#include <heph/rt/detail/process.hpp>

#if defined(__SANITIZE_ADDRESS__)
#define HEPH_PROCESSES_FROM_SYSTEM 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEPH_PROCESSES_FROM_SYSTEM 1
#endif
#endif

namespace heph::rt::detail {

#if defined(HEPH_PROCESSES_FROM_SYSTEM)

// Blocks that are never reused let the sanitizer find what is used after it was freed.

void* allocate_process(std::size_t size) { return ::operator new(size); }

void free_process_memory(void* block, std::size_t /*size*/) noexcept { ::operator delete(block); }

#else

namespace {

// The sizes that malloc gives without waste: 8 more than a multiple of 16.
constexpr std::size_t class_of(std::size_t size) noexcept { return (size + 7) / 16; }
constexpr std::size_t bytes_of(std::size_t size_class) noexcept { return size_class * 16 + 8; }

constexpr std::size_t class_count = 33;  // Up to 520 bytes.
constexpr std::size_t kept_max = 256;    // Blocks of a class.

struct free_block {
    free_block* next;
};

class block_lists {
public:
    block_lists() = default;
    block_lists(const block_lists&) = delete;
    block_lists& operator=(const block_lists&) = delete;
    ~block_lists() {
        closed_ = true;
        for (list& each : lists_) {
            while (free_block* block = each.head) {
                each.head = block->next;
                ::operator delete(block);
            }
        }
    }

    void* take(std::size_t size_class) {
        list& from = lists_[size_class];
        free_block* block = from.head;
        if (block == nullptr) { return ::operator new(bytes_of(size_class)); }
        from.head = block->next;
        --from.length;
        return block;
    }

    void keep(void* block, std::size_t size_class) noexcept {
        list& to = lists_[size_class];
        if (closed_ || to.length >= kept_max) {
            ::operator delete(block);
            return;
        }
        to.head = ::new (block) free_block{to.head};
        ++to.length;
    }

private:
    struct list {
        free_block* head = nullptr;
        std::size_t length = 0;
    };

    std::array<list, class_count> lists_;
    bool closed_ = false;
};

thread_local block_lists blocks;

}  // namespace

void* allocate_process(std::size_t size) {
    const std::size_t size_class = class_of(size);
    return size_class < class_count ? blocks.take(size_class) : ::operator new(size);
}

void free_process_memory(void* block, std::size_t size) noexcept {
    const std::size_t size_class = class_of(size);
    if (size_class < class_count) {
        blocks.keep(block, size_class);
    } else {
        ::operator delete(block);
    }
}

#endif

}  // namespace heph::rt::detail
