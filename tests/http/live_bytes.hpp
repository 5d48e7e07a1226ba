#pragma once

#include <cstddef>

namespace heph::test {

/// Tells how many bytes the program has allocated and not freed, by any thread: as large as the
/// allocator made them, without its headers.
[[nodiscard]] std::ptrdiff_t live_bytes() noexcept;

}  // namespace heph::test
