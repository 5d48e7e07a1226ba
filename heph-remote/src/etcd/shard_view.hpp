#pragma once

// What one node knows of a set of shards, without I/O: who hosts it, and who owns which shard.
//
// Keys, below the set's folder
//     count            the number of shards, for good; set by the first host
//     hosts/<node>     depends on the node's lease; the value is empty
//     owners/<shard>   depends on the owner's lease; the value is the owner's name
//
// Invariants
//     1. What is known of a key is what etcd had at some revision, which only grows: a
//     transaction's
//        answer and the watch tell of the same keys, and may overtake each other.
//     2. When the watch begins again before where it was, or before an answer that came earlier,
//        the store was replaced: then all that is known is void, and revisions count from there.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <heph/remote/etcd/messages.hpp>

namespace heph::remote::etcd {

class shard_view {
public:
    /// Is whose a shard is.
    struct holder {
        std::string node;         ///< Empty: nobody's.
        std::int64_t lease = 0;   ///< By which it is held,
        std::int64_t fence = 0;   ///< and since which revision.
        std::int64_t known = -1;  ///< The revision at which that was so.
    };
    /// Is what a batch changed.
    struct changes {
        bool hosts = false;
        bool replaced = false;              ///< All is void; see invariant 2.
        std::vector<std::uint32_t> owners;  ///< Of these shards.
    };

    shard_view(std::string folder, std::uint32_t count);

    [[nodiscard]] changes apply(const watch_batch& batch);
    /// Takes what an answer says of a shard's key, or of a host's: nothing when it is absent.
    bool see_owner(std::uint32_t shard, std::int64_t revision, const key_value* key);
    bool see_host(std::string_view name, std::int64_t revision, const key_value* key);

    /// Gives who should have a shard: nothing as long as there are no hosts.
    [[nodiscard]] const std::string* place_of(std::uint32_t shard) const;
    [[nodiscard]] const holder& owner_of(std::uint32_t shard) const { return owners_[shard]; }
    /// Gives the lease by which a node hosts; 0 when it does not.
    [[nodiscard]] std::int64_t lease_of_host(std::string_view name) const;
    [[nodiscard]] std::vector<std::string> hosts() const;

    [[nodiscard]] std::uint32_t count() const noexcept {
        return static_cast<std::uint32_t>(owners_.size());
    }
    /// Tells whether all that etcd had was seen, at some time.
    [[nodiscard]] bool is_filled() const noexcept { return revision_ >= 0; }

    [[nodiscard]] std::string count_key() const { return folder_ + "count"; }
    [[nodiscard]] std::string host_key(std::string_view name) const {
        return folder_ + "hosts/" + std::string(name);
    }
    [[nodiscard]] std::string owner_key(std::uint32_t shard) const {
        return folder_ + "owners/" + std::to_string(shard);
    }

private:
    struct host {
        std::uint64_t hash = 0;
        std::int64_t lease = 0;  // 0: none any more.
        std::int64_t known = -1;
    };

    void take(const watch_event& event, std::int64_t revision, changes& into);
    void forget_absent(const watch_batch& all, changes& into);

    std::string folder_;
    std::vector<holder> owners_;
    // Those that are gone stay a while, for the revision at which they went.
    std::map<std::string, host, std::less<>> hosts_;
    std::int64_t revision_ = -1;  // Of the watch.
    std::int64_t listed_ = -1;    // Of its last list of all that there was.
};

}  // namespace heph::remote::etcd
