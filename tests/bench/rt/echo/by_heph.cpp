#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <utility>

#include <heph/core/task.hpp>
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

void serve_with_heph(int tell) {
    auto runtime = rt::setup{}.ignore_signals().build();
    if (!runtime) { std::_Exit(rt::report(runtime.error())); }
    runtime->run_on_workers([tell](rt::worker& here) {
        auto listener = tcp_listener::bind(rt::net::endpoint::loopback(0));
        if (!listener) { std::_Exit(1); }
        const auto local = listener->local_endpoint();
        const std::uint16_t port = local ? local->port() : std::uint16_t{0};
        if (::write(tell, &port, sizeof(port)) != sizeof(port)) { std::_Exit(1); }
        here.spawn_future(serve(std::move(*listener), here));
    });
    std::_Exit(rt::report(runtime->start()));
}

}  // namespace heph::bench
