// Streams and chunks that outlive the worker they belong to.

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <heph/rt/error.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "open_descriptors.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::errc;
using heph::rt::net::chunk;
using heph::rt::net::endpoint;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::test::open_descriptors;
using heph::test::run_task;

namespace {

// What a runtime leaves behind.
struct left_over {
    std::optional<tcp_listener> listener;  // With a connection that was accepted and not taken.
    std::optional<tcp_stream> stream;      // With bytes that arrived and were not taken.
    std::optional<chunk> held;
};

task<> send_text(tcp_stream& stream, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto sent = co_await stream.send_all(std::move(bytes));
    REQUIRE(sent);
}

task<> leave_behind(left_over* left) {
    auto listener = tcp_listener::bind(endpoint::loopback(0));
    REQUIRE(listener);
    const auto address = listener->local_endpoint();
    REQUIRE(address);
    auto client = co_await tcp_stream::connect(*address);
    REQUIRE(client);
    auto served = co_await listener->accept();
    REQUIRE(served);
    auto waiting = co_await tcp_stream::connect(*address);
    REQUIRE(waiting);
    co_await send_text(*client, "first");
    auto first = co_await served->next();
    REQUIRE(first);
    CHECK(first->view() == "first");
    co_await send_text(*client, "second");
    co_await heph::rt::timer(5ms);  // A turn or more, in which both arrive.
    left->held.emplace(std::move(*first));
    left->stream.emplace(std::move(*served));
    left->listener.emplace(std::move(*listener));
}

task<> use_elsewhere(left_over* left) {
    const auto bytes = co_await left->stream->next();
    REQUIRE_FALSE(bytes);
    CHECK(bytes.error() == errc::wrong_worker);
    const auto connection = co_await left->listener->accept();
    REQUIRE_FALSE(connection);
    CHECK(connection.error() == errc::wrong_worker);
    CHECK(left->held->view() == "first");
    *left = left_over();
    // The operations of this worker are not mixed up with the ones that were given back.
    for (int i = 0; i < 4; ++i) { co_await leave_behind(left); }
    *left = left_over();
}

}  // namespace

// The threads of two runtimes, one after the other, mostly get the same stack, so that the workers
// have the same address.
TEST_CASE(
    "outliving: a later worker at the same address does not take the earlier one's streams "
    "for its own",
    "[rt][outliving]") {
    for (int i = 0; i < 20; ++i) {
        left_over left;
        run_task([&left] { return leave_behind(&left); });
        run_task([&left] { return use_elsewhere(&left); });
    }
}

TEST_CASE("outliving: a stream, a listener and a chunk may be dropped when their worker has ended",
          "[rt][outliving]") {
    const auto before = open_descriptors();
    for (int i = 0; i < 20; ++i) {
        left_over left;
        run_task([&left] { return leave_behind(&left); });
        std::jthread elsewhere([&left] {
            left.stream.reset();
            left.listener.reset();
        });
        CHECK(left.held->view() == "first");
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("outliving: a stream dropped on another thread while its worker runs is closed",
          "[rt][outliving]") {
    const auto before = open_descriptors();
    left_over left;
    run_task([&left]() -> task<> {
        return [](left_over* here) -> task<> {
            for (int i = 0; i < 200; ++i) {
                co_await leave_behind(here);
                std::jthread elsewhere([here] {
                    here->stream.reset();
                    here->held.reset();
                    here->listener.reset();
                });
            }
        }(&left);
    });
    CHECK(open_descriptors() == before);
}
