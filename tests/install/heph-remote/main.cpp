// Two nodes in one program: "a" offers a counter, "b" finds it over TLS and asks it.

#include <chrono>
#include <iostream>
#include <span>
#include <string_view>
#include <variant>

#include <heph/core/match.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/remote/node.hpp>
#include <heph/rt/runtime.hpp>

using namespace std::chrono_literals;
namespace remote = heph::remote;

struct add {
    int amount = 0;
};
HEPH_MESSAGE(add, "example.add", 1, amount)
using get_total = heph::rpc<void, int>;
using counter_message = std::variant<add, get_total>;

heph::task<> counter(heph::rt::local_context<counter_message> ctx) {
    int total = 0;
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message, [&](add& m) { total += m.amount; },
            [&](get_total& call) { call.respond(total); });
    }
}

heph::task<> ask(heph::rt::local_context<> ctx, remote::node node) {
    auto found = co_await node.find<counter_message>("a", "counter", 5s);
    if (found) {
        const add three{3};
        const auto sent = co_await found->send(three);
        const auto total = co_await found->rpc(1s);
        if (sent && total) { std::cout << "the counter at node a says " << *total << '\n'; }
    }
    ctx.runtime().request_stop();
}

int main() {
    const std::string_view words = "for an example only";  // otherwise: heph::rt::tls::load_secret
    const auto secret = heph::rt::tls::secret::copy_of(std::as_bytes(std::span(words)));
    auto runtime = heph::rt::setup{}.name("example").build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([&secret](heph::rt::worker& worker) {
        auto settings = remote::options("a", secret.value()).listen("127.0.0.1:0");
        auto a = remote::node::start(worker, settings).value();
        a.publish("counter", worker.spawn(heph::no_supervisor{}, heph::actor_fn(counter)));
        auto others = remote::options("b", secret.value()).peer("a", a.address());
        auto b = remote::node::start(worker, others).value();
        worker.spawn(heph::no_supervisor{}, heph::actor_fn(ask), b);
    });
    return heph::rt::report(runtime->start());
}
