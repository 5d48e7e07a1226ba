#include "socket_calls.hpp"

namespace heph::rt::detail {

constinit thread_local socket_calls* this_thread_sockets = nullptr;

}  // namespace heph::rt::detail
