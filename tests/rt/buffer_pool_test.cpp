#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <heph/core/join.hpp>
#include <heph/rt/buffer_pool.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/net/udp.hpp>
#include <heph/rt/net/unix.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"
#include "pool_reads.hpp"
#include "stream_pair.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::buffer;
using heph::rt::buffer_pool;
using heph::rt::buffer_pool_options;
using heph::rt::deadline;
using heph::rt::descriptor_handle;
using heph::rt::errc;
using heph::rt::when_exhausted;
using heph::rt::net::endpoint;
using heph::rt::net::udp_socket;
using heph::rt::net::unix_stream;
using heph::test::all_come_back;
using heph::test::long_text;
using heph::test::new_pool;
using heph::test::new_streams;
using heph::test::quiet_setup;
using heph::test::read_to_end;
using heph::test::run_task;
using heph::test::send_text;

namespace {

task<udp_socket> udp_on(endpoint at) {
    auto bound = udp_socket::bind(at);
    REQUIRE(bound);
    co_return std::move(*bound);
}

task<> send_datagram(const udp_socket* from, const udp_socket* to, std::string text) {
    const auto at = to->local_endpoint();
    REQUIRE(at);
    auto bytes = buffer::copy_of(text);
    const auto sent = co_await from->send_to(std::move(bytes), *at);
    CHECK(sent);
}

}  // namespace

TEST_CASE("buffer_pool: a receive takes one of its buffers, which goes back when it is dropped",
          "[rt][pool]") {
    run_task([]() -> task<> {
        const auto pool = new_pool({.count = 4, .bytes = 100});
        CHECK((pool.buffer_count() == 4 && pool.buffer_bytes() == 100));
        auto [client, server] = new_streams();
        auto both = heph::join(server.recv(pool), [](unix_stream* to) -> task<> {
            co_await heph::rt::timer(1ms);  // It waits for bytes, and has no buffer meanwhile.
            co_await send_text(to, "hello");
        }(&client));
        {
            auto outcome = co_await both;
            auto& received = std::get<0>(outcome);
            REQUIRE(received);
            CHECK(received->view() == "hello");
            CHECK(received->capacity() == 100);
            CHECK_FALSE(received->is_shared());
            CHECK(pool.buffers_in_use() == 1);
            const buffer taken = std::move(*received);
        }
        CHECK(pool.buffers_in_use() == 0);
    });
}

TEST_CASE("buffer_pool: what was received can be changed, cut, extended and sent", "[rt][pool]") {
    run_task([]() -> task<> {
        const auto pool = new_pool({.count = 2, .bytes = 16});
        auto [client, server] = new_streams();
        co_await send_text(&client, "0123456789");
        {
            auto received = co_await server.recv(pool);
            REQUIRE(received);
            received->consume(2);
            received->truncate(6);
            received->bytes()[0] = std::byte{'x'};
            received->append("end");
            CHECK(pool.buffers_in_use() == 1);
            auto sent = co_await server.send_all(std::move(*received));
            REQUIRE(sent);
            CHECK(sent->view() == "x34567end");
            sent->append(std::string(100, '.'));  // More than it holds: memory of its own.
            CHECK(pool.buffers_in_use() == 0);
        }
        auto room = buffer::with_capacity(100);
        const auto echoed = co_await client.recv(std::move(room));
        REQUIRE(echoed);
        CHECK(echoed->view() == "x34567end");
    });
}

TEST_CASE("buffer_pool: a receiver gives everything in order, then the end, each time",
          "[rt][pool]") {
    for (const std::size_t count : {1U, 2U, 64U}) {
        run_task([count]() -> task<> {
            return [](std::size_t buffers) -> task<> {
                const auto pool = new_pool({.count = buffers, .bytes = 1000});
                auto [client, server] = new_streams();
                const std::string text = long_text(200'000);
                auto both = heph::join(
                    [](unix_stream to, std::string bytes) -> task<> {
                        co_await send_text(&to, std::move(bytes));
                    }(std::move(client), text),
                    read_to_end(server.recv_many(pool)));
                auto outcome = co_await both;
                CHECK(std::get<1>(outcome) == text);
                co_await all_come_back(&pool);
            }(count);
        });
    }
}

TEST_CASE("buffer_pool: an exhausted one fails if it is to, and goes on when there is one again",
          "[rt][pool]") {
    run_task([]() -> task<> {
        const auto pool = new_pool({.count = 1, .bytes = 10, .exhausted = when_exhausted::fail});
        auto [client, server] = new_streams();
        auto receiver = server.recv_many(pool);
        co_await send_text(&client, "12345678901234567890");
        {
            const auto first = co_await receiver.next();
            REQUIRE(first);
            const auto none = co_await receiver.next();
            REQUIRE_FALSE(none);
            CHECK(none.error() == std::errc::no_buffer_space);
            auto [other_client, other_server] = new_streams();
            co_await send_text(&other_client, "x");
            const auto once = co_await other_server.recv(pool);
            REQUIRE_FALSE(once);
            CHECK(once.error() == std::errc::no_buffer_space);
        }
        const auto second = co_await receiver.next();
        REQUIRE(second);
        CHECK(second->view() == "1234567890");
    });
}

TEST_CASE("buffer_pool: who finds it exhausted waits for a buffer that comes back", "[rt][pool]") {
    run_task([]() -> task<> {
        const auto pool = new_pool({.count = 1, .bytes = 10});
        auto [client, server] = new_streams();
        co_await send_text(&client, "12345678901234567890");
        auto first = co_await server.recv(pool);
        REQUIRE(first);
        // Here, and on another thread.
        for (int round = 0; round < 2; ++round) {
            auto waiting = heph::join(server.recv(pool), [](buffer held, bool away) -> task<> {
                co_await heph::rt::timer(2ms);
                if (away) {
                    std::thread([dropped = std::move(held)] {}).join();
                }
            }(std::move(*first), round == 1));
            if (round == 1) { co_await send_text(&client, "more"); }
            auto outcome = co_await waiting;
            auto& next = std::get<0>(outcome);
            REQUIRE(next);
            CHECK(next->view() == (round == 0 ? "1234567890" : "more"));
            first = std::move(next);
        }
    });
}

TEST_CASE("buffer_pool: of a receive and of a receiver that are dropped all buffers come back",
          "[rt][pool]") {
    run_task([]() -> task<> {
        const auto pool = new_pool({.count = 8, .bytes = 10});
        auto [client, server] = new_streams();
        {
            auto nothing = deadline(1ms, server.recv(pool));
            const auto outcome = co_await nothing;
            CHECK_FALSE(outcome);
        }
        for (int i = 0; i < 50; ++i) {
            auto [from, to] = new_streams();
            auto receiver = to.recv_many(pool);
            if (i % 2 == 0) { co_await send_text(&from, std::string(200, 'x')); }
            auto one = deadline(i % 3 * 1ms, receiver.next());
            (void)co_await one;
            if (i % 4 == 0) { co_await heph::rt::timer(1ms); }
        }
        co_await all_come_back(&pool);
        co_await send_text(&client, "after");
        const auto after = co_await server.recv(pool);
        REQUIRE(after);
        CHECK(after->view() == "after");
    });
}

TEST_CASE("buffer_pool: its buffers outlive it, and the runtime", "[rt][pool]") {
    buffer kept;
    run_task([&kept]() -> task<> {
        return [](buffer* into) -> task<> {
            auto [client, server] = new_streams();
            co_await send_text(&client, "kept");
            const auto pool = new_pool({.count = 2, .bytes = 10});
            auto received = co_await server.recv(pool);
            REQUIRE(received);
            *into = std::move(*received);
        }(&kept);
    });
    CHECK(kept.view() == "kept");
    kept.append(" on");
    CHECK(kept.view() == "kept on");
}

TEST_CASE("buffer_pool: one after the other can be made, and more at a time", "[rt][pool]") {
    run_task([]() -> task<> {
        auto [client, server] = new_streams();
        std::vector<buffer_pool> several;
        for (int i = 0; i < 100; ++i) {
            several.push_back(new_pool({.count = 1, .bytes = 8}));
            co_await send_text(&client, "x");
            const auto received = co_await server.recv(several.back());
            REQUIRE(received);
            CHECK(received->view() == "x");
            if (several.size() == 10) { several.clear(); }
        }
    });
}

TEST_CASE("buffer_pool: it belongs to the worker that uses it first", "[rt][pool]") {
    auto settings = quiet_setup();
    settings.threads(2);
    const auto pool = new_pool({.count = 1, .bytes = 8});
    std::atomic<int> turn{0};
    auto runtime = settings.build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](heph::rt::worker& worker) {
        worker.spawn_future([](const buffer_pool* of, std::atomic<int>* turns, int mine) -> task<> {
            while (turns->load() != mine) { co_await heph::rt::timer(1ms); }
            auto [client, server] = new_streams();
            co_await send_text(&client, "x");
            const auto received = co_await server.recv(*of);
            if (mine == 0) {
                CHECK(received);
            } else {
                REQUIRE_FALSE(received);
                CHECK(received.error() == errc::wrong_worker);
            }
            turns->fetch_add(1);
        }(&pool, &turn, static_cast<int>(worker.index())));
    });
    CHECK(runtime->start());
    CHECK(turn == 2);
}

TEST_CASE("buffer_pool: a socket that does not block, from elsewhere, is waited for",
          "[rt][pool]") {
    run_task([]() -> task<> {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) ==
                0);
        unix_stream client{descriptor_handle(ends[0])};
        unix_stream server{descriptor_handle(ends[1])};
        const auto pool = new_pool({.count = 4, .bytes = 10});
        auto receiver = server.recv_many(pool);
        for (const char* text : {"one", "two"}) {
            auto both =
                heph::join(receiver.next(), [](unix_stream* to, std::string bytes) -> task<> {
                    co_await heph::rt::timer(2ms);
                    co_await send_text(to, std::move(bytes));
                }(&client, text));
            auto outcome = co_await both;
            auto& next = std::get<0>(outcome);
            REQUIRE(next);
            CHECK(next->view() == text);
        }
    });
}

TEST_CASE("buffer_pool: what it cannot be made of, and streams that cannot be received from",
          "[rt][pool]") {
    for (const buffer_pool_options& bad :
         {buffer_pool_options{.count = 0}, buffer_pool_options{.count = 3},
          buffer_pool_options{.count = 65'536}, buffer_pool_options{.bytes = 0}}) {
        const auto made = buffer_pool::make(bad);
        REQUIRE_FALSE(made);
        CHECK(made.error() == std::errc::invalid_argument);
    }
    const auto too_much = buffer_pool::make({.count = 32'768, .bytes = std::size_t{1} << 31U});
    if (!too_much) { CHECK(too_much.error() == std::errc::not_enough_memory); }
    run_task([]() -> task<> {
        const auto pool = new_pool({});
        unix_stream none;
        const auto closed = co_await none.recv(pool);
        CHECK(closed.error() == errc::closed);
        auto [client, server] = new_streams();
        co_await send_text(&client, "x");
        const auto chunk = co_await server.next();
        CHECK(chunk);
        auto receiver = server.recv_many(pool);
        const auto conflict = co_await receiver.next();
        CHECK(conflict.error() == errc::conflicting_operation);
        const udp_socket no_socket;
        const auto no_datagram = co_await no_socket.recv_from(pool);
        CHECK(no_datagram.error() == errc::closed);
        const auto tiny = new_pool({.count = 1, .bytes = 44});
        const auto bound = co_await udp_on(endpoint::loopback(0));
        const auto refused = co_await bound.recv_from(tiny);
        CHECK(refused.error() == std::errc::invalid_argument);
    });
}

TEST_CASE("buffer_pool: datagrams come whole, with their senders, one or many at a time",
          "[rt][pool][udp]") {
    run_task([]() -> task<> {
        const auto pool = new_pool({.count = 8, .bytes = 44 + 20});
        const auto server = co_await udp_on(endpoint::loopback(0));
        const auto client = co_await udp_on(endpoint::loopback(0));
        const auto sender = client.local_endpoint();
        REQUIRE(sender);
        for (const char* text : {"single", ""}) {
            co_await send_datagram(&client, &server, text);
            const auto single = co_await server.recv_from(pool);
            REQUIRE(single);
            CHECK(single->bytes().view() == text);
            CHECK(single->size() == std::string(text).size());
            CHECK_FALSE(single->is_truncated());
            CHECK(single->from() == *sender);
        }
        {
            auto receiver = server.recv_many_from(pool);
            const std::string longer(30, 'l');
            const std::vector<std::string> texts{"one", "", longer, std::string(20, 'f'), "last"};
            for (const std::string& each : texts) {
                co_await send_datagram(&client, &server, each);
            }
            for (const std::string& each : texts) {
                const auto came = co_await receiver.next();
                REQUIRE(came);
                CHECK(came->bytes().view() == each.substr(0, 20));
                CHECK(came->size() == each.size());
                CHECK(came->is_truncated() == (each.size() > 20));
                CHECK(came->from() == *sender);
            }
            // More than the pool has; they wait in the socket's queue.
            for (int i = 0; i < 40; ++i) {
                co_await send_datagram(&client, &server, std::to_string(i));
            }
            std::vector<heph::rt::net::datagram<endpoint>> held;
            for (int i = 0; i < 40; ++i) {
                auto came = co_await receiver.next();
                REQUIRE(came);
                CHECK(came->bytes().view() == std::to_string(i));
                held.push_back(std::move(*came));
                if (held.size() == 5) { held.clear(); }
            }
        }
        co_await all_come_back(&pool);
    });
}

TEST_CASE("buffer_pool: a datagram over IPv6 has its sender, too", "[rt][pool][udp]") {
    const auto any = endpoint::parse("[::1]:0");
    REQUIRE(any);
    if (!udp_socket::bind(*any)) { return; }  // There is no IPv6 here.
    run_task([at = *any]() -> task<> {
        return [](endpoint here) -> task<> {
            const auto pool = new_pool({.count = 2, .bytes = 100});
            const auto server = co_await udp_on(here);
            const auto client = co_await udp_on(here);
            auto receiver = server.recv_many_from(pool);
            co_await send_datagram(&client, &server, "six");
            const auto came = co_await receiver.next();
            REQUIRE(came);
            CHECK(came->bytes().view() == "six");
            CHECK(came->from() == *client.local_endpoint());
        }(at);
    });
}
