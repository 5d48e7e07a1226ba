#pragma once

// The worker's clock for deadlines that are set often and seldom come.

#include <cstdint>

namespace heph::rt::detail {

/// Gives the calling worker's clock, see `worker_now_ms`, rounded up to the kernel's next tick, a
/// few milliseconds at most: a deadline that is counted from there never comes early. It takes a
/// fifth of the time to read.
/// *Errors*: throws `std::system_error` with `errc::no_worker` outside of a worker.
[[nodiscard]] std::uint64_t worker_coarse_ms();

}  // namespace heph::rt::detail
