// The orderly stop of a runtime that serves.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/server.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/timer.hpp>

#include "raw_client.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;

namespace {

// Waits until the test opens it.
struct gate {
    std::atomic<int> waiting{0};
    std::atomic<bool> open{false};

    heph::task<> pass() {
        ++waiting;
        while (!open) { co_await heph::rt::timer(1ms); }
    }
};

router with_gate(const std::shared_ptr<gate>& before) {
    router routes = make_test_routes();
    routes.get("/gate", [before](request&) -> heph::task<response> {
        co_await before->pass();
        co_return response::text("passed");
    });
    routes.get("/gated-stream", [before](request&) {
        return response::stream(
            "text/plain", [before](body_writer& to) -> heph::task<std::expected<void, error>> {
                co_await before->pass();
                const auto sent = co_await to.write("passed");
                co_return sent;
            });
    });
    return routes;
}

}  // namespace

TEST_CASE("server stop: idle connections close at once", "[http][server][stop]") {
    server_setup setup;
    setup.stop_grace = 120s;
    const captured_log log;
    test_server server(make_test_routes(), setup);
    std::vector<raw_client> clients;
    for (int i = 0; i < 20; ++i) {
        clients.emplace_back(server.port());
        // The first ones never send anything. They were accepted before those that are answered.
        if (i >= 10) { CHECK(clients.back().ask(get_request("/hello")).status == 200); }
    }
    server.request_stop();
    for (auto& client : clients) {
        CHECK(client.at_end());
        CHECK_FALSE(client.was_reset());
    }
    CHECK(server.wait_for_end() < 60s);
    CHECK_FALSE(raw_client(server.port()).connected());
    CHECK(log.lines().empty());
}

TEST_CASE("server stop: what is under way is answered, with a close", "[http][server][stop]") {
    server_setup setup;
    setup.stop_grace = 120s;
    setup.limits.linger_timeout = 50ms;
    const auto before = std::make_shared<gate>();
    test_server server(with_gate(before), setup);
    // First, so that its bytes are read before those of the others that are waited for below.
    raw_client half_head(server.port());
    half_head.send("GET /hello HTTP/1.1\r\n");
    raw_client plain(server.port());
    raw_client streamed(server.port());
    raw_client pipelined(server.port());
    raw_client uploading(server.port());
    plain.send(get_request("/gate"));
    streamed.send(get_request("/gated-stream"));
    pipelined.send(get_request("/gate") + get_request("/hello"));
    uploading.send(
        "POST /length HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        "Content-Length: 3\r\n\r\n");
    CHECK(uploading.read().status == 100);
    CHECK(eventually([&] { return before->waiting == 3; }));
    server.request_stop();
    // The end of the listener shows that the stop has been seen.
    CHECK(eventually([&] { return !raw_client(server.port()).connected(); }));
    uploading.send("abc");
    half_head.send("Host: a\r\n\r\n");
    before->open = true;
    const auto check_last = [](raw_client& client, std::string_view body) {
        const reply got = client.read();
        CHECK(got.status == 200);
        CHECK(got.body == body);
        CHECK(got.complete);
        return got.closes();
    };
    CHECK(check_last(plain, "passed"));
    CHECK(check_last(pipelined, "passed"));
    CHECK(check_last(uploading, "3"));
    CHECK(check_last(half_head, "Hello, World!"));
    // Its head was made before the stop.
    CHECK_FALSE(check_last(streamed, "passed"));
    for (auto* client : {&plain, &streamed, &pipelined, &uploading, &half_head}) {
        CHECK(client->at_end());
    }
    CHECK(server.wait_for_end() < 60s);
}

TEST_CASE("server stop: what takes longer than the grace is dropped", "[http][server][stop]") {
    server_setup setup;
    setup.stop_grace = 50ms;
    const auto before = std::make_shared<gate>();
    const captured_log log;
    test_server server(with_gate(before), setup);
    raw_client client(server.port());
    client.send(get_request("/gate"));
    CHECK(eventually([&] { return before->waiting == 1; }));
    server.request_stop();
    CHECK(client.at_end());
    CHECK(server.wait_for_end() < 60s);
    // The handler, and what it held, is gone.
    CHECK(before.use_count() == 1);
}

TEST_CASE("server stop: a body that is cut by the end of the grace cannot be taken for whole",
          "[http][server][stop]") {
    server_setup setup;
    setup.stop_grace = 50ms;
    const auto before = std::make_shared<gate>();
    router routes;
    routes.get("/half", [before](request&) {
        return response::stream(
            "text/plain", [before](body_writer& to) -> heph::task<std::expected<void, error>> {
                const auto begun = co_await to.write("the first half");
                if (!begun) { co_return begun; }
                co_await before->pass();
                const auto ended = co_await to.write("the other half");
                co_return ended;
            });
    });
    const captured_log log;
    test_server server(std::move(routes), setup);
    raw_client client(server.port());
    client.send("GET /half HTTP/1.0\r\n\r\n");
    CHECK(eventually([&] { return before->waiting == 1; }));
    server.request_stop();
    const reply got = client.read();
    CHECK(got.status == 200);
    CHECK_FALSE(got.complete);
    CHECK(client.was_reset());
    CHECK(server.wait_for_end() < 60s);
}

TEST_CASE(
    "server stop: it comes before those who still wait, and takes no more than there are places",
    "[http][server][stop]") {
    constexpr std::size_t waiting = 30;
    constexpr std::size_t places = 4;
    server_options options;
    options.address = "127.0.0.1:0";
    options.limits.connections_max = places;
    const auto opened = server::open(make_test_routes(), options);
    REQUIRE(opened);
    // As a successor has it.
    const auto copy = heph::rt::duplicate(opened->hand_over("web").front().descriptor());
    REQUIRE(copy);
    std::vector<raw_client> clients;
    for (std::size_t i = 0; i < waiting; ++i) {
        clients.emplace_back(opened->local_endpoint().port());
        CHECK(clients.back().send(get_request("/hello")));
    }
    auto runtime =
        heph::rt::setup{}.name("test").threads(1).ignore_signals().stop_grace(60s).build();
    REQUIRE(runtime);
    runtime->run_on_workers([&opened](heph::rt::worker& worker) {
        opened->start(worker);
        worker.request_stop();
    });
    CHECK(runtime->start());
    std::size_t left = 0;
    for (pollfd next{copy->get(), POLLIN, 0}; ::poll(&next, 1, 0) == 1; ++left) {
        ::close(::accept(copy->get(), nullptr, nullptr));
    }
    // A driver may have accepted some more by itself before it learned of the stop.
    std::size_t served = 0;
    for (std::size_t i = 0; i < waiting - left; ++i) {
        const int status = clients[i].read().status;
        CHECK((status == 200 || status == 503));
        served += status == 200 ? 1 : 0;
    }
    CHECK(served == places);
    CHECK(left > 0);
}
