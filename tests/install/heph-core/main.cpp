// A counter is an actor: messages add to it, and a call asks for the total.

#include <iostream>
#include <variant>

#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/either.hpp>
#include <heph/core/match.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

using get_total = heph::rpc<void, int>;  // asks nothing, answers an int
using counter_message = std::variant<int, get_total>;

heph::task<> counter(heph::context<counter_message> ctx) {
    int total = 0;
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message, [&](int amount) { total += amount; },
            [&](get_total& call) { call.respond(total); });
    }
}

int main() {
    auto [running, ref] = heph::make_actor(heph::stop_supervisor(), heph::actor_fn(counter),
                                           heph::no_runtime(), {.inbox_size = 16});
    for (int i = 1; i <= 10; ++i) {
        if (!ref.try_send(i)) { return 1; }  // the inbox is full, or the actor is finished
    }
    // The actor runs for as long as it takes to answer.
    auto first = heph::block_on(heph::either(ref.rpc<get_total>(), running));
    std::cout << "the total is " << std::get<0>(first).value() << '\n';
}
