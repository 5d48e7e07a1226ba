#pragma once

#include <cstddef>

namespace heph::test {

/// Has so many of the calling thread's allocations fail, after `before` others.
void fail_allocation(std::size_t before, std::size_t times = 1) noexcept;
/// Lets allocations be; tells whether one failed since `fail_allocation`.
bool stop_failing() noexcept;

}  // namespace heph::test
