// An echo server with an actor per connection, and a client that says hello once.

#include <expected>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/runtime.hpp>

namespace net = heph::rt::net;
using heph::rt::buffer;
using outcome = std::expected<void, std::error_code>;

heph::task<outcome> echo(heph::rt::local_context<>, net::tcp_stream stream) {
    auto bytes = buffer::with_capacity(4096);
    for (;;) {
        auto received = co_await stream.recv(std::move(bytes));  // the kernel owns it meanwhile
        if (!received) { co_return std::unexpected(received.error()); }
        if (received->empty()) { co_return outcome(); }  // the peer has sent everything
        auto sent = co_await stream.send_all(std::move(*received));
        if (!sent) { co_return std::unexpected(sent.error()); }
        bytes = std::move(*sent);
        bytes.clear();
    }
}

heph::task<outcome> serve_one(heph::rt::local_context<> ctx, net::tcp_listener listener) {
    auto accepted = co_await listener.accept();
    if (!accepted) { co_return std::unexpected(accepted.error()); }
    ctx.runtime().spawn(heph::stop_supervisor{}, heph::actor_fn(echo), std::move(*accepted));
    co_return outcome();
}

heph::task<outcome> say_hello(heph::rt::local_context<>, net::endpoint server) {
    auto stream = co_await net::tcp_stream::connect(server);
    if (!stream) { co_return std::unexpected(stream.error()); }
    auto sent = co_await stream->send_all(buffer::copy_of("hello"));
    if (!sent) { co_return std::unexpected(sent.error()); }
    auto reply = co_await stream->recv(buffer::with_capacity(64));
    if (!reply) { co_return std::unexpected(reply.error()); }
    std::cout << "the server echoes: " << reply->view() << '\n';
    co_return outcome();
}

int main() {
    auto runtime = heph::rt::setup{}.name("echo").threads(1).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([](heph::rt::worker& worker) {
        auto listener = net::tcp_listener::bind(net::endpoint::loopback(0));
        if (!listener) { throw std::system_error(listener.error(), "cannot listen"); }
        const auto server = listener->local_endpoint();
        if (!server) { throw std::system_error(server.error(), "cannot listen"); }
        worker.spawn(heph::stop_supervisor{}, heph::actor_fn(serve_one), std::move(*listener));
        worker.spawn(heph::stop_supervisor{}, heph::actor_fn(say_hello), *server);
    });
    return heph::rt::report(runtime->start());
}
