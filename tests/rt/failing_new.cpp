// Has some allocations of a thread fail. Replaces the operators of the whole program.

#include "failing_new.hpp"

#include <cstdlib>
#include <limits>
#include <new>

namespace {

constexpr std::size_t never = std::numeric_limits<std::size_t>::max();

thread_local std::size_t left = never;
thread_local std::size_t failing = 0;  // So many, once none is left.
thread_local bool failed = false;

void* memory_or_null(std::size_t size, std::size_t alignment) noexcept {
    if (left != never && left != 0) {
        --left;
    } else if (left == 0) {
        if (--failing == 0) { left = never; }
        failed = true;
        return nullptr;
    }
    return alignment <= alignof(std::max_align_t)
               ? std::malloc(size)
               : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void* memory(std::size_t size, std::size_t alignment) {
    void* const got = memory_or_null(size, alignment);
    if (got == nullptr) { throw std::bad_alloc(); }
    return got;
}

}  // namespace

namespace heph::test {

void fail_allocation(std::size_t before, std::size_t times) noexcept {
    failed = false;
    failing = times;
    left = before;
}

bool stop_failing() noexcept {
    left = never;
    return failed;
}

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
void operator delete(void* freed) noexcept { std::free(freed); }
void operator delete[](void* freed) noexcept { std::free(freed); }
void operator delete(void* freed, std::size_t) noexcept { std::free(freed); }
void operator delete[](void* freed, std::size_t) noexcept { std::free(freed); }
void operator delete(void* freed, std::align_val_t) noexcept { std::free(freed); }
void operator delete[](void* freed, std::align_val_t) noexcept { std::free(freed); }
void operator delete(void* freed, std::size_t, std::align_val_t) noexcept { std::free(freed); }
void operator delete[](void* freed, std::size_t, std::align_val_t) noexcept { std::free(freed); }
void operator delete(void* freed, const std::nothrow_t&) noexcept { std::free(freed); }
void operator delete[](void* freed, const std::nothrow_t&) noexcept { std::free(freed); }
void operator delete(void* freed, std::align_val_t, const std::nothrow_t&) noexcept {
    std::free(freed);
}
void operator delete[](void* freed, std::align_val_t, const std::nothrow_t&) noexcept {
    std::free(freed);
}
