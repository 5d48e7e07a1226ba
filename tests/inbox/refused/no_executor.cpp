// Has to be refused: a number cannot resume a coroutine.
#include <heph/inbox/awaitable.hpp>
#include <heph/inbox/channel.hpp>

int main() {
    auto [tx, rx] = heph::inbox::channel<int>(1);
    return heph::resume_on(7, rx.recv()).await_ready() ? 0 : 1;
}
