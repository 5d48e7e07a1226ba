// key_value_server [ADDRESS]
//
// Keeps strings by keys, in memory, and speaks Redis's protocol: redis-cli and redis-benchmark can
// be used with it. As Redis does, it serves all connections on one thread, so that each command is
// done before the next one begins.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/buffer.hpp>
#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

#include "resp.hpp"
#include "store.hpp"

using namespace std::chrono_literals;
namespace net = heph::rt::net;
using heph::rt::buffer;
using key_value::request_reader;
using key_value::store;

namespace {

constexpr std::size_t replies_bytes = 1024 * 1024;
constexpr std::size_t connections_max = 1024;

// What comes after some requests were answered.
enum class then : std::uint8_t { wait_for_more, send_and_go_on, send_and_end };

// Answers requests that are there, until there is a lot to be sent: who asks for more than it reads
// waits for itself.
then answer(request_reader& requests, store& data, std::string& replies) {
    while (replies.size() < replies_bytes) {
        const auto next = requests.next();
        if (!next) {
            key_value::append_error(replies, "ERR " + next.error());
            return then::send_and_end;
        }
        if (!*next) { return then::wait_for_more; }
        if (!data.run(**next, std::chrono::steady_clock::now(), replies)) {
            return then::send_and_end;
        }
    }
    return then::send_and_go_on;
}

// Requests that come together are answered by one write.
heph::task<> serve(net::tcp_stream stream, std::shared_ptr<store> data) {
    request_reader requests;
    auto bytes = buffer::with_capacity(16 * 1024);
    for (;;) {
        auto received = co_await stream.recv(std::move(bytes));
        if (!received || received->empty()) { co_return; }  // The peer has gone.
        requests.feed(received->view());
        bytes = std::move(*received);
        bytes.clear();
        for (then what = then::send_and_go_on; what == then::send_and_go_on;) {
            std::string replies;
            what = answer(requests, *data, replies);
            if (!replies.empty()) {
                auto sent = co_await stream.send_all(buffer::copy_of(replies));
                if (!sent) { co_return; }
            }
            if (what == then::send_and_end) { co_return; }
        }
    }
}

heph::task<> forget_old(std::shared_ptr<store> data) {
    for (;;) {
        auto first = co_await heph::either(heph::rt::stopping(), heph::rt::timer(100ms));
        if (first.index() == 0) { co_return; }
        data->expire_some(std::chrono::steady_clock::now());
    }
}

int fail(const std::string& message) {
    std::cerr << "key_value_server: " << message << '\n';
    return 1;
}

}  // namespace

int main(int count, char** arguments) {
    const auto address = net::endpoint::parse(count > 1 ? arguments[1] : "127.0.0.1:6379");
    if (!address || count > 2) {
        std::cerr << "usage: key_value_server [ADDRESS], such as 127.0.0.1:6379\n";
        return 2;
    }
    auto listeners = net::listen_on(*address, 1);
    if (!listeners) { return fail("cannot listen: " + listeners.error().message()); }
    const auto bound = listeners->front().local_endpoint();
    if (!bound) { return fail(bound.error().message()); }
    const auto server = net::tcp_server::over(std::move(*listeners), 1);
    if (!server) { return fail(server.error().message()); }
    auto runtime = heph::rt::setup{}.name("key-value").threads(1).stop_grace(1s).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([&server](heph::rt::worker& worker) {
        auto data = std::make_shared<store>();
        net::serve_options options;
        options.connections_max = connections_max;
        server->start(
            worker,
            [data](heph::rt::worker, net::tcp_stream stream) {
                return serve(std::move(stream), data);
            },
            options);
        worker.spawn_future(forget_old(data));
    });
    std::cout << "listening on " << bound->to_string() << '\n' << std::flush;
    return heph::rt::report(runtime->start());
}
