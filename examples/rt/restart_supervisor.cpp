// An actor that fails on some messages, and a supervisor that makes a new one each time, after a
// pause that grows: the runtime's timers wait for it, no thread does.

#include <chrono>
#include <expected>
#include <iostream>
#include <string>

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>

using namespace std::chrono_literals;

namespace {

heph::task<std::expected<void, std::string>> prints_even(heph::rt::local_context<int> ctx) {
    std::cout << "started\n";
    while (auto number = co_await ctx.receive()) {
        if (*number % 2 != 0) { co_return std::unexpected(std::string("an odd number")); }
        std::cout << *number << '\n';
    }
    co_return std::expected<void, std::string>();
}

}  // namespace

int main() {
    auto runtime = heph::rt::setup{}.name("restart").threads(1).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([](heph::rt::worker& worker) {
        // Up to five restarts in a minute, 10 ms after the first failure, 20 ms after the second.
        heph::backoff_supervisor supervisor(heph::restart_limit{5, 60s}, heph::backoff{10ms, 1s});
        auto ref = worker.spawn(heph::actor_options{.name = "even"}, std::move(supervisor),
                                heph::actor_fn(prints_even));
        for (int i = 0; i < 5; ++i) { (void)ref.try_send(i); }
    });
    return heph::rt::report(runtime->start());
}
