#pragma once

// The nodes that are there, found through etcd.

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/remote/etcd/client.hpp>
#include <heph/remote/etcd/lease.hpp>
#include <heph/remote/node.hpp>
#include <heph/rt/error.hpp>

namespace heph::remote::etcd {

namespace detail {
class cluster_core;
}  // namespace detail

class shards;

/// How a node is a member.
class cluster_settings {
public:
    /// Sets what the keys of the cluster begin with; `/heph/` by default. Clusters that share an
    /// etcd have different ones, none of which is the beginning of another.
    cluster_settings& prefix(std::string begin) {
        prefix_ = std::move(begin);
        return *this;
    }
    /// Sets how long a node that fell silent stays a member; 10 s by default.
    cluster_settings& ttl(std::chrono::seconds time) {
        ttl_ = time;
        return *this;
    }
    /// Sets where the others reach this node, when that is not what `options::advertise` says, nor
    /// the address at which it listens. An address that leads nowhere from another machine, such as
    /// `127.0.0.1:9001`, is for clusters on one machine: a line in the log warns where there seem
    /// to be others.
    cluster_settings& address(std::string reached_at) {
        address_ = std::move(reached_at);
        return *this;
    }

    /// Names a file that this node's process locks until it ends, so that the next one at this
    /// machine knows that it has ended, also from another container: for nodes in containers, on a
    /// volume that the next container gets as well, and of no other node. It is made if need be,
    /// and has to be on a file system of the machine.
    cluster_settings& lock_file(std::string path) {
        lock_file_ = std::move(path);
        return *this;
    }

    [[nodiscard]] const std::string& prefix() const noexcept { return prefix_; }
    [[nodiscard]] const std::string& lock_file() const noexcept { return lock_file_; }
    [[nodiscard]] std::chrono::seconds ttl() const noexcept { return ttl_; }
    [[nodiscard]] const std::string& address() const noexcept { return address_; }

private:
    std::string prefix_ = "/heph/";
    std::string address_;
    std::string lock_file_;
    std::chrono::seconds ttl_{10};
};

/// Is a node of the cluster.
class member {
public:
    member(std::string its_name, std::string its_address, std::int64_t its_fence)
        : name(std::move(its_name)), address(std::move(its_address)), fence(its_fence) {}

    std::string name;
    std::string address;     ///< Empty for a node that only dials.
    std::int64_t fence = 0;  ///< Grows whenever a node of this name joins.

    bool operator==(const member&) const = default;
};

/// Makes a node a member of a cluster, under its name, and has it dial the other members.
///
///     auto node = remote::node::start(worker, settings);
///     etcd::client client(worker, etcd::settings({"http://127.0.0.1:2379"}));
///     auto cluster = etcd::cluster::join(*node, client);
///     co_await cluster->joined();
///     for (const auto& each : cluster->members()) { … }
///
/// It works in the background until the runtime stops, or `leave`; an orderly stop leaves at once,
/// and a node that dies is no member any more after the time to live. While etcd is not reached,
/// the members are those that were there last, and links stay; but after the time to live, this
/// node is no member for the others, until etcd is back, when it joins again by itself.
///
/// Of one name, there is one member at a time: a second one waits until the first is gone, with a
/// line in the log. It follows at once where the first one was a process of the same machine, and
/// of the same container, that has ended, at whatever address: that was killed, and started again.
/// Then the lease of the first one is ended as well, and what depended on it, such as its shards,
/// is free. So it is between containers of a machine where both have the same
/// `cluster_settings::lock_file`. It also follows at once at the very address of the first one,
/// unless that is a process that lives, or the address is the same on every machine (`127.0.0.1`),
/// or the name of a host; then the lease of the first one is left to its time.
///
/// *Thread safety*: unsafe: used on the worker of its client. Copies are one membership.
class cluster {
public:
    /// Begins to join. *Requires*: called on the client's worker.
    /// *Errors*: `bad_settings`: the node listens at all addresses (`0.0.0.0`), and neither it nor
    /// the settings say by which one it is reached; what is no address; a time to live below a
    /// second; a lock file that is on no file system of this machine. Those of opening that.
    [[nodiscard]] static std::expected<cluster, rt::error> join(node self, client with,
                                                                cluster_settings settings = {});

    /// Waits until this node is a member, and gives the lease that it is one by.
    [[nodiscard]] task<lease> joined() const;
    /// Gives the lease, or nothing while this node is no member.
    [[nodiscard]] std::optional<lease> current() const;

    /// Gives the members as they were told last, by name. This one is among them when it is one.
    [[nodiscard]] std::vector<member> members() const;
    /// Completes when the members, or the lease, change after this was called.
    [[nodiscard]] task<> changed() const;

    /// Ends the membership, and waits until etcd knows, or did not answer in time. Links stay.
    task<> leave() const;

    /// Gives the node that is a member by it.
    [[nodiscard]] const node& self() const noexcept;
    /// Gives how long a node that fell silent stays a member.
    [[nodiscard]] std::chrono::seconds ttl() const noexcept;
    /// Gives the client, and the prefix of the cluster's keys, for what else is to be kept there.
    [[nodiscard]] const client& coordinator() const noexcept;
    [[nodiscard]] const std::string& prefix() const noexcept;

private:
    friend class shards;
    explicit cluster(std::shared_ptr<detail::cluster_core> core) noexcept;
    /// Takes the name of a set of shards that this node is to host, once. False: it was taken.
    [[nodiscard]] bool take_set(std::string_view name) const;

    std::shared_ptr<detail::cluster_core> core_;
};

}  // namespace heph::remote::etcd
