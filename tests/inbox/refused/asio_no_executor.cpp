// Has to be refused: nobody said on which executor the callback runs.
#include <heph/inbox/asio.hpp>
#include <heph/inbox/channel.hpp>

int main() {
    auto [tx, rx] = heph::inbox::channel<int>(1);
    heph::async_await(rx.recv(), [](boost::system::error_code, std::optional<int>) {});
}
