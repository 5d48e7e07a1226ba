#pragma once

// One of several programs whose actors reach each other.

#include <chrono>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/actor_ref.hpp>
#include <heph/core/task.hpp>
#include <heph/remote/audience.hpp>
#include <heph/remote/credentials.hpp>
#include <heph/remote/deadline.hpp>
#include <heph/remote/detail/alternatives.hpp>
#include <heph/remote/detail/port.hpp>
#include <heph/remote/detail/published.hpp>
#include <heph/remote/options.hpp>
#include <heph/remote/remote_ref.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/worker.hpp>

namespace heph::remote {

namespace detail {
class node_starter;
class group_access;
}  // namespace detail

/// What a node has with another one.
struct peer_status {
    std::string name;
    bool linked = false;  ///< A connection is up.
};

/// Links this program to others, offers actors to them and finds theirs.
///
///     auto node = heph::remote::node::start(worker, settings);
///     node->publish("counter", counter);                          // at node "a"
///     auto found = co_await node->find<counter_message>("a", "counter");      // at node "b"
///     auto total = co_await found->rpc(1s, add(3));
///
/// A node is a handle: copies mean the same node, which runs on the worker that started it until
/// the runtime stops, or `stop` is called, whatever handles there are. It then says goodbye to its
/// peers, and everything that waits fails with `stopped`.
///
/// *Thread safety*: safe. What is awaited has to run on a worker of a heph-rt runtime, any one.
class node {
public:
    /// Starts a node on a worker. Links come up afterwards, in the background.
    /// *Errors*: a bad name or address, a link setting out of bounds, a port that is in use and
    /// stays so for `link_settings::listen_retry`, for which the thread waits; the message says
    /// which and what to do.
    /// *Requires*: called on that worker's thread, as in `run_on_workers` or in a local actor.
    [[nodiscard]] static std::expected<node, rt::error> start(rt::worker& worker,
                                                              const options& settings);

    /// Offers an actor under a name, instead of what was offered under it before. Takes effect at
    /// once. What arrives for it comes from other nodes' senders in the order in which each sent.
    /// Other nodes can find it, and, unless it is not for them, ask what there is (`remote_group`).
    /// *Errors*: throws `std::invalid_argument` for a name that is not 1 to 255 printable ASCII
    /// characters without spaces, or is `heph.directory`, and when two alternatives of `M` have the
    /// same name on the wire.
    template <remote_message M>
    void publish(std::string_view name, actor_ref<M> actor,
                 audience who = audience::everyone()) const {
        publish_erased(
            name, std::make_unique<detail::published_actor<M>>(std::move(actor), std::move(who)));
    }

    /// Gives a reference to an actor here, to be sent to other nodes: whoever gets it reaches the
    /// actor, though nobody can find it by a name. That ends with the actor.
    template <remote_message M>
    [[nodiscard]] remote_ref<M> share(actor_ref<M> actor,
                                      audience who = audience::everyone()) const {
        return remote_ref<M>(port_, share_erased(std::make_unique<detail::published_actor<M>>(
                                        std::move(actor), std::move(who))));
    }

    /// Takes an offer back. References to it that others have fail with `no_such_actor` from then,
    /// and who watches it is told so.
    void unpublish(std::string_view name) const;

    /// Finds an actor of a node, this one included, by the names of both: gives
    /// `std::expected<remote_ref<M>, failure>`. The actor may take more or fewer types than `M`;
    /// sending one that it does not take fails with `unknown_type`.
    ///
    /// *Errors*: `node_down` when the node is not linked, and was not within
    /// `link_settings::patience`, or when it is no peer; `no_such_actor`; `actor_gone`;
    /// `unknown_type` when the actor takes nothing of `M`; `timed_out`; `stopped`.
    template <remote_message M>
    [[nodiscard]] find_future<M> find(std::string_view node_name, std::string_view actor_name,
                                      deadline until = deadline(std::chrono::seconds(5))) const {
        return find_future<M>(port_, detail::find_actor(port_, std::string(node_name),
                                                        std::string(actor_name), until));
    }

    /// Waits until this run of a node is lost, and says why: `node_down` when it said goodbye, was
    /// restarted, its session found no connection within the grace, or it is not linked and was not
    /// within the patience; `stopped`.
    [[nodiscard]] task<failure> watch(std::string_view node_name) const {
        return detail::watch_node(port_, std::string(node_name));
    }

    /// Dials one more node from now on, as `options::peer` does; a known one at a new address.
    /// *Errors*: a bad name or address.
    [[nodiscard]] std::expected<void, rt::error> add_peer(std::string_view name,
                                                          std::string_view address) const;

    /// Takes `add_peer`, or `options::peer`, back: the node is dialed no more once its session is
    /// lost. A link that is up stays until it breaks.
    void forget_peer(std::string_view name) const;

    /// Has the node use other secrets, or another certificate, from now on: for each connection
    /// that is not linked yet, dialed or accepted. Of what it had before, nothing is accepted any
    /// more that is not among them. Takes effect in the background, in the order of the calls.
    ///
    ///     // At each node, e.g. at SIGHUP: first the new one as one more, then as the only one.
    ///     auto next = rt::tls::load_secret("secret");
    ///     if (next) { auto done = node.set_credentials(remote::credentials(*next)); … }
    ///
    /// *Errors*: as of `start`: a certificate that is not for the node's name, and what TLS finds;
    /// a node of plain text has none. Then all stays as it was.
    [[nodiscard]] std::expected<void, rt::error> set_credentials(
        const credentials& now, links_that_are_up links = links_that_are_up::stay) const;

    /// Tells which nodes this one knows, and to which it is linked right now.
    [[nodiscard]] std::vector<peer_status> peers() const;
    /// Tells whether a connection to a node is up.
    [[nodiscard]] bool is_linked(std::string_view peer) const;

    [[nodiscard]] const std::string& name() const noexcept;
    /// Gives the address at which the node accepts, with its real port; empty if it does not.
    [[nodiscard]] const std::string& address() const noexcept;

    /// Gives where other nodes reach this one: what `options::advertise` says, or the address at
    /// which it accepts; empty where it accepts at all addresses, or not at all.
    [[nodiscard]] const std::string& reached_at() const noexcept;

    /// Ends the node in an orderly way, in the background: it accepts no more connections, gives
    /// the calls that are under way the drain time, and says goodbye.
    void stop() const;

private:
    friend class detail::node_starter;
    friend class detail::group_access;
    explicit node(std::shared_ptr<detail::port> made) noexcept : port_(std::move(made)) {}

    [[nodiscard]] detail::destination_pointer share_erased(
        std::unique_ptr<detail::published> actor) const;
    void publish_erased(std::string_view name, std::unique_ptr<detail::published> actor) const;

    std::shared_ptr<detail::port> port_;
};

}  // namespace heph::remote
