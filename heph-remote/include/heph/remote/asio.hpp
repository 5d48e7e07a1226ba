#pragma once

// Nodes in programs of Boost.Asio. Optional: nothing else of heph-remote includes this header, and
// who does needs Boost.Asio 1.81 or later, and the component `asio` (heph::remote-asio).
//
//     boost::asio::io_context context;
//     auto node = heph::remote::asio::start(context.get_executor(), settings);
//     heph::asio_runtime actors(context.get_executor());      // <heph/core/asio.hpp>
//     node->publish("counter", actors.spawn(heph::no_supervisor(), heph::actor_fn(counter)));
//     context.run();  // returns once the node was stopped and the actors are finished

#include <expected>

#include <boost/asio/any_io_executor.hpp>

#include <heph/remote/node.hpp>
#include <heph/remote/options.hpp>
#include <heph/rt/error.hpp>

namespace heph::remote::asio {

/// Starts a node that an executor of Boost.Asio runs, as `node::start` does on a worker. It uses no
/// runtime of heph-rt and no io_uring, and is linked to nodes of either kind: the bytes are the
/// same. Links come up once the executor runs.
///
/// What the node and its references give may be awaited on any thread, by any executor:
/// `heph::async_await(ref.rpc(1s))` in a `boost::asio::awaitable`, `co_await ref.rpc(1s)` in an
/// actor of `heph::asio_runtime`. Deadlines are kept by the node, on its executor.
///
/// The node counts as work: `run()` of an execution context returns only after `node::stop`, when
/// the goodbyes are said. A node that is not stopped is dropped with its execution context: its
/// connections close, and what is asked of it after that fails with `stopped`.
///
/// *Errors*: those of `node::start`, which waits as that does for a port in use.
/// *Thread safety*: safe. The node's tasks run on a strand of its
/// own, so that the execution context may have any number of threads.
/// *Lifetime*: handles of the node and references may outlive the execution context. What waits
/// for them may not: whoever awaits on other threads has to have ended before the context is
/// destroyed. `node::stop`, and then `run()` until it returns, ends all that waits.
[[nodiscard]] std::expected<node, rt::error> start(boost::asio::any_io_executor executor,
                                                   const options& settings);

}  // namespace heph::remote::asio
