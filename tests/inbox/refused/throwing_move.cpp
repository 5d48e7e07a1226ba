// Has to be refused: an exception half-way through a send would leave a hole in the channel.
#include <heph/inbox/channel.hpp>

struct throws {
    throws() = default;
    throws(throws&&) noexcept(false) {}
    throws& operator=(throws&&) = delete;
};

int main() {
    auto [tx, rx] = heph::inbox::channel<throws>(1);
    return tx.try_send(throws()) ? 0 : 1;
}
