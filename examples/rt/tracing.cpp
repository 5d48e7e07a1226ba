// tracing FILE
//
// Writes what its actors do to a trace: `convert_trace FILE` makes JSON of it, which
// ui.perfetto.dev shows.

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/trace.hpp>

using namespace std::chrono_literals;

namespace {

using square_of = heph::rpc<int, int>;

heph::task<> squares(heph::rt::shared_context<square_of> ctx) {
    while (auto call = co_await ctx.receive()) {
        const auto timing = heph::rt::start_trace();
        const int number = call->request();
        co_await heph::rt::timer(1ms);
        call->respond(number * number);
        heph::rt::finish_trace(timing, "squaring", {{"number", number}});
    }
}

heph::task<> asks(heph::rt::local_context<>, heph::actor_ref<square_of> calculator) {
    const auto all = heph::rt::start_trace();
    for (int i = 1; i <= 3; ++i) {
        const auto timing = heph::rt::start_trace();
        auto answer = co_await calculator.rpc<square_of>(i);
        heph::rt::finish_trace(timing, "asking", {{"answer", answer ? *answer : -1}});
    }
    heph::rt::finish_trace(all, "asking for all");
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) {
        std::cerr << "usage: tracing FILE\n";
        return 2;
    }
    auto runtime = heph::rt::setup{}.name("tracing").threads(2).trace(arguments[1]).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    auto calculator = runtime->spawn(heph::actor_options{.name = "calculator"},
                                     heph::no_supervisor(), heph::actor_fn(squares));
    runtime->run_on_workers([calculator = std::move(calculator)](heph::rt::worker& worker) {
        if (worker.index() != 0) { return; }
        worker.spawn(heph::actor_options{.name = "asker"}, heph::no_supervisor(),
                     heph::actor_fn(asks), calculator);
    });
    return heph::rt::report(runtime->start());
}
