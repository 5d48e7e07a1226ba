#pragma once

// Hosts by their names, in programs of Boost.Asio.

#include <vector>

#include <heph/core/task.hpp>
#include <heph/rt/net/endpoint.hpp>
#include <heph/rt/net/resolve.hpp>

#include "asio/asio_alarm.hpp"
#include "node/environment.hpp"

namespace heph::remote::detail {

/// Looks a host up, on the thread that Boost has for that. *Errors*: the resolver's.
/// *Cancellation*: the result is dropped.
[[nodiscard]] task<rt::net::resolved> asio_resolve(asio_strand strand, host_name of);

/// Connects to the first of several addresses that takes it, one after the other; to all but the
/// last it does not wait for longer than `silence_to_try_next`. *Errors*: that of the last one.
/// *Cancellation*: the attempt is given up.
[[nodiscard]] task<stream_result> asio_connect_any(asio_strand strand,
                                                   std::vector<rt::net::endpoint> to);

}  // namespace heph::remote::detail
