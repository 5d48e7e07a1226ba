// The three kinds of actors: a local one stays on its worker, a thread-safe one may run on any, and
// a sync one has a thread of its own, which it may block.

#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include <heph/core/supervisor.hpp>
#include <heph/core/sync_actor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>

namespace {

void say(std::string_view who, const std::string& what) {
    std::ostringstream line;  // In one piece: others print as well.
    line << who << ": " << what << '\n';
    std::cout << line.str();
}

// Nothing of it is seen by another thread, so what it holds need not be thread-safe.
heph::task<> local_actor(heph::rt::local_context<std::string> ctx) {
    while (auto text = co_await ctx.receive()) { say("local", *text); }
}

// One thread after another may run it; never two at once.
heph::task<> shared_actor(heph::rt::shared_context<std::string> ctx) {
    while (auto text = co_await ctx.receive()) { say("thread-safe", *text); }
}

void sync_actor(heph::sync_context<std::string> ctx) {
    while (auto text = ctx.receive()) { say("sync", *text); }
}

}  // namespace

int main() {
    auto runtime = heph::rt::setup{}.name("spawning").threads(2).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    {
        auto shared = runtime->spawn(heph::no_supervisor(), heph::actor_fn(shared_actor));
        (void)shared.try_send("hello from main");
        heph::sync_options options;
        options.name = "sync-actor";
        auto sync = runtime->spawn_sync(options, heph::no_supervisor(), sync_actor);
        if (!sync) {
            std::cerr << "there is no thread: " << sync.error().message() << '\n';
            return 1;
        }
        (void)sync->try_send("hello from main");
    }
    runtime->run_on_workers([](heph::rt::worker& worker) {
        auto local = worker.spawn(heph::no_supervisor(), heph::actor_fn(local_actor));
        (void)local.try_send("hello from worker " + std::to_string(worker.index()));
    });
    return heph::rt::report(runtime->start());
}
