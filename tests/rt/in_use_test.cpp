// Addresses that are in use, by whom, and for how long.

#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/net/unix_messages.hpp>

#include "on_runtime.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using heph::rt::net::endpoint;
using heph::rt::net::listen_options;
using heph::rt::net::tcp_listener;
using heph::rt::net::unix_address;
using heph::rt::net::unix_listen_options;
using heph::rt::net::unix_listener;
using heph::rt::net::unix_seqpacket_listener;
using heph::rt::net::unix_server;
using heph::test::temporary_folder;

namespace {

// Another process, killed at the end.
class other_process {
public:
    // Has it run something, and then be idle. *Requires*: `run` makes no threads.
    template <typename Run>
    explicit other_process(Run run) {
        int ready[2];
        REQUIRE(::pipe(ready) == 0);
        id_ = ::fork();
        REQUIRE(id_ >= 0);
        if (id_ == 0) {
            ::close(ready[0]);
            const char done = run() ? '1' : '0';
            (void)!::write(ready[1], &done, 1);
            for (;;) { ::pause(); }
        }
        char done = '0';
        ::close(ready[1]);
        const bool told = ::read(ready[0], &done, 1) == 1;
        ::close(ready[0]);
        did_ = told && done == '1';
    }
    other_process(const other_process&) = delete;
    other_process& operator=(const other_process&) = delete;
    ~other_process() { kill(); }
    [[nodiscard]] bool did() const { return did_; }
    void kill() {
        if (id_ <= 0) { return; }
        ::kill(id_, SIGKILL);
        (void)::waitpid(id_, nullptr, 0);
        id_ = -1;
    }

private:
    pid_t id_ = -1;
    bool did_ = false;
};

// Accepts as a server on io_uring does, so that the kernel has the socket in a ring. Where there is
// no io_uring, it is only open.
bool accept_by_ring(int descriptor) {
    static io_uring ring;
    if (::io_uring_queue_init(8, &ring, 0) != 0) { return true; }
    ::io_uring_prep_multishot_accept(::io_uring_get_sqe(&ring), descriptor, nullptr, nullptr, 0);
    return ::io_uring_submit(&ring) == 1;
}

bool listen_by_ring(const std::string& path, int type) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    const int made = ::socket(AF_UNIX, type, 0);
    return ::bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
           ::listen(made, 8) == 0 && accept_by_ring(made);
}

bool listen_by_ring(const endpoint& at) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(at.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int made = ::socket(AF_INET, SOCK_STREAM, 0);
    const int yes = 1;
    (void)::setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    return ::bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
           ::listen(made, 8) == 0 && accept_by_ring(made);
}

unix_address at(const std::filesystem::path& path) {
    auto made = unix_address::path(path.string());
    REQUIRE(made);
    return std::move(*made);
}

unix_listen_options replacing(std::chrono::milliseconds patience = 10s) {
    unix_listen_options how;
    how.replace_stale = true;
    how.in_use_wait = patience;  // More than the 1 s of the default: slow machines.
    return how;
}

unix_listen_options removing() {
    unix_listen_options how;
    how.remove_file = true;
    return how;
}

// A port of this machine that is free now.
endpoint free_port() {
    const auto probe = tcp_listener::bind(endpoint::v4({127, 0, 0, 1}, 0));
    REQUIRE(probe);
    const auto found = probe->local_endpoint();
    REQUIRE(found);
    return *found;
}

template <typename Listener>
std::error_code error_of(const std::expected<Listener, std::error_code>& made) {
    return made ? std::error_code() : made.error();
}

}  // namespace

TEST_CASE("in use: the path of a killed server is taken over at once", "[rt][unix][in-use]") {
    const temporary_folder folder;
    for (int i = 0; i < 5; ++i) {
        for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
            const auto path = folder / "socket";
            std::filesystem::remove(path);
            other_process server([&] { return listen_by_ring(path.string(), type); });
            REQUIRE(server.did());
            server.kill();
            const auto failed =
                type == SOCK_STREAM
                    ? error_of(unix_listener::bind(at(path), replacing()))
                    : error_of(unix_seqpacket_listener::bind(at(path), replacing()));
            INFO(failed.message());
            CHECK_FALSE(failed);
        }
    }
}

TEST_CASE("in use: a socket that was handed over is not replaced while somebody has it",
          "[rt][unix][in-use]") {
    const temporary_folder folder;
    const auto path = folder / "socket";
    std::optional<other_process> heir;
    {
        const auto first = unix_listener::bind(at(path));
        REQUIRE(first);
        heir.emplace([] { return true; });  // Which inherits it.
    }
    CHECK(error_of(unix_listener::bind(at(path), replacing(20ms))) == std::errc::address_in_use);
    heir->kill();
    CHECK_FALSE(error_of(unix_listener::bind(at(path), replacing())));
}

TEST_CASE("in use: of many who take over a stale path one succeeds", "[rt][unix][in-use]") {
    const temporary_folder folder;
    const auto path = folder / "socket";
    constexpr std::size_t starters = 4;
    for (int round = 0; round < 50; ++round) {
        std::filesystem::remove(path);
        REQUIRE(unix_listener::bind(at(path)));  // And gone.
        std::atomic<std::size_t> ready = 0;
        std::vector<std::optional<unix_listener>> won(starters);
        std::vector<std::thread> all;
        for (auto& mine : won) {
            all.emplace_back([&ready, &mine, where = at(path)] {
                ready.fetch_add(1);
                while (ready.load() != starters) { std::this_thread::yield(); }
                auto bound = unix_listener::bind(where, replacing());
                if (bound) { mine.emplace(std::move(*bound)); }
            });
        }
        for (auto& each : all) { each.join(); }
        REQUIRE(std::ranges::count_if(won, [](const auto& each) { return each.has_value(); }) == 1);
    }
}

TEST_CASE("in use: a lock that somebody else has on the directory only holds a server up",
          "[rt][unix][in-use]") {
    const temporary_folder folder;
    const auto path = folder / "socket";
    REQUIRE(unix_listener::bind(at(path)));
    const int other = ::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(::flock(other, LOCK_EX) == 0);
    CHECK_FALSE(error_of(unix_listener::bind(at(path), replacing(5ms))));
    ::close(other);
    CHECK_FALSE(error_of(unix_listener::bind(at(path), replacing())));
}

TEST_CASE("in use: the port of a killed server is free for the next one at once",
          "[rt][tcp][in-use]") {
    for (const std::size_t workers : {1U, 2U}) {
        const endpoint where = free_port();
        other_process server([&] { return listen_by_ring(where); });
        REQUIRE(server.did());
        server.kill();
        listen_options how;
        how.first = true;
        how.in_use_wait = 10s;
        const auto listeners = heph::rt::net::listen_on(where, workers, how);
        CHECK_FALSE(error_of(listeners));
    }
}

TEST_CASE("in use: a port that another process has is refused when the time is up",
          "[rt][tcp][in-use]") {
    const endpoint where = free_port();
    const other_process server([&] { return listen_by_ring(where); });
    REQUIRE(server.did());
    listen_options how;
    CHECK(error_of(tcp_listener::bind(where, how)) == std::errc::address_in_use);
    how.in_use_wait = 20ms;
    CHECK(error_of(tcp_listener::bind(where, how)) == std::errc::address_in_use);
}

TEST_CASE("socket file: it goes with the listener that is to remove it", "[rt][unix][in-use]") {
    const temporary_folder folder;
    const auto path = folder / "socket";
    REQUIRE(unix_listener::bind(at(path)));
    CHECK(std::filesystem::exists(path));
    std::filesystem::remove(path);
    REQUIRE(unix_listener::bind(at(path), removing()));
    CHECK_FALSE(std::filesystem::exists(path));
    REQUIRE(unix_seqpacket_listener::bind(at(path), removing()));
    CHECK_FALSE(std::filesystem::exists(path));
    SECTION("not before its duplicates are gone") {
        auto first = unix_listener::bind(at(path), removing());
        REQUIRE(first);
        auto second = first->duplicate();
        REQUIRE(second);
        { const auto gone = std::move(*first); }
        CHECK(std::filesystem::exists(path));
        { const auto gone = std::move(*second); }
        CHECK_FALSE(std::filesystem::exists(path));
    }
    SECTION("not when it is asked to keep it") {
        auto kept = unix_listener::bind(at(path), removing());
        REQUIRE(kept);
        kept->keep_file();
        { const auto gone = std::move(*kept); }
        CHECK(std::filesystem::exists(path));
    }
    SECTION("not in a process that was forked from its own") {
        std::optional<unix_listener> mine;
        auto bound = unix_listener::bind(at(path), removing());
        REQUIRE(bound);
        mine.emplace(std::move(*bound));
        const other_process child([&] {
            mine.reset();
            return true;
        });
        REQUIRE(child.did());
        CHECK(std::filesystem::exists(path));
    }
}

TEST_CASE("socket file: another's file at the path is not removed", "[rt][unix][in-use]") {
    const temporary_folder folder;
    const auto path = folder / "socket";
    auto first = unix_listener::bind(at(path), removing());
    REQUIRE(first);
    std::filesystem::remove(path);
    const auto second = unix_listener::bind(at(path));
    REQUIRE(second);
    { const auto gone = std::move(*first); }
    CHECK(std::filesystem::exists(path));
}

TEST_CASE("socket file: a server removes it in the end, unless it handed its sockets over",
          "[rt][unix][in-use]") {
    const temporary_folder folder;
    const auto path = folder / "socket";
    for (const bool hands_over : {false, true}) {
        std::vector<unix_listener> listeners;
        auto bound = unix_listener::bind(at(path), removing());
        REQUIRE(bound);
        listeners.push_back(std::move(*bound));
        {
            const auto server = unix_server::over(std::move(listeners), 3);
            REQUIRE(server);
            CHECK(std::filesystem::exists(path));
            if (hands_over) { CHECK(server->hand_over("it").size() == 1); }
        }
        CHECK(std::filesystem::exists(path) == hands_over);
    }
}
