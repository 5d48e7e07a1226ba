// A plain thread sends lines to a coroutine of Boost.Asio, which also has a clock to look at.

#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <heph/inbox/asio.hpp>
#include <heph/inbox/channel.hpp>

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

asio::awaitable<void> print(heph::inbox::receiver<std::string> lines) {
    asio::steady_timer idle(co_await asio::this_coro::executor);
    for (;;) {
        idle.expires_after(std::chrono::minutes(1));
        // What loses a race may be dropped with its value: so race a look, and take afterwards.
        const auto first =
            co_await (heph::async_await(lines.peek()) || idle.async_wait(asio::use_awaitable));
        if (first.index() == 1) { break; }  // nothing came for a minute
        const auto line = lines.try_recv();
        if (!line) { break; }  // the sender is gone
        std::cout << *line << '\n';
    }
    std::cout << "done\n";
}

int main() {
    asio::io_context context;
    auto [sender, receiver] = heph::inbox::channel<std::string>(8);
    const std::jthread producer([lines = std::move(sender)] {
        for (const char* line : {"one", "two", "three"}) {
            if (!lines.send_blocking(line)) { return; }
        }
    });
    asio::co_spawn(context, print(std::move(receiver)), asio::detached);
    context.run();
}
