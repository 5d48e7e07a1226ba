// An actor that asks another one, on a worker that may be another, and waits for at most a second.

#include <chrono>
#include <expected>
#include <iostream>
#include <string>
#include <utility>

#include <heph/core/rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>

using namespace std::chrono_literals;

namespace {

using length_of = heph::rpc<std::string, std::size_t>;

heph::task<> counts_letters(heph::rt::shared_context<length_of> ctx) {
    while (auto call = co_await ctx.receive()) {
        // Until here, the caller may have given up; then nobody sees the answer.
        call->handle([](const std::string& text) { return text.size(); });
    }
}

heph::task<> asks(heph::rt::local_context<> ctx, heph::actor_ref<length_of> counter) {
    const std::string text = "hello";
    auto answer = co_await counter.rpc<length_of>(ctx.deadline_in(1s), text);
    if (answer) {
        std::cout << "it has " << *answer << " letters\n";
    } else {
        std::cout << "no answer: " << heph::to_string(answer.error()) << '\n';
    }
}

}  // namespace

int main() {
    auto runtime = heph::rt::setup{}.name("rpc").threads(2).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    auto counter = runtime->spawn(heph::no_supervisor(), heph::actor_fn(counts_letters));
    runtime->run_on_workers([counter = std::move(counter)](heph::rt::worker& worker) {
        if (worker.index() == 0) {
            worker.spawn(heph::no_supervisor(), heph::actor_fn(asks), counter);
        }
    });
    return heph::rt::report(runtime->start());
}
