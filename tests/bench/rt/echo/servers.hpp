#pragma once

// The servers that are compared. Each runs for ever on the calling thread, and echoes what it gets
// from the connections that `listener` takes; those by hand answer with `reply` instead when there
// is one.

#include <cstddef>
#include <string_view>

namespace heph::bench {

[[noreturn]] void serve_with_epoll(int listener, std::string_view reply = {});
[[noreturn]] void serve_with_uring(int listener, std::string_view reply = {});
[[noreturn]] void serve_with_asio(int listener, std::string_view reply = {});
[[noreturn]] void serve_with_uv(int listener, std::string_view reply = {});
/// Serves with heph-rt, by the driver that HEPH_DRIVER names, on a port of its own choice, which it
/// writes to `tell`. More than one worker have a CPU and a listener each.
[[noreturn]] void serve_with_heph(int tell, std::size_t workers);

}  // namespace heph::bench
