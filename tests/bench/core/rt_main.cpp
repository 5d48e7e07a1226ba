// The workloads on heph-rt: one worker, one thread.

#include <string>
#include <vector>

#include <heph/rt/runtime.hpp>
#include <heph/rt/worker.hpp>

#include "bench/core/workloads.hpp"

int main(int argc, char** argv) {
    std::vector<std::string> names(argv + 1, argv + argc);
    auto runtime = heph::rt::setup{}.name("bench").threads(1).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([names](heph::rt::worker& worker) {
        auto ref = worker.spawn(heph::no_supervisor(),
                                heph::actor_fn(&heph::bench::run_all<heph::rt::worker>), names);
        heph::bench::require(ref.is_connected());
    });
    return heph::rt::report(runtime->start());
}
