#pragma once

// Checks invariants in debug and test builds.

#if defined(HEPH_ENABLE_ASSERTS) || !defined(NDEBUG)

#include <cstdio>
#include <cstdlib>

namespace heph::detail {

/// Prints what was broken and where, then aborts.
[[noreturn]] inline void assertion_failed(const char* expression, const char* file,
                                          int line) noexcept {
    (void)std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expression);
    std::abort();
}

}  // namespace heph::detail

/// Aborts, naming the expression and its place, when `expression` is false. Absent from release
/// builds, unless `HEPH_ENABLE_ASSERTS` is defined.
#define HEPH_ASSERT(expression) \
    ((expression) ? void(0) : ::heph::detail::assertion_failed(#expression, __FILE__, __LINE__))

#else

#define HEPH_ASSERT(expression) void(0)

#endif
