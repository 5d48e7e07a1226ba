// The CPU that an echo server takes for a message: heph-rt by both drivers, beside loops by hand.
//
// Usage: heph_rt_echo_bench [--connections N] [--messages N] [--passes N]
//
// A server has CPU 0 for itself, and the load CPU 1, if there are two. Each connection has one
// message of 64 bytes under way. A pass measures each server once, in turn; the medians are told.

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "servers.hpp"

namespace {

struct options {
    long connections = 64;
    long messages = 400'000;
    long passes = 5;
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

void use_cpu(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    (void)::sched_setaffinity(0, sizeof(set), &set);  // Without a second CPU both share the first.
}

int listen_somewhere(std::uint16_t& port) {
    const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof(address);
    const int on = 1;
    if (made < 0 || ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        ::bind(made, reinterpret_cast<sockaddr*>(&address), bytes) != 0 ||
        ::listen(made, 1024) != 0 ||
        ::getsockname(made, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) {
        fail("cannot listen");
    }
    port = ntohs(address.sin_port);
    return made;
}

int connect_to(std::uint16_t port) {
    const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    if (made < 0 || ::connect(made, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
        ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
        fail("cannot connect");
    }
    return made;
}

// Sends and receives so many messages over all connections.
void load(std::uint16_t port, const options& how) {
    use_cpu(1);
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    std::array<char, 64> message{};
    std::vector<int> connections;
    for (long i = 0; i < how.connections; ++i) {
        const int made = connect_to(port);
        connections.push_back(made);
        epoll_event asked{};
        asked.events = EPOLLIN;
        asked.data.fd = made;
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, made, &asked);
    }
    for (const int each : connections) { (void)::send(each, message.data(), message.size(), 0); }
    std::array<epoll_event, 256> events{};
    long left = how.messages;
    while (left > 0) {
        const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 5000);
        if (count == 0) { fail("the server does not answer"); }
        for (int i = 0; i < count; ++i) {
            const int descriptor = events[static_cast<std::size_t>(i)].data.fd;
            if (::recv(descriptor, message.data(), message.size(), 0) <= 0) { fail("recv"); }
            --left;
            (void)::send(descriptor, message.data(), message.size(), MSG_NOSIGNAL);
        }
    }
    for (const int each : connections) { ::close(each); }
    ::close(epoll);
}

// Gives the nanoseconds of CPU that a server, in a process of its own, takes for a message.
double measure(const std::function<void(int)>& serve, const options& how) {
    std::array<int, 2> told{};
    if (::pipe(told.data()) != 0) { fail("pipe"); }
    const pid_t server = ::fork();
    if (server == 0) {
        ::close(told[0]);
        use_cpu(0);
        serve(told[1]);
        std::_Exit(1);
    }
    ::close(told[1]);
    std::uint16_t port = 0;
    if (::read(told[0], &port, sizeof(port)) != sizeof(port)) { fail("no server"); }
    ::close(told[0]);
    load(port, how);
    ::kill(server, SIGKILL);
    rusage used{};
    if (::wait4(server, nullptr, 0, &used) != server) { fail("wait4"); }
    const auto nanoseconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
    };
    return (nanoseconds(used.ru_utime) + nanoseconds(used.ru_stime)) /
           static_cast<double>(how.messages);
}

std::function<void(int)> by_hand(void (*serve)(int, std::string_view)) {
    return [serve](int tell) {
        std::uint16_t port = 0;
        const int listener = listen_somewhere(port);
        if (::write(tell, &port, sizeof(port)) == sizeof(port)) { serve(listener, {}); }
    };
}

std::function<void(int)> by_heph(const char* driver) {
    return [driver](int tell) {
        ::setenv("HEPH_DRIVER", driver, 1);
        heph::bench::serve_with_heph(tell);
    };
}

options parse(int count, char** arguments) {
    options parsed;
    const std::map<std::string_view, long*> names{{"--connections", &parsed.connections},
                                                  {"--messages", &parsed.messages},
                                                  {"--passes", &parsed.passes}};
    for (int i = 1; i < count; i += 2) {
        const auto named = names.find(arguments[i]);
        const long value = i + 1 < count ? std::strtol(arguments[i + 1], nullptr, 10) : 0;
        if (named == names.end() || value <= 0) {
            (void)std::fputs(
                "usage: heph_rt_echo_bench [--connections N] [--messages N] [--passes N]\n",
                stderr);
            std::exit(2);
        }
        *named->second = value;
    }
    return parsed;
}

}  // namespace

int main(int count, char** arguments) {
    const options how = parse(count, arguments);
    struct contender {
        const char* name;
        std::function<void(int)> serve;
        std::vector<double> figures;
    };
    std::vector<contender> contenders;
    contenders.push_back({"epoll by hand", by_hand(&heph::bench::serve_with_epoll), {}});
    contenders.push_back({"heph-rt, epoll", by_heph("epoll"), {}});
    contenders.push_back({"io_uring by hand", by_hand(&heph::bench::serve_with_uring), {}});
    contenders.push_back({"heph-rt, io_uring", by_heph("uring"), {}});
    for (long pass = 0; pass < how.passes; ++pass) {
        for (contender& each : contenders) { each.figures.push_back(measure(each.serve, how)); }
    }
    std::printf("echo, %ld connections, %ld messages, %ld passes: server CPU a message, ns\n",
                how.connections, how.messages, how.passes);
    double by_hand_median = 0;
    for (std::size_t i = 0; i < contenders.size(); ++i) {
        auto& figures = contenders[i].figures;
        std::sort(figures.begin(), figures.end());
        const double median = figures[figures.size() / 2];
        if (i % 2 == 0) { by_hand_median = median; }
        std::printf("%-18s median %6.0f  least %6.0f  most %6.0f  x %.3f\n", contenders[i].name,
                    median, figures.front(), figures.back(), median / by_hand_median);
    }
    return 0;
}
