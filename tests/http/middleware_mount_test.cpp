// What is around what: routes, mounted routers, and what no route answers.

#include <stdexcept>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/http/middleware/auth.hpp>
#include <heph/http/middleware/body_limit.hpp>
#include <heph/http/middleware/cors.hpp>
#include <heph/http/router.hpp>

#include "ask_router.hpp"
#include "raw_client.hpp"
#include "route_request.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::ask;
using http::test::named;

namespace {

task<http::response> sign(std::string letter, http::request& asked, http::next_handler next) {
    http::response answer = co_await next(asked);
    answer.headers().append("X-Signed", letter);
    co_return answer;
}

http::middleware signed_by(std::string letter) {
    return [letter](http::request& asked, http::next_handler next) {
        return sign(letter, asked, next);
    };
}

/// Gives the signatures, the innermost first.
std::string signatures(const http::response& answer) {
    std::string all;
    for (const http::header field : answer.headers()) {
        if (field.name == "X-Signed") { all += field.value; }
    }
    return all;
}

http::middleware members_only() {
    return http::bearer_auth(
        "members", [](http::request&, std::string token) -> task<bool> { co_return token == "t"; });
}

constexpr std::string_view preflight =
    "Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n";

http::middleware pages() {
    http::cors_options options;
    options.origins = {"https://app.example"};
    return http::cors(options);
}

}  // namespace

TEST_CASE("mount: a mounted router's CORS answers preflights, and marks what has no route",
          "[http][middleware]") {
    http::router api;
    api.use(pages());
    api.get("/x", named("x")).put("/x", named("put"));
    http::router routes;
    routes.mount("/api", std::move(api));
    routes.get("/page", named("page"));
    const auto allowed = [&](std::string_view target, std::string_view method) {
        const auto answer = ask(routes, target, preflight, method);
        return answer.headers().get("Access-Control-Allow-Origin") == "https://app.example";
    };
    CHECK(allowed("/api/x", "OPTIONS"));
    CHECK(allowed("/api/x", "GET"));
    CHECK(allowed("/api/x", "DELETE"));
    CHECK(allowed("/api/nowhere", "GET"));
    CHECK(allowed("/api/nowhere/at/all", "OPTIONS"));
    CHECK(allowed("/api", "GET"));
    CHECK_FALSE(allowed("/page", "OPTIONS"));
    CHECK_FALSE(allowed("/apix", "GET"));
    CHECK_FALSE(allowed("/", "GET"));
    CHECK(ask(routes, "/api/x", {}, "DELETE").headers().get("Allow") == "GET, HEAD, PUT, OPTIONS");
}

TEST_CASE("mount: what has no route is within the innermost router that its path leads to",
          "[http][middleware]") {
    http::router innermost;
    innermost.use(signed_by("c")).get("/x", named("x"));
    http::router inner;
    inner.use(signed_by("b")).get("/x", named("x"));
    inner.mount("/deep/{id}", std::move(innermost));
    http::router routes;
    routes.use(signed_by("a"));
    routes.mount("/in", std::move(inner));
    routes.use(signed_by("z"));  // Not around what was mounted before.
    routes.get("/x", named("x"));
    http::router moved = std::move(routes);
    CHECK(signatures(ask(moved, "/in/x")) == "ba");
    CHECK(signatures(ask(moved, "/in/x", {}, "DELETE")) == "ba");
    CHECK(signatures(ask(moved, "/in/y")) == "ba");
    CHECK(signatures(ask(moved, "/in/deep")) == "ba");
    CHECK(signatures(ask(moved, "/in/deep/5/x")) == "cba");
    CHECK(signatures(ask(moved, "/in/deep/5/x", {}, "DELETE")) == "cba");
    CHECK(signatures(ask(moved, "/in/deep/5/y/z")) == "cba");
    CHECK(signatures(ask(moved, "/y")) == "za");
    CHECK(ask(moved, "/in/y").status() == http::status::not_found);
    // The answer knows all routes, not only those of the router that was mounted.
    CHECK(ask(moved, "/in/deep/5/x", {}, "DELETE").headers().get("Allow") == "GET, HEAD, OPTIONS");
}

TEST_CASE("middleware: what comes behind a route is not around other methods of its path",
          "[http][middleware]") {
    http::router routes;
    routes.get("/public", named("public"));
    routes.use(members_only());
    routes.get("/members", named("members"));
    CHECK(ask(routes, "/public", {}, "OPTIONS").status() == http::status::no_content);
    CHECK(ask(routes, "/public", {}, "DELETE").status() == http::status::method_not_allowed);
    CHECK(ask(routes, "/members", {}, "OPTIONS").status() == http::status::unauthorized);
    CHECK(ask(routes, "/members", {}, "DELETE").status() == http::status::unauthorized);
    CHECK(ask(routes, "/nowhere").status() == http::status::unauthorized);
    // Of a path with several routes, the last one says it.
    routes.put("/public", named("changed"));
    CHECK(ask(routes, "/public", {}, "OPTIONS").status() == http::status::unauthorized);
    CHECK(ask(routes, "/public").body() == "public");
}

TEST_CASE("mount: the root of a mounted router is at its prefix, with a slash and without",
          "[http][middleware]") {
    http::router inner;
    inner.use(signed_by("i")).get("/", named("root")).post("/", named("posted"));
    http::router routes;
    routes.get("/both", named("own"));
    routes.mount("/in", std::move(inner));
    const auto bare = ask(routes, "/in");
    CHECK(bare.body() == "root");
    CHECK(signatures(bare) == "i");
    CHECK(ask(routes, "/in/").body() == "root");
    CHECK(ask(routes, "/in", {}, "POST").body() == "posted");
    SECTION("a route that is there has the path without a slash") {
        http::router other;
        other.get("/", named("mounted"));
        routes.mount("/both", std::move(other));
        CHECK(ask(routes, "/both").body() == "own");
        CHECK(ask(routes, "/both/").body() == "mounted");
    }
    SECTION("so has one that comes later") {
        routes.get("/in", named("own"));
        CHECK(ask(routes, "/in").body() == "own");
        CHECK(ask(routes, "/in/").body() == "root");
        CHECK_THROWS_AS(routes.get("/in", named("twice")), std::invalid_argument);
    }
}

TEST_CASE("mount: routers may share the root", "[http][middleware]") {
    http::router first;
    first.use(signed_by("f")).get("/", named("home")).get("/x", named("x"));
    http::router second;
    second.use(signed_by("s")).get("/y", named("y"));
    http::router routes;
    routes.mount("/", std::move(first)).mount("/", std::move(second));
    CHECK(ask(routes, "/").body() == "home");
    CHECK(signatures(ask(routes, "/x")) == "f");
    CHECK(signatures(ask(routes, "/y")) == "s");
    CHECK(signatures(ask(routes, "/y", {}, "PUT")) == "s");
    CHECK(signatures(ask(routes, "/nowhere")) == "f");
    CHECK(ask(routes, "*", {}, "OPTIONS").status() == http::status::no_content);
    http::router all;
    all.use(signed_by("a")).mount("/all", std::move(routes));
    CHECK(signatures(ask(all, "/all/nowhere")) == "fa");
    CHECK(signatures(ask(all, "/nowhere")) == "a");
    routes = http::router();
    routes.get("/x", named("x"));
    http::router clash;
    clash.get("/x", named("x"));
    CHECK_THROWS_AS(routes.mount("/", std::move(clash)), std::invalid_argument);
    http::router twice;
    twice.get("/{id}", named("x"));
    CHECK_THROWS_AS(routes.mount("/{id}", std::move(twice)), std::invalid_argument);
    CHECK_THROWS_AS(routes.mount("/{path...}", http::router()), std::invalid_argument);
}

TEST_CASE("middleware: a route may have some of its own", "[http][middleware]") {
    http::router routes;
    routes.use(signed_by("a"));
    routes.get("/x", http::with(signed_by("b"), signed_by("c"), named("x")));
    routes.get("/y", named("y"));
    const auto limit = [](http::request& asked) {
        return http::response::text(std::to_string(asked.body_limit()));
    };
    routes.get("/limit", http::with(http::body_limit(7), limit));
    CHECK(ask(routes, "/x").body() == "x");
    CHECK(signatures(ask(routes, "/x")) == "cba");
    CHECK(signatures(ask(routes, "/x", {}, "PUT")) == "a");
    CHECK(signatures(ask(routes, "/y")) == "a");
    CHECK(ask(routes, "/limit").body() == "7");
    CHECK_THROWS_AS(http::with(http::middleware(), named("x")), std::invalid_argument);
    CHECK_THROWS_AS(http::with(signed_by("a"), http::handler()), std::invalid_argument);
}

TEST_CASE("mount: a server answers as the router does", "[http][server]") {
    http::router api;
    api.use(pages()).put("/x", named("x"));
    http::router routes;
    routes.get("/public", named("public"));
    routes.mount("/api", std::move(api));
    routes.use(members_only());
    const http::test::test_server server(std::move(routes));
    http::test::raw_client client(server.port());
    const auto options = [&](std::string_view path) {
        return client.ask("OPTIONS " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" +
                          std::string(preflight) + "\r\n");
    };
    CHECK(options("/api/x").header("Access-Control-Allow-Methods") == "PUT, PATCH, DELETE");
    CHECK(options("/public").header("Allow") == "GET, HEAD, OPTIONS");
    CHECK(options("/elsewhere").status == 401);
    CHECK(client.ask(http::test::get_request("/api/y")).status == 404);
}
