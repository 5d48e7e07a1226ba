#pragma once

#include <cstddef>

namespace heph::test {

/// Tells how many allocations the calling thread has made.
[[nodiscard]] std::size_t allocations() noexcept;

}  // namespace heph::test
