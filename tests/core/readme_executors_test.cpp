// The README of heph-core, part four: other executors, and other coroutines. See readme_test.cpp.

#include <array>
#include <chrono>
#include <coroutine>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/asio.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/from_callback.hpp>
#include <heph/core/from_foreign.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/timing.hpp>

using namespace std::chrono_literals;

namespace {

std::vector<std::string> printed;
void print(const std::string& line) { printed.push_back(line); }

// [asio-actor]
heph::task<> ticker(heph::asio_context<int> ctx) {
    boost::asio::steady_timer timer(ctx.runtime().get_executor(), 1ms);
    auto waited = co_await timer.async_wait(heph::as_future);  // an operation of Boost.Asio
    if (waited) { print("tick"); }
    auto next = co_await ctx.receive(heph::deadline_in(1h));  // Boost.Asio has the timers
    if (next) { print(std::to_string(*next)); }
}
// [/asio-actor]

struct gives_seven {
    static bool await_ready() noexcept { return false; }
    static void await_suspend(std::coroutine_handle<> waiting) { waiting.resume(); }
    static int await_resume() noexcept { return 7; }
};

struct device {
    void read(std::string* into, const std::function<void(int)>& done) {
        *into = "data";
        done(4);
    }
};

heph::task<> reads(std::shared_ptr<device> disk) {
    // [foreign]
    // Anything with await_ready, await_suspend and await_resume, or an operator co_await.
    int rows = co_await heph::from_foreign(gives_seven());

    // Anything that calls back. The function, and what it captures, live as long as the operation.
    auto buffer = std::make_shared<std::string>();
    auto reading = heph::from_callback<void(int)>(
        [disk, buffer](auto done) { disk->read(buffer.get(), done); });
    int bytes = co_await std::move(reading);
    // [/foreign]
    print(std::to_string(rows) + ' ' + std::to_string(bytes) + ' ' + *buffer);
}

}  // namespace

TEST_CASE("readme: Boost.Asio runs actors", "[core][readme]") {
    printed.clear();
    // [asio]
    boost::asio::io_context context;
    const heph::asio_runtime runtime(context.get_executor());
    auto ref = runtime.spawn(heph::stop_supervisor(), heph::actor_fn(ticker));
    (void)ref.try_send(5);
    context.run();  // until every actor is finished
    // [/asio]
    CHECK(printed == std::vector<std::string>{"tick", "5"});
}

TEST_CASE("readme: tasks await other libraries' operations", "[core][readme]") {
    printed.clear();
    heph::block_on(reads(std::make_shared<device>()));
    CHECK(printed == std::vector<std::string>{"7 4 data"});
}
