#pragma once

// Where a task waits, for `heph::dump`.
//
// Names cost a release build nothing, and no layout depends on whether they are kept: programs and
// libraries built with and without them link and work together; what was built without is shown
// without a name.
//
// Invariants
//     1. Promises and `leaf_base` are the same in all builds. A site lives in the awaiter, which
//        only the coroutine that awaits knows in full, and whose type says whether it has one. As
//        functions that differ take or return types that differ, they are never merged.
//     2. A site is found through the word `driver` of a promise, as its address with the lowest bit
//        set: in a child's promise, of the await of the child; in a root's, while it is suspended,
//        of the await of the leaf. While its coroutines run, a root has a `root_poll` there
//        instead.

#include <source_location>
#include <type_traits>
#include <typeinfo>

/// Whether tasks keep the names and places of what they await, for `heph::dump`: 1 or 0. On where
/// invariants are checked, unless defined otherwise. It may differ between parts of a program.
#if !defined(HEPH_TASK_NAMES)
#if defined(HEPH_ENABLE_ASSERTS) || !defined(NDEBUG)
#define HEPH_TASK_NAMES 1
#else
#define HEPH_TASK_NAMES 0
#endif
#endif

namespace heph::detail {

class task_stack_visitor;

/// What a named awaiter tells of itself.
struct await_site {
    std::source_location where;
    const std::type_info* awaited;
    // Shows the tasks within the future that is awaited. Null when it has none.
    void (*visit)(const void* future, task_stack_visitor& visitor) = nullptr;
    const void* future = nullptr;
};

/// In the place of a site, where none is kept.
struct no_await_site {};

template <bool Named>
using await_site_if = std::conditional_t<Named, await_site, no_await_site>;

}  // namespace heph::detail
