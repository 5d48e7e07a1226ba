// my_ip [ADDRESS]
//
// Tells whoever connects from what address it does so: `nc 127.0.0.1 7890`.

#include <iostream>
#include <string>
#include <utility>

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/runtime.hpp>

namespace net = heph::rt::net;

namespace {

heph::task<> tell(heph::rt::worker, net::tcp_stream stream) {
    const auto peer = stream.peer_endpoint();
    if (!peer) { co_return; }  // It has gone already.
    // The address without the port.
    std::string text = peer->to_string();
    text.resize(text.rfind(':'));
    auto sent = co_await stream.send_all(heph::rt::buffer::copy_of(text + '\n'));
    if (!sent) { std::cerr << "cannot answer " << text << ": " << sent.error().message() << '\n'; }
}

}  // namespace

int main(int count, char** arguments) {
    const auto address = net::endpoint::parse(count > 1 ? arguments[1] : "127.0.0.1:7890");
    if (!address) {
        std::cerr << "my_ip: " << arguments[1] << " is no address, such as 127.0.0.1:7890\n";
        return 2;
    }
    constexpr std::size_t workers = 2;
    auto listeners = net::listen_on(*address, workers);
    if (!listeners) {
        std::cerr << "my_ip: cannot listen: " << listeners.error().message() << '\n';
        return 1;
    }
    auto bound = listeners->front().local_endpoint();
    auto server = net::tcp_server::over(std::move(*listeners), workers);
    auto runtime = heph::rt::setup{}.name("my-ip").threads(workers).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    if (!server || !bound) { return 1; }
    runtime->run_on_workers([&server](heph::rt::worker& worker) { server->start(worker, tell); });
    std::cout << "listening on " << bound->to_string() << '\n' << std::flush;
    return heph::rt::report(runtime->start());
}
