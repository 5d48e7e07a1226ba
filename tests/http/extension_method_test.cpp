// Methods that have no value of their own: routed, handled and sent by their names.

#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/http/client.hpp>
#include <heph/http/h1/request_parser.hpp>
#include <heph/http/h1/request_writer.hpp>
#include <heph/http/middleware/access_log.hpp>
#include <heph/http/middleware/metrics.hpp>
#include <heph/http/router.hpp>

#include "client_run.hpp"
#include "raw_client.hpp"
#include "route_request.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using heph::task;

namespace {

const std::string longest(method_bytes_max, 'L');
const std::string longer(method_bytes_max + 1, 'L');

/// What a parser that knows some of them says about a request line, cut in each place: the method's
/// name, or the error.
std::string read_line(std::string_view line) {
    extension_methods known;
    for (const std::string_view name : {std::string_view("BREW"), std::string_view("M-SEARCH"),
                                        std::string_view("!#$%&'*+-.^_`|~09az"),
                                        std::string_view("GETX"), std::string_view(longest)}) {
        known.add(name);
    }
    const std::string bytes = std::string(line) + "\r\nHost: a\r\n\r\n";
    std::string first;
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        const limits bounds;
        h1::request_parser parser(bounds);
        request_head head;
        std::string_view input = std::string_view(bytes).substr(0, cut);
        h1::event event = parser.next(input, head);
        if (event.kind == h1::event_kind::need_input) {
            input = std::string_view(bytes).substr(cut);
            event = parser.next(input, head);
        }
        if (event.kind == h1::event_kind::error) { event = parser.take_extension(head, known); }
        std::string told(event.kind == h1::event_kind::error ? message(event.failure)
                                                             : head.method_name());
        if (cut == 0) { first = told; }
        if (told != first) { return "it depends on the cut"; }
    }
    return first;
}

std::string fault_of(std::string_view name) {
    router routes;
    try {
        routes.route(name, "/", [](request&) { return response::text("x"); });
    } catch (const std::invalid_argument&) { return "refused"; }
    return "taken";
}

router coffee_routes() {
    router routes;
    routes.route("BREW", "/pot", [](request& asked) {
        return response::text(std::string(asked.method_name()) + " by a " +
                              std::string(to_string(asked.method())));
    });
    routes.route<"/pot/{id}">("WHEN", [](request& asked) -> task<response> {
        const auto body = co_await asked.read_body();
        co_return response::text(std::string(asked.param("id")) + " " + body.value_or("nothing"));
    });
    routes.get("/pot", [](request&) { return response::text("coffee"); });
    routes.get("/tea", [](request&) { return response::text("tea"); });
    return routes;
}

}  // namespace

TEST_CASE("extension method: a parser takes those that it is told of, as they are written",
          "[http][parser][method]") {
    CHECK(read_line("BREW / HTTP/1.1") == "BREW");
    CHECK(read_line("M-SEARCH /a?b HTTP/1.1") == "M-SEARCH");
    CHECK(read_line("!#$%&'*+-.^_`|~09az / HTTP/1.0") == "!#$%&'*+-.^_`|~09az");
    CHECK(read_line("GETX http://a/ HTTP/1.1") == "GETX");
    CHECK(read_line("GET / HTTP/1.1") == "GET");
    CHECK(read_line(longest + " / HTTP/1.1") == longest);
    const std::string unknown(message(error::unknown_method));
    for (const std::string line :
         {"BRE / HTTP/1.1", "BREWS / HTTP/1.1", "brew / HTTP/1.1", "extension / HTTP/1.1",
          "M-SEARC / HTTP/1.1", "PRI * HTTP/1.1"}) {
        CAPTURE(line);
        CHECK(read_line(line) == unknown);
    }
    CHECK(read_line(longer + " / HTTP/1.1") == unknown);
    CHECK(read_line("BREW * HTTP/1.1") == message(error::bad_target));
    CHECK(read_line("BREW a:80 HTTP/1.1") == message(error::bad_target));
    CHECK(read_line("BRE(W / HTTP/1.1") == message(error::bad_request_line));
    CHECK(read_line(" BREW / HTTP/1.1") == message(error::bad_request_line));
    CHECK(read_line("BREW: / HTTP/1.1") == message(error::bad_request_line));
}

TEST_CASE("extension method: a route is for a token of a bounded length",
          "[http][router][method]") {
    for (const std::string_view name :
         {"BREW", "brew", "extension", "M-SEARCH", "GET", "PROPFIND"}) {
        CAPTURE(name);
        CHECK(fault_of(name) == "taken");
    }
    CHECK(fault_of(longest) == "taken");
    for (const std::string_view name :
         {"", "BREW ", "BR EW", "BR(EW", "BREW\r\n", "BREW:", "CONNECT", "TRACE", "K\xc3\xa4se"}) {
        CAPTURE(name);
        CHECK(fault_of(name) == "refused");
    }
    CHECK(fault_of(longer) == "refused");
    router routes;
    const auto handle = [](request&) { return response::text("x"); };
    CHECK_THROWS_AS(routes.route(method::extension, "/", handle), std::invalid_argument);
    routes.route("BREW", "/", handle).route("WHEN", "/", handle);
    CHECK_THROWS_AS(routes.route("BREW", "/", handle), std::invalid_argument);
    // A name that is known is that method.
    routes.route("GET", "/", handle);
    CHECK_THROWS_AS(routes.get("/", handle), std::invalid_argument);
    CHECK(routes.extensions().names() == std::vector<std::string>{"BREW", "WHEN"});
    for (int i = 2; i < 200; ++i) { routes.route("X" + std::to_string(i), "/", handle); }
    CHECK_THROWS_AS(routes.route("X200", "/", handle), std::invalid_argument);
    path_params params;
    CHECK(routes.find("X199", "/", params).found != nullptr);
    CHECK(routes.find("X200", "/", params).found == nullptr);
}

TEST_CASE("extension method: a server answers a routed one, and others by 405, 404 or 501",
          "[http][server][method]") {
    router routes;
    routes.mount("/office", coffee_routes());
    const test_server server(std::move(routes));
    raw_client client(server.port());
    const auto ask = [&](const std::string& line) {
        const reply got = client.ask(line + " HTTP/1.1\r\nHost: a\r\n\r\n");
        return std::to_string(got.status) + " " +
               (got.status == 200 ? got.body : got.header("Allow").value_or("-"));
    };
    CHECK(ask("BREW /office/pot") == "200 BREW by a extension");
    CHECK(ask("GET /office/pot") == "200 coffee");
    CHECK(ask("WHEN /office/pot") == "405 GET, HEAD, OPTIONS, BREW");
    CHECK(ask("POST /office/pot") == "405 GET, HEAD, OPTIONS, BREW");
    CHECK(ask("OPTIONS /office/pot") == "204 GET, HEAD, OPTIONS, BREW");
    CHECK(ask("BREW /office/tea") == "405 GET, HEAD, OPTIONS");
    CHECK(ask("BREW /office/none") == "404 -");
    CHECK(client.ask("WHEN /office/pot/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nstop")
              .body == "7 stop");
    CHECK(ask("BREW /office/pot") == "200 BREW by a extension");
    // Nobody here knows that one: its body might mean anything.
    CHECK(ask("BREWX /office/pot") == "501 -");
    CHECK(client.at_end());
}

TEST_CASE("extension method: the places that a path may lead to allow what all of them do",
          "[http][router][method]") {
    router routes;
    const auto handle = [](request&) { return response::text("x"); };
    routes.route("BREW", "/pot", handle).route("WHEN", "/{any}", handle);
    routes.route("BREW", "/{any}", handle);
    path_params params;
    CHECK(routes.find("WHEN", "/pot", params).found != nullptr);
    request asked;
    REQUIRE(parse_head(asked, "GET", "/pot").kind == h1::event_kind::head);
    const auto other = routes.find("STIR", "/pot", params);
    CHECK(other.found == nullptr);
    CHECK(routes.error_answer(asked, other).headers().get("Allow") == "OPTIONS, BREW, WHEN");
}

TEST_CASE("extension method: logs have its name, and metrics count all of them together",
          "[http][server][method]") {
    std::mutex guard;
    std::string lines;
    metrics counted;
    router routes;
    routes.use(counted.around());
    routes.observe(log_exchanges(access_log_format::common, [&](std::string_view line) {
        const std::lock_guard<std::mutex> lock(guard);
        lines += line;
    }));
    routes.mount("/", coffee_routes());
    router admin;
    admin.get("/metrics", counted.endpoint());
    routes.mount("/admin", std::move(admin));
    const test_server server(std::move(routes));
    raw_client client(server.port());
    CHECK(client.ask("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n").status == 200);
    const std::string told = client.ask(get_request("/admin/metrics")).body;
    CHECK(told.find("requests_total{method=\"extension\",status=\"2xx\"} 1\n") !=
          std::string::npos);
}

TEST_CASE("extension method: a client sends one by its name, and nothing that is none",
          "[http][client][method]") {
    const test_server server(coffee_routes());
    const std::string base = "http://127.0.0.1:" + std::to_string(server.port());
    std::vector<std::string> told;
    with_client([&](client made) -> task<> {
        return [](client with, std::string at, std::vector<std::string>* heard) -> task<> {
            for (const std::string name : {"BREW", "GET", "HEAD", "BR EW", "BREW\r\n", ""}) {
                client_request asked(name, at + "/pot");
                auto got = co_await with.send(std::move(asked));
                heard->push_back(co_await outcome(std::move(got)));
            }
            client_request late(longer, at + "/pot");
            auto got = co_await with.send(std::move(late));
            heard->push_back(co_await outcome(std::move(got)));
            client_request nameless(method::extension, at + "/pot");
            got = co_await with.send(std::move(nameless));
            heard->push_back(co_await outcome(std::move(got)));
        }(std::move(made), base, &told);
    });
    const std::string bad = text_of(error::bad_outgoing_request);
    CHECK(told == std::vector<std::string>{"200 BREW by a extension", "200 coffee", "200 ", bad,
                                           bad, bad, bad, bad});
}

TEST_CASE("extension method: a redirect keeps it, but for 303", "[http][client][method]") {
    client_request asked("BREW", "http://a/");
    CHECK(asked.method() == method::extension);
    CHECK(asked.method_name() == "BREW");
    asked.redirect(status::found, true);
    CHECK(asked.method_name() == "BREW");
    asked.redirect(status::see_other, true);
    CHECK(asked.method_name() == "GET");
    CHECK(client_request("PUT", "http://a/").method() == method::put);
}
