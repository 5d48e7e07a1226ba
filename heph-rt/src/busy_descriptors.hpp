#pragma once

#include "slot.hpp"

namespace heph::rt::detail {

// Descriptors on which other threads work. A file may be dropped while that is so; closed at once,
// another could get its descriptor, and be written to. It is closed when the work is done.
//
// Thread safety: safe.

/// Notes that a slot's request is about to be carried out by another thread.
void hold_descriptor(slot& operation) noexcept;

/// Notes that it is done. Closes its descriptor if that was put off and nobody else works on it.
void let_go_of_descriptor(slot& operation) noexcept;

/// Puts off the closing of a descriptor. Gives false when nobody works on it.
[[nodiscard]] bool close_when_let_go(int descriptor) noexcept;

}  // namespace heph::rt::detail
