// Messages that must stay on their thread, for an actor that may run on any.

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

struct window {};
template <>
inline constexpr bool heph::enable_sendable<window> = false;

heph::task<> ignores(heph::context<window> ctx) { (void)co_await ctx.receive(); }

int main() {
    auto made = heph::make_shared_actor(heph::no_supervisor(), heph::actor_fn(ignores),
                                        heph::no_runtime(), heph::actor_options());
    return made.second.is_connected() ? 0 : 1;
}
