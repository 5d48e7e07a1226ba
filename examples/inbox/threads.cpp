// Three threads measure, one thread sums up. It takes what is there in one go, and the others wait
// when it falls behind by more than four readings.

#include <array>
#include <cstddef>
#include <iostream>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <heph/inbox/channel.hpp>

int main() {
    auto [sender, receiver] = heph::inbox::channel<int>(4);
    std::vector<std::jthread> sensors;
    for (int sensor = 1; sensor <= 3; ++sensor) {
        sensors.emplace_back([sensor, out = sender] {
            for (int reading = 0; reading < 100; ++reading) {
                if (!out.send_blocking(sensor)) { return; }  // the receiver is gone
            }
        });
    }
    { const auto dropped = std::move(sender); }  // from here on, only the sensors have senders

    int count = 0;
    int sum = 0;
    std::array<int, 4> some{};
    // 0 says that every sender is gone, and everything was received.
    while (const std::size_t got = receiver.recv_many_blocking(some)) {
        for (const int value : std::span(some).first(got)) {
            ++count;
            sum += value;
        }
    }
    std::cout << count << " readings, " << sum << " in all\n";
}
