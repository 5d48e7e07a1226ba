// Threads that wait for the value of a one-shot channel, but not for ever.

#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/inbox/oneshot.hpp>

using namespace heph::inbox;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

TEST_CASE("oneshot: a blocking receive with a deadline gives the value that comes in time",
          "[oneshot]") {
    auto [tx, rx] = oneshot<std::unique_ptr<int>>();
    const std::jthread sender(
        [to = std::move(tx)]() mutable { (void)std::move(to).try_send(std::make_unique<int>(7)); });
    const auto got = rx.recv_blocking(steady_clock::time_point::max());
    REQUIRE(got);
    CHECK(**got == 7);
}

TEST_CASE("oneshot: after its deadline a blocking receive says empty, and may be called again",
          "[oneshot]") {
    auto [tx, rx] = oneshot<int>();
    CHECK(rx.recv_blocking(steady_clock::time_point()) == std::unexpected(recv_error::empty));
    CHECK(rx.recv_blocking(system_clock::now() + 2ms) == std::unexpected(recv_error::empty));
    CHECK(std::move(tx).try_send(8));
    CHECK(rx.recv_blocking(steady_clock::time_point()) == 8);
}

TEST_CASE("oneshot: a blocking receive with a deadline says disconnected, when the sender went",
          "[oneshot]") {
    auto [tx, rx] = oneshot<int>();
    const std::jthread sender([to = std::move(tx)] {});
    CHECK(rx.recv_blocking(steady_clock::now() + 1h) == std::unexpected(recv_error::disconnected));
}
