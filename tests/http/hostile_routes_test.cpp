// Paths and patterns that try to get past a router.

#include <stdexcept>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include <heph/http/h1/request_parser.hpp>
#include <heph/http/router.hpp>
#include <heph/http/uri.hpp>

#include "http/route_request.hpp"
#include "http/run_task.hpp"

namespace http = heph::http;
using heph::http::test::body_or_status;
using heph::http::test::named;
using heph::http::test::parse_head;
using heph::http::test::run;

namespace {

// Asks as a connection does: gives the status of what the parser refuses, too.
http::response ask(const http::router& router, std::string_view method, std::string_view target) {
    http::request request;
    const auto event = parse_head(request, method, target);
    if (event.kind == http::h1::event_kind::error) {
        return http::response::problem(event.failure);
    }
    return run(router.handle(request));
}

std::string body(const http::router& router, std::string_view method, std::string_view target) {
    return body_or_status(ask(router, method, target));
}

std::string allow(const http::router& router, std::string_view method, std::string_view target) {
    const http::response answer = ask(router, method, target);
    return std::to_string(code(answer.status())) + " " +
           std::string(answer.headers().get("Allow").value_or("-"));
}

}  // namespace

TEST_CASE("hostile routes: no spelling of a path gets around a literal segment",
          "[http][hostile]") {
    http::router router;
    router.get("/admin", named("admin"));
    router.get("/admin/users", named("users"));
    router.get("/{page}", named("page", "page"));
    for (const char* same : {"/admin", "/%61dmin", "/%61%64%6d%69%6e", "/%61%64%6D%69%6E",
                             "/admin?x", "/admin?/../y", "http://other/admin"}) {
        CAPTURE(same);
        CHECK(body(router, "GET", same) == "admin");
    }
    // None of these is the same path; none is taken for it, or for its parent.
    for (const auto& [target, expected] : {std::pair{"/admin/", "404"},
                                           {"//admin", "404"},
                                           {"/admin//users", "404"},
                                           {"//admin/users", "404"},
                                           {"/admin/users/", "404"},
                                           {"/", "404"},
                                           {"//", "404"},
                                           {"/admin%2fusers", "page:admin/users"},
                                           {"/admin%2Fusers", "page:admin/users"},
                                           {"/%2fadmin", "page:/admin"},
                                           {"/ADMIN", "page:ADMIN"},
                                           {"/admin%20", "page:admin "},
                                           {"/admin;x=y", "page:admin;x=y"},
                                           {"/admin%3Fx", "page:admin?x"},
                                           {"/admin%23x", "page:admin#x"},
                                           {"/admin+", "page:admin+"},
                                           {"/%2561dmin", "page:%61dmin"},
                                           {"/admin.", "page:admin."},
                                           {"/admin%09", "page:admin\t"},
                                           {"/admin%0d%0aX:%20y", "page:admin\r\nX: y"},
                                           {"/%c0%af", "page:\xc0\xaf"},
                                           {"/./admin", "400"},
                                           {"/admin/.", "400"},
                                           {"/x/../admin", "400"},
                                           {"/x/%2e%2e/admin", "400"},
                                           {"/.%2e/admin", "400"},
                                           {"/..;/admin", "404"},
                                           {"/admin%00", "400"},
                                           {"/admin%", "400"},
                                           {"/admin%2", "400"},
                                           {"/\\admin", "400"},
                                           {"/admin#x", "400"}}) {
        CAPTURE(target);
        CHECK(body(router, "GET", target) == expected);
    }
}

TEST_CASE("hostile routes: what takes the rest of a path gives no separator that was none",
          "[http][hostile]") {
    http::router router;
    router.get("/files/{path...}", named("files", "path"));
    router.get("/files/{id}/info", named("info", "id"));
    router.get("/all/{a}/{b}/{rest...}", named("all", "rest"));
    for (const auto& [target, expected] : {std::pair{"/files/", "files:"},
                                           {"/files//", "files:/"},
                                           {"/files//etc/passwd", "files:/etc/passwd"},
                                           {"/files/a//b/", "files:a//b/"},
                                           {"/files/%25", "files:%"},
                                           {"/files/%252e%252e/a", "files:%2e%2e/a"},
                                           {"/files/a%5cb", "files:a\\b"},
                                           {"/files/%2e%2e%2e", "files:..."},
                                           {"/files/%2f", "400"},
                                           {"/files/a%2Fb", "400"},
                                           {"/files/..%2f..%2fetc", "400"},
                                           {"/files/%2e%2e%2fetc", "400"},
                                           {"/files/%2e%2e/etc", "400"},
                                           {"/files/..", "400"},
                                           {"/files", "404"},
                                           {"/files/x%2fy/info", "info:x/y"},
                                           {"/files//info", "files:/info"},
                                           {"/all/1/2/", "all:"},
                                           {"/all/1/2/3/4", "all:3/4"},
                                           {"/all/1/2", "404"},
                                           {"/all//2/3", "404"},
                                           {"/all/1//3", "404"}}) {
        CAPTURE(target);
        CHECK(body(router, "GET", target) == expected);
    }
}

TEST_CASE("hostile routes: parameters of a way that led nowhere are forgotten", "[http][hostile]") {
    http::router router;
    const auto both = [](http::request& request) {
        return http::response::text("x=" + std::string(request.param("x")) +
                                    " y=" + std::string(request.param("y")) +
                                    " z=" + std::string(request.param("z")) + " of " +
                                    std::to_string(request.params().size()));
    };
    router.get("/{x}/a/{y}/end", both);
    router.get("/{x}/{z...}", both);
    router.get("/lit/{y}/b", both);
    CHECK(body(router, "GET", "/1/a/2/end") == "x=1 y=2 z= of 2");
    CHECK(body(router, "GET", "/1/a/2/other") == "x=1 y= z=a/2/other of 2");
    CHECK(body(router, "GET", "/lit/2/b") == "x= y=2 z= of 1");
    CHECK(body(router, "GET", "/lit/2/c") == "x=lit y= z=2/c of 2");
    CHECK(body(router, "GET", "/lit/a/2/end") == "x=lit y=2 z= of 2");
}

TEST_CASE("hostile routes: Allow names what would be answered", "[http][hostile]") {
    http::router router;
    router.get("/a", named("get"));
    router.post("/p", named("post"));
    router.head("/h", named("head"));
    router.options("/o", named("options")).put("/o", named("put"));
    router.put("/{x}", named("any", "x"));
    router.route(http::method::propfind, "/dav", named("propfind"));

    CHECK(allow(router, "POST", "/a") == "405 GET, HEAD, PUT, OPTIONS");
    CHECK(allow(router, "DELETE", "/p") == "405 POST, PUT, OPTIONS");
    CHECK(allow(router, "GET", "/h") == "405 HEAD, PUT, OPTIONS");
    CHECK(allow(router, "GET", "/dav") == "405 PUT, OPTIONS, PROPFIND");
    CHECK(allow(router, "TRACE", "/a") == "405 GET, HEAD, PUT, OPTIONS");
    CHECK(allow(router, "OPTIONS", "/a") == "204 GET, HEAD, PUT, OPTIONS");
    CHECK(allow(router, "OPTIONS", "/h") == "204 HEAD, PUT, OPTIONS");
    CHECK(body(router, "OPTIONS", "/o") == "options");
    CHECK(allow(router, "GET", "/o") == "405 PUT, OPTIONS");
    CHECK(body(router, "PUT", "/a") == "any:a");
    CHECK(body(router, "HEAD", "/a") == "get");
    CHECK(body(router, "HEAD", "/h") == "head");
    CHECK(allow(router, "HEAD", "/p") == "405 POST, PUT, OPTIONS");
    // Where there is no path there is nothing to allow.
    CHECK(allow(router, "POST", "/a/b") == "404 -");
    CHECK(allow(router, "OPTIONS", "/a/b") == "404 -");
    CHECK(allow(router, "TRACE", "/a/b") == "404 -");
    CHECK(allow(router, "BREW", "/a") == "501 -");
}

TEST_CASE("hostile routes: OPTIONS without a path is about the server", "[http][hostile]") {
    http::router router;
    router.get("/", named("root"));
    CHECK(allow(router, "OPTIONS", "*") == "204 -");
    CHECK(allow(router, "OPTIONS", "http://a") == "204 -");
    CHECK(allow(router, "OPTIONS", "http://a:80") == "204 -");
    CHECK(allow(router, "OPTIONS", "http://a/") == "204 GET, HEAD, OPTIONS");
    CHECK(allow(router, "OPTIONS", "http://a?x") == "204 GET, HEAD, OPTIONS");
    CHECK(body(router, "GET", "http://a") == "root");
    CHECK(body(router, "GET", "*") == "400");
    CHECK(body(router, "CONNECT", "a:80") == "501");
    CHECK(body(router, "CONNECT", "/") == "400");
}

TEST_CASE("hostile routes: patterns that could not be meant are refused", "[http][hostile]") {
    http::router router;
    for (const char* pattern :
         {"*",         "a/b",      "http://a/",   "?",           "/a#b",     "/%2f",   "/..",
          "/a/../b",   "/a/.",     "/{a}{b}",     "/{a}-{b}",    "/x{a}",    "/{a}x",  "/{",
          "/}",        "/{a",      "/a}",         "/{{a}",       "/{a}}",    "/{ a}",  "/{a }",
          "/{a.b}",    "/{a..}",   "/{a....}",    "/{...a}",     "/{}",      "/{...}", "/{a...}/",
          "/{a...}/b", "/{a}/{a}", "/{a}/{a...}", "/{\xc3\xa4}", "/{a:Int}", "/{*a}",  "/{a?}"}) {
        CAPTURE(pattern);
        CHECK_THROWS_AS(router.get(pattern, named("x")), std::invalid_argument);
    }
    // What is refused leaves nothing that could be found.
    CHECK(body(router, "GET", "/a") == "404");
    CHECK(body(router, "GET", "/") == "404");
    CHECK(allow(router, "OPTIONS", "/a/b") == "404 -");
}

TEST_CASE("hostile routes: a handler that is none is refused when it is set up",
          "[http][hostile]") {
    http::router router;
    using function = http::response (*)(http::request&);
    CHECK_THROWS_AS(router.get("/a", http::handler()), std::invalid_argument);
    CHECK_THROWS_AS(router.get("/a", function(nullptr)), std::invalid_argument);
    CHECK_THROWS_AS(router.get("/a", std::function<heph::task<http::response>(http::request&)>()),
                    std::invalid_argument);
    CHECK(body(router, "GET", "/a") == "404");
}

TEST_CASE("hostile routes: conflicts are told, whatever the order", "[http][hostile]") {
    http::router router;
    router.get("/{a}/x", named("ax", "a"));
    CHECK_THROWS_AS(router.get("/{b}/y", named("by", "b")), std::invalid_argument);
    CHECK_THROWS_AS(router.put("/{b}/x", named("bx", "b")), std::invalid_argument);
    CHECK_THROWS_AS(router.get("/{a}/x", named("again", "a")), std::invalid_argument);
    router.get("/{rest...}", named("rest", "rest"));
    CHECK_THROWS_AS(router.get("/{other...}", named("other", "other")), std::invalid_argument);
    CHECK_THROWS_AS(router.get("/{rest...}", named("again", "rest")), std::invalid_argument);
    CHECK(body(router, "GET", "/1/x") == "ax:1");
    CHECK(body(router, "GET", "/1/y") == "rest:1/y");
    CHECK(body(router, "GET", "/") == "rest:");
}

TEST_CASE("hostile routes: patterns and paths of thousands of segments are no trouble",
          "[http][hostile]") {
    http::router router;
    std::string pattern;
    std::string path;
    for (int i = 0; i < 3'000; ++i) {
        pattern += "/a";
        path += "/a";
    }
    router.get(pattern, named("deep"));
    router.get(pattern + "/{x}", named("deeper", "x"));
    CHECK(body(router, "GET", path) == "deep");
    CHECK(body(router, "GET", path + "/1") == "deeper:1");
    CHECK(body(router, "GET", path + "/") == "404");
    CHECK(body(router, "GET", path.substr(2)) == "404");

    // Two ways at each of 20 segments: all are tried, each node once.
    http::router bushy;
    for (int i = 0; i < 1 << 10; ++i) {
        std::string way;
        for (int bit = 0; bit < 10; ++bit) {
            way += (i >> bit) % 2 == 0 ? "/a" : "/{p" + std::to_string(bit) + "}";
        }
        bushy.get(way + "/end", named("found"));
    }
    CHECK(body(bushy, "GET", "/a/a/a/a/a/a/a/a/a/a/end") == "found");
    CHECK(body(bushy, "GET", "/a/a/a/a/a/a/a/a/a/a/none") == "404");
    CHECK(body(bushy, "GET", "/b/b/b/b/b/b/b/b/b/b/end") == "found");
}

TEST_CASE("hostile routes: texts that are no host, target or encoding are told apart",
          "[http][hostile]") {
    using namespace std::string_view_literals;
    for (const std::string_view host : {"a\0b"sv, "\0"sv, "[::1\0]"sv, "[::1\0x]"sv, "a:8\0"sv,
                                        "a\r\n"sv, "a\n"sv, " a"sv, "a "sv}) {
        CHECK_FALSE(http::is_host(host));
    }
    CHECK_FALSE(http::is_host("[" + std::string(10'000, ':') + "]"));
    CHECK_FALSE(http::is_host("a:" + std::string(10'000, '9')));
    CHECK(http::is_host(std::string(10'000, 'a')));
    for (int byte = 0; byte < 256; ++byte) {
        CAPTURE(byte);
        const char c = static_cast<char>(byte);
        const std::string unreserved_or_reserved =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/";
        const bool in_path =
            c != '\0' && (unreserved_or_reserved + "[]^{|}?").find(c) != std::string::npos;
        const bool in_query =
            c != '\0' && (unreserved_or_reserved + "?%[]^{|}\"\\`").find(c) != std::string::npos;
        const auto path = http::parse_target(http::method::get, std::string("/a") + c + "b");
        CHECK(path.has_value() == in_path);
        const auto query = http::parse_target(http::method::get, std::string("/?a") + c + "b");
        CHECK(query.has_value() == in_query);
    }
    CHECK(http::parse_target(http::method::get, "/" + std::string(1'000'000, 'a')).has_value());
    CHECK(http::parse_target(http::method::get, std::string(1'000'000, '/')).has_value());
    CHECK_FALSE(
        http::parse_target(http::method::get, "/" + std::string(1'000'000, '%')).has_value());

    CHECK(http::percent_decode("%00%0A%ff") == std::string("\0\n\xff", 3));
    CHECK(http::percent_decode("") == "");
    CHECK_FALSE(http::percent_decode("%0").has_value());
    CHECK_FALSE(http::percent_decode("%0\0"sv).has_value());
    CHECK_FALSE(http::percent_decode("% 1").has_value());
    CHECK_FALSE(http::percent_decode("%+1").has_value());
    CHECK_FALSE(http::percent_decode("%-1").has_value());
    CHECK_FALSE(http::percent_decode("%0x").has_value());

    CHECK(http::query_parameter("a=%00b", "a") == std::string("\0b", 2));
    CHECK(http::query_parameter("a=%", "a") == "%");
    CHECK(http::query_parameter("a=%4", "a") == "%4");
    CHECK(http::query_parameter("a=%zz", "a") == "%zz");
    CHECK(http::query_parameter("&&&=&a", "a") == "");
    CHECK(http::query_parameter("=b", "") == "b");
    CHECK(http::query_parameter("a=b=c&a=d", "a") == "b=c");
    CHECK(http::query_parameter("%61%3D=1&b=2", "a=") == "1");
    CHECK_FALSE(http::query_parameter(std::string(1'000'000, '&'), "a").has_value());
    CHECK_FALSE(http::query_parameter("A=1", "a").has_value());
}
