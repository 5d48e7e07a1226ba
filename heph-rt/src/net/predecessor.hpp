#pragma once

namespace heph::rt::net {

/// Names the variable of the environment by which a successor knows its predecessor, and the
/// sockets without a `LISTEN_PID` for its own.
inline constexpr const char* predecessor_variable = "HEPH_PREDECESSOR";

}  // namespace heph::rt::net
