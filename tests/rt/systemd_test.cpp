#include <heph/rt/systemd.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include <heph/rt/net/tcp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::systemd::inherited_sockets;
using heph::rt::systemd::keep_watchdog;
using heph::rt::systemd::notifier;
using heph::test::run_on_worker;

namespace {

// Sets a variable of the environment for as long as it lives.
class variable {
public:
    variable(const char* name, const std::string& value) : name_(name) {
        ::setenv(name, value.c_str(), 1);
    }
    variable(const variable&) = delete;
    variable& operator=(const variable&) = delete;
    ~variable() { ::unsetenv(name_); }

private:
    const char* name_;
};

// The manager's end.
class manager_socket {
public:
    manager_socket() : descriptor_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        // The kernel picks an abstract name.
        REQUIRE(::bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)) ==
                0);
        socklen_t size = sizeof(address);
        REQUIRE(::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        name_ = "@" + std::string(address.sun_path + 1, size - offsetof(sockaddr_un, sun_path) - 1);
        const timeval patience{10, 0};
        (void)::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    }
    manager_socket(const manager_socket&) = delete;
    manager_socket& operator=(const manager_socket&) = delete;
    ~manager_socket() { ::close(descriptor_); }

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] std::string read() const {
        char text[512];
        const ssize_t got = ::recv(descriptor_, text, sizeof(text), 0);
        return got < 0 ? std::string("nothing") : std::string(text, static_cast<std::size_t>(got));
    }
    [[nodiscard]] bool is_empty() const {
        char byte = 0;
        return ::recv(descriptor_, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0;
    }

private:
    int descriptor_;
    std::string name_;
};

// Runs a check in a child that has the given descriptor as its third one; gives its exit status.
template <typename Check>
int in_child(int descriptor, Check check) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        if (descriptor != 3) { (void)::dup2(descriptor, 3); }
        ::_exit(check());
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("systemd: each state is told in the protocol's words", "[rt][systemd]") {
    const manager_socket manager;
    const variable where("NOTIFY_SOCKET", manager.name());
    const auto notify = notifier::from_environment();
    REQUIRE(notify);
    CHECK(notify->is_active());
    CHECK_FALSE(notify->watchdog_interval());
    CHECK_FALSE(notify->ready());
    CHECK(manager.read() == "READY=1");
    CHECK_FALSE(notify->status("two\nlines"));
    CHECK(manager.read() == "STATUS=two lines");
    CHECK_FALSE(notify->reloading());
    const std::string reloading = manager.read();
    CHECK(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    CHECK(reloading.find_first_not_of("0123456789", 27) == std::string::npos);
    CHECK_FALSE(notify->stopping());
    CHECK(manager.read() == "STOPPING=1");
}

TEST_CASE("systemd: without a manager nothing is sent, and a bad name is an error",
          "[rt][systemd]") {
    const auto nobody = notifier::from_environment();
    REQUIRE(nobody);
    CHECK_FALSE(nobody->is_active());
    CHECK_FALSE(nobody->ready());
    for (const std::string& bad :
         {std::string("relative"), std::string("@"), std::string(200, '/')}) {
        const variable where("NOTIFY_SOCKET", bad);
        const auto refused = notifier::from_environment();
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == std::errc::invalid_argument);
    }
    const variable where("NOTIFY_SOCKET", "/nonexistent/socket");
    const auto gone = notifier::from_environment();
    REQUIRE(gone);
    CHECK(gone->ready() == std::errc::no_such_file_or_directory);
}

TEST_CASE("systemd: a manager that does not read holds nobody up", "[rt][systemd]") {
    const manager_socket manager;
    const variable where("NOTIFY_SOCKET", manager.name());
    const auto notify = notifier::from_environment();
    REQUIRE(notify);
    std::error_code failed;
    for (int i = 0; i < 10'000 && !failed; ++i) { failed = notify->alive(); }
    CHECK(failed == std::errc::resource_unavailable_try_again);
}

TEST_CASE("systemd: the watchdog is fed while the check is good, and told of the stop",
          "[rt][systemd]") {
    const manager_socket manager;
    const variable where("NOTIFY_SOCKET", manager.name());
    const variable often("WATCHDOG_USEC", "4000");
    const variable whose("WATCHDOG_PID", std::to_string(::getpid()));
    const auto notify = notifier::from_environment();
    REQUIRE(notify);
    REQUIRE(notify->watchdog_interval() == 4ms);
    run_on_worker(heph::test::quiet_setup(), [&](heph::rt::worker& worker) {
        auto left = std::make_shared<int>(3);
        worker.spawn_future(keep_watchdog(*notify, [left, worker]() -> task<bool> {
            return [](std::shared_ptr<int> rounds, heph::rt::worker on) -> task<bool> {
                // The third check is bad, and the last one there is.
                const bool good = --*rounds > 0;
                if (!good) { on.request_stop(); }
                co_return good;
            }(left, worker);
        }));
    });
    CHECK(manager.read() == "WATCHDOG=1");
    CHECK(manager.read() == "WATCHDOG=1");
    CHECK(manager.read() == "STOPPING=1");
    CHECK(manager.is_empty());
}

TEST_CASE("systemd: another process's watchdog is not this one's", "[rt][systemd]") {
    const manager_socket manager;
    const variable where("NOTIFY_SOCKET", manager.name());
    const variable often("WATCHDOG_USEC", "4000");
    const variable whose("WATCHDOG_PID", "1");
    CHECK_FALSE(notifier::from_environment()->watchdog_interval());
}

TEST_CASE("systemd: sockets that were opened for this process are taken over, once",
          "[rt][systemd]") {
    auto bound = heph::rt::net::tcp_listener::bind(heph::rt::net::endpoint::loopback(0));
    REQUIRE(bound);
    const auto address = bound->local_endpoint();
    const int status = in_child(bound->descriptor(), [&address]() -> int {
        const variable count("LISTEN_FDS", "1");
        const variable whose("LISTEN_PID", std::to_string(::getpid()));
        const variable names("LISTEN_FDNAMES", "web");
        auto sockets = inherited_sockets();
        if (!sockets || sockets->size() != 1 || sockets->front().name() != "web") { return 1; }
        if (std::getenv("LISTEN_FDS") != nullptr) { return 2; }
        if ((::fcntl(3, F_GETFD) & FD_CLOEXEC) == 0) { return 3; }
        auto taken = heph::rt::net::tcp_listener::adopt(sockets->front().take());
        if (!taken || taken->local_endpoint() != address) { return 4; }
        const auto again = inherited_sockets();
        return again && again->empty() ? 0 : 5;
    });
    CHECK(status == 0);
}

TEST_CASE("systemd: variables that are another process's, or make no sense, yield no socket",
          "[rt][systemd]") {
    const int status = in_child(0, []() -> int {
        {
            const variable count("LISTEN_FDS", "1");
            const variable whose("LISTEN_PID", "1");
            const auto none = inherited_sockets();
            if (!none || !none->empty()) { return 1; }
        }
        for (const char* bad : {"-1", "x", "1x", "5000", "900"}) {
            const variable count("LISTEN_FDS", bad);
            const variable whose("LISTEN_PID", std::to_string(::getpid()));
            if (inherited_sockets()) { return 2; }
        }
        const variable count("LISTEN_FDS", "1");
        const variable whose("LISTEN_PID", std::to_string(::getpid()));
        const variable names("LISTEN_FDNAMES", "a:b");
        return inherited_sockets() ? 3 : 0;
    });
    CHECK(status == 0);
}

TEST_CASE("systemd: sockets without the process they are for are taken from a predecessor only",
          "[rt][systemd][regression]") {
    const auto bound = heph::rt::net::tcp_listener::bind(heph::rt::net::endpoint::loopback(0));
    REQUIRE(bound);
    const int status = in_child(bound->descriptor(), []() -> int {
        const variable count("LISTEN_FDS", "1");
        for (const char* nobody : {static_cast<const char*>(nullptr), ""}) {
            if (nobody != nullptr) { ::setenv("LISTEN_PID", nobody, 1); }
            const auto none = inherited_sockets();
            if (!none || !none->empty()) { return 1; }
        }
        const variable predecessor("HEPH_PREDECESSOR", "4");
        const auto sockets = inherited_sockets();
        return sockets && sockets->size() == 1 ? 0 : 2;
    });
    CHECK(status == 0);
}

TEST_CASE("systemd: no variable that names the sockets is left for children",
          "[rt][systemd][regression]") {
    const auto bound = heph::rt::net::tcp_listener::bind(heph::rt::net::endpoint::loopback(0));
    REQUIRE(bound);
    const int status = in_child(bound->descriptor(), []() -> int {
        const variable count("LISTEN_FDS", "1");
        const variable whose("LISTEN_PID", std::to_string(::getpid()));
        const variable identity("LISTEN_PIDFDID", "17");
        const variable names("LISTEN_FDNAMES", "web");
        if (!inherited_sockets()) { return 1; }
        for (char** at = environ; *at != nullptr; ++at) {
            if (std::string_view(*at).starts_with("LISTEN_")) { return 2; }
        }
        return 0;
    });
    CHECK(status == 0);
}

TEST_CASE("systemd: a manager outside of the virtual machine is refused by a word of its own",
          "[rt][systemd]") {
    for (const char* outside : {"vsock:2:1234", "vsock-stream:2:1234", "vsock-seqpacket:2:1"}) {
        const variable where("NOTIFY_SOCKET", outside);
        const auto refused = notifier::from_environment();
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == std::errc::address_family_not_supported);
    }
}

TEST_CASE("systemd: what does not listen is not adopted", "[rt][systemd]") {
    namespace net = heph::rt::net;
    const auto socket = [](int family, int type) {
        return net::socket_handle(::socket(family, type | SOCK_CLOEXEC, 0));
    };
    CHECK(net::tcp_listener::adopt(socket(AF_INET, SOCK_STREAM)).error() ==
          std::errc::invalid_argument);
    CHECK(net::tcp_listener::adopt(socket(AF_INET, SOCK_DGRAM)).error() ==
          std::errc::invalid_argument);
    CHECK(net::unix_listener::adopt(socket(AF_UNIX, SOCK_STREAM)).error() ==
          std::errc::invalid_argument);
    CHECK_FALSE(net::tcp_listener::adopt(net::socket_handle()).has_value());
    auto bound = net::tcp_listener::bind(net::endpoint::loopback(0));
    REQUIRE(bound);
    CHECK_FALSE(net::unix_listener::adopt(net::socket_handle(::dup(bound->descriptor()))));
}
