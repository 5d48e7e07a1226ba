// stress_memory [ACTORS]
//
// Makes many actors, which do nothing but wait, and tells how much memory each of them takes.

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/runtime.hpp>

namespace {

// What is in memory of this process, in bytes; see proc(5).
std::size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::size_t pages = 0;
    file >> pages >> pages;
    return pages * static_cast<std::size_t>(::getpagesize());
}

heph::task<> waits(heph::rt::local_context<std::size_t> ctx) {
    std::size_t received = 0;
    while (auto message = co_await ctx.receive()) { received += *message; }
    if (received != 0) { std::cout << "received " << received << '\n'; }
}

heph::task<> makes(heph::rt::local_context<> ctx, std::size_t count) {
    std::vector<heph::actor_ref<std::size_t>> all;
    all.reserve(count);
    const auto before = resident_bytes();
    for (std::size_t i = 0; i < count; ++i) {
        all.push_back(ctx.runtime().spawn(heph::no_supervisor(), heph::actor_fn(waits)));
        if (i % 1'000 == 0) { co_await heph::yield(); }  // So that they run, and wait.
    }
    co_await heph::yield();
    const auto after = resident_bytes();
    std::cout << count << " actors, " << (after - before) / count << " bytes each\n";
}

}  // namespace

int main(int argument_count, char** arguments) {
    const std::size_t count =
        argument_count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 1'000'000;
    if (count == 0) {
        std::cerr << "usage: stress_memory [ACTORS]\n";
        return 2;
    }
    auto runtime = heph::rt::setup{}.name("stress").threads(1).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([count](heph::rt::worker& worker) {
        worker.spawn(heph::no_supervisor(), heph::actor_fn(makes), count);
    });
    return heph::rt::report(runtime->start());
}
