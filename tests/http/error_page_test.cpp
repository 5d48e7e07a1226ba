// The page that a router makes of the errors that the server answers by itself.

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include <catch2/catch.hpp>

#include <heph/http/error_page.hpp>
#include <heph/http/middleware/recover.hpp>
#include <heph/http/router.hpp>

#include "ask_router.hpp"
#include "raw_client.hpp"
#include "route_request.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;

namespace {

// `STATUS METHOD-OR-? DETAIL`
response page(const refusal& refused) {
    std::string text = std::to_string(code(refused.status)) + " ";
    text += refused.asked == nullptr ? "?" : to_string(refused.asked->method());
    text += " " + std::string(refused.detail);
    response made = response::text(std::move(text), status::ok);
    made.set_header("X-Page", "own");
    return made;
}

router with_page(error_page made_by = page) {
    router routes = make_test_routes();
    routes.render_errors(std::move(made_by));
    return routes;
}

}  // namespace

TEST_CASE("error page: it is what clients see of all errors of the server's own",
          "[http][server][error_page]") {
    const captured_log log;
    server_setup setup;
    setup.limits.head_timeout = 60ms;
    setup.limits.linger_timeout = 10ms;
    const test_server server(with_page(), setup);
    const auto ask = [&](const std::string& bytes) {
        raw_client client(server.port());
        const reply got = client.ask(bytes);
        CHECK(got.header("x-page") == "own");
        CHECK(got.complete);
        CHECK(got.body.starts_with(std::to_string(got.status)));
        return got;
    };
    CHECK(ask(get_request("/nowhere")).body == "404 GET ");
    const reply refused = ask("DELETE /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(refused.body == "405 DELETE ");
    CHECK(refused.header("allow") == "GET, HEAD, OPTIONS");
    CHECK(ask(get_request("/throw")).body == "500 GET The server failed to answer this request.");
    CHECK(ask(get_request("/throw-later")).status == 500);
    CHECK(ask(get_request("/early-cut")).status == 500);
    CHECK(ask(get_request("/bad-header")).body == "500 GET The server's answer could not be sent.");
    CHECK(ask("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").body == "501 CONNECT ");
    CHECK(ask("GET / HTTP/1.1\r\n\r\n").body == "400 ? An HTTP/1.1 request needs a Host header.");
    CHECK(ask("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x')).status == 431);
    CHECK(ask("GET / HTTP/2.0\r\n").status == 505);
    const reply late = ask("GET / HTTP/1.1\r\n");
    CHECK(late.status == 408);
    CHECK(late.closes());
    raw_client client(server.port());
    client.send("HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    const reply head = client.read(true);
    CHECK(head.status == 404);
    CHECK(head.header("x-page") == "own");
    CHECK(client.ask(get_request("/hello")).body == "Hello, World!");
}

TEST_CASE("error page: a server that is full tells when to come again",
          "[http][server][error_page]") {
    const captured_log log;
    server_setup setup;
    setup.limits.connections_max = 1;
    setup.limits.requests_max = 0;
    const test_server server(with_page(), setup);
    raw_client first(server.port());
    raw_client second(server.port());
    const reply full = second.read();
    CHECK(full.status == 503);
    CHECK(full.header("retry-after") == "1");
    CHECK(full.body.starts_with("503 ? "));
    CHECK(full.closes());
    const reply busy = first.ask(get_request("/hello/x"));
    CHECK(busy.status == 503);
    CHECK(busy.header("retry-after") == "1");
    CHECK(busy.body.starts_with("503 GET "));
    CHECK_FALSE(busy.closes());
    CHECK(first.ask(get_request("/hello")).status == 200);
}

TEST_CASE("error page: one that fails is replaced by the answer without it",
          "[http][server][error_page]") {
    const captured_log log;
    const auto kind = std::make_shared<std::atomic<int>>(0);
    const test_server server(with_page([kind](const refusal&) -> response {
        switch (*kind) {
            case 0: throw std::runtime_error("the page's secret");
            case 1:
                return response::stream("text/plain",
                                        [](body_writer& to) { return to.write("x"); });
            default: return response::text("x").set_header("X-Bad", "two\r\nlines");
        }
    }));
    for (; *kind < 3; ++*kind) {
        CAPTURE(*kind);
        for (const std::string& bytes : {get_request("/throw-later"), get_request("/throw"),
                                         std::string("nonsense\r\n\r\n")}) {
            raw_client client(server.port());
            const reply got = client.ask(bytes);
            CHECK((got.status == 500 || got.status == 400));
            CHECK(got.complete);
            CHECK(got.header("content-type") == "application/problem+json");
            CHECK(got.body.find("secret") == std::string::npos);
        }
        raw_client client(server.port());
        const reply unknown = client.ask(get_request("/nowhere"));
        CHECK((unknown.status == (*kind < 2 ? 404 : 500)));
        CHECK(unknown.header("content-type") == "application/problem+json");
        CHECK(client.ask(get_request("/hello")).status == 200);
    }
    CHECK(log.count("http: the error page failed: the page's secret") == 3);
}

TEST_CASE("error page: within middleware it is the answer that they see",
          "[http][server][error_page]") {
    const captured_log log;
    router routes;
    routes.use([](request& asked, next_handler next) -> heph::task<response> {
        response answer = co_await next(asked);
        answer.set_header("X-Seen", answer.headers().get("X-Page").value_or("none"));
        co_return answer;
    });
    routes.use(recover());
    routes.mount("/", make_test_routes());
    routes.render_errors(page);
    const test_server server(std::move(routes));
    raw_client client(server.port());
    CHECK(client.ask(get_request("/nowhere")).header("x-seen") == "own");
    CHECK(client.ask(get_request("/throw-later")).header("x-seen") == "own");
    CHECK(client.ask(get_request("/hello")).header("x-seen") == "none");
}

TEST_CASE("error page: a router without a server has it, too", "[http][router][error_page]") {
    router routes;
    routes.get("/x", named("x"));
    routes.render_errors(page);
    CHECK(ask(routes, "/y").body() == "404 GET ");
    CHECK(ask(routes, "/y").status() == status::not_found);
    CHECK(ask(routes, "/x", {}, "PUT").headers().get("Allow") == "GET, HEAD, OPTIONS");
    CHECK(ask(routes, "/x", {}, "OPTIONS").status() == status::no_content);
    CHECK_FALSE(ask(routes, "/x", {}, "OPTIONS").headers().contains("X-Page"));
    CHECK_THROWS_AS(routes.render_errors(nullptr), std::invalid_argument);
}

TEST_CASE("error page: a large one comes whole in the place of a stream that failed",
          "[http][server][error_page]") {
    const std::string large(40 * 1024, 'x');
    const captured_log log;
    const test_server server(with_page([&large](const refusal&) { return response::text(large); }));
    raw_client client(server.port());
    client.send(get_request("/early-cut") + get_request("/hello"));
    CHECK(client.read().body == large);
    CHECK(client.read().status == 200);
}
