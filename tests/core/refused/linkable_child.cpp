// A linkable child of a tree, whose strategy says who ends with whom.

#include <heph/core/linkable.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/task.hpp>

heph::task<> ignores(heph::context<int> ctx) { (void)co_await ctx.receive(); }

int main() {
    heph::supervision_tree tree;
    auto ref = tree.add(heph::child_spec("child"), heph::linkable(heph::no_supervisor()),
                        heph::actor_fn(ignores));
    return ref.is_connected() ? 0 : 1;
}
