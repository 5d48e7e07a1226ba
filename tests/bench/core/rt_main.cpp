// The workloads on heph-rt: one worker, one thread.

#include <string>
#include <utility>
#include <vector>

#include <heph/rt/runtime.hpp>
#include <heph/rt/worker.hpp>

#include "bench/core/timers.hpp"
#include "bench/core/workloads.hpp"

namespace {

using heph::bench::number;

heph::task<> run(heph::context<number, heph::rt::worker> ctx, std::vector<std::string> names) {
    auto all = heph::bench::run_all(std::move(ctx), names);
    co_await std::move(all);
    auto timers = heph::bench::run_timers(std::move(names));
    co_await std::move(timers);
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> names(argv + 1, argv + argc);
    auto runtime = heph::rt::setup{}.name("bench").threads(1).warn_of_long_polls({}).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([names](heph::rt::worker& worker) {
        auto ref = worker.spawn(heph::no_supervisor(), heph::actor_fn(&run), names);
        heph::bench::require(ref.is_connected());
    });
    return heph::rt::report(runtime->start());
}
