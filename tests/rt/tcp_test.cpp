#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/resource.h>

#include <heph/core/either.hpp>
#include <heph/core/yield.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/net/tcp.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::errc;
using heph::rt::worker;
using heph::rt::net::chunk;
using heph::rt::net::endpoint;
using heph::rt::net::tcp_listener;
using heph::rt::net::tcp_stream;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using heph::test::run_task;

namespace {

tcp_listener listen() {
    auto bound = tcp_listener::bind(endpoint::loopback(0));
    REQUIRE(bound);
    return std::move(*bound);
}

endpoint address_of(const tcp_listener& listener) {
    const auto local = listener.local_endpoint();
    REQUIRE(local);
    return *local;
}

std::string numbered(std::size_t bytes) {
    std::string text;
    for (std::size_t i = 0; text.size() < bytes; ++i) { text += std::to_string(i) + ' '; }
    text.resize(bytes);
    return text;
}

task<std::string> read_to_end(tcp_stream& stream) {
    std::string text;
    for (;;) {
        const auto arrived = co_await stream.next();
        if (!arrived) { FAIL(arrived.error().message()); }
        if (arrived->empty()) { co_return text; }
        text += arrived->view();
    }
}

task<tcp_stream> connect(endpoint to) {
    auto connected = co_await tcp_stream::connect(to);
    if (!connected) { FAIL(connected.error().message()); }
    co_return std::move(*connected);
}

// Echoes one connection with plain receives.
task<> echo_one(tcp_listener listener) {
    auto accepted = co_await listener.accept();
    REQUIRE(accepted);
    auto bytes = buffer::with_capacity(4096);
    for (;;) {
        auto received = co_await accepted->recv(std::move(bytes));
        REQUIRE(received);
        if (received->empty()) { co_return; }
        auto sent = co_await accepted->send_all(std::move(*received));
        REQUIRE(sent);
        bytes = std::move(*sent);
        bytes.clear();
    }
}

task<> send_text(tcp_stream& stream, std::string text) {
    auto bytes = buffer::copy_of(text);
    const auto sent = co_await stream.send_all(std::move(bytes));
    REQUIRE(sent);
}

// Accepts one connection, sends it a text and ends it.
task<> serve_text(tcp_listener listener, std::string text) {
    auto accepted = co_await listener.accept();
    REQUIRE(accepted);
    co_await send_text(*accepted, std::move(text));
}

task<> expect_text(endpoint server, std::string expected) {
    auto stream = co_await connect(server);
    const auto text = co_await read_to_end(stream);
    CHECK(text == expected);
    const auto again = co_await stream.next();  // The end is given each time.
    REQUIRE(again);
    CHECK(again->empty());
}

}  // namespace

TEST_CASE("tcp: an echo brings back what was sent", "[rt][tcp]") {
    run_on_worker(quiet_setup(), [](worker& worker) {
        auto listener = listen();
        const endpoint server = address_of(listener);
        worker.spawn_future(echo_one(std::move(listener)));
        worker.spawn_future([](endpoint to) -> task<> {
            auto stream = co_await connect(to);
            const std::string text = numbered(3000);
            co_await send_text(stream, text);
            std::string back;
            while (back.size() < text.size()) {
                const auto arrived = co_await stream.next();
                REQUIRE(arrived);
                back += arrived->view();
            }
            CHECK(back == text);
            CHECK_FALSE(stream.shutdown(heph::rt::net::shutdown_how::send));
            const auto end = co_await stream.next();
            REQUIRE(end);
            CHECK(end->empty());
        }(server));
    });
}

TEST_CASE("tcp: megabytes arrive whole and in order", "[rt][tcp]") {
    run_on_worker(quiet_setup(), [](worker& worker) {
        auto listener = listen();
        const endpoint server = address_of(listener);
        const std::string text = numbered(8 << 20);
        worker.spawn_future(serve_text(std::move(listener), text));
        worker.spawn_future(expect_text(server, text));
    });
}

TEST_CASE("tcp: streams get all bytes though the provided buffers are used up", "[rt][tcp]") {
    auto settings = quiet_setup();
    settings.receive_buffers(8, 256);
    run_on_worker(settings, [](worker& worker) {
        for (int i = 0; i < 20; ++i) {
            auto listener = listen();
            const endpoint server = address_of(listener);
            const std::string text = numbered(100'000 + static_cast<std::size_t>(i));
            worker.spawn_future(serve_text(std::move(listener), text));
            worker.spawn_future(expect_text(server, text));
        }
    });
}

TEST_CASE("tcp: held chunks do not keep other streams from receiving", "[rt][tcp]") {
    auto settings = quiet_setup();
    settings.receive_buffers(8, 256);
    run_on_worker(settings, [](worker& worker) {
        auto listener = listen();
        const endpoint server = address_of(listener);
        const std::string text = numbered(20'000);
        worker.spawn_future(serve_text(std::move(listener), text));
        worker.spawn_future([](endpoint to, std::string expected) -> task<> {
            auto stream = co_await connect(to);
            std::vector<chunk> held;
            std::string received;
            for (;;) {
                auto arrived = co_await stream.next();
                REQUIRE(arrived);
                if (arrived->empty()) { break; }
                received += arrived->view();
                held.push_back(std::move(*arrived));
            }
            CHECK(received == expected);
        }(server, text));
    });
}

TEST_CASE("tcp: a stream that nobody reads pauses, and goes on where it was", "[rt][tcp]") {
    run_on_worker(quiet_setup(), [](worker& worker) {
        auto listener = listen();
        const endpoint server = address_of(listener);
        const std::string text = numbered(4 << 20);
        worker.spawn_future(serve_text(std::move(listener), text));
        worker.spawn_future([](endpoint to, std::string expected) -> task<> {
            auto stream = co_await connect(to);
            std::string received;
            for (int pause = 0; pause < 5; ++pause) {
                const auto arrived = co_await stream.next();
                REQUIRE(arrived);
                received += arrived->view();
                co_await heph::rt::timer(20ms);
            }
            received += co_await read_to_end(stream);
            CHECK(received == expected);
        }(server, text));
    });
}

TEST_CASE("tcp: what comes faster than it is taken is received by larger pieces, in order",
          "[rt][tcp]") {
    run_on_worker(quiet_setup(), [](worker& worker) {
        auto listener = listen();
        const endpoint server = address_of(listener);
        const std::string text = numbered(4 << 20);
        worker.spawn_future(serve_text(std::move(listener), text));
        worker.spawn_future([](endpoint to, std::string expected) -> task<> {
            auto stream = co_await connect(to);
            std::string received;
            std::size_t largest = 0;
            for (;;) {
                const auto arrived = co_await stream.next();
                REQUIRE(arrived);
                if (arrived->empty()) { break; }
                largest = std::max(largest, arrived->size());
                received += arrived->view();
            }
            CHECK(received == expected);
            CHECK(largest > 4096);
        }(server, text));
    });
}

TEST_CASE("tcp: a stream over which very much comes lets others have their turn", "[rt][tcp]") {
    run_on_worker(quiet_setup(), [](worker& worker) {
        auto listener = listen();
        const endpoint server = address_of(listener);
        static std::size_t turns;
        static bool is_done;
        turns = 0;
        is_done = false;
        worker.spawn_future(serve_text(std::move(listener), numbered(8 << 20)));
        worker.spawn_future([](endpoint to) -> task<> {
            auto stream = co_await connect(to);
            const auto text = co_await read_to_end(stream);
            CHECK(text.size() == 8 << 20);
            is_done = true;
        }(server));
        worker.spawn_future([]() -> task<> {
            while (!is_done) {
                co_await heph::yield();
                ++turns;
            }
            CHECK(turns > 8);
        }());
    });
}

TEST_CASE("tcp: a deadline on next loses no bytes", "[rt][tcp]") {
    run_on_worker(quiet_setup(), [](worker& worker) {
        auto listener = listen();
        const endpoint server = address_of(listener);
        worker.spawn_future([](tcp_listener from) -> task<> {
            auto accepted = co_await from.accept();
            REQUIRE(accepted);
            for (int i = 0; i < 50; ++i) {
                co_await send_text(*accepted, std::to_string(i) + ' ');
                co_await heph::rt::timer(1ms);
            }
        }(std::move(listener)));
        worker.spawn_future([](endpoint to) -> task<> {
            auto stream = co_await connect(to);
            std::string received;
            for (;;) {
                auto bounded = heph::rt::deadline(1ms, stream.next());
                const auto arrived = co_await bounded;
                if (!arrived) { continue; }
                REQUIRE(*arrived);
                if ((*arrived)->empty()) { break; }
                received += (*arrived)->view();
            }
            std::string expected;
            for (int i = 0; i < 50; ++i) { expected += std::to_string(i) + ' '; }
            CHECK(received == expected);
        }(server));
    });
}

TEST_CASE("tcp: a refused connection is an error", "[rt][tcp]") {
    run_task([]() -> task<> {
        endpoint nobody;
        {
            auto listener = listen();
            nobody = address_of(listener);
            const int descriptor = listener.descriptor();
            CHECK(descriptor >= 0);
        }
        co_await heph::rt::timer(5ms);  // The listener is closed through the ring.
        const auto refused = co_await tcp_stream::connect(nobody);
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == std::errc::connection_refused);
    });
}

TEST_CASE("tcp: an address in use and a foreign address are errors", "[rt][tcp]") {
    const auto first = tcp_listener::bind(endpoint::loopback(0));
    REQUIRE(first);
    const auto second = tcp_listener::bind(address_of(*first));
    REQUIRE_FALSE(second);
    CHECK(second.error() == std::errc::address_in_use);
    const auto foreign = tcp_listener::bind(*endpoint::parse("203.0.113.1:0"));
    REQUIRE_FALSE(foreign);
    CHECK(foreign.error() == std::errc::address_not_available);
}

TEST_CASE("tcp: listeners share a port, unless the first one finds it taken", "[rt][tcp]") {
    // On a worker, where a dropped socket is closed later than at once.
    run_task([]() -> task<> {
        endpoint local;
        {
            const auto probe = listen();
            local = address_of(probe);
        }
        co_await heph::rt::timer(5ms);  // The listener is closed through the ring.
        heph::rt::net::listen_options how;
        how.reuse_port = true;
        how.first = true;
        const auto one = tcp_listener::bind(local, how);
        CHECK(one);
        how.first = false;
        const auto two = tcp_listener::bind(local, how);
        CHECK(two);
        how.first = true;
        const auto stranger = tcp_listener::bind(local, how);
        REQUIRE_FALSE(stranger);
        CHECK(stranger.error() == std::errc::address_in_use);
    });
}

TEST_CASE("tcp: a reset is an error, each time", "[rt][tcp]") {
    run_on_worker(quiet_setup(), [](worker& worker) {
        auto listener = listen();
        const endpoint server = address_of(listener);
        worker.spawn_future([](tcp_listener from) -> task<> {
            auto accepted = co_await from.accept();
            REQUIRE(accepted);
            CHECK_FALSE(accepted->set_reset_on_close(true));
        }(std::move(listener)));
        worker.spawn_future([](endpoint to) -> task<> {
            auto stream = co_await connect(to);
            for (int i = 0; i < 2; ++i) {
                const auto reset = co_await stream.next();
                REQUIRE_FALSE(reset);
                CHECK(reset.error() == std::errc::connection_reset);
            }
        }(server));
    });
}

TEST_CASE("tcp: sending to a peer that is gone is an error, not a signal", "[rt][tcp]") {
    run_on_worker(quiet_setup(), [](worker& worker) {
        auto listener = listen();
        const endpoint server = address_of(listener);
        worker.spawn_future([](tcp_listener from) -> task<> {
            auto accepted = co_await from.accept();
            REQUIRE(accepted);
        }(std::move(listener)));
        worker.spawn_future([](endpoint to) -> task<> {
            auto stream = co_await connect(to);
            for (;;) {
                auto bytes = buffer::copy_of(numbered(10'000));
                const auto sent = co_await stream.send_all(std::move(bytes));
                if (sent) { continue; }
                const bool gone = sent.error() == std::errc::broken_pipe ||
                                  sent.error() == std::errc::connection_reset;
                CHECK(gone);
                co_return;
            }
        }(server));
    });
}

TEST_CASE("tcp: recv and next exclude each other", "[rt][tcp]") {
    run_on_worker(quiet_setup(), [](worker& worker) {
        auto listener = listen();
        const endpoint server = address_of(listener);
        worker.spawn_future(serve_text(std::move(listener), "x"));
        worker.spawn_future([](endpoint to) -> task<> {
            auto stream = co_await connect(to);
            (void)co_await stream.next();
            const auto received = co_await stream.recv(buffer::with_capacity(10));
            REQUIRE_FALSE(received);
            CHECK(received.error() == errc::conflicting_operation);
        }(server));
    });
}

TEST_CASE("tcp: a closed stream and a full buffer are errors", "[rt][tcp]") {
    run_task([]() -> task<> {
        tcp_stream closed;
        const auto next = co_await closed.next();
        CHECK(next.error() == errc::closed);
        const auto sent = co_await closed.send_all(buffer::copy_of("x"));
        CHECK(sent.error() == errc::closed);
        const auto received = co_await closed.recv(buffer::with_capacity(1));
        CHECK(received.error() == errc::closed);
    });
}

TEST_CASE("tcp: out of descriptors accept gives the error, and works again later", "[rt][tcp]") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    run_task([before]() -> task<> {
        return [](rlimit limits) -> task<> {
            auto listener = listen();
            // The kernel completes the connection before it is accepted.
            auto client = co_await connect(address_of(listener));
            rlimit none = limits;
            none.rlim_cur = 3;
            REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
            const auto refused = co_await listener.accept();
            REQUIRE(::setrlimit(RLIMIT_NOFILE, &limits) == 0);
            REQUIRE_FALSE(refused);
            CHECK(refused.error() == std::errc::too_many_files_open);
            const auto accepted = co_await listener.accept();
            CHECK(accepted);
        }(before);
    });
}
