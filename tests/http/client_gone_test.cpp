// Handlers whose clients leave before they are answered.

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/core/either.hpp>
#include <heph/http/middleware/drop_when_gone.hpp>
#include <heph/rt/timer.hpp>

#include "ask_router.hpp"
#include "raw_client.hpp"
#include "test_routes.hpp"
#include "test_server.hpp"

using namespace heph::http;
using namespace heph::http::test;
using namespace std::chrono_literals;
using heph::task;

namespace {

// What handlers tell a test.
struct counters {
    std::atomic<int> begun{0};
    std::atomic<int> learned{0};
    std::atomic<int> dropped{0};
    std::atomic<bool> answer{false};
};

class counts_its_end {
public:
    explicit counts_its_end(std::atomic<int>& count) noexcept : count_(&count) {}
    counts_its_end(const counts_its_end&) = delete;
    counts_its_end& operator=(const counts_its_end&) = delete;
    ~counts_its_end() { ++*count_; }

private:
    std::atomic<int>* count_;
};

task<void> wait_until(std::atomic<bool>* go) {
    while (!*go) { co_await heph::rt::timer(1ms); }
}

task<response> watch(request& asked, counters* told) {
    ++told->begun;
    auto first = co_await heph::either(wait_until(&told->answer), asked.client_gone());
    if (first.index() == 1) { ++told->learned; }
    co_return response::text("watched");
}

task<response> read_and_wait(request& asked, counters* told) {
    const counts_its_end end(told->dropped);
    ++told->begun;
    const auto body = co_await asked.read_body();
    if (!body) { co_return response::problem(body.error()); }
    co_await wait_until(&told->answer);
    co_return response::text("read " + std::to_string(body->size()));
}

router gone_routes(counters& told) {
    router routes = make_test_routes();
    routes.get("/watch", [&told](request& asked) { return watch(asked, &told); });
    routes.post("/work", with(drop_when_gone(),
                              [&told](request& asked) { return read_and_wait(asked, &told); }));
    return routes;
}

}  // namespace

TEST_CASE("client gone: a handler that waits learns of it", "[http][server][gone]") {
    counters told;
    const test_server server(gone_routes(told));
    SECTION("when the client closes") {
        {
            raw_client client(server.port());
            client.send(get_request("/watch"));
            REQUIRE(eventually([&] { return told.begun == 1; }));
        }
        CHECK(eventually([&] { return told.learned == 1; }));
    }
    SECTION("when the client resets") {
        raw_client client(server.port());
        client.send(get_request("/watch"));
        REQUIRE(eventually([&] { return told.begun == 1; }));
        client.reset();
        CHECK(eventually([&] { return told.learned == 1; }));
    }
    SECTION("not while it waits, and the connection goes on") {
        raw_client client(server.port());
        client.send(get_request("/watch"));
        REQUIRE(eventually([&] { return told.begun == 1; }));
        told.answer = true;
        CHECK(client.read().body == "watched");
        CHECK(told.learned == 0);
        CHECK(client.ask(get_request("/hello")).body == "Hello, World!");
    }
    SECTION("not because of a further request, which is answered") {
        raw_client client(server.port());
        client.send(get_request("/watch"));
        REQUIRE(eventually([&] { return told.begun == 1; }));
        client.send(get_request("/hello"));
        told.answer = true;
        CHECK(client.read().body == "watched");
        CHECK(client.read().body == "Hello, World!");
        CHECK(told.learned == 0);
    }
}

TEST_CASE("client gone: drop_when_gone destroys the handler where it waits",
          "[http][server][gone]") {
    const captured_log log;
    counters told;
    const test_server server(gone_routes(told));
    SECTION("behind a body that it has read") {
        {
            raw_client client(server.port());
            client.send(post_request("/work", "four"));
            REQUIRE(eventually([&] { return told.begun == 1; }));
        }
        CHECK(eventually([&] { return told.dropped == 1; }));
        CHECK_FALSE(told.answer);
    }
    SECTION("behind a body that came later than its head") {
        {
            raw_client client(server.port());
            client.send("POST /work HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
            REQUIRE(eventually([&] { return told.begun == 1; }));
            client.send("four");
        }
        CHECK(eventually([&] { return told.dropped == 1; }));
        CHECK_FALSE(told.answer);
    }
    SECTION("within a body that breaks off") {
        {
            raw_client client(server.port());
            client.send("POST /work HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfo");
            REQUIRE(eventually([&] { return told.begun == 1; }));
        }
        CHECK(eventually([&] { return told.dropped == 1; }));
    }
    SECTION("not while the client is there") {
        raw_client client(server.port());
        client.send(post_request("/work", "four"));
        REQUIRE(eventually([&] { return told.begun == 1; }));
        CHECK(told.dropped == 0);
        told.answer = true;
        CHECK(client.read().body == "read 4");
        CHECK(client.ask(post_request("/work", "again")).body == "read 5");
    }
}

TEST_CASE("client gone: of a request from no connection, nobody goes", "[http][gone]") {
    router routes;
    routes.get("/", with(drop_when_gone(), named("there")));
    CHECK(ask(routes, "/").body() == "there");
}
