// Answers whatever arrives with one text, parsing nothing: as fast as a server by hand could be.
//
// Usage: heph_http_floor epoll|uring ADDRESS PORT

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "../rt/echo/servers.hpp"

namespace {

constexpr std::string_view reply =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    "Content-Length: 13\r\n\r\nHello, World!";

int listen_on(const char* address, const char* port) {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10)));
    if (::inet_pton(AF_INET, address, &name.sin_addr) != 1 ||
        ::bind(descriptor, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0 ||
        ::listen(descriptor, 1024) != 0) {
        std::perror("cannot listen");
        std::exit(1);
    }
    return descriptor;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) {
        std::fputs("usage: heph_http_floor epoll|uring ADDRESS PORT\n", stderr);
        return 2;
    }
    const int listener = listen_on(arguments[2], arguments[3]);
    if (std::strcmp(arguments[1], "epoll") == 0) { heph::bench::serve_with_epoll(listener, reply); }
    heph::bench::serve_with_uring(listener, reply);
}
