// The runtime access of one thread, for an actor that may run on any.

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

struct one_worker {
    static constexpr bool is_sendable = false;
};

heph::task<> ignores(heph::context<int, one_worker> ctx) { (void)co_await ctx.receive(); }

int main() {
    auto made = heph::make_shared_actor(heph::no_supervisor(), heph::actor_fn(ignores),
                                        one_worker(), heph::actor_options());
    return made.second.is_connected() ? 0 : 1;
}
