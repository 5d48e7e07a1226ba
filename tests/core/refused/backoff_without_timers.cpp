// A supervisor that waits before a restart, for an actor whose runtime has no timers.

#include <chrono>

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

heph::task<> ignores(heph::context<int> ctx) { (void)co_await ctx.receive(); }

int main() {
    auto made =
        heph::make_actor(heph::backoff_supervisor(heph::restart_limit{}, heph::backoff{}),
                         heph::actor_fn(ignores), heph::no_runtime(), heph::actor_options());
    return made.second.is_connected() ? 0 : 1;
}
