// Handlers that ask actors, on their own worker and on others.

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/core/actor_ref.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/rt/timer.hpp>

#include "raw_client.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;

namespace {

using add = heph::rpc<int, int>;

heph::task<> counter(heph::rt::shared_context<add> ctx) {
    int total = 0;
    while (auto message = co_await ctx.receive()) {
        total += message->request();
        message->respond(total);
    }
}

heph::task<> silent(heph::rt::shared_context<add> ctx) {
    while (auto message = co_await ctx.receive()) {}
}

struct cast {
    heph::actor_ref<add> counter;
    heph::actor_ref<add> silent;
};

heph::task<response> ask(heph::actor_ref<add> whom, int amount) {
    const auto total = co_await whom.rpc(amount);
    if (!total) { co_return response::problem(status::service_unavailable); }
    co_return response::text(std::to_string(*total));
}

}  // namespace

TEST_CASE("server: handlers ask actors and wait for time", "[http][server]") {
    const auto actors = std::make_shared<std::optional<cast>>();
    const auto started = std::make_shared<std::once_flag>();
    server_setup setup;
    setup.threads = 2;
    setup.stop_grace = 50ms;  // The actors do not stop by themselves.
    const captured_log log;
    setup.on_worker = [actors, started](heph::rt::worker& worker) {
        std::call_once(*started, [&] {
            auto runtime = worker.shared();
            actors->emplace(runtime.spawn(heph::stop_supervisor{}, heph::actor_fn(counter)),
                            runtime.spawn(heph::stop_supervisor{}, heph::actor_fn(silent)));
        });
    };
    router routes;
    routes.post("/add/{n}", [actors](request& request) {
        return ask((*actors)->counter, std::stoi(std::string(request.param("n"))));
    });
    routes.get("/silent", [actors](request&) { return ask((*actors)->silent, 1); });
    routes.get("/patient", [actors](request&) -> heph::task<response> {
        co_await heph::rt::timer(5ms);
        auto bounded = heph::rt::deadline(60s, ask((*actors)->counter, 0));
        auto answer = co_await bounded;
        if (!answer) { co_return response::problem(status::gateway_timeout); }
        co_return std::move(*answer);
    });
    const test_server server(std::move(routes), setup);
    std::vector<raw_client> clients;
    for (int i = 0; i < 16; ++i) { clients.emplace_back(server.port()); }
    constexpr int rounds = 20;
    for (auto& client : clients) {
        std::string all;
        for (int i = 0; i < rounds; ++i) { all += post_request("/add/1", ""); }
        client.send(all);
    }
    int highest = 0;
    for (auto& client : clients) {
        int before = 0;
        for (int i = 0; i < rounds; ++i) {
            const reply got = client.read();
            const int total = std::atoi(got.body.c_str());
            CHECK(total > before);  // In order within a connection.
            before = total;
        }
        highest = std::max(highest, before);
    }
    CHECK(highest == 16 * rounds);
    CHECK(clients[0].ask(get_request("/silent")).status == 503);
    CHECK(clients[1].ask(get_request("/patient")).body == std::to_string(highest));
    CHECK(clients[0].ask(post_request("/add/1", "")).body == std::to_string(highest + 1));
}
