#pragma once

// One owner in the whole cluster: names, and leaders.

#include <cstdint>
#include <optional>
#include <string>

#include <heph/core/task.hpp>
#include <heph/remote/etcd/client.hpp>
#include <heph/remote/etcd/lease.hpp>

namespace heph::remote::etcd {

/// Is a name that a lease holds: nobody else does, as long as `lease::is_held`.
class claim {
public:
    claim() = default;

    std::string key;
    std::int64_t lease = 0;
    /// Grows from owner to owner of the key. A resource that refuses those who come with a smaller
    /// one than it has seen cannot be harmed by an owner who does not know yet that he is none.
    std::int64_t fence = 0;
};

/// Takes a key that nobody has, by a transaction, and sets its value. Whoever holds it already by
/// the same lease with the same value gets it again.
///
/// It is asked again as long as etcd is not reached and the lease is held.
/// *Errors*: `taken`, `lease_not_found`, what asking again does not mend.
/// *Cancellation*: the name may be taken; it is free again when the lease ends.
task<answer<claim>> claim_name(client with, lease by, std::string key, std::string value);

/// Gives a claimed key back, and tells whether it was still held. Another owner's stays.
task<answer<bool>> release_name(client with, claim held);

/// Stands for an election, and waits until it is won; among those who stand, the first to come is
/// the leader, and the next one follows when it resigns or its lease ends.
///
/// The candidate's key is `name`/`lease id`, and its value is for the others to read (`leader_of`).
/// *Errors*: `lease_not_found` when the lease is lost; what waiting does not mend. The candidate
/// does not stand any more then, unless etcd does not let it be taken back. *Cancellation*: the
/// candidate goes on to stand; `resign` takes it back.
task<answer<claim>> campaign(client with, lease by, std::string name, std::string value);

/// Takes a candidate, who may be the leader, out of an election.
task<answer<void>> resign(client with, lease by, std::string name);

/// Gives the leader's key, with the value that it stood with; nothing when nobody stands.
task<answer<std::optional<key_value>>> leader_of(client with, std::string name);

}  // namespace heph::remote::etcd
