#include "relay_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include <catch2/catch.hpp>

namespace heph::http::test {

namespace {

constexpr int look_again_ms = 20;
constexpr timeval patience{20, 0};

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

bool send_all(int to, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count <= 0) { return false; }
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

/// Passes on what has come from one side; false at its end.
bool pass(int from, int to) {
    std::array<char, 16384> bytes{};
    const ssize_t count = ::recv(from, bytes.data(), bytes.size(), 0);
    return count > 0 &&
           send_all(to, std::string_view(bytes.data(), static_cast<std::size_t>(count)));
}

}  // namespace

relay_proxy::relay_proxy() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    REQUIRE(listener_ >= 0);
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_, 64) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
}

void relay_proxy::stop() {
    if (!thread_.joinable()) { return; }
    stops_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    for (std::thread& each : relays_) { each.join(); }
    ::close(listener_);
}

void relay_proxy::serve() {
    while (!stops_) {
        const int client = ::accept(listener_, nullptr, nullptr);
        if (client < 0) { continue; }
        relays_.emplace_back([this, client] { relay(client); });
    }
}

int relay_proxy::open_tunnel(const std::string& head) {
    const std::size_t end = head.find(" HTTP/1.1\r\n");
    if (!head.starts_with("CONNECT ") || end == std::string::npos) { return -1; }
    const std::string port = head.substr(head.rfind(':', end) + 1);
    const sockaddr_in address = loopback(static_cast<std::uint16_t>(std::atoi(port.c_str())));
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
        return server;
    }
    ::close(server);
    return -1;
}

void relay_proxy::relay(int client) {
    ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    std::string head;
    std::array<char, 1024> bytes{};
    while (head.find("\r\n\r\n") == std::string::npos) {
        const ssize_t count = ::recv(client, bytes.data(), bytes.size(), 0);
        if (count <= 0) { break; }
        head.append(bytes.data(), static_cast<std::size_t>(count));
    }
    const int server = open_tunnel(head);
    {
        const std::scoped_lock lock(mutex_);
        heads_.push_back(std::move(head));
    }
    bool open = server >= 0 && send_all(client, "HTTP/1.1 200 Connection established\r\n\r\n");
    while (open && !stops_) {
        std::array<pollfd, 2> both{pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
        if (::poll(both.data(), both.size(), look_again_ms) <= 0) { continue; }
        if (both[0].revents != 0) { open = pass(client, server); }
        if (open && both[1].revents != 0) { open = pass(server, client); }
    }
    if (server >= 0) { ::close(server); }
    ::close(client);
}

}  // namespace heph::http::test
