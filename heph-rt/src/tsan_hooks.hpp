// What ThreadSanitizer must be told of what the kernel does for a ring. Nothing in other builds.
#pragma once

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HEPH_RT_TELLS_TSAN 1
#include <sanitizer/linux_syscall_hooks.h>
#include <sanitizer/tsan_interface.h>
#endif
#endif

namespace heph::rt::detail {

/// The ring is about to close `descriptor`: the calling thread has no use of it any more.
///
/// ThreadSanitizer follows descriptors by number, through the C library's functions. It does not
/// see what a ring closes: whoever were given the number next, by a ring or by a bare system call,
/// would seem to race with the uses of its last owner.
inline void about_to_close([[maybe_unused]] int descriptor) noexcept {
#ifdef HEPH_RT_TELLS_TSAN
    __sanitizer_syscall_pre_close(descriptor);
#endif
}

#ifdef HEPH_RT_TELLS_TSAN
/// Stands for the lock under which the kernel maps and unmaps memory.
inline char memory_map;
#endif

/// The memory of a ring is about to be unmapped; and, a ring's memory was mapped.
///
/// liburing does both by bare system calls, which ThreadSanitizer does not see: the uses of a ring
/// that is mapped where another was, in another thread, would seem to race with those of the other.
inline void about_to_unmap_ring() noexcept {
#ifdef HEPH_RT_TELLS_TSAN
    __tsan_release(&memory_map);
#endif
}
inline void ring_was_mapped() noexcept {
#ifdef HEPH_RT_TELLS_TSAN
    __tsan_acquire(&memory_map);
#endif
}

}  // namespace heph::rt::detail
