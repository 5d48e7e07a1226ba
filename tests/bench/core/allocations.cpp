#include "bench/core/allocations.hpp"

#include <new>

// The names are the compiler's for `operator new` and `heph::detail::allocate_frame`.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {

void* __real__Znwm(std::size_t size);
void* __real__ZnwmSt11align_val_t(std::size_t size, std::align_val_t alignment);
void* __real__ZN4heph6detail14allocate_frameEm(std::size_t size);

void* __wrap__Znwm(std::size_t size);
void* __wrap__ZnwmSt11align_val_t(std::size_t size, std::align_val_t alignment);
void* __wrap__ZN4heph6detail14allocate_frameEm(std::size_t size);

void* __wrap__Znwm(std::size_t size) {
    ++heph::bench::allocations;
    return __real__Znwm(size);
}

void* __wrap__ZnwmSt11align_val_t(std::size_t size, std::align_val_t alignment) {
    ++heph::bench::allocations;
    return __real__ZnwmSt11align_val_t(size, alignment);
}

void* __wrap__ZN4heph6detail14allocate_frameEm(std::size_t size) {
    heph::bench::last_frame_bytes = size;
    return __real__ZN4heph6detail14allocate_frameEm(size);
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
