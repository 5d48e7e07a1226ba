// A thread-safe actor that is given a pointer to what only one thread may use.

#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>

heph::task<> counts(heph::rt::shared_context<int> ctx, int* count) {
    while (auto next = co_await ctx.receive()) { *count += *next; }
}

void set_up(heph::rt::runtime& runtime, int* count) {
    runtime.spawn(heph::no_supervisor(), heph::actor_fn(counts), count);
}

int main() {}
