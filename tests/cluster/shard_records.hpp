#pragma once

// Shards that record when they run.
//
// Lines of the ledger: `S SHARD FENCE NANOSECONDS` when one begins, and `L SHARD FENCE NANOSECONDS`
// again and again while it runs and is owned, the last time when it ends. The time is taken before
// the clock is asked whether the shard is owned still: so at that time it was, also when the
// program was held up between the two.

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/core/task.hpp>
#include <heph/remote/etcd/shards.hpp>
#include <heph/rt/timer.hpp>

#include "ledger.hpp"

namespace cluster_test {

inline void record_shard(const ledger& records, char kind, const heph::remote::etcd::shard& self) {
    const auto at = now_ns();
    if (!self.is_owned()) { return; }
    records.add(std::string(1, kind) + ' ' + std::to_string(self.number()) + ' ' +
                std::to_string(self.fence()) + ' ' + std::to_string(at));
}

inline heph::task<> run_shard(heph::remote::etcd::shard self,
                              std::shared_ptr<const ledger> records) {
    using namespace std::chrono_literals;
    record_shard(*records, 'S', self);
    auto stopping = self.stopping();
    for (;;) {
        heph::rt::timer pause(5ms);
        const auto first = co_await heph::either(stopping, pause);
        record_shard(*records, 'L', self);
        if (first.index() == 0) { co_return; }
    }
}

}  // namespace cluster_test
