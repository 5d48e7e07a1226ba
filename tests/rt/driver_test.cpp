// Which driver a runtime gets, and what is special about readiness and blocking threads.

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/log.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "busy_descriptors.hpp"
#include "confined.hpp"
#include "driver_choice.hpp"
#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::driver_kind;
using heph::rt::worker;
using heph::rt::net::endpoint;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using heph::test::run_task;

namespace {

task<> echo_until_end(tcp_stream stream) {
    for (;;) {
        const auto arrived = co_await stream.next();
        if (!arrived || arrived->empty()) { co_return; }
        buffer reply;
        reply.append(arrived->bytes());
        const auto sent = co_await stream.send_all(std::move(reply));
        if (!sent) { co_return; }
    }
}

task<> echo_one(tcp_listener listener) {
    auto accepted = co_await listener.accept();
    if (accepted) { co_await echo_until_end(std::move(*accepted)); }
}

// Counts the rounds in which a text came back.
task<> talk(endpoint server, int rounds, int* came_back) {
    auto connected = co_await tcp_stream::connect(server);
    if (!connected) { co_return; }
    for (int i = 0; i < rounds; ++i) {
        auto text = buffer::copy_of("hello");
        const auto sent = co_await connected->send_all(std::move(text));
        const auto back = co_await connected->next();
        if (sent && back && back->view() == "hello") { ++*came_back; }
    }
}

// What the log handler hears.
std::mutex log_mutex;
std::vector<std::string> logged;

void keep_log(heph::log_level, std::string_view message) noexcept {
    const std::lock_guard lock(log_mutex);
    logged.emplace_back(message);
}

// Gives the number of rounds that a runtime of default settings served, and which driver it has.
std::string serve_something() {
    heph::rt::setup settings;
    settings.ignore_signals().threads(2);
    auto runtime = settings.build();
    if (!runtime) { return std::string(runtime.error().message()); }
    int came_back = 0;
    runtime->run_on_workers([&came_back](worker& here) {
        if (here.index() != 0) { return; }
        auto listener = tcp_listener::bind(endpoint::loopback(0));
        if (!listener) { return; }
        const auto server = listener->local_endpoint();
        here.spawn_future(echo_one(std::move(*listener)));
        here.spawn_future(talk(*server, 3, &came_back));
    });
    const auto ended = runtime->start();
    return std::string(name_of(runtime->driver())) + (ended ? " " : " failed ") +
           std::to_string(came_back);
}

}  // namespace

TEST_CASE("driver: HEPH_DRIVER names a driver, and anything else is an error", "[rt][driver]") {
    using heph::rt::detail::parse_driver;
    CHECK(parse_driver(nullptr) == driver_kind::automatic);
    CHECK(parse_driver("") == driver_kind::automatic);
    CHECK(parse_driver("auto") == driver_kind::automatic);
    CHECK(parse_driver("uring") == driver_kind::io_uring);
    CHECK(parse_driver("io_uring") == driver_kind::io_uring);
    CHECK(parse_driver("epoll") == driver_kind::epoll);
    for (const char* bad : {"Epoll", "select", " epoll", "0"}) {
        const auto parsed = parse_driver(bad);
        REQUIRE_FALSE(parsed);
        CHECK_THAT(std::string(parsed.error().message()), Catch::Contains("HEPH_DRIVER") &&
                                                              Catch::Contains(bad) &&
                                                              Catch::Contains("uring or epoll"));
    }
}

TEST_CASE("driver: a runtime of a bad HEPH_DRIVER is not made", "[rt][driver]") {
    const std::string said = heph::test::said_without_io_uring([] {
        ::setenv("HEPH_DRIVER", "kqueue", 1);
        return serve_something();
    });
    CHECK_THAT(said, Catch::Contains("HEPH_DRIVER is \"kqueue\""));
}

TEST_CASE("driver: where io_uring is refused, runtimes work on epoll and one warning says why",
          "[rt][driver]") {
    const std::string said = heph::test::said_without_io_uring([] {
        ::unsetenv("HEPH_DRIVER");
        heph::set_log_handler(&keep_log);
        std::string all = serve_something() + "; " + serve_something();
        heph::set_log_handler(nullptr);
        for (const std::string& line : logged) { all += "; " + line; }
        return all;
    });
    CHECK_THAT(said, Catch::StartsWith("epoll 3; epoll 3; the kernel refuses io_uring") &&
                         Catch::Contains("a seccomp filter forbids it") &&
                         Catch::EndsWith("epoll is used instead, which is slower"));
    CHECK(said.find("refuses", said.find("refuses") + 1) == std::string::npos);
}

TEST_CASE("driver: a runtime whose workers are refused io_uring does not say that they use it",
          "[rt][driver]") {
    heph::rt::setup settings;
    settings.ignore_signals().threads(2);
    auto runtime = settings.build();
    REQUIRE(runtime);
    const driver_kind before = runtime->driver();
    const char* asked = std::getenv("HEPH_DRIVER");
    if (asked != nullptr && heph::rt::detail::parse_driver(asked) == driver_kind::io_uring) {
        return;
    }
    const std::string said = heph::test::said_without_io_uring([&runtime] {
        const auto ended = runtime->start();
        return std::string(name_of(runtime->driver())) + (ended ? "" : " failed");
    });
    CHECK(said == "epoll");
    CHECK(runtime->driver() == before);
}

TEST_CASE("driver: HEPH_DRIVER=uring where io_uring is refused is an error", "[rt][driver]") {
    const std::string said = heph::test::said_without_io_uring([] {
        ::setenv("HEPH_DRIVER", "uring", 1);
        return serve_something();
    });
    CHECK_THAT(said, Catch::StartsWith("the kernel refuses io_uring"));
}

TEST_CASE("driver: the option decides, whatever the environment says", "[rt][driver]") {
    for (const driver_kind kind : {driver_kind::io_uring, driver_kind::epoll}) {
        auto settings = quiet_setup();
        const auto runtime = settings.driver(kind).build();
        REQUIRE(runtime);
        CHECK(runtime->driver() == kind);
    }
}

TEST_CASE("driver: a connect that nobody answers is given up at its deadline", "[rt][driver]") {
    // A listener that accepts nobody and has its backlog full: what is sent to it is ignored.
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(listener >= 0);
    REQUIRE(::listen(listener, 0) == 0);
    sockaddr_in address{};
    socklen_t bytes = sizeof(address);
    REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &bytes) == 0);
    const endpoint server = endpoint::loopback(ntohs(address.sin_port));
    bool given_up = false;
    run_task([&]() -> task<> {
        return [](endpoint to, bool* unanswered) -> task<> {
            std::vector<tcp_stream> connected;
            for (int i = 0; i < 10 && !*unanswered; ++i) {
                auto bounded = heph::rt::deadline(50ms, tcp_stream::connect(to));
                auto made = co_await bounded;
                if (!made) {
                    *unanswered = true;
                } else {
                    REQUIRE(*made);
                    connected.push_back(std::move(**made));
                }
            }
        }(server, &given_up);
    });
    CHECK(given_up);
    ::close(listener);
}

TEST_CASE("driver: a worker that signals interrupt loses nothing", "[rt][driver]") {
    struct sigaction ignoring{};
    ignoring.sa_handler = [](int) {};
    struct sigaction before{};
    REQUIRE(::sigaction(SIGURG, &ignoring, &before) == 0);
    int came_back = 0;
    std::atomic<pthread_t> target{};
    std::atomic<bool> done{false};
    std::atomic<bool> left{false};
    {
        std::jthread interrupting([&](const std::stop_token& end) {
            while (!end.stop_requested() && !done) {
                if (target.load() != 0) { ::pthread_kill(target.load(), SIGURG); }
                std::this_thread::yield();
            }
            left = true;
        });
        run_on_worker(quiet_setup(), [&](worker& here) {
            target = ::pthread_self();
            auto listener = tcp_listener::bind(endpoint::loopback(0));
            REQUIRE(listener);
            const auto server = listener->local_endpoint();
            REQUIRE(server);
            here.spawn_future(echo_one(std::move(*listener)));
            here.spawn_future([](endpoint to, int* rounds, std::atomic<bool>* end,
                                 const std::atomic<bool>* over) -> task<> {
                co_await talk(to, 500, rounds);
                auto zeros = co_await heph::rt::fs::file::open("/dev/zero");
                REQUIRE(zeros);
                for (int i = 0; i < 50; ++i) {
                    const auto read = co_await zeros->read_at(buffer::with_capacity(64), 0);
                    REQUIRE(read);
                    CHECK(read->size() == 64);
                }
                *end = true;
                // The thread must be there for as long as it may be sent a signal.
                while (!*over) { co_await heph::rt::timer(1ms); }
            }(*server, &came_back, &done, &left));
        });
    }
    CHECK(came_back == 500);
    REQUIRE(::sigaction(SIGURG, &before, nullptr) == 0);
}

TEST_CASE("driver: a descriptor that others work on is closed when the last has done",
          "[rt][driver]") {
    using heph::rt::detail::close_when_let_go;
    using heph::rt::detail::hold_descriptor;
    using heph::rt::detail::let_go_of_descriptor;
    using heph::rt::detail::slot;
    const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    REQUIRE(descriptor >= 0);
    const auto is_open = [descriptor] { return ::fcntl(descriptor, F_GETFD) >= 0; };
    CHECK_FALSE(close_when_let_go(descriptor));
    slot first;
    slot second;
    slot stranger;
    first.request.descriptor = descriptor;
    second.request.descriptor = descriptor;
    stranger.request.descriptor = descriptor + 64;
    hold_descriptor(first);
    hold_descriptor(stranger);
    hold_descriptor(second);
    CHECK(close_when_let_go(descriptor));
    let_go_of_descriptor(second);
    CHECK(is_open());
    let_go_of_descriptor(first);
    CHECK_FALSE(is_open());
    CHECK_FALSE(close_when_let_go(descriptor));
    let_go_of_descriptor(stranger);
}

TEST_CASE("driver: files dropped while they are written to spoil no others", "[rt][driver]") {
    std::string pattern = (std::filesystem::temp_directory_path() / "heph-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    const std::filesystem::path folder = pattern;
    run_task([&folder]() -> task<> {
        return [](std::filesystem::path in) -> task<> {
            using heph::rt::fs::file;
            using heph::rt::fs::open_options;
            for (int i = 0; i < 100; ++i) {
                {
                    auto victim = co_await file::open(in / "victim",
                                                      open_options().write().create().truncate());
                    REQUIRE(victim);
                    auto bytes = buffer::copy_of(std::string(200'000, 'v'));
                    auto write = heph::rt::deadline(0ms, victim->write_at(std::move(bytes), 0));
                    (void)co_await write;
                }
                auto other = co_await file::open(in / "other",
                                                 open_options().read().write().create().truncate());
                REQUIRE(other);
                const auto written = co_await other->append(buffer::copy_of("mine"));
                REQUIRE(written);
                const auto read = co_await other->read_at(buffer::with_capacity(100), 0);
                REQUIRE(read);
                CHECK(read->view() == "mine");
            }
        }(folder);
    });
    std::filesystem::remove_all(folder);
}
