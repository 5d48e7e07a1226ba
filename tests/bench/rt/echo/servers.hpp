#pragma once

// The servers that are compared. Each runs for ever on the calling thread, and echoes what it gets
// from the connections that `listener` takes.

namespace heph::bench {

[[noreturn]] void serve_with_epoll(int listener);
[[noreturn]] void serve_with_uring(int listener);
/// Serves with heph-rt, by the driver that HEPH_DRIVER names, on a port of its own choice, which it
/// writes to `tell`.
[[noreturn]] void serve_with_heph(int tell);

}  // namespace heph::bench
