#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/http/router.hpp>

#include "http/ask_router.hpp"
#include "http/route_request.hpp"

namespace http = heph::http;
using heph::http::detail::fault_of;
using heph::http::test::ask;
using heph::http::test::body_or_status;
using heph::http::test::named;

namespace {

std::string body(const http::router& router, std::string_view target,
                 std::string_view method = "GET") {
    return body_or_status(ask(router, target, {}, method));
}

constexpr bool is_good(std::string_view pattern) { return fault_of(pattern) == nullptr; }

static_assert(is_good("/"));
static_assert(is_good("/notes/{id:int}/{name}/{rest...}"));
static_assert(is_good("/{a:uint}/{b:uuid}"));
static_assert(!is_good(""));
static_assert(!is_good("/{id:float}"));
static_assert(!is_good("/{id:}"));
static_assert(!is_good("/{:int}"));
static_assert(!is_good("/{id:int}{b}"));
static_assert(!is_good("/{id:int}/{id}"));
static_assert(!is_good("/{id}/a/{id:uint}"));
static_assert(!is_good("/{rest:int...}"));
static_assert(!is_good("/{rest...:int}"));
static_assert(!is_good("/{rest...}/a"));
static_assert(!is_good("/a/../b"));

constexpr auto uuid = "01234567-89ab-cdef-0123-456789ABCDEF";

}  // namespace

TEST_CASE("router types: a segment of the type matches, another does not", "[http][router]") {
    http::router router;
    router.get("/int/{id:int}", named("int", "id"));
    router.get("/uint/{id:uint}/x", named("uint", "id"));
    router.get("/uuid/{id:uuid}", named("uuid", "id"));
    for (const char* good :
         {"0", "-0", "7", "-7", "007", "9223372036854775807", "-9223372036854775808"}) {
        CHECK(body(router, std::string("/int/") + good) == std::string("int:") + good);
    }
    for (const char* bad : {"", "-", "+7", "7a", "a", "0x7", "7.0", "%207", "7%20", "1e3", "--7",
                            "9223372036854775808", "-9223372036854775809"}) {
        CAPTURE(bad);
        CHECK(body(router, std::string("/int/") + bad) == "404");
    }
    CHECK(body(router, "/int/%37") == "int:7");
    CHECK(body(router, "/uint/18446744073709551615/x") == "uint:18446744073709551615");
    for (const char* bad : {"18446744073709551616", "-1", "-0", "", "a"}) {
        CHECK(body(router, std::string("/uint/") + bad + "/x") == "404");
    }
    CHECK(body(router, std::string("/uuid/") + uuid) == std::string("uuid:") + uuid);
    for (const char* bad :
         {"01234567-89ab-cdef-0123-456789ABCDE", "01234567-89ab-cdef-0123-456789ABCDEF0",
          "01234567089ab-cdef-0123-456789ABCDEF", "g1234567-89ab-cdef-0123-456789ABCDEF",
          "0123456789abcdef0123456789abcdef", "{1234567-89ab-cdef-0123-456789ABCDE}"}) {
        CHECK(body(router, std::string("/uuid/") + bad) == "404");
    }
}

TEST_CASE("router types: the narrower comes first, and what does not match goes on",
          "[http][router]") {
    http::router router;
    // In another order than that in which they are tried.
    router.get("/a/{rest...}", named("rest", "rest"));
    router.get("/a/{name}", named("text", "name"));
    router.get("/a/{number:int}", named("int", "number"));
    router.get("/a/{key:uuid}", named("uuid", "key"));
    router.get("/a/{count:uint}", named("uint", "count"));
    router.get("/a/5", named("five"));
    router.get("/a/{number:int}/x", named("x", "number"));
    CHECK(body(router, "/a/5") == "five");
    CHECK(body(router, "/a/6") == "uint:6");
    CHECK(body(router, "/a/-6") == "int:-6");
    CHECK(body(router, std::string("/a/") + uuid) == std::string("uuid:") + uuid);
    CHECK(body(router, "/a/six") == "text:six");
    CHECK(body(router, "/a/") == "rest:");
    CHECK(body(router, "/a/6/x") == "x:6");
    CHECK(body(router, "/a/six/x") == "rest:six/x");
}

TEST_CASE("router types: a wrong type is 404, or 400 where that is all that is wrong",
          "[http][router]") {
    http::router router;
    router.get("/a/{id:int}", named("get", "id")).put("/a/{id:int}", named("put", "id"));
    router.get("/a/{id:int}/b/{other:uint}", named("two", "other"));
    router.post("/c/{id:int}", named("post", "id")).get("/c/{name}", named("text", "name"));
    router.get("/only/{id:int}/deep", named("deep"));
    const auto all = [&router] {
        std::string told;
        for (const char* path : {"/a/x", "/a/1/b/x", "/a/x/b/y", "/a/x/c", "/a/", "/only/x",
                                 "/only/x/deep", "/nowhere"}) {
            told += body(router, path) + " ";
        }
        return told;
    };
    CHECK(all() == "404 404 404 404 404 404 404 404 ");
    router.answer_wrong_types(http::status::bad_request);
    CHECK(all() == "400 400 400 404 404 404 400 404 ");
    CHECK(body(router, "/a/x", "DELETE") == "400");
    CHECK(body(router, "/a/x", "OPTIONS") == "400");
    // Another route knows the path.
    CHECK(body(router, "/c/x") == "text:x");
    CHECK(body(router, "/c/x", "POST") == "405");
    CHECK(body(router, "/a/1") == "get:1");
    const http::response told = ask(router, "/a/x");
    CHECK(told.headers().get("Content-Type") == "application/problem+json");
    router.use([](http::request& asked, http::next_handler next) { return next(asked); });
    CHECK(all() == "400 400 400 404 404 404 400 404 ");
    router.answer_wrong_types(http::status::not_found);
    CHECK(all() == "404 404 404 404 404 404 404 404 ");
    CHECK_THROWS_AS(router.answer_wrong_types(http::status::ok), std::invalid_argument);
}

TEST_CASE("router types: a parameter keeps its name and type wherever it is mounted",
          "[http][router]") {
    http::router inner;
    inner.get("/{id:uint}/{name}/{rest...}", named("inner", "id"));
    http::router router;
    router.mount("/v1", std::move(inner));
    CHECK(body(router, "/v1/7/x/y") == "inner:7");
    CHECK(body(router, "/v1/x/x/y") == "404");
    CHECK_THROWS_AS(router.get("/v1/{other:uint}", named("x")), std::invalid_argument);
    CHECK_NOTHROW(router.get("/v1/{other:int}", named("x")));
    CHECK_THROWS_AS(router.get("/v1/{id:float}", named("x")), std::invalid_argument);
}

TEST_CASE("router types: a handler gets the number, if it fits what it asks for",
          "[http][router]") {
    std::string told;
    http::router router;
    router.get<"/{id:int}">([&told](http::request& request) {
        const auto show = [&told](const auto& value) {
            told += value ? std::to_string(*value) + " " : "- ";
        };
        show(request.param_as<std::int64_t>("id"));
        show(request.param_as<std::uint64_t>("id"));
        show(request.param_as<std::int8_t>("id"));
        show(request.param_as<int>("other"));
        return http::response();
    });
    CHECK(body(router, "/-5").empty());
    CHECK(body(router, "/300").empty());
    CHECK(told == "-5 - -5 - 300 300 - - ");
}

TEST_CASE("router types: patterns that the compiler checked are routes like others",
          "[http][router]") {
    http::router router;
    router.get<"/a/{id}">(named("get", "id")).put<"/a/{id}">(named("put", "id"));
    router.post<"/a">(named("post")).patch<"/a">(named("patch")).delete_<"/a">(named("delete"));
    router.head<"/b">(named("head")).options<"/b">(named("options"));
    router.route<"/c">(http::method::get, named("c"));
    CHECK(body(router, "/a/1") == "get:1");
    CHECK(body(router, "/a/1", "PUT") == "put:1");
    CHECK(body(router, "/a", "POST") == "post");
    CHECK(body(router, "/a", "PATCH") == "patch");
    CHECK(body(router, "/a", "DELETE") == "delete");
    CHECK(body(router, "/b", "OPTIONS") == "options");
    CHECK(body(router, "/b") == "405");
    CHECK(body(router, "/c") == "c");
    CHECK_THROWS_AS(router.get<"/a/{id}">(named("again")), std::invalid_argument);
}
