// Serving over https: hostile and unlucky clients, reload, stop.

#include <chrono>
#include <cstdint>
#include <fstream>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <heph/http/static_files.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/tls/stream.hpp>

#include "http/raw_client.hpp"
#include "https_setting.hpp"
#include "rt/temporary_folder.hpp"

using namespace heph_tests;
using namespace std::chrono_literals;
using heph::test::temporary_folder;
using http::test::captured_log;
using http::test::get_request;
using http::test::raw_client;
using http::test::test_server;

TEST_CASE("https server: plain HTTP on its port is answered with 400, and closed", "[https]") {
    const https_setting with;
    test_server server(http::test::make_test_routes(), with.server());
    raw_client client(server.port());
    const auto answer = client.ask(get_request("/hello"));
    CHECK(answer.status == 400);
    CHECK(answer.body.find("https://") != std::string::npos);
    CHECK(answer.closes());
    client.end_sending();
    CHECK(client.at_end());
    CHECK(fetch_all({https_url(server, "/hello")}, with.client()) ==
          std::vector<std::string>{"200 Hello, World!"});
}

TEST_CASE("https server: bytes that are nothing are logged once, and closed", "[https]") {
    const captured_log log;
    const https_setting with;
    test_server server(http::test::make_test_routes(), with.server());
    for (const std::string& bytes : {std::string("\0\0\0\0", 4), std::string(300, '\xff'),
                                     std::string("\x16\x03\x01\x00\x05\x01\x02\x03\x04\x05", 10)}) {
        raw_client client(server.port());
        client.send(bytes);
        (void)client.read_rest();
        CHECK(client.at_end());
    }
    CHECK(log.count("TLS handshake: ") == 3);
}

TEST_CASE("https server: a client that does not shake hands in time is closed", "[https]") {
    const captured_log log;
    const https_setting with;
    auto setup = with.server();
    setup.limits.handshake_timeout = 50ms;
    test_server server(http::test::make_test_routes(), setup);
    raw_client silent(server.port());
    raw_client slow(server.port());
    slow.send(std::string("\x16\x03\x01", 3));
    CHECK(silent.at_end());
    CHECK(slow.at_end());
    CHECK(log.count("TLS handshake: ") >= 1);
}

TEST_CASE("https server: a stop does not wait for handshakes", "[https]") {
    const https_setting with;
    auto setup = with.server();
    setup.stop_grace = 120s;
    test_server server(http::test::make_test_routes(), setup);
    const raw_client silent(server.port());
    REQUIRE(fetch_all({https_url(server, "/hello")}, with.client()).size() == 1);
    server.request_stop();
    CHECK(server.wait_for_end() < 60s);
}

namespace {

// Asks for a body that ends with the connection, has the server stop within it, and gives how it
// ends.
task<> ask_until_stop(const test_server* server, tls::client_context context, std::string* got,
                      std::error_code* end) {
    namespace net = heph::rt::net;
    const auto to = net::endpoint::parse("127.0.0.1:" + std::to_string(server->port()));
    auto connected = co_await net::tcp_stream::connect(*to);
    REQUIRE(connected);
    tls::stream stream(std::move(*connected), std::move(context.connect("127.0.0.1").value()));
    auto request = heph::rt::buffer::copy_of("GET /half HTTP/1.0\r\n\r\n");
    const auto sent = co_await stream.send_all(std::move(request));
    REQUIRE(sent);
    for (;;) {
        const auto piece = co_await stream.next();
        if (!piece) { *end = piece.error(); }
        if (!piece || piece->empty()) { co_return; }
        got->append(piece->view());
        if (got->ends_with("half")) { server->request_stop(); }
    }
}

}  // namespace

TEST_CASE("https server: a body that the end of a stop cuts has no announced end", "[https]") {
    const https_setting with;
    auto setup = with.server();
    setup.stop_grace = 50ms;
    http::router routes;
    routes.get("/half", [](http::request&) {
        return http::response::stream(
            "text/plain", [](http::body_writer& to) -> task<std::expected<void, http::error>> {
                const auto begun = co_await to.write("half");
                if (!begun) { co_return begun; }
                co_await heph::rt::timer(1h);
                co_return std::expected<void, http::error>();
            });
    });
    const captured_log log;
    const test_server server(std::move(routes), setup);
    auto client = http::make_client_tls(trust_in(with.ca));
    REQUIRE(client);
    std::string got;
    std::error_code end;
    heph::test::run_task([&] { return ask_until_stop(&server, std::move(*client), &got, &end); });
    CHECK(got.ends_with("half"));
    CHECK(end);
}

TEST_CASE("https server: a connection too many is told so over TLS", "[https]") {
    const https_setting with;
    auto setup = with.server();
    setup.limits.connections_max = 1;
    test_server server(http::test::make_test_routes(), setup);
    // It has not shaken hands, and counts.
    const raw_client holder(server.port());
    const auto all = fetch_all({https_url(server, "/hello")}, with.client());
    REQUIRE(all.size() == 1);
    CHECK(all[0].starts_with("503 "));
}

TEST_CASE("https server: a reload reaches new connections, and no kept one is dropped", "[https]") {
    https_setting with;
    const authority next("next authority");
    test_server server(http::test::make_test_routes(), with.server());
    std::vector<std::string> log;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client kept, std::string url, https_setting* setting,
                      const authority* other, std::vector<std::string>* to) -> task<> {
                to->push_back(co_await fetch(kept, url));
                certificate_order order;
                order.addresses = {"127.0.0.1"};
                tls::server_config config(to_certificate(other->issue(order)));
                CHECK(setting->context.reload(config));
                to->push_back(co_await fetch(kept, url));
                CHECK(kept.idle_connections() == 1);
                kept.close_idle();
                to->push_back(co_await fetch(kept, url));
            }(std::move(client), https_url(server, "/hello"), &with, &next, &log);
        },
        with.client());
    CHECK(log == std::vector<std::string>{"200 Hello, World!", "200 Hello, World!",
                                          text_of(tls::errc::unknown_authority)});
    CHECK(fetch_all({https_url(server, "/hello")}, https_setting::client(trust_in(next))) ==
          std::vector<std::string>{"200 Hello, World!"});
}

TEST_CASE("https server: streams flow both ways, and their ends are announced", "[https]") {
    const https_setting with;
    test_server server(http::test::make_test_routes(), with.server());
    std::uint64_t received = 0;
    std::string streamed;
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client asked, std::string base, std::uint64_t* count,
                      std::string* pieces) -> task<> {
                http::client_request sent(http::method::post, base + "/echo");
                sent.set_stream(
                    [](http::body_writer& out) -> task<std::expected<void, http::error>> {
                        const std::string piece(10'000, 'y');
                        for (int i = 0; i < 300; ++i) {
                            const auto written = co_await out.write(piece);
                            if (!written) { co_return written; }
                        }
                        co_return std::expected<void, http::error>();
                    });
                auto got = co_await asked.send(std::move(sent));
                while (got) {
                    const auto piece = co_await got->next();
                    if (!piece || piece->empty()) { break; }
                    *count += piece->size();
                }
                *pieces = co_await fetch(asked, base + "/stream/3");
            }(std::move(client), https_url(server, ""), &received, &streamed);
        },
        with.client());
    CHECK(received == 3'000'000);
    CHECK(streamed == "200 piece 0\npiece 1\npiece 2\n");
}

TEST_CASE("https server: large bodies and files come whole", "[https]") {
    const temporary_folder folder;
    std::string text;
    for (int i = 0; text.size() < 1'500'000; ++i) { text += std::to_string(i) + ' '; }
    std::ofstream(folder / "large") << text;
    for (const auto offload : {tls::kernel_offload::automatic, tls::kernel_offload::always}) {
        http::router routes;
        routes.get("/files/{path...}", http::static_files(folder.path()));
        routes.get("/text", [&text](http::request&) { return http::response::text(text); });
        https_setting with;
        auto config = with.config();
        config.offload = offload;
        with.context = http::make_server_tls(config).value();
        test_server server(std::move(routes), with.server());
        const auto got = fetch_all({https_url(server, "/files/large"), https_url(server, "/text"),
                                    https_url(server, "/files/large")},
                                   with.client());
        CHECK((got == std::vector<std::string>(3, "200 " + text)));
    }
}

TEST_CASE("https server: a handler learns what the handshake has settled, and who the client is",
          "[https]") {
    const https_setting with;
    const authority people("people's authority");
    tls::server_config config = with.config();
    config.clients = tls::client_certificates::optional;
    config.client_authorities = trusting(people);
    auto context = http::make_server_tls(config);
    REQUIRE(context);
    http::test::server_setup setup;
    setup.tls = http::secured_by(*context);
    http::router routes;
    routes.get("/", [](http::request& asked) {
        const auto settled = asked.secure_session();
        if (!settled) { return http::response::text("plain"); }
        std::string told = settled->version + " " + settled->protocol + " " + settled->server_name;
        if (settled->peer) {
            told += " " + settled->peer->subject + " " + settled->peer->names.at(0) + " " +
                    std::to_string(settled->peer->fingerprint.size());
        }
        return http::response::text(std::move(told) + (settled->cipher.empty() ? " !" : ""));
    });
    test_server server(std::move(routes), setup);
    const std::string url = "https://localhost:" + std::to_string(server.port()) + "/";

    tls::client_config anonymous = trust_in(with.ca);
    anonymous.version_min = tls::version::tls_1_3;
    CHECK(fetch_all({url}, https_setting::client(anonymous)) ==
          std::vector<std::string>{"200 TLSv1.3 http/1.1 localhost"});
    tls::client_config known = trust_in(with.ca);
    certificate_order order;
    order.names = {"alice.example"};
    known.own = to_certificate(people.issue(order));
    const auto told = fetch_all({url}, https_setting::client(known));
    REQUIRE(told.size() == 1);
    CHECK(told[0].starts_with("200 TLSv1."));
    CHECK(told[0].find(" http/1.1 localhost ") != std::string::npos);
    CHECK(told[0].ends_with(" alice.example 64"));
}

TEST_CASE("https server: over a plain connection there is no session", "[https]") {
    http::router routes;
    routes.get("/", [](http::request& asked) {
        return http::response::text(asked.secure_session() ? "secure" : "plain");
    });
    test_server server(std::move(routes));
    raw_client client(server.port());
    CHECK(client.ask(get_request("/")).body == "plain");
}

TEST_CASE("https server: the access log has the bytes that TLS was given, also of a cut answer",
          "[https]") {
    const https_setting with;
    std::mutex mutex;
    std::vector<std::pair<std::uint64_t, bool>> told;
    http::router routes = http::test::make_test_routes();
    routes.observe([&](const http::exchange& what) {
        const std::lock_guard<std::mutex> lock(mutex);
        told.emplace_back(what.body_bytes_sent, what.complete);
    });
    test_server server(std::move(routes), with.server());
    CHECK(fetch_all({https_url(server, "/big/300000"), https_url(server, "/hello")},
                    with.client())[1] == "200 Hello, World!");
    with_client(
        [&](http::client client) -> task<> {
            return [](http::client asks, std::string url) -> task<> {
                auto dropped = co_await asks.get(url);
                CHECK(dropped);
            }(std::move(client), https_url(server, "/big/50000000"));
        },
        with.client());
    CHECK(http::test::eventually([&] {
        const std::lock_guard<std::mutex> lock(mutex);
        return told.size() == 3;
    }));
    const std::lock_guard<std::mutex> lock(mutex);
    REQUIRE(told.size() == 3);
    CHECK(told[0] == std::pair(std::uint64_t{300'000}, true));
    CHECK(told[1] == std::pair(std::uint64_t{13}, true));
    CHECK(told[2].first > 0);
    CHECK(told[2].first < 50'000'000);
    CHECK_FALSE(told[2].second);
}
