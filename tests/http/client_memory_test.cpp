// What sending a large body costs.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/http/router.hpp>

#include "client_run.hpp"
#include "live_bytes.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::test_server;

namespace {

constexpr std::size_t body_bytes = 16 * 1024 * 1024;

// The most that was allocated since `before`, as often as a piece of the body is here.
std::atomic<std::ptrdiff_t> before = 0;
std::atomic<std::ptrdiff_t> most = 0;

task<http::response> count_body(http::request& asked) {
    asked.set_body_limit(body_bytes);
    std::size_t size = 0;
    for (;;) {
        const auto piece = co_await asked.body().next();
        if (!piece) { co_return http::response::problem(piece.error()); }
        if (piece->empty()) { break; }
        size += piece->size();
        most = std::max<std::ptrdiff_t>(most, heph::test::live_bytes() - before);
    }
    co_return http::response::text(std::to_string(size));
}

}  // namespace

TEST_CASE("client memory: a large body is sent from where it is", "[http][client][memory]") {
    http::router routes;
    routes.put("/", count_body);
    const test_server server(std::move(routes));
    std::string answer;
    http::test::with_client([&](http::client client) -> task<> {
        return [](http::client with, std::string url, std::string* to) -> task<> {
            http::client_request sent(http::method::put, url);
            sent.set_body(std::string(body_bytes, 'x'));
            before = heph::test::live_bytes();
            auto got = co_await with.send(std::move(sent));
            *to = co_await http::test::outcome(std::move(got));
        }(std::move(client), "http://127.0.0.1:" + std::to_string(server.port()) + "/", &answer);
    });
    CHECK(answer == "200 " + std::to_string(body_bytes));
    CHECK(most > 0);
    CHECK(most < static_cast<std::ptrdiff_t>(body_bytes / 2));
}
