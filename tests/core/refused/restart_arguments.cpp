// A supervisor that names other arguments for a restart than the actor function takes.

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

heph::task<> counts(heph::context<int> ctx, int /*from*/) { (void)co_await ctx.receive(); }

int main() {
    auto made = heph::make_actor(heph::restart_supervisor(), heph::actor_fn(counts),
                                 heph::no_runtime(), heph::actor_options(), 3);
    return made.second.is_connected() ? 0 : 1;
}
