#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/runtime.hpp>

#include "servers.hpp"

namespace heph::bench {

namespace {

using rt::net::tcp_listener;
using rt::net::tcp_stream;

task<> echo(tcp_stream stream) {
    rt::buffer reply;
    for (;;) {
        auto arrived = co_await stream.next();
        if (!arrived || arrived->empty()) { co_return; }
        reply.append(arrived->bytes());
        auto sent = co_await stream.send_all(std::move(reply));
        if (!sent) { co_return; }
        reply = std::move(*sent);
        reply.clear();
    }
}

task<> serve(tcp_listener listener, rt::worker here) {
    for (;;) {
        auto accepted = co_await listener.accept();
        if (!accepted) { co_return; }
        here.spawn_future(echo(std::move(*accepted)));
    }
}

}  // namespace

void serve_with_heph(int tell, std::size_t workers) {
    auto listeners = rt::net::listen_on(rt::net::endpoint::loopback(0), workers);
    if (!listeners) { std::_Exit(1); }
    const auto local = listeners->front().local_endpoint();
    const std::uint16_t port = local ? local->port() : std::uint16_t{0};
    rt::setup settings;
    settings.threads(workers).cpu_affinity(workers > 1).ignore_signals();
    auto runtime = settings.build();
    if (!runtime) { std::_Exit(rt::report(runtime.error())); }
    // Each takes its own.
    const auto all = std::make_shared<std::vector<tcp_listener>>(std::move(*listeners));
    runtime->run_on_workers([all](rt::worker& here) {
        here.spawn_future(serve(std::move((*all)[here.index()]), here));
    });
    if (::write(tell, &port, sizeof(port)) != sizeof(port)) { std::_Exit(1); }
    std::_Exit(rt::report(runtime->start()));
}

}  // namespace heph::bench
