// A linkable sync actor, which nobody could end.

#include <heph/core/linkable.hpp>
#include <heph/core/sync_actor.hpp>

void ignores(heph::sync_context<int> ctx) { (void)ctx.receive(); }

int main() {
    auto actor =
        heph::spawn_sync(heph::sync_options(), heph::linkable(heph::no_supervisor()), ignores);
    return actor ? 0 : 1;
}
