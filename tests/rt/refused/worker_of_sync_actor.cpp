// A sync actor that is given the handle of the worker that starts it.

#include <heph/core/supervisor.hpp>
#include <heph/rt/runtime.hpp>

void spawns(heph::sync_context<int> ctx, heph::rt::worker here) {
    while (ctx.receive()) { here.request_stop(); }
}

void set_up(heph::rt::worker& here) {
    auto ref = here.spawn_sync(heph::sync_options(), heph::no_supervisor(), spawns, here);
}

int main() {}
