// An actor that greets whom it is told of. It ends when nobody can tell it of anyone any more.

#include <iostream>
#include <string>

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>

namespace {

heph::task<> greeter(heph::rt::local_context<std::string> ctx) {
    while (auto name = co_await ctx.receive()) { std::cout << "Hello " << *name << '\n'; }
}

}  // namespace

int main() {
    auto runtime = heph::rt::setup{}.name("hello").threads(1).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    runtime->run_on_workers([](heph::rt::worker& worker) {
        auto ref = worker.spawn(heph::no_supervisor(), heph::actor_fn(greeter));
        for (const char* name : {"World", "actors"}) {
            if (!ref.try_send(name)) { std::cerr << "there is no room for " << name << '\n'; }
        }
    });
    return heph::rt::report(runtime->start());
}
