#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/http/event_stream.hpp>
#include <heph/rt/timer.hpp>

#include "raw_client.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::test::test_server;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

using outcome = std::expected<void, http::error>;

/// What is sent for an event; `refused` when nothing is.
std::string sent_for(const http::server_event& event) {
    std::string out = "before";
    if (!event.append_to(out)) {
        CHECK(out == "before");
        return "refused";
    }
    return out.substr(6);
}

task<outcome> tell_three(http::event_sink events) {
    const outcome waits = co_await events.retry_after(2500ms);
    if (!waits) { co_return waits; }
    for (int i = 0; i < 3; ++i) {
        http::server_event event("number " + std::to_string(i));
        event.set_name("count").set_id(std::to_string(i));
        const outcome sent = co_await events.send(std::move(event));
        if (!sent) { co_return sent; }
    }
    const outcome alive = co_await events.keep_alive();
    co_return alive;
}

}  // namespace

TEST_CASE("event stream: events are written as the standard has it", "[http][events]") {
    CHECK(sent_for(http::server_event("hello")) == "data: hello\n\n");
    CHECK(sent_for(http::server_event("")) == "data: \n\n");
    CHECK(sent_for(http::server_event("a\nb\r\nc\rd")) == "data: a\ndata: b\ndata: c\ndata: d\n\n");
    CHECK(sent_for(http::server_event("a\n")) == "data: a\ndata: \n\n");
    CHECK(sent_for(http::server_event(" :x")) == "data:  :x\n\n");
    http::server_event named("x");
    named.set_name("news").set_id("7");
    CHECK(sent_for(named) == "id: 7\nevent: news\ndata: x\n\n");
    named.set_id("");
    CHECK(sent_for(named) == "id: \nevent: news\ndata: x\n\n");
}

TEST_CASE("event stream: a name or an id cannot become another field", "[http][events]") {
    http::server_event event("x");
    event.set_name("a\ndata: forged");
    CHECK(sent_for(event) == "refused");
    event.set_name("a").set_id("1\r2");
    CHECK(sent_for(event) == "refused");
    event.set_id("1\0002"s);
    CHECK(sent_for(event) == "refused");
}

TEST_CASE("event stream: a client gets events, and says which was the last", "[http][server]") {
    http::router routes;
    routes.get("/", [](http::request& asked) {
        if (http::last_event_id(asked) == "2") { return http::response::empty(); }
        return http::event_stream(tell_three);
    });
    test_server server(std::move(routes));
    http::test::raw_client client(server.port());
    const auto told = client.ask(http::test::get_request("/"));
    CHECK(told.status == 200);
    CHECK(told.header("content-type") == "text/event-stream");
    CHECK(told.header("cache-control") == "no-cache");
    CHECK(told.body ==
          "retry: 2500\n\n"
          "id: 0\nevent: count\ndata: number 0\n\n"
          "id: 1\nevent: count\ndata: number 1\n\n"
          "id: 2\nevent: count\ndata: number 2\n\n"
          ":\n\n");
    CHECK(told.complete);
    const auto enough = client.ask(http::test::get_request("/", "Last-Event-ID: 2\r\n"));
    CHECK(enough.status == 204);
}

TEST_CASE("event stream: the producer learns that the client is gone", "[http][server]") {
    const auto ended = std::make_shared<std::atomic<bool>>(false);
    http::router routes;
    routes.get("/", [ended](http::request&) {
        return http::event_stream([ended](http::event_sink events) {
            return
                [](http::event_sink to, std::shared_ptr<std::atomic<bool>> told) -> task<outcome> {
                    for (;;) {
                        const outcome alive = co_await to.keep_alive();
                        if (!alive) {
                            *told = true;
                            co_return alive;
                        }
                        co_await heph::rt::timer(1ms);
                    }
                }(events, ended);
        });
    });
    test_server server(std::move(routes));
    {
        http::test::raw_client client(server.port());
        client.send(http::test::get_request("/"));
        CHECK(client.read_some().find("200 OK") != std::string::npos);
    }
    CHECK(http::test::eventually([&] { return ended->load(); }));
}
