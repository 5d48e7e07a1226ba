// Two servers on one socket, as a restart has them.

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/server.hpp>
#include <heph/rt/runtime.hpp>

#include "raw_client.hpp"
#include "test_routes.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;

namespace {

class service {
public:
    service(const server& served, std::size_t threads) {
        auto built = heph::rt::setup{}
                         .name("test")
                         .threads(threads)
                         .ignore_signals()
                         .stop_grace(10s)
                         .build();
        REQUIRE(built);
        runtime_.emplace(std::move(*built));
        runtime_->run_on_workers([served](heph::rt::worker& worker) { served.start(worker); });
        thread_ = std::thread([this] { (void)runtime_->start(); });
    }
    service(const service&) = delete;
    service& operator=(const service&) = delete;
    ~service() { stop(); }
    void stop() {
        if (!thread_.joinable()) { return; }
        runtime_->shared().request_stop();
        thread_.join();
    }

private:
    std::optional<heph::rt::runtime> runtime_;
    std::thread thread_;
};

router named_routes(const std::string& name) {
    router routes;
    routes.get("/who", [name](request&) { return response::text(name); });
    return routes;
}

// The listeners as the next process gets them.
std::vector<heph::rt::net::tcp_listener> inherit(const server& from) {
    std::vector<heph::rt::net::tcp_listener> all;
    for (const auto& each : from.hand_over("web")) {
        CHECK(each.name() == "web");
        auto adopted = heph::rt::net::tcp_listener::adopt(
            heph::rt::net::socket_handle(::fcntl(each.descriptor(), F_DUPFD_CLOEXEC, 0)));
        REQUIRE(adopted);
        all.push_back(std::move(*adopted));
    }
    return all;
}

}  // namespace

TEST_CASE("server handover: while the next one takes over, every request is answered",
          "[http][server]") {
    server_options options;
    options.address = "127.0.0.1:0";
    auto first = server::open(named_routes("first"), options, 2);
    REQUIRE(first);
    auto second = server::over(named_routes("second"), inherit(*first), options, 1);
    REQUIRE(second);
    CHECK(second->local_endpoint() == first->local_endpoint());
    const std::uint16_t port = first->local_endpoint().port();
    service old(*first, 2);
    std::optional<service> next;
    std::atomic<int> by_first{0};
    std::atomic<int> by_second{0};
    std::atomic<int> bad{0};
    std::atomic<bool> done{false};
    std::thread clients([&] {
        while (!done) {
            const auto begun = std::chrono::steady_clock::now();
            raw_client client(port);
            client.send(get_request("/who"));
            // A server that stops waits for the first request of a connection, but not for long.
            const bool was_held_up = std::chrono::steady_clock::now() - begun > 200ms;
            const reply got = client.read();
            if (got.status == 0 && was_held_up) { continue; }
            ++(got.body == "first" ? by_first : got.body == "second" ? by_second : bad);
        }
    });
    while (by_first < 20) { std::this_thread::yield(); }
    next.emplace(*second, 1);
    old.stop();
    const int before = by_second;
    while (by_second < before + 50 && bad == 0) { std::this_thread::yield(); }
    done = true;
    clients.join();
    CHECK(bad == 0);
    CHECK(server::over(router(), {}, options).error() == std::errc::invalid_argument);
}
