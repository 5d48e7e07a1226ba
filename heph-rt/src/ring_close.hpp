// What ThreadSanitizer must be told of descriptors that a ring closes.
#pragma once

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HEPH_RT_TELLS_OF_CLOSES 1
#include <sanitizer/linux_syscall_hooks.h>
#endif
#endif

namespace heph::rt::detail {

/// The ring is about to close `descriptor`: the calling thread has no use of it any more.
///
/// ThreadSanitizer follows descriptors by number, through the C library's functions. It does not
/// see what a ring closes: whoever were given the number next, by a ring or by a bare system call,
/// would seem to race with the uses of its last owner. Does nothing in other builds.
inline void about_to_close([[maybe_unused]] int descriptor) noexcept {
#ifdef HEPH_RT_TELLS_OF_CLOSES
    __sanitizer_syscall_pre_close(descriptor);
#endif
}

}  // namespace heph::rt::detail
