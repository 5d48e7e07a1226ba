// Counts the bytes that are allocated. Replaces the operators of the whole program.

#include "live_bytes.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

// Relaxed: it counts, and orders nothing.
std::atomic<std::ptrdiff_t> live{0};

void* memory_or_null(std::size_t size, std::size_t alignment) noexcept {
    void* const got =
        alignment <= alignof(std::max_align_t)
            ? std::malloc(size)
            : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    live.fetch_add(static_cast<std::ptrdiff_t>(::malloc_usable_size(got)),
                   std::memory_order_relaxed);
    return got;
}

void* memory(std::size_t size, std::size_t alignment) {
    void* const got = memory_or_null(size, alignment);
    if (got == nullptr) { throw std::bad_alloc(); }
    return got;
}

void give_up(void* freed) noexcept {
    live.fetch_sub(static_cast<std::ptrdiff_t>(::malloc_usable_size(freed)),
                   std::memory_order_relaxed);
    std::free(freed);
}

}  // namespace

namespace heph::test {

std::ptrdiff_t live_bytes() noexcept { return live.load(std::memory_order_relaxed); }

}  // namespace heph::test

void* operator new(std::size_t size) { return memory(size, 1); }
void* operator new[](std::size_t size) { return memory(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return memory(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
    return memory(size, static_cast<std::size_t>(alignment));
}
// All of them: what one of the system's gave must not go to one of ours.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return memory_or_null(size, 1);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return memory_or_null(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return memory_or_null(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return memory_or_null(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* freed) noexcept { give_up(freed); }
void operator delete[](void* freed) noexcept { give_up(freed); }
void operator delete(void* freed, const std::nothrow_t&) noexcept { give_up(freed); }
void operator delete[](void* freed, const std::nothrow_t&) noexcept { give_up(freed); }
void operator delete(void* freed, std::align_val_t) noexcept { give_up(freed); }
void operator delete[](void* freed, std::align_val_t) noexcept { give_up(freed); }
void operator delete(void* freed, std::align_val_t, const std::nothrow_t&) noexcept {
    give_up(freed);
}
void operator delete[](void* freed, std::align_val_t, const std::nothrow_t&) noexcept {
    give_up(freed);
}
void operator delete(void* freed, std::size_t) noexcept { give_up(freed); }
void operator delete[](void* freed, std::size_t) noexcept { give_up(freed); }
void operator delete(void* freed, std::size_t, std::align_val_t) noexcept { give_up(freed); }
void operator delete[](void* freed, std::size_t, std::align_val_t) noexcept { give_up(freed); }
