// A want of memory as a server stops.

#include <cstddef>
#include <utility>

#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>

#include "ending.hpp"
#include "failing_new.hpp"
#include "on_runtime.hpp"

using heph::task;
using heph::rt::net::tcp_listener;
using heph::test::arm;
using heph::test::connect_now;
using heph::test::copy_of;
using heph::test::count_waiting;
using heph::test::listen;

namespace {

// More than there is memory for from the beginning.
constexpr std::size_t many = heph::rt::detail::accepted_usual + 70;

// Connections come as a listener ends, and the allocation after so many others fails. Gives whether
// one did, and how many connections were not closed.
task<std::pair<bool, std::size_t>> end_without_memory(std::size_t before) {
    tcp_listener listener = listen();
    const auto address = listener.local_endpoint();
    REQUIRE(address);
    const tcp_listener successor = copy_of(listener);
    auto arming = arm(listener);
    co_await std::move(arming);
    const auto clients = connect_now(*address, many);
    auto ending = heph::rt::detail::end_listening(std::move(listener));
    heph::test::fail_allocation(before);
    const auto all = co_await std::move(ending);
    const bool failed = heph::test::stop_failing();
    const std::size_t left = co_await count_waiting(successor.descriptor());
    co_return std::pair(failed, all.size() + left);
}

}  // namespace

TEST_CASE("server: a want of memory as a server stops closes no connection", "[rt][tcp][server]") {
    bool failed = true;
    for (std::size_t before = 0; failed; ++before) {
        REQUIRE(before < 100);
        std::pair<bool, std::size_t> came{true, 0};
        heph::test::run_task([&]() -> task<> {
            return [](std::size_t after, std::pair<bool, std::size_t>* out) -> task<> {
                *out = co_await end_without_memory(after);
            }(before, &came);
        });
        INFO("the allocation after " << before << " failed");
        CHECK(came.second == many);
        failed = came.first;
    }
}
