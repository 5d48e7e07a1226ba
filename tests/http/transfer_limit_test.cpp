// How slowly clients of one route may read and write, with limits of a few milliseconds.

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/http/middleware/body_limit.hpp>
#include <heph/http/middleware/transfer_limit.hpp>

#include "raw_client.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;

namespace {

response large(request&) {
    return response::bytes(std::string(50'000'000, 'x'), "application/octet-stream");
}

// Counts the answers that were not sent whole.
void count_cut(router& routes, std::atomic<int>& cut) {
    routes.observe([&cut](const exchange& what) { cut += what.complete ? 0 : 1; });
}

heph::task<response> length(request& asked) {
    const auto body = co_await asked.read_body();
    if (!body) { co_return response::problem(body.error()); }
    co_return response::text(std::to_string(body->size()));
}

}  // namespace

TEST_CASE("transfer limit: one route has a shorter send time-out than the server",
          "[http][server][limit]") {
    const captured_log log;
    router routes;
    std::atomic<int> cut{0};
    count_cut(routes, cut);
    routes.get("/short", with(send_limit(80ms, 0), large));
    routes.get("/long", large);
    server_setup setup;
    setup.limits.send_timeout = 60s;
    const test_server server(std::move(routes), setup);
    raw_client patient(server.port(), 4096);
    patient.send(get_request("/long"));
    raw_client slow(server.port(), 4096);
    slow.send(get_request("/short"));
    // It reads nothing until it was given up.
    REQUIRE(eventually([&] { return cut == 1; }));
    CHECK_FALSE(slow.read().complete);
    // The other one, which waits for longer, was not touched meanwhile.
    const reply whole = patient.read();
    CHECK(whole.complete);
    CHECK(whole.body.size() == 50'000'000);
}

TEST_CASE("transfer limit: one route lets clients read more slowly than the server",
          "[http][server][limit]") {
    const captured_log log;
    router routes;
    std::atomic<int> cut{0};
    count_cut(routes, cut);
    routes.get("/long", with(send_limit(60s, 0), large));
    routes.get("/short", large);
    server_setup setup;
    setup.limits.send_timeout = 80ms;
    const test_server server(std::move(routes), setup);
    raw_client patient(server.port(), 4096);
    patient.send(get_request("/long"));
    raw_client slow(server.port(), 4096);
    slow.send(get_request("/short"));
    REQUIRE(eventually([&] { return cut == 1; }));
    CHECK_FALSE(slow.read().complete);
    CHECK(patient.read().complete);
}

TEST_CASE("transfer limit: a request's limits do not last for the next one",
          "[http][server][limit]") {
    router routes;
    const auto tell_paces = [](request& asked) {
        return response::text(std::to_string(asked.send_pace().pause.count()) + " " +
                              std::to_string(asked.send_pace().bytes_per_second_min) + " " +
                              std::to_string(asked.receive_pace().pause.count()) + " " +
                              std::to_string(asked.receive_pace().bytes_per_second_min));
    };
    routes.get("/set", with(send_limit(1s, 5), receive_limit(2s, 7), tell_paces));
    routes.get("/read", tell_paces);
    const test_server server(std::move(routes));
    raw_client client(server.port());
    CHECK(client.ask(get_request("/set")).body == "1000 5 2000 7");
    CHECK(client.ask(get_request("/read")).body == "30000 1024 5000 1024");
}

TEST_CASE("transfer limit: one route takes bodies more slowly, or less so, than the server",
          "[http][server][limit]") {
    const captured_log log;
    router routes;
    routes.post("/short", with(receive_limit(50ms, 1'000'000), length));
    routes.post("/long", with(receive_limit(60s, 1), length));
    server_setup setup;
    setup.limits.body_grace = 100ms;
    setup.limits.linger_timeout = 10ms;
    const std::string head = " HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfo";
    const test_server server(std::move(routes), setup);
    raw_client patient(server.port());
    patient.send("POST /long" + head);
    raw_client slow(server.port());
    CHECK(slow.ask("POST /short" + head).status == 408);
    CHECK(patient.ask("ur").body == "4");
}

TEST_CASE("transfer limit: time-outs that make no sense are refused", "[http][limit]") {
    CHECK_THROWS_AS(send_limit(0ms, 1), std::invalid_argument);
    CHECK_THROWS_AS(receive_limit(-1ms, 1), std::invalid_argument);
}
