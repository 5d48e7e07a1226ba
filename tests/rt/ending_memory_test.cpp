// A want of memory as a server stops.

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/worker.hpp>

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
// No more than a worker has room for as it learns of them.
constexpr std::size_t some = 100;

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
    auto ending =
        heph::rt::detail::end_listening(std::make_shared<tcp_listener>(std::move(listener)));
    heph::test::fail_allocation(before);
    const auto all = co_await std::move(ending);
    const bool failed = heph::test::stop_failing();
    const std::size_t left = co_await count_waiting(successor.descriptor());
    co_return std::pair(failed, all.size() + left);
}

// The same of a server: from the moment it is asked to stop, so many allocations fail.
task<std::pair<bool, std::size_t>> stop_without_memory(heph::rt::worker on, std::size_t before,
                                                       std::size_t times) {
    std::vector<tcp_listener> listeners;
    listeners.push_back(listen());
    const auto address = listeners.front().local_endpoint();
    REQUIRE(address);
    const tcp_listener successor = copy_of(listeners.front());
    auto server = heph::rt::net::tcp_server::over(std::move(listeners), 1);
    REQUIRE(server);
    auto served = std::make_shared<std::size_t>(0);
    server->start(on, [served](heph::rt::worker, heph::rt::net::tcp_stream) -> task<> {
        ++*served;
        return [](std::shared_ptr<std::size_t>) -> task<> { co_return; }(served);
    });
    co_await heph::rt::timer(std::chrono::milliseconds(1));  // It accepts, most likely.
    const auto clients = connect_now(*address, some);
    on.request_stop();
    heph::test::fail_allocation(before, times);
    // The stop's grace bounds this.
    while (served.use_count() > 1) { co_await heph::rt::timer(std::chrono::milliseconds(1)); }
    const bool failed = heph::test::stop_failing();
    const std::size_t left = co_await count_waiting(successor.descriptor());
    co_return std::pair(failed, *served + left);
}

// A listener that accepted many more than are usual.
class full_listener {
public:
    [[nodiscard]] std::optional<heph::rt::net::socket_handle> take_accepted() noexcept {
        if (left_ == 0) { return std::nullopt; }
        --left_;
        return heph::rt::net::socket_handle();
    }
    static heph::polled<void> poll_stop_accepting(const heph::waker& /*waker*/) {
        return heph::ready;
    }
    [[nodiscard]] static int descriptor() noexcept { return -1; }

private:
    std::size_t left_ = 5 * heph::rt::detail::accepted_usual;
};

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

TEST_CASE("server: a want of memory from before a server stops closes no connection",
          "[rt][tcp][server]") {
    const std::size_t times = GENERATE(std::size_t{1}, std::size_t{5});
    bool failed = true;
    for (std::size_t before = 0; failed && before < 12; ++before) {
        std::pair<bool, std::size_t> came{true, 0};
        heph::test::run_on_worker(heph::test::quiet_setup(), [&](heph::rt::worker& worker) {
            worker.spawn_future([](heph::rt::worker on, std::size_t after, std::size_t count,
                                   std::pair<bool, std::size_t>* out) -> task<> {
                auto stopping = stop_without_memory(on, after, count);
                *out = co_await std::move(stopping);
            }(worker, before, times, &came));
        });
        INFO(times << " allocations after " << before << " failed");
        CHECK(came.second == some);
        failed = came.first;
    }
}

TEST_CASE("server: what a listener accepted is taken when there is memory again",
          "[rt][tcp][server]") {
    const std::size_t before = GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{2});
    std::size_t taken = 0;
    bool failed = false;
    heph::test::run_task([&]() -> task<> {
        return [](std::size_t after, std::size_t* out, bool* did) -> task<> {
            auto ending = heph::rt::detail::end_listening(std::make_shared<full_listener>());
            heph::test::fail_allocation(after, 3);
            const auto all = co_await std::move(ending);
            *did = heph::test::stop_failing();
            *out = all.size();
        }(before, &taken, &failed);
    });
    CHECK(failed);
    CHECK(taken == 5 * heph::rt::detail::accepted_usual);
}
