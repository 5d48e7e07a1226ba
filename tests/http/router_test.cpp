#include <stdexcept>
#include <string>

#include <catch2/catch.hpp>

#include <heph/http/h1/request_parser.hpp>
#include <heph/http/router.hpp>

#include "http/route_request.hpp"
#include "http/run_task.hpp"

namespace http = heph::http;
using heph::http::test::body_or_status;
using heph::http::test::named;
using heph::http::test::parse_head;
using heph::http::test::run;

namespace {

http::response ask(const http::router& router, std::string_view method, std::string_view target) {
    http::request request;
    REQUIRE(parse_head(request, method, target).kind == http::h1::event_kind::head);
    return run(router.handle(request));
}

std::string body(const http::router& router, std::string_view method, std::string_view target) {
    return body_or_status(ask(router, method, target));
}

heph::task<http::response> waits(http::request& request) {
    co_return http::response::text("waits:" + std::string(request.param("id")));
}

}  // namespace

TEST_CASE("router: paths lead to their handlers", "[http][router]") {
    http::router router;
    router.get("/", named("root"));
    router.get("/notes", named("list"));
    router.get("/notes/", named("slash"));
    router.get("/notes/{id}", waits).put("/notes/{id}", named("put", "id"));
    router.get("/notes/new", named("new"));
    router.get("/notes/{id}/text", named("text", "id"));
    router.get("/files/{path...}", named("files", "path"));
    router.get("/with space", named("space"));

    CHECK(body(router, "GET", "/") == "root");
    CHECK(body(router, "GET", "/?a=b") == "root");
    CHECK(body(router, "GET", "/notes") == "list");
    CHECK(body(router, "GET", "/notes/") == "slash");
    CHECK(body(router, "GET", "/notes/7") == "waits:7");
    CHECK(body(router, "PUT", "/notes/7") == "put:7");
    CHECK(body(router, "GET", "/notes/new") == "new");
    CHECK(body(router, "PUT", "/notes/new") == "put:new");
    CHECK(body(router, "GET", "/notes/new/text") == "text:new");
    CHECK(body(router, "GET", "/files/") == "files:");
    CHECK(body(router, "GET", "/files/a/b.txt") == "files:a/b.txt");
    CHECK(body(router, "GET", "/with%20space") == "space");
    CHECK(body(router, "GET", "/%6eotes") == "list");
    CHECK(body(router, "GET", "http://a/notes") == "list");
    CHECK(body(router, "GET", "http://a") == "root");
    for (const char* none : {"/note", "/notess", "/notes/7/", "/notes/7/8", "//", "//notes",
                             "/files", "/notes//text"}) {
        CAPTURE(none);
        CHECK(body(router, "GET", none) == "404");
    }
}

TEST_CASE("router: parameters are decoded, and never ambiguous", "[http][router]") {
    http::router router;
    router.get("/one/{id}", named("one", "id"));
    router.get("/rest/{path...}", named("rest", "path"));
    CHECK(body(router, "GET", "/one/a%2Fb%20c") == "one:a/b c");
    CHECK(body(router, "GET", "/one/%C3%A4+b") == "one:\xc3\xa4+b");
    CHECK(body(router, "GET", "/rest/a%20b/c") == "rest:a b/c");
    CHECK(body(router, "GET", "/rest/a%2fb") == "400");
    CHECK(body(router, "GET", "/rest/..%2fb") == "400");
}

TEST_CASE("router: other methods are answered with what is allowed", "[http][router]") {
    http::router router;
    router.get("/a", named("get")).put("/a", named("put"));
    router.post("/b/{x}", named("post"));
    router.delete_("/b/c", named("delete"));

    http::response answer = ask(router, "POST", "/a");
    CHECK(answer.status() == http::status::method_not_allowed);
    CHECK(answer.headers().get("Allow") == "GET, HEAD, PUT, OPTIONS");
    CHECK(answer.headers().get("Content-Type") == "application/problem+json");
    answer = ask(router, "TRACE", "/a");
    CHECK(answer.status() == http::status::method_not_allowed);

    answer = ask(router, "OPTIONS", "/b/c");
    CHECK(answer.status() == http::status::no_content);
    CHECK(answer.headers().get("Allow") == "POST, DELETE, OPTIONS");
    CHECK(ask(router, "OPTIONS", "/none").status() == http::status::not_found);
    CHECK(ask(router, "OPTIONS", "*").status() == http::status::no_content);
    CHECK(ask(router, "HEAD", "/a").status() == http::status::ok);
    CHECK(ask(router, "HEAD", "/b/c").status() == http::status::method_not_allowed);

    const http::response tunnel = ask(router, "CONNECT", "a:443");
    CHECK(tunnel.status() == http::status::not_implemented);
    CHECK(tunnel.closes_connection());
}

TEST_CASE("router: misuse is told when it is set up", "[http][router]") {
    http::router router;
    router.get("/a/{id}", named("a"));
    for (const char* pattern :
         {"", "a", "/{", "/}", "/{}", "/{...}", "/a{id}", "/{id}b", "/{a-b}", "/{x...}/b", "/../a",
          "/.", "/a%20b", "/a?b", "/{id}/{id}", "/a/{other}", "/a/{id}", "/{a..}", "/{{a}}"}) {
        CAPTURE(pattern);
        CHECK_THROWS_AS(router.get(pattern, named("x")), std::invalid_argument);
    }
    CHECK_THROWS_AS(router.route(http::method::connect, "/c", named("x")), std::invalid_argument);
    CHECK_NOTHROW(router.put("/a/{id}", named("put")));
    CHECK_NOTHROW(router.get("/a/{id}/b/{other}", named("b")));
}

TEST_CASE("router: thousands of routes do not get in each other's way", "[http][router]") {
    http::router router;
    for (int i = 0; i < 5'000; ++i) {
        const std::string number = std::to_string(i);
        router.get("/r" + number + "/{id}", named(number, "id"));
    }
    CHECK(body(router, "GET", "/r0/x") == "0:x");
    CHECK(body(router, "GET", "/r4999/y") == "4999:y");
    CHECK(body(router, "GET", "/r5000/y") == "404");
}
