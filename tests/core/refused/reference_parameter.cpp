// An actor that takes an argument by reference, which is gone when it runs.

#include <string>

#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

heph::task<> greets(heph::context<int> ctx, const std::string& /*whom*/) {
    (void)co_await ctx.receive();
}

int main() {
    auto made = heph::make_actor(heph::stop_supervisor(), heph::actor_fn(greets),
                                 heph::no_runtime(), heph::actor_options(), std::string("world"));
    return made.second.is_connected() ? 0 : 1;
}
