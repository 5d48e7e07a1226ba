// An actor that keeps failing, and a supervisor that restarts it a number of times.
//
// Each failure is a line of the log on stderr; set HEPH_LOG=off to silence it.

#include <chrono>
#include <expected>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

using namespace std::chrono_literals;

namespace {

heph::task<std::expected<void, std::string>> print_numbers(heph::context<std::string> ctx,
                                                           std::string label) {
    std::cout << "started\n";
    while (auto text = co_await ctx.receive()) {
        if (text->empty()) { co_return std::unexpected(std::string("an empty message")); }
        // Throws for what is no number; to the supervisor that is a failure like the other one.
        const int number = std::stoi(*text);
        std::cout << label << ' ' << number << '\n';
    }
    co_return std::expected<void, std::string>();
}

}  // namespace

int main() {
    // Two restarts within ten seconds are fine, with a copy of the same argument. At the third
    // failure, the actor is stopped.
    heph::restart_supervisor supervisor(heph::restart_limit{2, 10s}, std::string("number"));
    heph::actor_options options;
    options.name = "printer";
    auto [running, ref] = heph::make_actor(std::move(supervisor), heph::actor_fn(print_numbers),
                                           heph::no_runtime(), options, std::string("number"));
    // All are in the inbox before it runs. A restart keeps what is behind the fatal message.
    for (const char* text : {"1", "", "2", "three", "4", "", "5"}) {
        if (!ref.try_send(text)) { return 1; }
    }
    heph::block_on(std::move(running));
    std::cout << (ref.is_connected() ? "still running\n" : "stopped\n");
}
