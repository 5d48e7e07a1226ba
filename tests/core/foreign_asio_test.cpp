// Operations of Boost.Asio in tasks, and tasks among coroutines of Boost.Asio.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>
#include <heph/core/asio.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/either.hpp>
#include <heph/core/from_callback.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

namespace asio = boost::asio;
using heph::as_future;
using heph::asio_runtime;
using heph::task;
using heph::test::poll_loop;
using heph::test::probe;
using namespace std::chrono_literals;
using local_socket = asio::local::stream_protocol::socket;

namespace {

struct socket_pair {
    explicit socket_pair(asio::io_context& context) : near(context), far(context) {
        asio::local::connect_pair(near, far);
    }
    local_socket near;
    local_socket far;
};

task<> echoes(local_socket* socket) {
    std::array<char, 64> buffer{};
    for (;;) {
        auto read = co_await socket->async_read_some(asio::buffer(buffer), as_future);
        if (!read) { co_return; }
        auto written =
            co_await asio::async_write(*socket, asio::buffer(buffer.data(), *read), as_future);
        if (!written) { co_return; }
    }
}

task<> asks(local_socket* socket, std::string* answer) {
    const std::string question = "hello";
    auto written = co_await asio::async_write(*socket, asio::buffer(question), as_future);
    if (!written) { co_return; }
    answer->resize(question.size());
    auto read = co_await asio::async_read(*socket, asio::buffer(*answer), as_future);
    if (!read) { answer->clear(); }
    socket->close();
}

asio::awaitable<int> adds(int left, int right, bool fails) {
    asio::steady_timer timer(co_await asio::this_coro::executor, 1ms);
    co_await timer.async_wait(asio::use_awaitable);
    if (fails) { throw std::runtime_error("awaitable"); }
    co_return left + right;
}

}  // namespace

TEST_CASE("foreign: a task reads and writes a socket of Boost.Asio", "[core][foreign][asio]") {
    asio::io_context context(1);
    socket_pair sockets(context);
    const asio_runtime runtime(context.get_executor());
    std::string answer;
    runtime.spawn_future(echoes(&sockets.far));
    runtime.spawn_future(asks(&sockets.near, &answer));
    context.run();
    CHECK(answer == "hello");
}

TEST_CASE("foreign: an operation of Boost.Asio gives what its signature says",
          "[core][foreign][asio]") {
    asio::io_context context(1);
    const asio_runtime runtime(context.get_executor());
    const auto uses = [](asio::any_io_executor executor, std::vector<std::string>* seen) -> task<> {
        // void(): nothing.
        co_await asio::post(executor, as_future);
        // void(error_code): an expected<void>.
        asio::steady_timer timer(executor, 1ms);
        auto waited = co_await timer.async_wait(as_future);
        seen->push_back(waited ? "waited" : waited.error().message());
        // void(exception_ptr, T): the T, or the exception.
        auto sum = co_await asio::co_spawn(executor, adds(1, 2, false), as_future);
        seen->push_back(std::to_string(sum));
        std::string thrown;
        try {
            (void)co_await asio::co_spawn(executor, adds(1, 2, true), as_future);
        } catch (const std::exception& error) { thrown = error.what(); }
        seen->push_back(thrown);
        // void(error_code, size_t) with an error.
        local_socket closed(executor);
        std::array<char, 1> buffer{};
        auto read = co_await closed.async_read_some(asio::buffer(buffer), as_future);
        seen->push_back(read ? "read" : "not read");
    };
    std::vector<std::string> seen;
    runtime.spawn_future(uses(context.get_executor(), &seen));
    context.run();
    CHECK(seen == std::vector<std::string>{"waited", "3", "awaitable", "not read"});
}

TEST_CASE("foreign: a task on a loop of its own awaits what an io_context does elsewhere",
          "[core][foreign][asio]") {
    asio::io_context context;
    auto work = asio::make_work_guard(context);
    std::jthread thread([&context] { context.run(); });
    const auto waits = [](asio::any_io_executor executor, std::thread::id home) -> task<bool> {
        auto sum = co_await asio::co_spawn(executor, adds(20, 3, false), as_future);
        co_return sum == 23 && std::this_thread::get_id() == home;
    };
    for (int i = 0; i < 20; ++i) {
        auto same = heph::block_on(waits(context.get_executor(), std::this_thread::get_id()));
        REQUIRE(same);
    }
    work.reset();
}

TEST_CASE("foreign: dropping an operation of Boost.Asio cancels it, so that its buffer may go",
          "[core][foreign][asio]") {
    asio::io_context context(1);
    socket_pair sockets(context);
    const asio_runtime runtime(context.get_executor());
    int live = 0;
    const auto reads = [](local_socket* from, probe) -> task<> {
        std::vector<char> buffer(1000);
        auto lost = co_await heph::either(heph::yield(),
                                          from->async_read_some(asio::buffer(buffer), as_future));
        CHECK(lost.index() == 0);
    };
    for (int i = 0; i < 10; ++i) { runtime.spawn_future(reads(&sockets.near, probe(live))); }
    context.run();
    CHECK(live == 0);
    // What arrives now is for who reads next.
    CHECK(asio::write(sockets.far, asio::buffer("x", 1)) == 1);
    context.restart();
    std::vector<char> buffer(10);
    CHECK(sockets.near.read_some(asio::buffer(buffer)) == 1);
}

TEST_CASE("foreign: an operation that was never polled is never begun", "[core][foreign][asio]") {
    asio::io_context context(1);
    asio::steady_timer timer(context, 1h);
    {
        auto unused = timer.async_wait(as_future);
        auto moved = std::move(unused);
    }
    CHECK(context.run() == 0);
    CHECK(timer.cancel() == 0);
}

TEST_CASE(
    "foreign: an io_context that is destroyed ends the wait with an exception, or takes the "
    "task along",
    "[core][foreign][asio]") {
    std::optional<asio::io_context> context(std::in_place, 1);
    auto timer = std::make_unique<asio::steady_timer>(*context, 1h);
    auto waits = timer->async_wait(as_future);
    CHECK_FALSE(waits.poll(heph::waker()).is_ready());

    // One that lives on the context itself.
    int live = 0;
    const auto sleeps = [](asio_runtime runtime, probe) -> task<> {
        co_await runtime.timer_at(runtime.now() + 1h);
    };
    const asio_runtime runtime(context->get_executor());
    runtime.spawn_future(sleeps(runtime, probe(live)));
    context->poll();
    CHECK(live == 1);
    timer.reset();
    context.reset();
    CHECK(live == 0);
    // The timer's end had cancelled the operation; its handler was never called.
    CHECK_THROWS_AS(waits.poll(heph::waker()), heph::operation_abandoned);
}

TEST_CASE("foreign: dropped at any time, an actor with operations of Boost.Asio leaves nothing",
          "[core][foreign][asio]") {
    for (std::size_t polls = 0; polls < 40; ++polls) {
        int live = 0;
        {
            asio::io_context context(1);
            // Owned by the task: it goes when the context drops that.
            auto sockets = std::make_unique<socket_pair>(context);
            const asio_runtime runtime(context.get_executor());
            const auto works = [](std::unique_ptr<socket_pair> owned, asio_runtime on,
                                  probe) -> task<> {
                std::vector<char> buffer(16);
                for (int i = 0; i < 3; ++i) {
                    (void)co_await asio::async_write(owned->far, asio::buffer("x", 1), as_future);
                    auto read = co_await heph::with_deadline(
                        owned->near.async_read_some(asio::buffer(buffer), as_future),
                        on.timer_at(on.now() + 1h));
                    if (!read) { co_return; }
                    (void)co_await asio::co_spawn(on.get_executor(), adds(1, i, false), as_future);
                }
            };
            runtime.spawn_future(works(std::move(sockets), runtime, probe(live)));
            for (std::size_t i = 0; i < polls; ++i) {
                if (context.run_one_for(1s) == 0) { break; }
            }
        }
        REQUIRE(live == 0);
    }
}

TEST_CASE("foreign: tasks with timers move between the threads of an io_context",
          "[core][foreign][asio]") {
    asio::io_context context;
    const asio_runtime runtime(context.get_executor());
    std::atomic<int> ended = 0;
    const auto races = [](asio_runtime on, std::atomic<int>* done) -> task<> {
        for (int i = 0; i < 20; ++i) {
            // Now one is first, then the other: the loser is dropped as it ends.
            auto first =
                co_await heph::either(on.timer_at(on.now() + 1ms), on.timer_at(on.now() + 1ms));
            (void)first;
        }
        ++*done;
    };
    for (int i = 0; i < 20; ++i) { runtime.spawn_future(races(runtime, &ended)); }
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([&context] { context.run(); });
        }
    }
    CHECK(ended == 20);
}

TEST_CASE("foreign: an operation owned by a callback's captures outlives the task that drops it",
          "[core][foreign][asio]") {
    asio::io_context context(1);
    auto sockets = std::make_shared<socket_pair>(context);
    auto buffer = std::make_shared<std::vector<char>>(8);
    const std::weak_ptr<std::vector<char>> watched = buffer;
    {
        auto read = heph::from_callback<void(boost::system::error_code, std::size_t)>(
            [sockets, owned = std::move(buffer)](auto done) {
                sockets->near.async_read_some(asio::buffer(*owned), std::move(done));
            });
        CHECK_FALSE(read.poll(heph::waker()).is_ready());
    }
    CHECK_FALSE(watched.expired());
    CHECK(asio::write(sockets->far, asio::buffer("x", 1)) == 1);
    context.run();
    CHECK(watched.expired());
}

TEST_CASE("foreign: an exception of a task leaves the io_context's run", "[core][foreign][asio]") {
    asio::io_context context(1);
    const asio_runtime runtime(context.get_executor());
    const auto throws = []() -> task<> {
        co_await heph::yield();
        throw std::runtime_error("thrown");
    };
    runtime.spawn_future(throws());
    CHECK_THROWS_WITH(context.run(), "thrown");
    CHECK(context.run() == 0);
}
