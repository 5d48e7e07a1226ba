// How slowly a peer may take what is sent to it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "raw_client.hpp"
#include "send_patience.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;
using detail::send_progress;

namespace {

// Looks each second at a peer that takes `bytes_per_look` of a block; gives after how many seconds
// it is too slow, or nothing within an hour.
std::optional<std::uint64_t> given_up_after(std::uint64_t bytes_per_look, std::uint64_t rate_min) {
    send_progress block;
    block.begin(5'000, {30s, rate_min});
    // What it took of earlier blocks does not count.
    std::uint64_t taken = 1'000'000'000;
    for (std::uint64_t second = 1; second <= 3'600; ++second) {
        taken += bytes_per_look;
        if (block.is_too_slow(5'000 + second * 1'000, taken)) { return second; }
    }
    return {};
}

// Two ends of a connection over loopback.
class connected_pair {
public:
    connected_pair() {
        const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        auto* const at = reinterpret_cast<sockaddr*>(&address);
        REQUIRE(::bind(listener, at, size) == 0);
        REQUIRE(::listen(listener, 1) == 0);
        REQUIRE(::getsockname(listener, at, &size) == 0);
        reader = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int small = 4096;
        ::setsockopt(reader, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        REQUIRE(::connect(reader, at, size) == 0);
        writer = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        REQUIRE(writer >= 0);
        ::close(listener);
    }
    connected_pair(const connected_pair&) = delete;
    connected_pair& operator=(const connected_pair&) = delete;
    ~connected_pair() {
        ::close(reader);
        ::close(writer);
    }

    int reader = -1;
    int writer = -1;
};

}  // namespace

TEST_CASE("send patience: who takes something all the time may take long for a block",
          "[http][send_patience]") {
    CHECK_FALSE(given_up_after(6'000, 1'024));
    CHECK_FALSE(given_up_after(1'024, 1'024));
    CHECK_FALSE(given_up_after(1, 0));
}

TEST_CASE("send patience: who takes nothing is given up, and so is who takes too little",
          "[http][send_patience]") {
    CHECK(given_up_after(0, 1'024) == 31);
    CHECK(given_up_after(0, 0) == 31);
    const auto trickle = given_up_after(1, 1'024);
    REQUIRE(trickle);
    CHECK(*trickle <= 32);
    const auto slow = given_up_after(512, 1'024);
    REQUIRE(slow);
    CHECK(*slow <= 62);
}

TEST_CASE("send patience: a pause counts from the last bytes that were taken",
          "[http][send_patience]") {
    send_progress block;
    block.begin(0, {30s, 0});
    CHECK_FALSE(block.is_too_slow(4'000, 10));
    CHECK_FALSE(block.is_too_slow(33'999, 10));
    CHECK_FALSE(block.is_too_slow(34'000, 11));
    CHECK_FALSE(block.is_too_slow(63'999, 11));
    CHECK(block.is_too_slow(64'000, 11));
    // The next block begins anew.
    block.begin(64'000, {30s, 0});
    CHECK_FALSE(block.is_too_slow(68'000, 11));
    CHECK_FALSE(block.is_too_slow(97'999, 11));
    CHECK(block.is_too_slow(98'000, 11));
}

TEST_CASE("send patience: where nobody tells what is taken, a block has to be gone in time",
          "[http][send_patience]") {
    send_progress block;
    block.begin(1'000, {30s, 1'024});
    CHECK_FALSE(block.is_too_slow(30'999, std::nullopt));
    CHECK(block.is_too_slow(31'000, std::nullopt));
    CHECK_FALSE(detail::acknowledged_bytes(-1));
}

TEST_CASE("send patience: what a peer reads is seen while the kernel takes nothing more",
          "[http][send_patience]") {
    const connected_pair sockets;
    const std::string block(64 * 1024, 'x');
    while (::send(sockets.writer, block.data(), block.size(), MSG_NOSIGNAL) > 0) {}
    const auto before = detail::acknowledged_bytes(sockets.writer);
    REQUIRE(before);
    std::array<char, 16 * 1024> room{};
    CHECK(eventually([&] {
        CHECK(::recv(sockets.reader, room.data(), room.size(), 0) > 0);
        return detail::acknowledged_bytes(sockets.writer) > before;
    }));
}

TEST_CASE("server: a client that reads slowly, and never stops, gets all of a large body",
          "[http][server]") {
    server_setup setup;
    setup.limits.send_timeout = 2s;
    setup.limits.send_bytes_per_second_min = 1;
    const test_server server(make_test_routes(), setup);
    raw_client client(server.port(), 4096);
    constexpr std::size_t body_bytes = 6'000'000;
    client.send(get_request("/big/" + std::to_string(body_bytes), "Connection: close\r\n"));
    std::size_t got = 0;
    // For longer than the time-out, and too slowly for the kernel to take more of it meanwhile.
    const auto until = std::chrono::steady_clock::now() + 5s;
    while (std::chrono::steady_clock::now() < until) {
        const std::string piece = client.read_some();
        REQUIRE_FALSE(piece.empty());
        got += piece.size();
        std::this_thread::sleep_for(50ms);
    }
    CHECK(got < body_bytes / 3);
    got += client.read_rest().size();
    CHECK(got > body_bytes);
    CHECK_FALSE(client.was_reset());
}
