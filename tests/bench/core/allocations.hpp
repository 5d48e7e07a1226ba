#pragma once

// Counts what the program allocates: the linker leads the calls through here (`--wrap`), so that
// nothing else is slower than in a program that does not count.

#include <cstddef>
#include <cstdint>

namespace heph::bench {

inline std::uint64_t allocations = 0;     ///< Calls of `operator new`.
inline std::size_t last_frame_bytes = 0;  ///< The size of the coroutine frame made last.

}  // namespace heph::bench
