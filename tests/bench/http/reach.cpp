// Checks how far one worker reaches: many idle keep-alive connections while another one is served,
// and memory that does not grow with the number of requests. Starts the server that it measures.
//
// Usage: heph_http_reach [--server PROGRAM] [--connections N] [--requests N]

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr std::string_view request = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr std::string_view answer_end = "Hello, World!";

// Growth over all requests that is still called flat: the allocator's own movement.
constexpr long flat_kib = 512;

class connection {
public:
    explicit connection(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
        if (descriptor_ < 0) { throw std::runtime_error("no descriptor: raise ulimit -n"); }
        const timeval patience{10, 0};
        ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ =
            ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
    }
    connection(connection&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)), connected_(other.connected_) {}
    connection& operator=(connection&&) = delete;
    ~connection() {
        if (descriptor_ >= 0) { ::close(descriptor_); }
    }

    [[nodiscard]] bool connected() const { return connected_; }

    // Asks `count` times in one write and waits for all answers.
    void ask(int count) {
        std::string bytes;
        for (int i = 0; i < count; ++i) { bytes += request; }
        if (::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(bytes.size())) {
            throw std::runtime_error("cannot send");
        }
        std::string got;
        while (count > 0) {
            char part[64 * 1024];
            const auto size = ::recv(descriptor_, part, sizeof(part), 0);
            if (size <= 0) { throw std::runtime_error("the server did not answer"); }
            got.append(part, static_cast<std::size_t>(size));
            std::size_t at = 0;
            for (std::size_t found = 0; (found = got.find(answer_end, at)) != std::string::npos;) {
                at = found + answer_end.size();
                --count;
            }
            got.erase(0, at);
        }
    }

private:
    int descriptor_;
    bool connected_ = false;
};

// The server's process; stopped at the end.
class served {
public:
    served(const std::string& program, std::uint16_t port) : pid_(::fork()) {
        const std::string address = "127.0.0.1:" + std::to_string(port);
        if (pid_ == 0) {
            ::execl(program.c_str(), program.c_str(), "--http", address.c_str(), "--threads", "1",
                    nullptr);
            std::perror(program.c_str());
            std::_Exit(127);
        }
        for (int i = 0; i < 200; ++i) {
            if (connection(port).connected()) { return; }
            std::this_thread::sleep_for(20ms);
        }
        throw std::runtime_error("the server does not listen");
    }
    served(const served&) = delete;
    served& operator=(const served&) = delete;
    ~served() {
        ::kill(pid_, SIGTERM);
        ::waitpid(pid_, nullptr, 0);
    }

    // Memory of its own that is in use, without what the kernel keeps for it.
    [[nodiscard]] long anonymous_kib() const {
        std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
        for (std::string line; std::getline(status, line);) {
            if (line.starts_with("RssAnon:")) { return std::atol(line.c_str() + 8); }
        }
        throw std::runtime_error("the server is gone");
    }

private:
    pid_t pid_;
};

std::uint16_t free_port() {
    const int probe = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(any);
    if (::bind(probe, reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0 ||
        ::getsockname(probe, reinterpret_cast<sockaddr*>(&any), &size) != 0) {
        throw std::runtime_error("no free port");
    }
    ::close(probe);
    return ntohs(any.sin_port);
}

// Gives the median and the 99th percentile of single requests, in microseconds.
std::pair<long, long> time_requests(connection& over, int count) {
    std::vector<long> times;
    for (int i = 0; i < count; ++i) {
        const auto begin = steady::now();
        over.ask(1);
        times.push_back(static_cast<long>(
            std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - begin).count()));
    }
    std::ranges::sort(times);
    return {times[times.size() / 2], times[times.size() * 99 / 100]};
}

void check_connections(const served& server, std::uint16_t port, int count) {
    connection busy(port);
    busy.ask(100);
    const auto alone = time_requests(busy, 2000);
    const long before = server.anonymous_kib();
    std::vector<connection> idle;
    idle.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        idle.emplace_back(port);
        idle.back().ask(1);
    }
    const long after = server.anonymous_kib();
    const auto among = time_requests(busy, 2000);
    for (auto& each : idle) { each.ask(1); }
    std::printf("%d idle keep-alive connections, each served before and after: good\n", count);
    std::printf("  memory of the server: %ld B a connection\n", (after - before) * 1024 / count);
    std::printf("  another connection, one request at a time: median %ld us, p99 %ld us\n",
                among.first, among.second);
    std::printf("  the same without the idle ones:            median %ld us, p99 %ld us\n",
                alone.first, alone.second);
}

bool check_requests(const served& server, std::uint16_t port, long count) {
    constexpr int pipelined = 50;
    constexpr long steps = 10;
    std::vector<connection> clients;
    for (int i = 0; i < 8; ++i) { clients.emplace_back(port); }
    const long rounds = count / steps / pipelined / static_cast<long>(clients.size());
    std::printf("%ld requests, pipelined by %d; memory of the server in KiB:", count, pipelined);
    long first = 0;
    long last = 0;
    for (long step = 0; step <= steps; ++step) {
        // The first step warms up.
        for (long round = 0; round < rounds; ++round) {
            for (auto& client : clients) { client.ask(pipelined); }
        }
        last = server.anonymous_kib();
        if (step == 0) { first = last; }
        std::printf(" %ld", last);
        std::fflush(stdout);
    }
    const bool flat = last - first <= flat_kib;
    std::printf("\n  growth: %ld KiB: %s\n", last - first, flat ? "flat" : "IT GROWS");
    return flat;
}

}  // namespace

int main(int count, char** arguments) {
    std::string program = arguments[0];
    program = program.substr(0, program.rfind('/') + 1) + "heph_http_bench";
    int connections = 10'000;
    long requests = 1'000'000;
    for (int i = 1; i + 1 < count; i += 2) {
        const std::string_view name = arguments[i];
        if (name == "--server") { program = arguments[i + 1]; }
        if (name == "--connections") { connections = std::atoi(arguments[i + 1]); }
        if (name == "--requests") { requests = std::atol(arguments[i + 1]); }
    }
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
    try {
        const std::uint16_t port = free_port();
        const served server(program, port);
        check_connections(server, port, connections);
        return check_requests(server, port, requests) ? 0 : 1;
    } catch (const std::exception& failed) {
        std::fprintf(stderr, "FAILED: %s\n", failed.what());
        return 1;
    }
}
