// Has to be refused: a message is a value.
#include <heph/inbox/channel.hpp>

int main() {
    auto [tx, rx] = heph::inbox::channel<const int>(1);
    return tx.is_connected() ? 0 : 1;
}
