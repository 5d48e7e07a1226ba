// The CPU that an echo server takes for a message, and its memory for an idle connection: heph-rt
// by both drivers, beside loops by hand, Boost.Asio and libuv.
//
// Usage: heph_rt_echo_bench [--connections N] [--messages N] [--passes N] [--idle N] [--workers N]
//
// A server has CPU 0 for itself, and the load the last one. Each connection has one message of 64
// bytes under way; the idle ones had one before. A pass measures each server once, in turn; the
// medians are told. Unless `--idle` says how many there are, there are none beside as many others.
//
// With two workers or more, those with one are measured as well, and idle connections are not: what
// is told is by how much a message gets dearer. Each worker has a CPU for itself, but that the load
// may have to share the last one's.

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
#include <ctime>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "servers.hpp"

namespace {

struct options {
    long connections = 64;
    long messages = 400'000;
    long passes = 5;
    long idle = 10'000;
    long workers = 1;
};

struct figures {
    std::vector<double> nanoseconds;  // Of CPU, a message.
    std::vector<double> bytes;        // Of memory, an idle connection.
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

// Has the calling thread run on some CPUs only; those that are not there are left out.
void use_cpus(long first, long count) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (long cpu = first; cpu < first + count; ++cpu) {
        CPU_SET(static_cast<std::size_t>(cpu), &set);
    }
    (void)::sched_setaffinity(0, sizeof(set), &set);
}

// Listens at a port, or at any free one when that is 0, which is told then.
int listen_at(std::uint16_t& port) {
    const int made = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof(address);
    const int on = 1;
    if (made < 0 || ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        ::setsockopt(made, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
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

// Opens so many connections, and sends and receives a message over each.
std::vector<int> open_connections(std::uint16_t port, long count) {
    std::array<char, 64> message{};
    std::vector<int> made;
    for (long i = 0; i < count; ++i) {
        const int each = connect_to(port);
        (void)::send(each, message.data(), message.size(), MSG_NOSIGNAL);
        if (::recv(each, message.data(), message.size(), MSG_WAITALL) <= 0) { fail("recv"); }
        made.push_back(each);
    }
    return made;
}

void close_all(const std::vector<int>& connections) {
    for (const int each : connections) { ::close(each); }
}

// Sends and receives so many messages over all connections.
void load(const std::vector<int>& connections, long messages) {
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    std::array<char, 64> message{};
    for (const int each : connections) {
        epoll_event asked{};
        asked.events = EPOLLIN;
        asked.data.fd = each;
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, each, &asked);
    }
    for (const int each : connections) { (void)::send(each, message.data(), message.size(), 0); }
    std::array<epoll_event, 256> events{};
    // Those that are under way in the end are received, and not answered.
    long left = messages;
    long under_way = static_cast<long>(connections.size());
    while (under_way > 0) {
        const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 5000);
        if (count == 0) { fail("the server does not answer"); }
        for (int i = 0; i < count; ++i) {
            const int descriptor = events[static_cast<std::size_t>(i)].data.fd;
            if (::recv(descriptor, message.data(), message.size(), 0) <= 0) { fail("recv"); }
            if (--left < under_way) {
                --under_way;
            } else {
                (void)::send(descriptor, message.data(), message.size(), MSG_NOSIGNAL);
            }
        }
    }
    ::close(epoll);
}

// Gives the nanoseconds of CPU that a process has taken so far.
double cpu_of(pid_t process) {
    clockid_t clock{};
    timespec taken{};
    if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &taken) != 0) {
        fail("the clock of a process");
    }
    return static_cast<double>(taken.tv_sec) * 1e9 + static_cast<double>(taken.tv_nsec);
}

// Gives the bytes of memory that a process has for itself, without what the kernel keeps for it.
double memory_of(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("RssAnon:")) { return 1024.0 * std::atof(line.c_str() + 8); }
    }
    fail("the server is gone");
}

// Starts a server in a process of its own. Gives the port at which it serves.
pid_t start(const std::function<void(int)>& serve, long workers, std::uint16_t& port) {
    std::array<int, 2> told{};
    if (::pipe(told.data()) != 0) { fail("pipe"); }
    const pid_t server = ::fork();
    if (server == 0) {
        ::close(told[0]);
        use_cpus(0, workers);
        serve(told[1]);
        std::_Exit(1);
    }
    ::close(told[1]);
    if (::read(told[0], &port, sizeof(port)) != sizeof(port)) { fail("no server"); }
    ::close(told[0]);
    return server;
}

void measure(const std::function<void(int)>& serve, const options& how, long workers,
             figures& into) {
    std::uint16_t port = 0;
    const pid_t server = start(serve, workers, port);
    use_cpus(std::max(::sysconf(_SC_NPROCESSORS_ONLN), 2L) - 1, 1);
    const std::vector<int> connections = open_connections(port, how.connections);
    const double cpu_before = cpu_of(server);
    load(connections, how.messages);
    into.nanoseconds.push_back((cpu_of(server) - cpu_before) / static_cast<double>(how.messages));
    const double memory_before = memory_of(server);
    const std::vector<int> idle = open_connections(port, how.idle);
    if (how.idle != 0) {
        into.bytes.push_back((memory_of(server) - memory_before) / static_cast<double>(how.idle));
    }
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
    close_all(connections);
    close_all(idle);
}

// The connections of a side count against this. Gives how many descriptors there may be.
long raise_descriptor_limit() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<long>(
        std::min<rlim_t>(limit.rlim_max, std::numeric_limits<std::int32_t>::max()));
}

double median(std::vector<double>& of) {
    std::sort(of.begin(), of.end());
    return of[of.size() / 2];
}

using server = std::function<void(int tell)>;

server by_hand(void (*serve)(int, std::string_view), long workers = 1) {
    return [serve, workers](int tell) {
        std::uint16_t port = 0;
        std::vector<int> listeners;
        for (long i = 0; i < workers; ++i) { listeners.push_back(listen_at(port)); }
        std::vector<std::thread> others;
        for (long i = 1; i < workers; ++i) {
            others.emplace_back([serve, i, listener = listeners[static_cast<std::size_t>(i)]] {
                use_cpus(i, 1);
                serve(listener, {});
            });
        }
        use_cpus(0, 1);
        if (::write(tell, &port, sizeof(port)) == sizeof(port)) { serve(listeners[0], {}); }
    };
}

server by_heph(const char* driver, long workers = 1) {
    return [driver, workers](int tell) {
        ::setenv("HEPH_DRIVER", driver, 1);
        heph::bench::serve_with_heph(tell, static_cast<std::size_t>(workers));
    };
}

#ifdef HEPH_BENCH_ASIO_URING
void asio_program(int tell) {
    std::uint16_t port = 0;
    const std::string listener = std::to_string(listen_at(port));
    if (::write(tell, &port, sizeof(port)) == sizeof(port)) {
        ::execl(HEPH_BENCH_ASIO_URING, HEPH_BENCH_ASIO_URING, listener.c_str(), nullptr);
    }
}
#endif

// What else a server has, and the load.
constexpr long descriptors_spared = 100;

options parse(int count, char** arguments, long descriptors) {
    options parsed;
    long idle = 0;
    const std::map<std::string_view, long*> names{{"--connections", &parsed.connections},
                                                  {"--messages", &parsed.messages},
                                                  {"--passes", &parsed.passes},
                                                  {"--idle", &idle},
                                                  {"--workers", &parsed.workers}};
    for (int i = 1; i < count; i += 2) {
        const auto named = names.find(arguments[i]);
        const long value = i + 1 < count ? std::strtol(arguments[i + 1], nullptr, 10) : 0;
        if (named == names.end() || value <= 0) {
            (void)std::fputs(
                "usage: heph_rt_echo_bench [--connections N] [--messages N] [--passes N] "
                "[--idle N] [--workers N]\n",
                stderr);
            std::exit(2);
        }
        *named->second = value;
    }
    if (parsed.workers > 1) {
        if (idle != 0) {
            (void)std::fputs("heph_rt_echo_bench: --idle is for one worker\n", stderr);
            std::exit(2);
        }
        parsed.idle = 0;
    } else if (idle != 0) {
        parsed.idle = idle;
    } else if (parsed.connections >= parsed.idle) {
        parsed.idle = 0;  // Else there would be too many of them for most machines' limits.
    } else if (parsed.connections + parsed.idle + descriptors_spared > descriptors) {
        std::printf("%ld idle connections are left out: a process may have %ld descriptors\n",
                    parsed.idle, descriptors);
        parsed.idle = 0;
    }
    return parsed;
}

struct contender {
    std::string name;
    server serve;
    std::size_t compared_with;  // By its index; with itself for no ratio.
    long workers = 1;
    figures measured = {};
};

std::vector<contender> with_one_worker() {
    std::vector<contender> all;
    all.push_back({"epoll by hand", by_hand(&heph::bench::serve_with_epoll), 0});
    all.push_back({"heph-rt, epoll", by_heph("epoll"), 0});
    all.push_back({"io_uring by hand", by_hand(&heph::bench::serve_with_uring), 2});
    all.push_back({"heph-rt, io_uring", by_heph("uring"), 2});
#ifdef HEPH_BENCH_ASIO
    all.push_back({"Boost.Asio, epoll", by_hand(&heph::bench::serve_with_asio), 0});
#else
    std::puts("Boost.Asio is missing: install libboost1.81-dev and build again");
#endif
#ifdef HEPH_BENCH_ASIO_URING
    all.push_back({"Boost.Asio, io_uring", &asio_program, 2});
#endif
#ifdef HEPH_BENCH_UV
    all.push_back({"libuv, epoll", by_hand(&heph::bench::serve_with_uv), 0});
#else
    std::puts("libuv is missing: install libuv1-dev and build again");
#endif
    return all;
}

// Each with one worker first, to be compared with.
std::vector<contender> with_workers(long workers) {
    std::vector<contender> all;
    const auto add = [&all, workers](const char* name, server one, server several) {
        all.push_back({name, std::move(one), all.size()});
        all.push_back(
            {name + (", " + std::to_string(workers)), std::move(several), all.size() - 1, workers});
    };
    add("epoll by hand", by_hand(&heph::bench::serve_with_epoll),
        by_hand(&heph::bench::serve_with_epoll, workers));
    add("heph-rt, epoll", by_heph("epoll"), by_heph("epoll", workers));
    add("io_uring by hand", by_hand(&heph::bench::serve_with_uring),
        by_hand(&heph::bench::serve_with_uring, workers));
    add("heph-rt, io_uring", by_heph("uring"), by_heph("uring", workers));
    return all;
}

}  // namespace

int main(int count, char** arguments) {
    const options how = parse(count, arguments, raise_descriptor_limit());
    const bool several = how.workers > 1;
    auto contenders = several ? with_workers(how.workers) : with_one_worker();
    for (long pass = 0; pass < how.passes; ++pass) {
        for (std::size_t i = 0; i < contenders.size(); ++i) {
            // In turns, as the state of the machine changes with time.
            contender& each = contenders[(i + static_cast<std::size_t>(pass)) % contenders.size()];
            measure(each.serve, how, each.workers, each.measured);
        }
    }
    std::printf(
        "echo of 64 bytes, %ld connections, %ld messages; medians of %ld\n"
        "%-22s %12s %14s %14s\n",
        how.connections, how.messages, how.passes, "", "CPU, ns/msg",
        several ? "x one worker" : "x its loop", how.idle != 0 ? "bytes/idle" : "");
    std::vector<double> cpu;
    for (contender& each : contenders) { cpu.push_back(median(each.measured.nanoseconds)); }
    for (std::size_t i = 0; i < contenders.size(); ++i) {
        const std::size_t other = contenders[i].compared_with;
        std::printf("%-22s %12.0f", contenders[i].name.c_str(), cpu[i]);
        if (other != i) {
            std::printf(" %14.2f", cpu[i] / cpu[other]);
        } else {
            std::printf(" %14s", "");
        }
        if (how.idle != 0) { std::printf(" %14.0f", median(contenders[i].measured.bytes)); }
        std::printf("\n");
    }
    std::printf("\n");
    return 0;
}
