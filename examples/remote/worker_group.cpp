// Workers at two nodes, and a front that sends to whichever there are.

#include <chrono>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <heph/core/supervisor.hpp>
#include <heph/remote/remote_group.hpp>
#include <heph/rt/runtime.hpp>

using namespace std::chrono_literals;
namespace remote = heph::remote;

using greet = heph::rpc<std::string, std::string>;

heph::task<> worker(heph::rt::local_context<greet> ctx, std::string node) {
    while (auto call = co_await ctx.receive()) { call->respond(call->request() + " from " + node); }
}

heph::task<> front(heph::rt::local_context<> ctx, remote::node self, remote::node leaves) {
    auto workers = remote::remote_group<greet>::below(self, "workers/");
    auto changes = workers.changes();
    const auto both = co_await workers.at_least(2, 10s);
    if (both) { std::cout << "there are two\n"; }
    const auto always = workers.pick(heph::by_key("anna"));  // The same one at every node.
    if (always) {
        const auto answer = co_await always->rpc(1s, std::string("hello"));
        if (answer) { std::cout << *answer << '\n'; }
    }
    leaves.stop();
    bool is_alone = false;
    while (!is_alone) {
        const auto change = co_await changes.next();
        if (!change) { break; }
        const bool has_left = change->what == remote::group_change<greet>::kind::left;
        std::cout << (has_left ? "without " : "with ") << change->actor.node_name() << '\n';
        is_alone = has_left;
    }
    ctx.runtime().request_stop();
}

int main() {
    const std::string_view words = "for an example only";  // otherwise: heph::rt::tls::load_secret
    const auto secret = heph::rt::tls::secret::copy_of(std::as_bytes(std::span(words)));
    auto runtime = heph::rt::setup{}.name("example").build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([&secret](heph::rt::worker& on) {
        auto settings = remote::options("front", secret.value()).listen("127.0.0.1:0");
        auto self = remote::node::start(on, settings).value();
        std::optional<remote::node> last;
        for (const std::string name : {"b", "c"}) {
            auto others = remote::options(name, secret.value()).peer("front", self.address());
            auto node = remote::node::start(on, others).value();
            node.publish("workers/1",
                         on.spawn(heph::no_supervisor{}, heph::actor_fn(worker), name));
            last = node;
        }
        on.spawn(heph::no_supervisor{}, heph::actor_fn(front), self, *last);
    });
    return heph::rt::report(runtime->start());
}
