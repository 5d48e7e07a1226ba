// Settings of a runtime, and what comes of wrong ones.

#include <chrono>
#include <iostream>

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>

using namespace std::chrono_literals;

namespace {

heph::task<> says_where(heph::rt::local_context<> ctx) {
    std::cout << "on worker " << ctx.runtime().index() << " of " << ctx.runtime().worker_count()
              << '\n';
    co_return;
}

}  // namespace

int main() {
    // Each setting is checked, with an error for people.
    const auto refused = heph::rt::setup{}.threads(0).build();
    if (!refused) { std::cout << "refused: " << refused.error().message() << '\n'; }

    auto runtime = heph::rt::setup{}
                       .name("set-up")              // Of the threads: set-up-0.
                       .threads(1)                  // Or all_cores().
                       .cpu_affinity()              // Each worker stays on its processor.
                       .polls_per_turn(64)          // Between two looks for I/O.
                       .run_time_max(500us)         // The same, in time.
                       .warn_of_long_polls(50ms)    // In the log, with the actor's name.
                       .spin_before_sleep(20us)     // Looks for work before it sleeps.
                       .receive_buffers(256, 4096)  // Shared by a worker's connections.
                       .blocking_threads(4)         // Of spawn_blocking.
                       .stop_grace(5s)              // From SIGTERM until the rest is dropped.
                       .build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([](heph::rt::worker& worker) {
        worker.spawn(heph::no_supervisor(), heph::actor_fn(says_where));
    });
    return heph::rt::report(runtime->start());
}
