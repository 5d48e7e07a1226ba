#pragma once

// Listeners that end while connections come.

#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

namespace heph::test {

// Connects while the worker waits: the kernel completes that.
inline std::vector<rt::descriptor_handle> connect_now(const rt::net::endpoint& to,
                                                      std::size_t count) {
    std::vector<rt::descriptor_handle> all;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(to.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (std::size_t i = 0; i < count; ++i) {
        all.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(all.back().get(), reinterpret_cast<sockaddr*>(&address),
                          sizeof(address)) == 0);
    }
    return all;
}

// Has a listener wait for connections, of which there are none.
inline task<> arm(rt::net::tcp_listener& listener) {
    auto nobody = co_await either(listener.accept(), yield());
    REQUIRE(nobody.index() == 1);
    co_await rt::timer(std::chrono::milliseconds(1));
}

inline rt::net::tcp_listener listen() {
    auto made = rt::net::tcp_listener::bind(rt::net::endpoint::loopback(0));
    REQUIRE(made);
    return std::move(*made);
}

// Another one for the same socket, as a successor has it.
inline rt::net::tcp_listener copy_of(const rt::net::tcp_listener& listener) {
    auto copy = rt::duplicate(listener.descriptor());
    REQUIRE(copy);
    auto adopted = rt::net::tcp_listener::adopt(std::move(*copy));
    REQUIRE(adopted);
    return std::move(*adopted);
}

// Takes all that wait for a listening socket, and gives how many they were.
inline task<std::size_t> count_waiting(int socket) {
    for (std::size_t count = 0;; ++count) {
        auto taken = co_await rt::detail::take_waiting(socket);
        if (!taken) { co_return count; }
    }
}

}  // namespace heph::test
