#pragma once

// The store of a shard, which is at one node of a cluster at a time.
//
// The nodes share a directory, in which each shard has a folder with its log. Whoever has the
// shard's key in etcd opens the log and serves the shard. When that node is lost, another one takes
// the key after its lease, reads the log, and so has all that was ever acknowledged: an answer is
// given only after the change is on the disk.
//
// Two nodes never write one log:
//     1. etcd gives the key to one node at a time, which stops before its lease can end;
//     2. the log is locked (flock) for as long as its file is open anywhere. A write that an owner
//        began before it was killed or cut off may still be in the kernel; it keeps the file open,
//        and the next owner waits for it before it reads. So the file system has to have locks that
//        hold between all nodes, as local ones and NFS have.

#include <filesystem>
#include <memory>

#include <heph/core/task.hpp>
#include <heph/remote/etcd/shards.hpp>

#include "store.hpp"

namespace notes {

/// Runs a shard at this node: reads its log, in a folder of its own in `data`, and serves until it
/// has to stop. What keeps it from that it throws; then it is tried again.
heph::task<> run_shard_store(heph::remote::etcd::shard self, std::filesystem::path data,
                             std::shared_ptr<store_health> health);

}  // namespace notes
