// A listener that nobody asks for connections.

#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include <heph/core/yield.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"

using heph::task;
using heph::rt::net::endpoint;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::test::open_descriptors;
using heph::test::run_task;

namespace {

task<tcp_stream> connect(endpoint to) {
    auto connected = co_await tcp_stream::connect(to);
    if (!connected) { FAIL(connected.error().message()); }
    co_return std::move(*connected);
}

}  // namespace

TEST_CASE("accept: a listener that nobody asks takes no connections without bound", "[rt][tcp]") {
    run_task([]() -> task<> {
        constexpr std::size_t connections = 400;
        auto bound = tcp_listener::bind(endpoint::loopback(0));
        REQUIRE(bound);
        tcp_listener listener = std::move(*bound);
        const auto address = listener.local_endpoint();
        REQUIRE(address);
        std::vector<tcp_stream> clients;
        std::vector<tcp_stream> served;
        clients.push_back(co_await connect(*address));
        auto first = co_await listener.accept();
        REQUIRE(first);
        served.push_back(std::move(*first));
        const std::size_t before = open_descriptors();
        while (clients.size() < connections) { clients.push_back(co_await connect(*address)); }
        const std::size_t taken = open_descriptors() - before - (connections - 1);
        CHECK(taken < 100);
        while (served.size() < connections) {
            auto accepted = co_await listener.accept();
            REQUIRE(accepted);
            served.push_back(std::move(*accepted));
        }
        // In the order in which they came.
        for (std::size_t i = 0; i < connections; ++i) {
            const auto near = clients[i].local_endpoint();
            const auto far = served[i].peer_endpoint();
            REQUIRE(near);
            REQUIRE(far);
            CHECK(*near == *far);
        }
    });
}
