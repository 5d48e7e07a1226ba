// A thread produces numbers, the main thread adds them up, and no more than eight wait in between.

#include <iostream>
#include <thread>
#include <utility>

#include <heph/inbox/channel.hpp>

int main() {
    auto [sender, receiver] = heph::inbox::channel<int>(8);
    std::jthread producer([out = std::move(sender)] {
        for (int i = 1; i <= 100; ++i) {
            if (!out.send_blocking(i)) { return; }  // the receiver is gone
        }
    });
    int sum = 0;
    while (auto value = receiver.recv_blocking()) { sum += *value; }  // ends with the last sender
    std::cout << "the sum is " << sum << '\n';
}
