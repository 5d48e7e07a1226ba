// What becomes of connections that come as a server stops, and of what they have logged.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <heph/core/log.hpp>
#include <heph/core/testing/virtual_clock.hpp>
#include <heph/rt/net/server.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "ending.hpp"
#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::net::tcp_listener;
using heph::test::arm;
using heph::test::connect_now;
using heph::test::copy_of;
using heph::test::listen;

namespace {

constexpr std::size_t arriving = 5;

// As a server that has all the connections it may have.
struct no_room {
    [[nodiscard]] bool take() const noexcept { return false; }
    void take_anyway(std::size_t /*connections*/) const noexcept {}
    void give_one_back() const noexcept {}
};

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
            auto ending = heph::rt::detail::end_listening(
                std::make_shared<tcp_listener>(std::move(full)), no_room());
            const auto taken = co_await std::move(ending);
            for (*out = taken.size(); *out < arriving; ++*out) {
                auto next = co_await heph::rt::deadline(10s, successor.accept());
                if (!next) { break; }
            }
        }(&noticed);
    });
    CHECK(noticed == arriving);
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

TEST_CASE("server: failed connections without a line are told when the worker ends",
          "[rt][server]") {
    const auto previous = heph::set_log_handler(&count_lines);
    failures_logged = 0;
    left_out_logged = 0;
    heph::testing::virtual_clock time;
    auto settings = heph::test::quiet_setup();
    settings.clock(time);  // It stands still: no line is earned meanwhile.
    heph::test::run_task(settings, [&]() -> task<> {
        return []() -> task<> {
            const auto failure = std::make_exception_ptr(std::runtime_error("as asked"));
            for (int i = 0; i < 100; ++i) { heph::rt::detail::log_connection_failure(failure); }
            co_return;
        }();
    });
    (void)heph::set_log_handler(previous);
    CHECK(failures_logged == 60);
    CHECK(left_out_logged == 1);
}
