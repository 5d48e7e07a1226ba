// More work than there is room for, and processes that never rest.

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/yield.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::worker;
using heph::rt::net::endpoint;
using heph::rt::net::shutdown_how;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::test::quiet_setup;
using heph::test::run_on_worker;

namespace {

task<tcp_stream> connect(endpoint to) {
    auto connected = co_await tcp_stream::connect(to);
    if (!connected) { FAIL(connected.error().message()); }
    co_return std::move(*connected);
}

task<> echo_until_end(tcp_stream stream) {
    for (;;) {
        auto arrived = co_await stream.next();
        REQUIRE(arrived);
        if (arrived->empty()) { co_return; }
        buffer reply;
        reply.append(arrived->bytes());
        const auto sent = co_await stream.send_all(std::move(reply));
        REQUIRE(sent);
    }
}

// Serves so many connections.
task<> serve(tcp_listener listener, worker here, int connections) {
    for (int i = 0; i < connections; ++i) {
        auto accepted = co_await listener.accept();
        REQUIRE(accepted);
        here.spawn_future(echo_until_end(std::move(*accepted)));
    }
}

// Sends a text, ends its side, and expects the text back before the peer's end.
task<> ask(endpoint server, std::string text, int* answered) {
    auto stream = co_await connect(server);
    auto nothing = co_await stream.send_all(buffer());
    REQUIRE(nothing);
    auto bytes = buffer::copy_of(text);
    const auto sent = co_await stream.send_all(std::move(bytes));
    REQUIRE(sent);
    CHECK_FALSE(stream.shutdown(shutdown_how::send));
    std::string back;
    for (;;) {
        const auto arrived = co_await stream.next();
        REQUIRE(arrived);
        if (arrived->empty()) { break; }
        back += arrived->view();
    }
    CHECK(back == text);
    ++*answered;
}

struct running {
    bool done = false;
    int answered = 0;
};

task<> never_rest(const running* state) {
    while (!state->done) { co_await heph::yield(); }
}

task<> wait_for(running* state, int answers) {
    while (state->answered < answers) { co_await heph::rt::timer(1ms); }
    state->done = true;
}

task<> read_some(int* read) {
    auto zeros = co_await heph::rt::fs::file::open("/dev/zero");
    REQUIRE(zeros);
    const auto bytes = co_await zeros->read_at(buffer::with_capacity(64), 0);
    REQUIRE(bytes);
    CHECK(bytes->size() == 64);
    ++*read;
}

}  // namespace

TEST_CASE("pressure: processes that are always ready starve neither sockets nor timers",
          "[rt][pressure]") {
    running state;
    run_on_worker(quiet_setup(), [&state](worker& here) {
        auto listener = tcp_listener::bind(endpoint::loopback(0));
        REQUIRE(listener);
        const auto server = listener->local_endpoint();
        REQUIRE(server);
        for (int i = 0; i < 4; ++i) { here.spawn_future(never_rest(&state)); }
        here.shared().spawn_future(never_rest(&state));
        here.spawn_future(serve(std::move(*listener), here, 10));
        for (int i = 0; i < 10; ++i) {
            here.spawn_future(ask(*server, std::string(50'000, 'x'), &state.answered));
        }
        here.spawn_future(wait_for(&state, 10));
    });
    CHECK(state.answered == 10);
}

TEST_CASE("pressure: a flood of wakes from other threads starves neither sockets nor timers",
          "[rt][pressure]") {
    struct flood {
        std::atomic<bool> done{false};
        std::atomic<bool> registered{false};
        heph::waker waker;
    };
    class flooded {
    public:
        using value_type = void;
        explicit flooded(flood& from) noexcept : from_(&from) {}
        heph::polled<void> poll(const heph::waker& waker) {
            if (from_->done.load()) { return heph::ready; }
            if (!from_->registered.load()) {
                from_->waker = waker;
                from_->registered = true;
            }
            return heph::pending;
        }

    private:
        flood* from_;
    };
    std::vector<std::unique_ptr<flood>> floods;
    for (int i = 0; i < 8; ++i) { floods.push_back(std::make_unique<flood>()); }
    running state;
    {
        std::jthread outside([&floods](const std::stop_token& end) {
            while (!end.stop_requested()) {
                for (const auto& each : floods) {
                    if (each->registered.load()) { each->waker.wake(); }
                }
            }
        });
        run_on_worker(quiet_setup(), [&](worker& here) {
            auto listener = tcp_listener::bind(endpoint::loopback(0));
            REQUIRE(listener);
            const auto server = listener->local_endpoint();
            REQUIRE(server);
            for (const auto& each : floods) { here.spawn_future(flooded(*each)); }
            here.spawn_future(serve(std::move(*listener), here, 10));
            for (int i = 0; i < 10; ++i) {
                here.spawn_future(ask(*server, std::string(50'000, 'x'), &state.answered));
            }
            here.spawn_future(
                [](running* all, std::vector<std::unique_ptr<flood>>* waiting) -> task<> {
                    co_await wait_for(all, 10);
                    for (const auto& each : *waiting) { each->done = true; }
                }(&state, &floods));
        });
    }
    CHECK(state.answered == 10);
}

TEST_CASE("pressure: operations beyond the ring's entries, submissions and completions, all end",
          "[rt][pressure]") {
    int read = 0;
    running state;
    auto settings = quiet_setup();
    settings.ring_entries(8).receive_buffers(8, 256);
    run_on_worker(settings, [&](worker& here) {
        for (int i = 0; i < 1000; ++i) { here.spawn_future(read_some(&read)); }
        auto listener = tcp_listener::bind(endpoint::loopback(0));
        REQUIRE(listener);
        const auto server = listener->local_endpoint();
        REQUIRE(server);
        here.spawn_future(serve(std::move(*listener), here, 200));
        for (int i = 0; i < 200; ++i) {
            here.spawn_future(ask(*server, std::string(5'000, 'x'), &state.answered));
        }
    });
    CHECK(read == 1000);
    CHECK(state.answered == 200);
}

TEST_CASE("pressure: many timers at one time all fire", "[rt][pressure]") {
    int fired = 0;
    run_on_worker(quiet_setup(), [&fired](worker& here) {
        const auto at = heph::rt::clock::now() + 20ms;
        for (int i = 0; i < 20'000; ++i) {
            here.spawn_future([](heph::rt::clock::time_point when, int* count) -> task<> {
                co_await heph::rt::timer(when);
                ++*count;
            }(at, &fired));
        }
    });
    CHECK(fired == 20'000);
}
