#pragma once

// Random bits for what is to differ from run to run, and in a simulation by its seed only.

#include <cstdint>

namespace heph::detail {

using random_source = std::uint64_t (*)();

/// Gives random bits: those of the source that was set, or the system's.
/// *Errors*: throws `std::exception` when there are none. *Thread safety*: safe.
[[nodiscard]] std::uint64_t random_bits();

/// Has another source give them, on all threads: it tells by itself which of them are special to
/// it. *Thread safety*: safe, as the source has to be.
void set_random_source(random_source source) noexcept;

}  // namespace heph::detail
