// A program of Boost.Asio as a node, without a runtime of heph-rt: it subscribes an actor of its
// own at an actor of another node. For the example, that other node is in this program as well: it
// runs on heph-rt, in a thread of its own.

#include <chrono>
#include <future>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <heph/core/asio.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/remote/asio.hpp>
#include <heph/rt/runtime.hpp>

using namespace std::chrono_literals;
namespace remote = heph::remote;

struct tick {
    int number = 0;
};
HEPH_MESSAGE(tick, "example.tick", 1, number)

struct subscribe {
    remote::remote_ref<tick> subscriber;
    int ticks = 0;
};
HEPH_MESSAGE(subscribe, "example.subscribe", 1, subscriber, ticks)

remote::options settings(std::string name) {
    const std::string_view words = "for an example only";  // otherwise: heph::rt::tls::load_secret
    auto secret = heph::rt::tls::secret::copy_of(std::as_bytes(std::span(words)));
    return {std::move(name), std::move(secret.value())};
}

// The node on heph-rt: serves one subscriber, and ends when that one's node says goodbye.
heph::task<> clock_actor(heph::rt::local_context<subscribe> ctx, remote::node node) {
    const auto asked = co_await ctx.receive();
    for (int i = 1; asked && i <= asked->ticks; ++i) {
        const tick next{i};
        (void)co_await asked->subscriber.send(next);
    }
    (void)co_await node.watch("gateway");
    ctx.runtime().request_stop();
}

void run_worker(std::promise<std::string> listens) {
    auto runtime = heph::rt::setup{}.name("worker").ignore_signals().build();
    runtime.value().run_on_workers([&listens](heph::rt::worker& worker) {
        auto node = remote::node::start(worker, settings("worker").listen("127.0.0.1:0")).value();
        node.publish("clock",
                     worker.spawn(heph::no_supervisor(), heph::actor_fn(clock_actor), node));
        listens.set_value(node.address());
    });
    (void)heph::rt::report(runtime->start());
}

// The node on Boost.Asio.
heph::task<> show_ticks(heph::asio_context<tick> ctx, remote::node node, int ticks) {
    for (int i = 0; i < ticks; ++i) {
        const auto next = co_await ctx.receive();
        if (next) { std::cout << "tick " << next->number << std::endl; }
    }
    node.stop();
}

boost::asio::awaitable<void> run_gateway(remote::node node, heph::actor_ref<tick> shows) {
    auto clock = co_await heph::async_await(node.find<subscribe>("worker", "clock", 5s));
    if (!clock) { co_return node.stop(); }
    const subscribe me{node.share(std::move(shows)), 3};
    const auto sent = co_await heph::async_await(clock->send(me));
    if (!sent) { node.stop(); }
}

int main() {
    std::promise<std::string> listens;
    auto address = listens.get_future();
    std::thread worker(run_worker, std::move(listens));

    boost::asio::io_context context;
    auto node = remote::asio::start(context.get_executor(),
                                    settings("gateway").peer("worker", address.get()));
    if (!node) { return heph::rt::report(node.error()); }
    const heph::asio_runtime actors(context.get_executor());
    auto shows = actors.spawn(heph::no_supervisor(), heph::actor_fn(show_ticks), *node, 3);
    boost::asio::co_spawn(context, run_gateway(*node, std::move(shows)), boost::asio::detached);
    context.run();  // returns when the actor is finished and the node has said goodbye
    worker.join();
}
