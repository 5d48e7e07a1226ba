#pragma once

// A network within a process, for tests of what runs on several nodes.
//
//     heph::testing::step_executor run(heph::testing::schedule::random(42));
//     heph::remote::memory_network network;
//     auto a = remote::start_stepped(run, remote::options("a", secret).listen("memory:a")
//                                                                     .network(network));
//     auto b = remote::start_stepped(run, remote::options("b", secret).peer("a", "memory:a")
//                                                                     .network(network));
//     network.cut("a");
//     network.refuse("a", true);
//     run.advance(10s);  // in no time
//
// What is under way on a connection, in each direction
//     sent --there is room in the buffer--> in transit, or the sender waits
//     in transit --the delay has passed, and the direction is not stalled--> received
//     in transit --cut--> lost; both ends get `connection_reset`

#include <chrono>
#include <cstddef>
#include <expected>
#include <memory>
#include <string_view>

#include <heph/core/testing/step_executor.hpp>
#include <heph/remote/node.hpp>
#include <heph/remote/options.hpp>
#include <heph/rt/error.hpp>

namespace heph::remote {

namespace detail {
class memory_core;
}  // namespace detail

/// Connects nodes of one process that listen at, and dial, addresses such as `memory:a`. They may
/// run in any environment: on workers, on executors of Boost.Asio, or on a `step_executor`, where
/// nothing depends on the clock or on threads, so that a test does the same each time.
///
/// Its faults concern all connections to one name, those that were made already and those to come.
/// Copies are handles of the same network. *Thread safety*: safe.
class memory_network {
public:
    /// Names a direction of a connection: from the node that dialed, or to it.
    enum class direction { from_dialer, to_dialer };

    memory_network();

    /// Cuts all connections there are to a name. What is in transit is lost.
    void cut(std::string_view name);
    /// Refuses new connections to a name, or not any more.
    void refuse(std::string_view name, bool yes);
    /// Holds up what goes in one direction, or lets it go on. Nothing is lost, and nobody is told.
    void stall(std::string_view name, direction way, bool yes);
    /// Lets what is sent from now on take some time, in both directions.
    void delay(std::string_view name, std::chrono::steady_clock::duration by);
    /// Sets how many bytes may be in transit on one connection and in one direction, at least 1:
    /// who sends more has to wait. 256 KiB unless it is set.
    void buffer(std::string_view name, std::size_t bytes);

    /// Counts the connections that are open to a name.
    [[nodiscard]] std::size_t connections(std::string_view name) const;

    /// Gives what is behind it, for nodes.
    [[nodiscard]] const std::shared_ptr<detail::memory_core>& core() const noexcept {
        return core_;
    }

private:
    std::shared_ptr<detail::memory_core> core_;
};

/// Starts a node that a `step_executor` runs, in its virtual time, on a memory network only. What
/// the node and its references give is awaited there: in tasks and actors of the executor, or by
/// its `block_on`. A deadline that is a duration counts, in virtual time, from when it is awaited
/// first.
///
/// *Errors*: those of `node::start`; `not_supported` to listen at an address that is no memory one.
/// *Lifetime*: the executor outlives what is awaited, but not necessarily the handles.
[[nodiscard]] std::expected<node, rt::error> start_stepped(heph::testing::step_executor& run,
                                                           const options& settings);

}  // namespace heph::remote
