#pragma once

#include <heph/rt/error.hpp>

namespace heph::rt::detail {

/// Finds out why the kernel refused io_uring with the errno `number`, and says what to do.
[[nodiscard]] error explain_refusal(int number);

/// What `explain_refusal` looks at; apart for tests.
struct refusal_facts {
    int number = 0;        // The errno.
    int sysctl = -1;       // kernel.io_uring_disabled, -1 when there is no such file.
    int seccomp_mode = 0;  // "Seccomp:" of /proc/thread-self/status; 2 is a filter.
    int kernel_major = 0;
    int kernel_minor = 0;
};

[[nodiscard]] refusal_facts gather_refusal_facts(int number);
[[nodiscard]] error explain_refusal(const refusal_facts& facts);

}  // namespace heph::rt::detail
