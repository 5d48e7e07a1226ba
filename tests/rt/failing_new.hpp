#pragma once

#include <cstddef>

namespace heph::test {

/// Has the calling thread's next allocation but `before` fail, once.
void fail_allocation(std::size_t before) noexcept;
/// Lets allocations be; tells whether one failed since `fail_allocation`.
bool stop_failing() noexcept;

}  // namespace heph::test
