// An actor that greets whoever it is sent the name of.
//
// No runtime is needed to run it: the main thread does.

#include <iostream>
#include <string>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

namespace {

// An actor is an asynchronous function. It gets its messages from its context, and ends when no
// more will come: when all references to it are gone.
heph::task<> greeter(heph::context<std::string> ctx, std::string greeting) {
    while (auto name = co_await ctx.receive()) { std::cout << greeting << ' ' << *name << '\n'; }
}

}  // namespace

int main() {
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(greeter),
                                           heph::no_runtime(), {}, std::string("Hello"));
    if (!ref.try_send("World")) { return 1; }  // its inbox is full, or it is finished
    {
        auto last = std::move(ref);  // from here on, nobody can send to it
    }
    heph::block_on(std::move(running));
}
