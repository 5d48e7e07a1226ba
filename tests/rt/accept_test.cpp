// Listeners that nobody asks for connections, and those that end.

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::net::endpoint;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::test::open_descriptors;
using heph::test::run_on_worker;
using heph::test::run_task;

namespace {

task<tcp_stream> connect(endpoint to) {
    auto connected = co_await tcp_stream::connect(to);
    if (!connected) { FAIL(connected.error().message()); }
    co_return std::move(*connected);
}

// A connection that the kernel completes during the call.
heph::rt::descriptor_handle connect_now(const endpoint& to) {
    heph::rt::descriptor_handle made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(to.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    return made;
}

// Takes all that wait for a listening socket, and gives how many they were.
task<std::size_t> count_waiting(int socket) {
    for (std::size_t count = 0;; ++count) {
        auto taken = co_await heph::rt::detail::take_waiting(socket);
        if (!taken) { co_return count; }
    }
}

task<> until_its_end(tcp_stream stream) {
    for (;;) {
        auto chunk = co_await stream.next();
        if (!chunk || chunk->empty()) { co_return; }
    }
}

std::vector<tcp_listener> listen(std::size_t listeners) {
    auto made = heph::rt::net::listen_on(endpoint::loopback(0), listeners);
    REQUIRE(made);
    return std::move(*made);
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

TEST_CASE("server: several listeners of one worker share the room that a stop leaves",
          "[rt][tcp][server]") {
    constexpr std::size_t waiting = 150;
    auto listeners = listen(3);
    const endpoint address = listeners.front().local_endpoint().value();
    // As a successor has them.
    std::vector<heph::rt::descriptor_handle> copies;
    for (const auto& each : listeners) {
        auto copy = heph::rt::duplicate(each.descriptor());
        REQUIRE(copy);
        copies.push_back(std::move(*copy));
    }
    const auto server = heph::rt::net::tcp_server::over(std::move(listeners), 1);
    REQUIRE(server);
    auto served = std::make_shared<std::size_t>(0);
    std::size_t left = 0;
    run_on_worker(heph::test::quiet_setup().stop_grace(60s), [&](heph::rt::worker& worker) {
        worker.spawn_future([](heph::rt::worker on, heph::rt::net::tcp_server its, endpoint to,
                               std::shared_ptr<std::size_t> count,
                               std::vector<heph::rt::descriptor_handle>* rest,
                               std::size_t* out) -> task<> {
            std::vector<heph::rt::descriptor_handle> clients;
            while (clients.size() < waiting) { clients.push_back(connect_now(to)); }
            on.request_stop();
            heph::rt::net::serve_options options;
            options.connections_max = 40;
            its.start(
                on,
                [count](heph::rt::worker /*of*/, tcp_stream stream) {
                    ++*count;
                    return until_its_end(std::move(stream));
                },
                options);
            while (*count < options.connections_max) { co_await heph::yield(); }
            for (int i = 0; i < 100; ++i) { co_await heph::yield(); }
            for (const auto& each : *rest) { *out += co_await count_waiting(each.get()); }
        }(worker, *server, address, served, &copies, &left));
    });
    CHECK(*served == 40);
    CHECK(left == waiting - 40);
}

TEST_CASE("server: what the kernel accepts while a listener ends is not closed unserved",
          "[rt][tcp][server]") {
    auto listeners = listen(1);
    const endpoint address = listeners.front().local_endpoint().value();
    std::size_t given = 0;
    run_on_worker(heph::test::quiet_setup(), [&](heph::rt::worker& worker) {
        worker.spawn_future(
            [](heph::rt::net::tcp_listener listener, endpoint to, std::size_t* out) -> task<> {
                // The accept is armed, and waits.
                auto nobody = co_await heph::either(listener.accept(), heph::yield());
                REQUIRE(nobody.index() == 1);
                co_await heph::rt::timer(1ms);
                // All connect before this worker takes completions again.
                std::vector<heph::rt::descriptor_handle> clients;
                for (int i = 0; i < 5; ++i) { clients.push_back(connect_now(to)); }
                auto ending = heph::rt::detail::end_listening(
                    std::make_shared<tcp_listener>(std::move(listener)));
                auto all = co_await std::move(ending);
                *out = all.size();
            }(std::move(listeners.front()), address, &given));
    });
    CHECK(given == 5);
}

TEST_CASE("server: looking for who waits leaves the socket's options alone", "[rt][tcp][server]") {
    // It set a limit of time on the socket, which another worker took for the program's.
    auto listeners = listen(1);
    const int socket = listeners.front().descriptor();
    const timeval limit{7, 0};
    REQUIRE(::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
    timeval during{};
    run_on_worker(heph::test::quiet_setup(), [&](heph::rt::worker& worker) {
        worker.spawn_future([](int listening, timeval* out) -> task<> {
            heph::rt::detail::take_waiting looks(listening);
            (void)looks.poll(heph::waker());
            socklen_t size = sizeof(*out);
            CHECK(::getsockopt(listening, SOL_SOCKET, SO_RCVTIMEO, out, &size) == 0);
            const auto none = co_await std::move(looks);
            CHECK_FALSE(none.has_value());
        }(socket, &during));
    });
    CHECK(during.tv_sec == 7);
}
