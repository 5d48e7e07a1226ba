#include "scripted_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <catch2/catch.hpp>

namespace heph::http::test {

namespace {

constexpr timeval patience{20, 0};

/// Reads up to the end of a head; empty when the client closed, or said nothing for too long.
std::string read_head(int connection) {
    std::string head;
    std::array<char, 1024> bytes{};
    while (head.find("\r\n\r\n") == std::string::npos) {
        const ssize_t count = ::recv(connection, bytes.data(), bytes.size(), 0);
        if (count < 0 && errno == EINTR) { continue; }
        if (count <= 0) { return {}; }
        head.append(bytes.data(), static_cast<std::size_t>(count));
    }
    return head;
}

void send_all(int connection, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) { continue; }
        if (count <= 0) { return; }
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

/// Reads so many bytes; false when the client closed, or said nothing for too long.
bool read_bytes(int connection, std::size_t count) {
    std::array<char, 65536> bytes{};
    while (count > 0) {
        const ssize_t got = ::recv(connection, bytes.data(), std::min(count, bytes.size()), 0);
        if (got < 0 && errno == EINTR) { continue; }
        if (got <= 0) { return false; }
        count -= static_cast<std::size_t>(got);
    }
    return true;
}

void wait_for_end(int connection) {
    std::array<char, 1024> bytes{};
    for (;;) {
        const ssize_t count = ::recv(connection, bytes.data(), bytes.size(), 0);
        if (count == 0 || (count < 0 && errno != EINTR)) { return; }
    }
}

}  // namespace

scripted_server::scripted_server(std::vector<script> scripts)
    : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    REQUIRE(listener_ >= 0);
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_, 64) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, all = std::move(scripts)] { serve(all); });
}

scripted_server::~scripted_server() { stop(); }

void scripted_server::stop() {
    if (!thread_.joinable()) { return; }
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
}

void scripted_server::serve(const std::vector<script>& scripts) {
    for (const script& steps : scripts) {
        int connection = -1;
        do {
            connection = ::accept(listener_, nullptr, nullptr);
        } while (connection < 0 && errno == EINTR);
        if (connection < 0) { return; }
        ++connections_;
        ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        ::setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        follow(connection, steps);
    }
}

void scripted_server::follow(int connection, const script& steps) {
    for (const scripted_step& step : steps) {
        std::string head = read_head(connection);
        if (head.empty()) { break; }
        const std::size_t early = head.size() - (head.find("\r\n\r\n") + 4);
        heads_.push_back(std::move(head));
        send_all(connection, step.bytes);
        if (step.body_bytes > early && !read_bytes(connection, step.body_bytes - early)) { break; }
        if (step.waits_for_end) { wait_for_end(connection); }
        if (step.resets) {
            const linger at_once{1, 0};
            ::setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        }
        if (step.closes || step.resets) { break; }
    }
    ::close(connection);
}

}  // namespace heph::http::test
