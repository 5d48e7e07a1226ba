// An argument that leads to what only one thread may use.

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

heph::task<> counts(heph::context<int> ctx, int* count) {
    while (auto next = co_await ctx.receive()) { *count += *next; }
}

int main() {
    int count = 0;
    auto made = heph::make_shared_actor(heph::no_supervisor(), heph::actor_fn(counts),
                                        heph::no_runtime(), heph::actor_options(), &count);
    return made.second.is_connected() ? 0 : 1;
}
