// Servers and clients over Unix sockets.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/http/middleware/trusted_proxies.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>
#include <heph/http/static_files.hpp>
#include <heph/http/ws/client.hpp>
#include <heph/http/ws/server.hpp>

#include "client_run.hpp"
#include "raw_client.hpp"
#include "rt/temporary_folder.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;
using heph::task;
using heph::rt::net::unix_address;
using heph::test::temporary_folder;

namespace {

// The path of a socket in a folder of its own.
class socket_path {
public:
    [[nodiscard]] std::string path(const char* name = "socket") const { return folder_ / name; }
    [[nodiscard]] std::string address(const char* name = "socket") const {
        return "unix:" + path(name);
    }
    [[nodiscard]] server_setup setup(const char* name = "socket") const {
        server_setup made;
        made.address = address(name);
        return made;
    }

private:
    temporary_folder folder_;
};

// Leaves a file at which nobody listens, as a server that was killed does.
void leave_stale(const std::string& path) {
    REQUIRE(heph::rt::net::unix_listener::bind(unix_address::path(path).value()));
}

client_options through(const std::string& path) {
    client_options options;
    options.unix_socket = unix_address::path(path).value();
    return options;
}

router named_routes(const std::string& name) {
    router routes;
    routes.get("/who", [name](request& asked) {
        return response::text(name + " as " + std::string(asked.header("Host").value_or("")));
    });
    return routes;
}

// Who asks, as a handler sees it.
router peer_routes() {
    router routes;
    routes.get("/peer", [](request& asked) {
        const auto peer = asked.peer();
        return response::text((peer ? peer->address_string() : "nobody") +
                              (asked.is_over_unix_socket() ? " over a Unix socket" : ""));
    });
    return routes;
}

}  // namespace

TEST_CASE("unix socket: requests, bodies and pipelined requests are answered as over TCP",
          "[http][server][unix]") {
    const socket_path where;
    server_setup setup = where.setup();
    setup.threads = 2;
    const test_server server(make_test_routes(), setup);
    raw_client client = raw_client::over_unix(where.path());
    REQUIRE(client.connected());
    CHECK(client.ask(get_request("/hello")).body == "Hello, World!");
    const std::string body(300'000, 'x');
    CHECK(client.ask(post_request("/echo", body)).body == body);
    CHECK(client.ask(get_request("/big/3000000")).body.size() == 3'000'000);
    client.send(get_request("/hello") + get_request("/hello/you") + get_request("/stream/3"));
    CHECK(client.read().body == "Hello, World!");
    CHECK(client.read().body == "Hello, you!");
    CHECK(client.read().body == "piece 0\npiece 1\npiece 2\n");
}

TEST_CASE("unix socket: files are sent over it, whole and in part", "[http][server][unix]") {
    const socket_path where;
    const temporary_folder files;
    const std::string text(1'000'003, 'f');
    std::ofstream(files / "large.txt") << text;
    router routes;
    routes.get("/{path...}", static_files(files.path().string()));
    const test_server server(std::move(routes), where.setup());
    raw_client client = raw_client::over_unix(where.path());
    CHECK(client.ask(get_request("/large.txt")).body == text);
    const reply part = client.ask(get_request("/large.txt", "Range: bytes=3-700002\r\n"));
    CHECK(part.status == 206);
    CHECK(part.body.size() == 700'000);
}

TEST_CASE("unix socket: the file has the mode that was asked for, and the server tells its address",
          "[http][server][unix]") {
    const socket_path where;
    server_options options;
    options.address = where.address();
    options.socket_mode = 0660;
    const auto opened = server::open(router(), options, 2);
    REQUIRE(opened);
    CHECK(opened->local_address() == where.address());
    CHECK(opened->local_endpoint() == heph::rt::net::endpoint());
    struct stat status{};
    REQUIRE(::stat(where.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0660U);
}

TEST_CASE("unix socket: what a dead server left is replaced, and one that lives is refused",
          "[http][server][unix]") {
    const socket_path where;
    server_options options;
    options.address = where.address();
    { REQUIRE(server::open(router(), options)); }
    // What ends in order leaves nothing.
    REQUIRE(::access(where.path().c_str(), F_OK) != 0);
    leave_stale(where.path());
    REQUIRE(::access(where.path().c_str(), F_OK) == 0);
    const test_server alive(make_test_routes(), where.setup());
    const auto second = server::open(router(), options);
    REQUIRE_FALSE(second);
    CHECK(second.error() == std::errc::address_in_use);
    CHECK(raw_client::over_unix(where.path()).ask(get_request("/hello")).status == 200);
}

TEST_CASE("unix socket: what is no address of one is an error", "[http][unix]") {
    server_options options;
    for (const auto& [address, wrong] :
         {std::pair{std::string("unix:"), std::errc::invalid_argument},
          {"unix:@", std::errc::invalid_argument},
          {"unix:/" + std::string(200, 'a'), std::errc::filename_too_long},
          {"unix:/no/such/folder/socket", std::errc::no_such_file_or_directory}}) {
        options.address = address;
        const auto opened = server::open(router(), options);
        REQUIRE_FALSE(opened);
        CHECK(opened.error() == wrong);
    }
    CHECK(server::over_unix(router(), {}, options).error() == std::errc::invalid_argument);
}

TEST_CASE("unix socket: the abstract name space has servers and clients, too",
          "[http][server][unix]") {
    const std::string name = "heph-http-" + std::to_string(::getpid());
    server_setup setup;
    setup.address = "unix:@" + name;
    const test_server server(make_test_routes(), setup);
    client_options options;
    options.unix_socket = unix_address::abstract(name).value();
    CHECK(fetch_all({"http://any.example/hello"}, options) ==
          std::vector<std::string>{"200 Hello, World!"});
}

TEST_CASE("unix socket: no address has too many connections, and an idle one makes room",
          "[http][server][unix]") {
    const captured_log log;
    const socket_path where;
    server_setup setup = where.setup();
    setup.limits.connections_per_address_max = 1;
    setup.limits.connections_max = 3;
    const test_server server(make_test_routes(), setup);
    std::vector<raw_client> clients;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(raw_client::over_unix(where.path()));
        CHECK(clients.back().ask(get_request("/hello")).status == 200);
    }
    CHECK(clients[0].at_end());
    CHECK(clients[1].ask(get_request("/hello")).status == 200);
    CHECK(log.lines().empty());
}

TEST_CASE("unix socket: a client has no address, and a trusted proxy says who it is",
          "[http][server][unix]") {
    const socket_path where;
    const test_server plain(peer_routes(), where.setup("plain"));
    const std::string asked = get_request("/peer", "X-Forwarded-For: 1.2.3.4\r\n");
    CHECK(raw_client::over_unix(where.path("plain")).ask(asked).body ==
          "nobody over a Unix socket");
    router trusting;
    trusting.use(trusted_proxies());
    trusting.mount("/", peer_routes());
    const test_server behind(std::move(trusting), where.setup("behind"));
    CHECK(raw_client::over_unix(where.path("behind")).ask(asked).body ==
          "1.2.3.4 over a Unix socket");
    trusted_proxies_options others;
    others.networks = {"127.0.0.1"};
    router doubting;
    doubting.use(trusted_proxies(others));
    doubting.mount("/", peer_routes());
    const test_server before(std::move(doubting), where.setup("before"));
    CHECK(raw_client::over_unix(where.path("before")).ask(asked).body ==
          "nobody over a Unix socket");
}

TEST_CASE("unix socket: whom nobody knows over TCP is not trusted as if by a Unix socket",
          "[http][unix]") {
    router routes;
    trusted_proxies_options options;
    options.networks = {"unix:"};
    routes.use(trusted_proxies(options));
    routes.mount("/", peer_routes());
    const test_server server(std::move(routes));
    raw_client client(server.port());
    CHECK(client.ask(get_request("/peer", "X-Forwarded-For: 1.2.3.4\r\n")).body == "127.0.0.1");
}

TEST_CASE("unix socket: a block is small, so that who takes it slowly is seen to take it",
          "[http][server][unix]") {
    const captured_log log;
    const socket_path where;
    std::atomic<std::uint64_t> taken{0};
    std::atomic<bool> told{false};
    router routes = make_test_routes();
    routes.observe([&](const exchange& what) {
        taken = what.body_bytes_sent;
        told = true;
    });
    server_setup setup = where.setup();
    setup.limits.send_timeout = 50ms;
    const test_server server(std::move(routes), setup);
    raw_client client = raw_client::over_unix(where.path());
    // As much as fits into the kernel's buffers is sent, and the rest is not.
    client.send(get_request("/big/30000000"));
    CHECK(eventually([&] { return told.load(); }));
    CHECK(taken >= 16 * 1024);
    CHECK(taken < 30'000'000);
}

TEST_CASE(
    "unix socket: a client asks whatever its URLs say, and keeps the connections of paths apart",
    "[http][client][unix]") {
    const socket_path where;
    const test_server one(named_routes("one"), where.setup("one"));
    const test_server two(named_routes("two"), where.setup("two"));
    std::vector<std::string> told;
    with_client(
        [&](client made) -> task<> {
            return
                [](client with, const socket_path* to, std::vector<std::string>* heard) -> task<> {
                    const std::string url = "http://service.example:81/who";
                    heard->push_back(co_await fetch(with, url));
                    client_request other(method::get, url);
                    other.set_unix_socket(unix_address::path(to->path("two")).value());
                    auto got = co_await with.send(std::move(other));
                    heard->push_back(co_await outcome(std::move(got)));
                    heard->push_back(co_await fetch(with, url));
                    heard->push_back(std::to_string(with.idle_connections()));
                    heard->push_back(co_await fetch(with, "http://other.example/who"));
                }(std::move(made), &where, &told);
        },
        through(where.path("one")));
    CHECK(told == std::vector<std::string>{
                      "200 one as service.example:81", "200 two as service.example:81",
                      "200 one as service.example:81", "2", "200 one as other.example"});
}

TEST_CASE("unix socket: a client sends bodies, follows redirects there, and passes by proxies",
          "[http][client][unix]") {
    const socket_path where;
    router routes = make_test_routes();
    routes.get("/moved", [](request&) {
        response answer = response::empty(status::found);
        answer.set_header("Location", "http://elsewhere.example/hello");
        return answer;
    });
    const test_server server(std::move(routes), where.setup());
    client_options options = through(where.path());
    options.redirects_max = 1;
    options.proxies.set_http(proxy::parse("http://127.0.0.1:1").value());
    std::vector<std::string> told;
    with_client(
        [&](client made) -> task<> {
            return [](client with, std::vector<std::string>* heard) -> task<> {
                heard->push_back(co_await fetch(with, "http://service.example/moved"));
                client_request sent(method::post, "http://service.example/length");
                sent.set_body(std::string(700'000, 'x'));
                auto got = co_await with.send(std::move(sent));
                heard->push_back(co_await outcome(std::move(got)));
            }(std::move(made), &told);
        },
        options);
    CHECK(told == std::vector<std::string>{"200 Hello, World!", "200 700000"});
}

TEST_CASE("unix socket: where nobody listens, a client says what the system says",
          "[http][client][unix]") {
    const socket_path where;
    CHECK(fetch_all({"http://a/"}, through(where.path())) ==
          std::vector{text_of(std::errc::no_such_file_or_directory)});
    leave_stale(where.path());
    CHECK(fetch_all({"http://a/"}, through(where.path())) ==
          std::vector{text_of(std::errc::connection_refused)});
}

TEST_CASE("unix socket: a server goes on with a socket that another one had",
          "[http][server][unix]") {
    const socket_path where;
    server_options options;
    options.address = where.address();
    const auto first = server::open(named_routes("first"), options, 2);
    REQUIRE(first);
    const auto handed = first->hand_over("web");
    REQUIRE(handed.size() == 1);
    auto adopted = heph::rt::net::unix_listener::adopt(
        heph::rt::net::socket_handle(::fcntl(handed[0].descriptor(), F_DUPFD_CLOEXEC, 0)));
    REQUIRE(adopted);
    std::vector<heph::rt::net::unix_listener> listeners;
    listeners.push_back(std::move(*adopted));
    const auto next = server::over_unix(named_routes("next"), std::move(listeners), options, 2);
    REQUIRE(next);
    CHECK(next->local_address() == first->local_address());
    auto runtime = heph::rt::setup{}.name("test").threads(2).ignore_signals().build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](heph::rt::worker& worker) { next->start(worker); });
    std::thread running([&] { (void)runtime->start(); });
    CHECK(
        raw_client::over_unix(where.path()).ask(get_request("/who")).body.starts_with("next as "));
    runtime->shared().request_stop();
    running.join();
}

TEST_CASE("unix socket: WebSockets go over it", "[http][client][unix]") {
    const socket_path where;
    router routes;
    routes.get("/echo", [](request& asked) {
        return ws::accept(asked, [](ws::socket& socket) -> task<> {
            while (auto message = co_await socket.receive()) {
                const bool sent = co_await socket.send(std::move(*message));
                if (!sent) { break; }
            }
        });
    });
    const test_server server(std::move(routes), where.setup());
    std::string heard;
    with_client(
        [&](client made) -> task<> {
            return [](client with, std::string* to) -> task<> {
                auto connecting = ws::connect(with, "ws://service.example/echo");
                auto socket = co_await std::move(connecting);
                REQUIRE(socket);
                const bool sent = co_await socket->send_text(std::string(100'000, 'm'));
                CHECK(sent);
                const auto back = co_await socket->receive();
                REQUIRE(back);
                *to = std::to_string(back->payload().size());
                auto closing = socket->close();
                co_await closing;
            }(std::move(made), &heard);
        },
        through(where.path()));
    CHECK(heard == "100000");
}
