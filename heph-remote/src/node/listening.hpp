#pragma once

// Listening at an address that a dead program may hold for a moment yet.
//
// A program on io_uring that is killed leaves its sockets a little later than its pid: the kernel
// ends a ring, and with it what the ring was accepting at, by a work item of its own. Whoever
// starts it again at once would find its own address taken. Nothing tells such a socket from one of
// a program that lives: it still takes connections into its queue. So there is a bounded time.
//
// States
//     trying  --bound, or failed otherwise-->       done
//     trying  --in use, and no time is left-->      done, in use
//     trying  --in use, and there is time left-->   pausing  (one line is logged at the first)
//     pausing --the pause is over-->                trying   (the next one is twice as long)
//
// It holds the thread up, instead of the node listening later in the background: `node::start` says
// whether the node listens, and where, so that a wrong port ends a program that can do nothing
// without it, with its reason. Starting is what threads do before anything else.

#include <chrono>
#include <memory>
#include <string_view>

#include "environment.hpp"
#include "memory/memory_core.hpp"

namespace heph::remote::detail {

/// Listens, and tries again as long as the address is in use, for `patience` at the most. Names in
/// a memory network are free as soon as their node is gone, and are tried once.
/// *Errors*: those of `environment::listen`.
[[nodiscard]] listen_result listen_when_free(const std::shared_ptr<environment>& around,
                                             const std::shared_ptr<memory_core>& network,
                                             const node_address& at,
                                             std::chrono::milliseconds patience,
                                             std::string_view node);

}  // namespace heph::remote::detail
