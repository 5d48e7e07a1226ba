#pragma once

#include <spawn.h>

#include <csignal>

namespace heph::rt::detail {

/// Gives a child the signals of a program that a shell starts: none blocked, as threads of a
/// runtime have them, and those of writing in vain deadly. Gives the flags to set besides others.
inline short reset_signals(posix_spawnattr_t& attributes) noexcept {
    sigset_t none;
    sigset_t usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGXFSZ);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &usual);
    return POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
}

}  // namespace heph::rt::detail
