// A tree for any thread, with a child that is given a pointer to what only one thread may use.

#include <string>
#include <utility>

#include <heph/core/supervision_tree.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>

heph::task<> counts(heph::rt::shared_context<int> ctx, int* count) {
    while (auto next = co_await ctx.receive()) { *count += *next; }
}

void set_up(heph::rt::runtime& runtime, int* count) {
    heph::supervision_tree tree(heph::tree_options(), runtime.shared());
    auto ref = tree.add(heph::child_spec("counts"), heph::actor_fn(counts), count);
    runtime.shared().spawn_future(std::move(tree));
}

int main() {}
