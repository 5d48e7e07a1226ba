// A counter is an actor: messages add to it, and a call asks for the total.

#include <iostream>
#include <string>
#include <utility>
#include <variant>

#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/join.hpp>
#include <heph/core/match.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

struct add {
    explicit add(int n) : amount(n) {}
    int amount;
};
using get_total = heph::rpc<void, int>;  // asks nothing, answers an int
using counter_message = std::variant<add, get_total>;

heph::task<> counter(heph::context<counter_message> ctx) {
    int total = 0;
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message, [&](add& m) { total += m.amount; },
            [&](get_total& call) { call.respond(total); });
    }
}

heph::task<> use(heph::actor_ref<counter_message> given) {
    const auto ref = std::move(given);  // goes at the end of this function, which ends the counter
    for (int i = 1; i <= 10; ++i) {
        add message(i);
        auto sent = co_await ref.send(std::move(message));  // waits while the inbox is full
        if (!sent) { co_return; }
    }
    auto total = co_await ref.rpc();
    std::cout << "the total is " << (total ? std::to_string(*total) : "unknown") << '\n';
}

int main() {
    auto [running, ref] = heph::make_actor(heph::stop_supervisor(), heph::actor_fn(counter),
                                           heph::no_runtime(), heph::actor_options());
    heph::block_on(heph::join(std::move(running), use(std::move(ref))));
}
