// Has to be refused: a coroutine frame, where a waiting send lives, would misalign the message.
#include <heph/inbox/channel.hpp>

struct alignas(64) wide {
    int value = 0;
};

int main() {
    auto [tx, rx] = heph::inbox::channel<wide>(1);
    auto sending = tx.send(wide());
    return sending.poll(heph::waker()).is_ready() ? 0 : 1;
}
