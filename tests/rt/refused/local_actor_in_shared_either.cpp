// An actor of one worker, beside a timer, that is spawned for all workers.

#include <chrono>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>

heph::task<> waits(heph::rt::local_context<int> ctx) { (void)co_await ctx.receive(); }

void set_up(heph::rt::worker& here) {
    auto [running, ref] =
        heph::make_actor(heph::no_supervisor(), heph::actor_fn(waits), here, heph::actor_options());
    here.shared().spawn_future(
        heph::either(std::move(running), heph::rt::timer(std::chrono::seconds(1))));
}

int main() {}
