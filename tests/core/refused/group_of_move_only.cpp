// A message to a whole group that cannot be copied.

#include <memory>

#include <heph/core/actor_group.hpp>

int main() {
    const heph::actor_group<std::unique_ptr<int>> group;
    return group.try_send_to_all(std::make_unique<int>(1)).all_sent() ? 0 : 1;
}
