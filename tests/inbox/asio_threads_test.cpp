// Futures as operations of Boost.Asio, on several threads.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <heph/inbox/asio.hpp>
#include <heph/inbox/channel.hpp>

using namespace heph;
namespace asio = boost::asio;
using boost::system::error_code;
using inbox::channel;
using inbox::receiver;
using inbox::sender;

namespace {

/// A message that says who sent it, and as which one.
struct numbered {
    unsigned from;
    unsigned number;
};

/// Counts what arrives out of order; for one consumer.
class order_check {
public:
    explicit order_check(unsigned producers) : next_(producers, 0) {}
    void see(const numbered& message) {
        ++received_;
        if (next_[message.from]++ != message.number) { ++wrong_; }
    }
    unsigned received() const { return received_; }
    unsigned wrong() const { return wrong_; }

private:
    std::vector<unsigned> next_;
    unsigned received_ = 0;
    unsigned wrong_ = 0;
};

asio::awaitable<void> produce(sender<numbered> to, unsigned self, unsigned count) {
    for (unsigned n = 0; n < count; ++n) {
        const auto sent = co_await async_await(to.send(numbered(self, n)));
        if (!sent) { co_return; }
    }
}

asio::awaitable<void> consume(receiver<numbered> from, order_check& seen) {
    std::vector<numbered> some;
    for (;;) {
        const std::size_t count = co_await async_await(from.recv_many(some, 3));
        if (count == 0) { co_return; }
        for (const numbered& message : some) { seen.see(message); }
        some.clear();
        const auto one = co_await async_await(from.recv());
        if (!one) { co_return; }
        seen.see(*one);
    }
}

}  // namespace

TEST_CASE("asio: threads and coroutines of a pool send to each other, in order",
          "[asio][threads]") {
    constexpr unsigned producers = 2;
    constexpr unsigned messages = 2'000;
    asio::thread_pool pool(2);
    auto [to_pool, in_pool] = channel<numbered>(3);
    auto [to_thread, in_thread] = channel<numbered>(3);
    order_check pool_seen(2 * producers);
    order_check thread_seen(producers);
    auto consumed = asio::co_spawn(asio::make_strand(pool), consume(std::move(in_pool), pool_seen),
                                   asio::use_future);
    {
        std::vector<std::jthread> threads;
        for (unsigned i = 0; i < producers; ++i) {
            asio::co_spawn(pool, produce(to_pool, i, messages), asio::detached);
            asio::co_spawn(asio::make_strand(pool), produce(to_thread, i, messages),
                           asio::detached);
            threads.emplace_back([self = producers + i, to = to_pool] {
                for (unsigned n = 0; n < messages; ++n) {
                    (void)to.send_blocking(numbered(self, n));
                }
            });
        }
        { const auto gone = std::move(to_pool); }
        { const auto gone = std::move(to_thread); }
        while (auto message = in_thread.recv_blocking()) { thread_seen.see(*message); }
        consumed.get();
    }
    pool.join();
    CHECK(pool_seen.received() == 2 * producers * messages);
    CHECK(pool_seen.wrong() == 0);
    CHECK(thread_seen.received() == producers * messages);
    CHECK(thread_seen.wrong() == 0);
}

TEST_CASE("asio: many senders that wait on two contexts are all served", "[asio][threads]") {
    constexpr unsigned producers = 64;
    constexpr unsigned messages = 40;
    asio::io_context left(1);
    asio::io_context right(1);
    auto [tx, rx] = channel<numbered>(8);
    order_check seen(producers);
    asio::co_spawn(left, consume(std::move(rx), seen), asio::detached);
    for (unsigned i = 0; i < producers; ++i) {
        asio::co_spawn(i % 2 == 0 ? left : right, produce(tx, i, messages), asio::detached);
    }
    { const auto gone = std::move(tx); }
    {
        const std::jthread other([&] { right.run(); });
        left.run();
    }
    CHECK(seen.received() == producers * messages);
    CHECK(seen.wrong() == 0);
}

TEST_CASE("asio: receives that race a timer on a strand lose no message", "[asio][threads]") {
    using namespace asio::experimental::awaitable_operators;
    constexpr unsigned messages = 1'000;
    asio::thread_pool pool(2);
    auto [tx, rx] = channel<unsigned>(2);
    auto timed = asio::co_spawn(
        asio::make_strand(pool),
        [](receiver<unsigned> from) -> asio::awaitable<std::pair<unsigned, unsigned>> {
            asio::steady_timer timer(co_await asio::this_coro::executor);
            unsigned received = 0;
            unsigned wrong = 0;
            for (;;) {
                timer.expires_after(std::chrono::microseconds(received % 3));
                const auto token = asio::use_awaitable;
                auto won = co_await (async_await(from.peek(), token) || timer.async_wait(token));
                if (won.index() == 0 && std::get<0>(won) == nullptr) { break; }
                while (const auto got = from.try_recv()) {
                    if (*got != received++) { ++wrong; }
                }
            }
            co_return std::pair(received, wrong);
        }(std::move(rx)),
        asio::use_future);
    {
        const std::jthread producer([to = std::move(tx)] {
            for (unsigned n = 0; n < messages; ++n) { (void)to.send_blocking(n); }
        });
    }
    const auto [received, wrong] = timed.get();
    CHECK(received == messages);
    CHECK(wrong == 0);
}

TEST_CASE("asio: plain threads may start operations and wait for them", "[asio][threads]") {
    asio::thread_pool pool(1);
    auto [tx, rx] = channel<int>(1);
    int sum = 0;
    {
        const std::jthread producer([&pool, to = std::move(tx)] {
            for (int n = 1; n <= 200; ++n) {
                (void)async_await(pool, to.send(n), asio::use_future).get();
            }
        });
        while (const auto got = async_await(pool, rx.recv(), asio::use_future).get()) {
            sum += *got;
        }
    }
    CHECK(sum == 200 * 201 / 2);
}

TEST_CASE("asio: contexts end while threads wake their operations", "[asio][threads]") {
    constexpr int rounds = 500;
    auto [tx, rx_unmoved] = channel<int>(2);
    receiver<int> rx = std::move(rx_unmoved);
    std::atomic<bool> stop = false;
    std::atomic<int> sent = 0;
    int received = 0;
    {
        const std::jthread producer([&stop, &sent, to = std::move(tx)] {
            for (int n = 0; !stop; ++n) {
                if (to.try_send(n)) { ++sent; }
            }
        });
        for (int round = 0; round < rounds; ++round) {
            asio::io_context context(1);
            // By reference, so that a value which nobody was called with can be seen, too.
            auto receiving = rx.recv();
            bool polled = false;
            async_await(context, receiving, [&](error_code, std::optional<int> got) {
                polled = true;
                if (got) { ++received; }
            });
            context.run();
            CHECK(polled);
            async_await(context, rx.peek(), [](error_code, int*) {});
            if (round % 2 == 0) { context.poll(); }
        }
        stop = true;
    }
    while (rx.try_recv()) { ++received; }
    CHECK(received == sent);
}
