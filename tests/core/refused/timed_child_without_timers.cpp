// A child with a bounded time to stop, in a tree whose runtime has no timers.

#include <chrono>

#include <heph/core/supervision_tree.hpp>
#include <heph/core/task.hpp>

heph::task<> ignores(heph::context<int> ctx) { (void)co_await ctx.receive(); }

int main() {
    heph::supervision_tree tree;
    auto ref = tree.add(heph::child_spec("child").stop_with(0).within(std::chrono::seconds(1)),
                        heph::actor_fn(ignores));
    return ref.is_connected() ? 0 : 1;
}
