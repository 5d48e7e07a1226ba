#include "relay_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

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

}  // namespace

relay_link::~relay_link() { ::close(socket_); }

bool relay_link::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count <= 0) { return false; }
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

std::optional<std::string> relay_link::receive() {
    std::string bytes(16384, '\0');
    const ssize_t count = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (count <= 0) { return std::nullopt; }
    bytes.resize(static_cast<std::size_t>(count));
    return bytes;
}

int connect_to_loopback(std::uint16_t port) {
    const sockaddr_in address = loopback(port);
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
        return server;
    }
    ::close(server);
    return -1;
}

int open_by_connect(relay_link& client, std::string& told) {
    while (told.find("\r\n\r\n") == std::string::npos) {
        const auto more = client.receive();
        if (!more) { return -1; }
        told += *more;
    }
    const std::size_t end = told.find(" HTTP/1.1\r\n");
    if (!told.starts_with("CONNECT ") || end == std::string::npos) { return -1; }
    const std::string port = told.substr(told.rfind(':', end) + 1);
    const int server = connect_to_loopback(static_cast<std::uint16_t>(std::atoi(port.c_str())));
    if (server >= 0) { (void)client.send("HTTP/1.1 200 Connection established\r\n\r\n"); }
    return server;
}

relay_proxy::relay_proxy(relay_opener open, link_maker wrap)
    : open_(std::move(open)),
      wrap_(std::move(wrap)),
      listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
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
        const std::scoped_lock lock(mutex_);
        relays_.emplace_back([this, client, place = heads_.size()] { relay(client, place); });
        heads_.emplace_back();
    }
}

void relay_proxy::relay(int socket, std::size_t place) {
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    const auto client = wrap_ ? wrap_(socket) : std::make_unique<relay_link>(socket);
    std::string told;
    const int opened = open_(*client, told);
    {
        const std::scoped_lock lock(mutex_);
        heads_[place] = std::move(told);
    }
    if (opened < 0) { return; }
    relay_link server(opened);
    const auto pass = [](relay_link& from, relay_link& to) {
        const auto bytes = from.receive();
        return bytes && to.send(*bytes);
    };
    bool open = true;
    while (open && !stops_) {
        std::array<pollfd, 2> both{pollfd{socket, POLLIN, 0}, pollfd{opened, POLLIN, 0}};
        if (::poll(both.data(), both.size(), look_again_ms) <= 0) { continue; }
        if (both[0].revents != 0) { open = pass(*client, server); }
        if (open && both[1].revents != 0) { open = pass(server, *client); }
    }
}

}  // namespace heph::http::test
