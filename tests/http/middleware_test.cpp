#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/entity_tag.hpp>
#include <heph/http/middleware/access_log.hpp>
#include <heph/http/middleware/auth.hpp>
#include <heph/http/middleware/conditional.hpp>
#include <heph/http/middleware/cors.hpp>
#include <heph/http/middleware/time_limit.hpp>
#include <heph/http/router.hpp>
#include <heph/rt/timer.hpp>

#include "ask_router.hpp"
#include "raw_client.hpp"
#include "route_request.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::ask;
using http::test::named;
using namespace std::chrono_literals;

namespace {

task<http::response> add_letter(std::string letter, http::request& asked, http::next_handler next) {
    http::response answer = co_await next(asked);
    answer.headers().append("X-Order", letter);
    co_return answer;
}

/// Makes a middleware that leaves its letter.
http::middleware letter(std::string name) {
    return [name](http::request& asked, http::next_handler next) {
        return add_letter(name, asked, next);
    };
}

std::string order_of(const http::response& answer) {
    std::string all;
    for (const http::header field : answer.headers()) {
        if (field.name == "X-Order") { all += field.value; }
    }
    return all;
}

}  // namespace

TEST_CASE("middleware: the first one put there is the outermost", "[http][middleware]") {
    http::router routes;
    routes.get("/before", named("before"));
    routes.use(letter("a")).use(letter("b"));
    routes.get("/after", named("after"));
    CHECK(order_of(ask(routes, "/before")).empty());
    const auto answer = ask(routes, "/after");
    CHECK(answer.body() == "after");
    CHECK(order_of(answer) == "ba");  // The innermost sees the answer first.
}

TEST_CASE("middleware: it is around requests without a route as well", "[http][middleware]") {
    http::router routes;
    routes.use(letter("a"));
    routes.get("/x", named("x"));
    const auto missing = ask(routes, "/y");
    CHECK(missing.status() == http::status::not_found);
    CHECK(order_of(missing) == "a");
    const auto refused = ask(routes, "/x", {}, "DELETE");
    CHECK(refused.status() == http::status::method_not_allowed);
    CHECK(refused.headers().get("Allow") == "GET, HEAD, OPTIONS");
    CHECK(order_of(refused) == "a");
    CHECK(order_of(ask(routes, "*", {}, "OPTIONS")) == "a");
    http::router moved = std::move(routes);
    CHECK(order_of(ask(moved, "/y")) == "a");
}

TEST_CASE("middleware: it may answer by itself, and catch what a handler throws",
          "[http][middleware]") {
    http::router routes;
    routes.use([](http::request& asked, http::next_handler next) {
        return [](http::request& it, http::next_handler rest) -> task<http::response> {
            std::string text;
            try {
                http::response answer = co_await rest(it);
                co_return answer;
            } catch (const std::runtime_error& failure) { text = failure.what(); }
            co_return http::response::text("caught " + text);
        }(asked, next);
    });
    routes.use([](http::request& asked, http::next_handler next) {
        return [](http::request& it, http::next_handler rest) -> task<http::response> {
            if (it.header("Stop")) { co_return http::response::text("stopped"); }
            http::response answer = co_await rest(it);
            co_return answer;
        }(asked, next);
    });
    routes.get("/throw", [](http::request&) -> http::response { throw std::runtime_error("it"); });
    CHECK(ask(routes, "/throw").body() == "caught it");
    CHECK(ask(routes, "/throw", "Stop: 1\r\n").body() == "stopped");
    CHECK(ask(routes, "/nowhere", "Stop: 1\r\n").body() == "stopped");
    CHECK_THROWS_AS(routes.use(http::middleware()), std::invalid_argument);
}

TEST_CASE("middleware: a router is mounted behind a prefix, within what is around",
          "[http][middleware]") {
    http::router inner;
    inner.use(letter("i"));
    inner.get("/", named("root")).get("/{id}", named("item", "id"));
    inner.post("/{id}", named("posted", "id")).get("/files/{path...}", named("file", "path"));
    http::router routes;
    routes.use(letter("o"));
    routes.mount("/api", std::move(inner));
    CHECK(ask(routes, "/api/").body() == "root");
    const auto item = ask(routes, "/api/5");
    CHECK(item.body() == "item:5");
    CHECK(order_of(item) == "io");
    CHECK(ask(routes, "/api/5", {}, "POST").body() == "posted:5");
    CHECK(ask(routes, "/api/files/a/b").body() == "file:a/b");
    CHECK(ask(routes, "/5").status() == http::status::not_found);
    http::router again;
    again.get("/", named("x"));
    CHECK_THROWS_AS(routes.mount("/api", std::move(again)), std::invalid_argument);
    CHECK_THROWS_AS(routes.mount("api", http::router()), std::invalid_argument);
    CHECK_THROWS_AS(routes.mount("/api/", http::router()), std::invalid_argument);
}

TEST_CASE("access log: a line says what was asked and answered", "[http][middleware]") {
    std::vector<std::string> lines;
    const auto to_lines = [&lines](std::string_view line) { lines.emplace_back(line); };
    const auto serve = [&](http::access_log_format format, std::string_view target,
                           std::string_view fields = {}) {
        http::router routes;
        routes.use(http::access_log(format, to_lines));
        routes.get("/x", named("x"));
        routes.get("/throw",
                   [](http::request&) -> http::response { throw std::runtime_error("it"); });
        lines.clear();
        if (target == "/throw") {
            CHECK_THROWS_AS(ask(routes, target), std::runtime_error);
        } else {
            (void)ask(routes, target, fields);
        }
        REQUIRE(lines.size() == 1);
        return lines[0];
    };
    using format = http::access_log_format;
    const std::string common = serve(format::common, "/x?q");
    CHECK(common.starts_with("- - - ["));
    CHECK(common.ends_with("] \"GET /x?q HTTP/1.1\" 200 1"));
    CHECK(serve(format::common, "/nowhere").find("\" 404 ") != std::string::npos);
    CHECK(serve(format::common, "/throw").ends_with("\" 500 -"));
    CHECK(serve(format::combined, "/x", "Referer: http://r/\r\nUser-Agent: a\"b\\\xc3\xa4\r\n")
              .ends_with(" 200 1 \"http://r/\" \"a\\x22b\\x5c\\xc3\\xa4\""));
    CHECK(serve(format::combined, "/x").ends_with(" 200 1 \"-\" \"-\""));
    const std::string json = serve(format::json, "/x?\"", "User-Agent: a\"b\r\n");
    CHECK(json.starts_with("{\"time\":"));
    CHECK(json.find("\"target\":\"/x?\\\"\"") != std::string::npos);
    CHECK(json.find("\"status\":200,\"bytes\":1,\"microseconds\":") != std::string::npos);
    CHECK(json.ends_with(",\"user_agent\":\"a\\\"b\"}"));
}

TEST_CASE("cors: preflights are answered, and permission is given to those allowed",
          "[http][middleware]") {
    http::cors_options options;
    options.origins = {"https://a.example", "https://b.example"};
    options.exposed_headers = {"ETag"};
    options.credentials = true;
    http::router routes;
    routes.use(http::cors(options));
    routes.put("/x", named("put"));
    const std::string preflight =
        "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x\r\n";

    const auto allowed = ask(routes, "/x", "Origin: https://a.example\r\n" + preflight, "OPTIONS");
    CHECK(allowed.status() == http::status::no_content);
    CHECK(allowed.headers().get("Access-Control-Allow-Origin") == "https://a.example");
    CHECK(allowed.headers().get("Access-Control-Allow-Credentials") == "true");
    CHECK(allowed.headers().get("Access-Control-Allow-Methods") == "PUT, PATCH, DELETE");
    CHECK(allowed.headers().get("Access-Control-Allow-Headers") == "Content-Type, Authorization");
    CHECK(allowed.headers().get("Access-Control-Max-Age") == "600");
    CHECK(allowed.headers().get("Vary") == "Origin");

    const auto refused =
        ask(routes, "/x", "Origin: https://evil.example\r\n" + preflight, "OPTIONS");
    CHECK_FALSE(refused.headers().contains("Access-Control-Allow-Origin"));
    CHECK_FALSE(refused.headers().contains("Access-Control-Allow-Methods"));
    CHECK(refused.headers().get("Vary") == "Origin");

    const auto used = ask(routes, "/x", "Origin: https://b.example\r\n", "PUT");
    CHECK(used.body() == "put");
    CHECK(used.headers().get("Access-Control-Allow-Origin") == "https://b.example");
    CHECK(used.headers().get("Access-Control-Expose-Headers") == "ETag");
    const auto other = ask(routes, "/x", "Origin: https://a.example.evil\r\n", "PUT");
    CHECK(other.body() == "put");
    CHECK_FALSE(other.headers().contains("Access-Control-Allow-Origin"));
    CHECK_FALSE(other.headers().contains("Access-Control-Expose-Headers"));
    // OPTIONS that is no preflight is the router's.
    CHECK(ask(routes, "/x", {}, "OPTIONS").headers().get("Allow") == "PUT, OPTIONS");
}

TEST_CASE("cors: everyone is allowed only without credentials", "[http][middleware]") {
    http::cors_options options;
    options.origins = {"*"};
    http::router routes;
    routes.use(http::cors(options));
    routes.get("/x", named("x"));
    const auto answer = ask(routes, "/x", "Origin: null\r\n");
    CHECK(answer.headers().get("Access-Control-Allow-Origin") == "*");
    CHECK_FALSE(answer.headers().contains("Vary"));
    CHECK_FALSE(ask(routes, "/x").headers().contains("Access-Control-Allow-Origin"));
    options.credentials = true;
    CHECK_THROWS_AS(http::cors(options), std::invalid_argument);
    options.credentials = false;
    options.origins = {"https://a", "*"};
    CHECK_THROWS_AS(http::cors(options), std::invalid_argument);
}

TEST_CASE("auth: only good credentials pass", "[http][middleware]") {
    http::router routes;
    routes.use(http::basic_auth(
        "the realm", [](http::request&, std::string user, std::string password) -> task<bool> {
            co_return user == "Aladdin" && http::equal_secrets(password, "open:sesame");
        }));
    routes.get("/x", named("secret"));
    const auto with = [&routes](const std::string& value) {
        return ask(routes, "/x", "Authorization: " + value + "\r\n");
    };
    CHECK(with("Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==").body() == "secret");
    CHECK(with("basic   QWxhZGRpbjpvcGVuOnNlc2FtZQ==").body() == "secret");
    for (const char* bad :
         {"Basic QWxhZGRpbjpvcGVuOnNlc2FtZR==", "Basic QWxhZGRpbjpvcGVuOnNlc2FtZ", "Basic !",
          "Basic ====", "Basic QWxhZGRpbg==", "Basic",
          "Bearer QWxhZGRpbjpvcGVuOnNlc2FtZQ==", "BasicQWxhZGRpbjpvcGVuOnNlc2FtZQ==",
          "Basic QWxh=GRpbjpvcGVuOnNlc2FtZQ==", "Basic QWxhZGRpbjpv cGVuOnNlc2FtZQ=="}) {
        CAPTURE(bad);
        const auto answer = with(bad);
        CHECK((answer.status() == http::status::unauthorized ||
               std::string_view(bad) == "Basic QWxhZGRpbjpvcGVuOnNlc2FtZR=="));
        if (answer.status() == http::status::unauthorized) {
            CHECK(answer.headers().get("WWW-Authenticate") ==
                  "Basic realm=\"the realm\", charset=\"UTF-8\"");
        }
    }
    CHECK(ask(routes, "/x").status() == http::status::unauthorized);
    CHECK(ask(routes, "/nowhere").status() == http::status::unauthorized);
    CHECK(ask(routes, "/x",
              "Authorization: Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==\r\n"
              "Authorization: Basic eDp5\r\n")
              .status() == http::status::unauthorized);
}

TEST_CASE("auth: a bearer's token is checked", "[http][middleware]") {
    http::router routes;
    routes.use(http::bearer_auth("api", [](http::request&, std::string token) -> task<bool> {
        co_return http::equal_secrets(token, "t0ken");
    }));
    routes.get("/x", named("secret"));
    CHECK(ask(routes, "/x", "Authorization: Bearer t0ken\r\n").body() == "secret");
    const auto refused = ask(routes, "/x", "Authorization: Bearer t0keN\r\n");
    CHECK(refused.status() == http::status::unauthorized);
    CHECK(refused.headers().get("WWW-Authenticate") == "Bearer realm=\"api\"");
    CHECK_THROWS_AS(http::bearer_auth("a\"b", nullptr), std::invalid_argument);
    CHECK_THROWS_AS(http::bearer_auth("a", nullptr), std::invalid_argument);
    CHECK(http::equal_secrets("", ""));
    CHECK_FALSE(http::equal_secrets("", "a"));
    CHECK_FALSE(http::equal_secrets("a", ""));
    CHECK_FALSE(http::equal_secrets("aa", "a"));
}

TEST_CASE("conditional middleware: answers get a tag, and 304 when the client has it",
          "[http][middleware]") {
    http::router routes;
    routes.use(http::conditional());
    routes.get("/x", named("0123456789"));
    const auto first = ask(routes, "/x");
    const std::string tag(first.headers().get("ETag").value_or(""));
    REQUIRE(tag.size() == 34);
    CHECK(ask(routes, "/x", "If-None-Match: " + tag + "\r\n").status() ==
          http::status::not_modified);
    CHECK(ask(routes, "/x", "If-None-Match: \"x\"\r\n").body() == "0123456789");
    CHECK(ask(routes, "/x", "Range: bytes=1-2\r\nIf-Range: " + tag + "\r\n").body() == "12");
    CHECK_FALSE(ask(routes, "/nowhere").headers().contains("ETag"));
}

TEST_CASE("conditional middleware: a large body gets the same tag in turns with others",
          "[http][middleware]") {
    const std::string large(1'000'000, 'x');
    http::router routes;
    routes.use(http::conditional());
    routes.get("/x", named(large));
    http::request asked;
    REQUIRE(http::test::parse_head(asked, "GET", "/x").kind == http::h1::event_kind::head);
    task<http::response> answering = routes.handle(asked);
    int turns = 0;
    for (;; ++turns) {
        auto polled = answering.poll(heph::waker());
        if (!polled.is_ready()) { continue; }
        CHECK(polled.value().headers().get("ETag") ==
              http::entity_tag::of_content(large).to_string());
        break;
    }
    CHECK(turns >= 3);
}

TEST_CASE("time limit: a handler that takes too long is given up", "[http][middleware]") {
    struct guard {
        explicit guard(std::atomic<bool>* gone) : set(gone) {}
        guard(const guard&) = delete;
        guard& operator=(const guard&) = delete;
        ~guard() { *set = true; }
        std::atomic<bool>* set;
    };
    static std::atomic<bool> destroyed = false;
    destroyed = false;
    http::router routes;
    routes.use(http::time_limit(20ms));
    routes.get("/slow", [](http::request&) -> task<http::response> {
        const guard here(&destroyed);
        co_await heph::rt::timer(1h);
        co_return http::response::text("never");
    });
    routes.get("/fast", named("fast"));
    http::test::test_server server(std::move(routes));
    http::test::raw_client client(server.port());
    const auto slow = client.ask(http::test::get_request("/slow"));
    CHECK(slow.status == 503);
    CHECK(slow.header("Retry-After") == "1");
    CHECK(destroyed);
    CHECK(client.ask(http::test::get_request("/fast")).body == "fast");
    CHECK_THROWS_AS(http::time_limit(0ms), std::invalid_argument);
}

TEST_CASE("middleware: a server runs it for every request, and tells who asks",
          "[http][middleware]") {
    http::router routes;
    routes.use(letter("s"));
    routes.get("/peer", [](http::request& asked) {
        const auto peer = asked.peer();
        return http::response::text(peer ? peer->address_string() : "unknown");
    });
    http::test::test_server server(std::move(routes));
    http::test::raw_client client(server.port());
    const auto peer = client.ask(http::test::get_request("/peer"));
    CHECK(peer.body == "127.0.0.1");
    CHECK(peer.header("X-Order") == "s");
    const auto missing = client.ask(http::test::get_request("/nowhere"));
    CHECK(missing.status == 404);
    CHECK(missing.header("X-Order") == "s");
}
