// What becomes of connections that come as a server stops, and of what goes wrong then.

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/core/testing/virtual_clock.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/descriptor.hpp>
#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "failing_new.hpp"
#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::net::endpoint;
using heph::rt::net::socket_handle;
using heph::rt::net::tcp_listener;

namespace {

constexpr std::size_t arriving = 5;
// More than there is memory for from the beginning.
constexpr std::size_t many = heph::rt::detail::accepted_usual + 70;

// As a server that has all the connections it may have.
struct no_room {
    [[nodiscard]] bool take() const noexcept { return false; }
    void take_anyway(std::size_t /*connections*/) const noexcept {}
    void give_one_back() const noexcept {}
};

// Connects while the worker waits: the kernel completes that.
std::vector<heph::rt::descriptor_handle> connect_now(const endpoint& to, std::size_t count) {
    std::vector<heph::rt::descriptor_handle> all;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(to.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (std::size_t i = 0; i < count; ++i) {
        all.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(all.back().get(), reinterpret_cast<sockaddr*>(&address),
                          sizeof(address)) == 0);
    }
    return all;
}

// Has a listener wait for connections, of which there are none.
task<> arm(tcp_listener& listener) {
    auto nobody = co_await heph::either(listener.accept(), heph::yield());
    REQUIRE(nobody.index() == 1);
    co_await heph::rt::timer(1ms);
}

tcp_listener listen() {
    auto made = tcp_listener::bind(endpoint::loopback(0));
    REQUIRE(made);
    return std::move(*made);
}

// Another one for the same socket, as a successor has it.
tcp_listener copy_of(const tcp_listener& listener) {
    auto copy = heph::rt::duplicate(listener.descriptor());
    REQUIRE(copy);
    auto adopted = tcp_listener::adopt(std::move(*copy));
    REQUIRE(adopted);
    return std::move(*adopted);
}

task<std::size_t> count_waiting(int socket) {
    for (std::size_t count = 0;; ++count) {
        auto taken = co_await heph::rt::detail::take_waiting(socket);
        if (!taken) { co_return count; }
    }
}

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

std::atomic<int> failures_logged{0};
std::atomic<int> left_out_logged{0};

void count_lines(heph::log_level /*level*/, std::string_view line) noexcept {
    if (line.find("a connection failed: as asked") != std::string_view::npos) { ++failures_logged; }
    if (line.find("40 further connections failed") != std::string_view::npos) { ++left_out_logged; }
}

}  // namespace

TEST_CASE("server: who comes as a full server stops is not overlooked by its successor",
          "[rt][tcp][server]") {
    std::size_t noticed = 0;
    heph::test::run_task([&]() -> task<> {
        return [](std::size_t* out) -> task<> {
            tcp_listener full = listen();
            const auto address = full.local_endpoint();
            REQUIRE(address);
            tcp_listener successor = copy_of(full);
            // The full one is the first that the kernel wakes.
            auto arming = arm(full);
            co_await std::move(arming);
            auto arming_other = arm(successor);
            co_await std::move(arming_other);
            const auto clients = connect_now(*address, arriving);
            auto ending = heph::rt::detail::end_listening(std::move(full), no_room());
            const auto taken = co_await std::move(ending);
            for (*out = taken.size(); *out < arriving; ++*out) {
                auto next = co_await heph::rt::deadline(10s, successor.accept());
                if (!next) { break; }
            }
        }(&noticed);
    });
    CHECK(noticed == arriving);
}

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

TEST_CASE("server: connections that fail do not fill the log", "[rt][server]") {
    const auto previous = heph::set_log_handler(&count_lines);
    failures_logged = 0;
    left_out_logged = 0;
    heph::testing::virtual_clock time;
    auto settings = heph::test::quiet_setup();
    settings.clock(time);
    heph::test::run_task(settings, [&]() -> task<> {
        return [](heph::testing::virtual_clock* clock) -> task<> {
            const auto failure = std::make_exception_ptr(std::runtime_error("as asked"));
            for (int i = 0; i < 100; ++i) { heph::rt::detail::log_connection_failure(failure); }
            CHECK(failures_logged == 60);
            clock->advance(1min);
            for (int i = 0; i < 2; ++i) { heph::rt::detail::log_connection_failure(failure); }
            co_return;
        }(&time);
    });
    (void)heph::set_log_handler(previous);
    CHECK(failures_logged == 62);
    CHECK(left_out_logged == 1);
}
