// Actors that get the process's signals as messages. SIGINT, SIGTERM and SIGQUIT besides ask the
// runtime for an orderly stop, which whoever runs on for long has to heed: it is what `stopping()`
// waits for.

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

#include <unistd.h>

#include <heph/core/either.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/signal.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

using namespace std::chrono_literals;

namespace {

heph::task<> prints_signals(heph::rt::shared_context<heph::rt::signal> ctx) {
    while (auto signal = co_await ctx.receive()) {
        std::cout << "got " << heph::rt::name_of(*signal) << '\n' << std::flush;
        if (heph::rt::asks_to_stop(*signal)) { co_return; }
    }
}

heph::task<> works(heph::rt::local_context<>) {
    for (;;) {
        auto first = co_await heph::either(heph::rt::stopping(), heph::rt::timer(100ms));
        if (first.index() == 0) { break; }
    }
    std::cout << "done working\n";
}

}  // namespace

int main() {
    auto runtime = heph::rt::setup{}.name("signals").threads(1).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    auto printer = runtime->spawn(heph::no_supervisor(), heph::actor_fn(prints_signals));
    if (auto receives = runtime->receive_signals(std::move(printer)); !receives) {
        return heph::rt::report(receives.error());
    }
    runtime->run_on_workers([](heph::rt::worker& worker) {
        worker.spawn(heph::no_supervisor(), heph::actor_fn(works));
        std::cout << "send signals to process " << ::getpid() << '\n' << std::flush;
    });
    return heph::rt::report(runtime->start());
}
