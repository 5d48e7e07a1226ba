// What is passed on between middleware, handlers and the server: values, users, failures.

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/middleware/access_log.hpp>
#include <heph/http/middleware/auth.hpp>
#include <heph/http/middleware/cors.hpp>
#include <heph/http/middleware/recover.hpp>
#include <heph/http/middleware/request_id.hpp>
#include <heph/http/router.hpp>

#include "ask_router.hpp"
#include "raw_client.hpp"
#include "route_request.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::ask;
using namespace std::chrono_literals;

namespace {

struct session {
    explicit session(std::string named) : name(std::move(named)) {}
    std::string name;
};

http::response tell_user(http::request& asked) {
    const auto* const user = asked.get<http::authenticated_user>();
    return http::response::text(user == nullptr ? "nobody" : user->name);
}

http::middleware aladdin_only() {
    return http::basic_auth("r", [](http::request&, std::string user, std::string) -> task<bool> {
        co_return user == "Aladdin";
    });
}

constexpr std::string_view aladdin = "Authorization: Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==\r\n";

}  // namespace

TEST_CASE("request: it keeps one value of each type", "[http][request]") {
    http::request asked;
    CHECK(asked.get<session>() == nullptr);
    CHECK(asked.set(session("first")).name == "first");
    asked.set(5);
    asked.set<std::unique_ptr<int>>(std::make_unique<int>(6));
    CHECK(asked.get<session>()->name == "first");
    asked.set(session("second"));
    asked.get<session>()->name += "!";
    const http::request& same = asked;
    CHECK(same.get<session>()->name == "second!");
    CHECK(*same.get<int>() == 5);
    CHECK(**same.get<std::unique_ptr<int>>() == 6);
    CHECK(same.get<unsigned>() == nullptr);
    asked.clear_values();
    CHECK(same.get<session>() == nullptr);
    CHECK(same.get<int>() == nullptr);
}

TEST_CASE("request: what a middleware found out gets to the handler, and not to the next request",
          "[http][server]") {
    const auto held = std::make_shared<int>(0);
    http::router routes;
    routes.use([held](http::request& asked, http::next_handler next) {
        if (asked.query() == "in") {
            asked.set(session("ann"));
            asked.set(std::shared_ptr<int>(held));
        }
        return next(asked);
    });
    routes.get("/who", [](http::request& asked) {
        const auto* const own = asked.get<session>();
        return http::response::text(own == nullptr ? "nobody" : own->name);
    });
    const http::test::test_server server(std::move(routes));
    http::test::raw_client client(server.port());
    client.send(http::test::get_request("/who?in") + http::test::get_request("/who"));
    CHECK(client.read().body == "ann");
    CHECK(client.read().body == "nobody");
    CHECK(client.ask(http::test::get_request("/who?in")).body == "ann");
    // An idle connection holds nothing any more; the middleware and this test do.
    CHECK(http::test::eventually([&] { return held.use_count() == 2; }));
    CHECK(client.ask(http::test::get_request("/who")).body == "nobody");
}

TEST_CASE("auth: the handler and the access log learn who asks", "[http][middleware]") {
    std::vector<std::string> lines;
    http::router routes;
    routes.use(http::access_log(http::access_log_format::common,
                                [&lines](std::string_view line) { lines.emplace_back(line); }));
    http::router basic;
    basic.use(aladdin_only()).get("/x", tell_user);
    routes.mount("/basic", std::move(basic));
    http::router bearer;
    bearer.use(http::bearer_auth("r", [](http::request& asked, std::string token) -> task<bool> {
        if (token != "t0ken") { co_return false; }
        asked.set(http::authenticated_user("a \"b\""));
        co_return true;
    }));
    bearer.get("/x", tell_user);
    routes.mount("/bearer", std::move(bearer));
    CHECK(ask(routes, "/basic/x", aladdin).body() == "Aladdin");
    CHECK(ask(routes, "/basic/x", "Authorization: Basic eDp5\r\n").status() ==
          http::status::unauthorized);
    CHECK(ask(routes, "/bearer/x", "Authorization: Bearer t0ken\r\n").body() == "a \"b\"");
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].starts_with("- - Aladdin ["));
    CHECK(lines[1].starts_with("- - - ["));
    CHECK(lines[2].starts_with("- - a\\x20\\x22b\\x22 ["));
}

TEST_CASE("access log: the user has a member of the JSON line", "[http][middleware]") {
    std::string line;
    http::router routes;
    routes.use(http::access_log(http::access_log_format::json,
                                [&line](std::string_view written) { line = written; }));
    routes.use(aladdin_only()).get("/x", tell_user);
    (void)ask(routes, "/x", aladdin);
    CHECK(line.find("\"user\":\"Aladdin\"") != std::string::npos);
    (void)ask(routes, "/x");
    CHECK(line.find("\"user\"") == std::string::npos);
}

TEST_CASE("recover: what a handler throws is a 500 for the middleware around it",
          "[http][server]") {
    const http::test::captured_log log;
    http::router routes;
    http::cors_options options;
    options.origins = {"https://app.example"};
    routes.use(http::request_id()).use(http::cors(options)).use(http::recover());
    routes.mount("/", http::test::make_test_routes());
    const http::test::test_server server(std::move(routes));
    http::test::raw_client client(server.port());
    for (const char* path : {"/throw", "/throw-later"}) {
        CAPTURE(path);
        const auto got =
            client.ask(http::test::get_request(path, "Origin: https://app.example\r\n"));
        CHECK(got.status == 500);
        CHECK(got.complete);
        CHECK(got.header("content-type") == "application/problem+json");
        CHECK(got.body.find("secret") == std::string::npos);
        CHECK(got.header("access-control-allow-origin") == "https://app.example");
        CHECK(got.header("x-request-id"));
    }
    CHECK(client.ask(http::test::get_request("/hello")).status == 200);
    CHECK(log.count("http: a handler failed: GET /throw for 127.0.0.1:") == 1);
    CHECK(log.count("the handler's secret") == 2);
}

TEST_CASE("recover: a failure is logged where there is no server, too", "[http][middleware]") {
    const http::test::captured_log log;
    http::router routes;
    routes.use(http::recover());
    routes.get("/throw", [](http::request&) -> http::response { throw std::runtime_error("it"); });
    routes.get("/throw-int", [](http::request&) -> http::response { throw 5; });
    CHECK(ask(routes, "/throw").status() == http::status::internal_server_error);
    CHECK(ask(routes, "/throw-int").status() == http::status::internal_server_error);
    CHECK(log.lines() ==
          std::vector<std::string>{"http: a handler failed: it",
                                   "http: a handler failed: what was thrown is no std::exception"});
}
