// A thread-safe actor that is given one worker's handle.

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>

heph::task<> spawns(heph::rt::shared_context<int> ctx, heph::rt::worker here) {
    while (auto next = co_await ctx.receive()) { here.request_stop(); }
}

void set_up(heph::rt::worker& here) {
    here.shared().spawn(heph::no_supervisor(), heph::actor_fn(spawns), here);
}

int main() {}
