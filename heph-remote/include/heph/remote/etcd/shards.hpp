#pragma once

// Actors that are spread over the nodes of a cluster, each at one node at a time.
//
//     heph::task<> run_counter(etcd::shard self) {
//         return etcd::host_actor(std::move(self), heph::no_supervisor(),
//                                 heph::actor_fn(counter));
//     }
//
//     auto counters = etcd::shards::host(*cluster, etcd::shard_settings("counters"), run_counter);
//     auto found = co_await counters->find<counter_message>("alice");   // wherever it is
//     auto total = co_await found->rpc(1s);
//
// Keys are hashed to a fixed number of shards, and shards belong to hosts by rendezvous hashing: a
// node that joins takes about its share from the others, one that goes gives its own to them, and
// nothing else moves. From one node to those that joined, eight move at a time; the others run on
// where they are until it is their turn.
//
// A shard runs at its owner only: the node that created the shard's key in etcd, by the lease of
// its membership. Where a shard moves to waits until its key is gone, and the owner removes that
// only after its shard has ended. An owner that does not reach etcd ends its shards before its
// lease can; one that died is followed when its lease ends.

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/actor_future.hpp>
#include <heph/core/either.hpp>
#include <heph/core/task.hpp>
#include <heph/remote/deadline.hpp>
#include <heph/remote/etcd/cluster.hpp>
#include <heph/remote/node.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/worker.hpp>

namespace heph::remote::etcd {

namespace detail {
class shards_core;
class shard_run;
}  // namespace detail

/// Is a shard that runs here: what a start function gets.
///
/// *Thread safety*: unsafe: used on the worker of the cluster's client. Copies are one shard.
class shard {
public:
    [[nodiscard]] std::uint32_t number() const noexcept;
    /// Grows from owner to owner of the shard. A resource that refuses those who come with a
    /// smaller one than it has seen cannot be harmed by an owner that was held up, and does not
    /// know yet that it is none. It is a revision of etcd, and goes back with that when etcd loses
    /// its data, or an old backup is restored: restore with raised revisions
    /// (`etcdutl snapshot restore --bump-revision … --mark-compacted`), or reset the resources.
    [[nodiscard]] std::int64_t fence() const noexcept;
    /// Gives the key that makes this node the owner, for transactions that have to be an owner's:
    /// `transaction.if_create_revision(self.key(), self.fence())`.
    [[nodiscard]] const std::string& key() const noexcept;
    /// Tells whether this node owns it still: asks the clock, not etcd.
    [[nodiscard]] bool is_owned() const noexcept;
    /// Completes when the shard has to end: by itself, and within `shard_settings::stop_time`.
    [[nodiscard]] task<> stopping() const;

    /// Gives the name under which its actor is to be published, so that `shards::find` finds it.
    [[nodiscard]] const std::string& actor_name() const noexcept;
    [[nodiscard]] const remote::node& node() const noexcept;
    [[nodiscard]] const rt::worker& worker() const noexcept;

private:
    friend class detail::shards_core;
    explicit shard(std::shared_ptr<detail::shard_run> run) noexcept;

    std::shared_ptr<detail::shard_run> run_;
};

/// Says what became of a shard at this node.
struct shard_event {
    enum class kind : std::uint8_t {
        started,
        stopped,  ///< It ended as it was asked to.
        failed,   ///< It ended by itself, or by an exception. It is started again.
        dropped,  ///< It was destroyed where it was: not owned any more, or too slow to stop.
    };
    kind what = kind::started;
    std::uint32_t number = 0;
    std::int64_t fence = 0;
};

/// Is whose a shard is.
struct shard_owner {
    std::string node;
    std::int64_t fence = 0;
};

/// How a set of shards is placed. The name, the count and the hash have to be the same at all
/// nodes.
class shard_settings {
public:
    /// Names the set: 1 to 64 letters, digits, dots, dashes and underscores.
    explicit shard_settings(std::string name) : name_(std::move(name)) {}

    /// Sets how many shards there are, 1 to 65,536; 64 by default. It is kept in etcd, and cannot
    /// be changed: another count is another set. Of s shards, each of n nodes has s/n, give or take
    /// sqrt(s/n).
    shard_settings& count(std::uint32_t shards) {
        count_ = shards;
        return *this;
    }
    /// Sets how long a shard may take to end, a quarter of the cluster's time to live by default,
    /// and half of it at most. After that it is dropped. So long before its lease ends, an owner
    /// that does not reach etcd begins to stop.
    shard_settings& stop_time(std::chrono::milliseconds limit) {
        stop_time_ = limit;
        return *this;
    }
    /// Sets how keys are hashed; by FNV-1a of 64 bits, mixed, by default.
    shard_settings& hash(std::function<std::uint64_t(std::string_view)> by) {
        hash_ = std::move(by);
        return *this;
    }
    /// Has each event told, on the worker of the cluster's client. What it throws goes to the log,
    /// and changes nothing for the shard.
    shard_settings& on_event(std::function<void(const shard_event&)> told) {
        on_event_ = std::move(told);
        return *this;
    }

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    [[nodiscard]] std::optional<std::chrono::milliseconds> stop_time() const noexcept {
        return stop_time_;
    }
    [[nodiscard]] const auto& hash() const noexcept { return hash_; }
    [[nodiscard]] const auto& on_event() const noexcept { return on_event_; }

private:
    std::string name_;
    std::uint32_t count_ = 64;
    std::optional<std::chrono::milliseconds> stop_time_;
    std::function<std::uint64_t(std::string_view)> hash_;
    std::function<void(const shard_event&)> on_event_;
};

/// Runs the shards of a set that belong to this node, and tells where the others are.
///
/// It works in the background until the runtime stops, or `leave`. An orderly stop ends the shards
/// first, and gives each to the others as soon as it has ended.
///
/// *Thread safety*: unsafe: used on the worker of the cluster's client. Copies are one set.
class shards {
public:
    /// Runs a shard: starts when it begins, and ends some time after `shard::stopping`. It runs on
    /// the worker of the cluster's client, and is dropped when the node does not own the shard any
    /// more; after that moment nothing of it runs. What it spawns elsewhere it has to end itself.
    using start_function = std::function<task<>(shard)>;

    /// Has this node host shards, as soon as it is a member.
    /// *Errors*: `bad_settings`; also for a set that is, or was, hosted by this cluster object or a
    /// copy of it. *Requires*: called on the worker of the cluster's client.
    [[nodiscard]] static std::expected<shards, rt::error> host(cluster of, shard_settings settings,
                                                               start_function start);
    /// Only looks where shards are.
    [[nodiscard]] static std::expected<shards, rt::error> observe(cluster of,
                                                                  shard_settings settings);

    [[nodiscard]] std::uint32_t shard_of(std::string_view key) const;
    /// Gives the owner of a shard, as this node was told last; nothing while it has none.
    /// *Requires*: the number is one of a shard.
    [[nodiscard]] std::optional<shard_owner> owner_of(std::uint32_t number) const;
    /// Gives the owner of a key's shard.
    [[nodiscard]] std::optional<shard_owner> locate(std::string_view key) const {
        return owner_of(shard_of(key));
    }

    /// Finds the actor of a key's shard, at whichever node it is, and waits while the shard moves.
    /// When what it gives fails with `node_down`, `no_such_actor` or `actor_gone`, the shard has
    /// moved: find it again.
    /// *Errors*: those of `node::find`; the last one of those when the time is over; `stopped` when
    /// the runtime stops while the shard has no owner.
    template <remote_message M>
    [[nodiscard]] task<std::expected<remote_ref<M>, failure>> find(
        std::string_view key, deadline until = deadline(std::chrono::seconds(5))) const {
        return find_shard<M>(*this, shard_of(key), until);
    }
    /// … of a shard, by its number.
    template <remote_message M>
    [[nodiscard]] task<std::expected<remote_ref<M>, failure>> find(
        std::uint32_t number, deadline until = deadline(std::chrono::seconds(5))) const {
        return find_shard<M>(*this, number, until);
    }

    /// Gives the shards that run here.
    [[nodiscard]] std::vector<std::uint32_t> hosted() const;
    /// Gives the nodes that host shards, by name.
    [[nodiscard]] std::vector<std::string> hosts() const;
    /// Completes when any of that changes after this was called.
    [[nodiscard]] task<> changed() const;

    /// Hosts no more: ends the shards here, and waits until the others can take them. It still
    /// tells where they are. It is final: this cluster object cannot host the set again.
    task<> leave() const;

    [[nodiscard]] std::uint32_t count() const noexcept;
    [[nodiscard]] std::string actor_name(std::uint32_t number) const;
    [[nodiscard]] const remote::node& node() const noexcept;

private:
    explicit shards(std::shared_ptr<detail::shards_core> core) noexcept;
    [[nodiscard]] static std::expected<shards, rt::error> make(cluster of, shard_settings settings,
                                                               start_function start);

    template <remote_message M>
    static task<std::expected<remote_ref<M>, failure>> find_shard(shards self, std::uint32_t number,
                                                                  deadline until) {
        failure why = failure::node_down;
        while (true) {
            if (const auto owner = self.owner_of(number)) {
                const auto name = self.actor_name(number);
                auto found = co_await self.node().template find<M>(owner->node, name, until);
                if (found) { co_return std::move(*found); }
                why = found.error();
                if (why != failure::node_down && why != failure::no_such_actor &&
                    why != failure::actor_gone) {
                    co_return std::unexpected(why);
                }
            } else if (rt::stop_requested()) {
                co_return std::unexpected(failure::stopped);
            }
            const auto now = deadline::clock::now();
            if (now >= until.at()) { co_return std::unexpected(why); }
            rt::timer pause(std::min(until.at(), now + std::chrono::milliseconds(50)));
            (void)co_await either(pause, self.changed());
        }
    }

    std::shared_ptr<detail::shards_core> core_;
};

namespace detail {

/// Takes an offer back when it is gone.
class offered_name {
public:
    offered_name(const remote::node& at, std::string name) : at_(at), name_(std::move(name)) {}
    offered_name(const offered_name&) = delete;
    offered_name& operator=(const offered_name&) = delete;
    ~offered_name() { at_.unpublish(name_); }

private:
    remote::node at_;
    std::string name_;
};

}  // namespace detail

/// Runs a shard that is an actor, which `shards::find` finds: makes it, publishes it, and when the
/// shard has to end, gives the reference to it up, after which it ends like any other actor that
/// nobody can send to any more: when it has dealt with what is in its inbox.
///
/// The arguments are those of `worker::spawn`.
template <typename Supervisor, typename NewActor, typename... Args>
task<> host_actor(shard self, actor_options options, Supervisor supervisor, NewActor new_actor,
                  Args... args) {
    auto made = make_actor(std::move(supervisor), std::move(new_actor), self.worker(),
                           std::move(options), std::move(args)...);
    std::optional<detail::offered_name> offered(std::in_place, self.node(), self.actor_name());
    self.node().publish(self.actor_name(), std::move(made.second));
    const auto first = co_await either(made.first, self.stopping());
    if (first.index() == 0) { co_return; }
    offered.reset();
    co_await made.first;
}
template <typename Supervisor, typename NewActor, typename... Args>
    requires(!std::convertible_to<Supervisor, actor_options>)
task<> host_actor(shard self, Supervisor supervisor, NewActor new_actor, Args... args) {
    actor_options options;
    options.name = self.actor_name();
    return host_actor(std::move(self), std::move(options), std::move(supervisor),
                      std::move(new_actor), std::move(args)...);
}

}  // namespace heph::remote::etcd
