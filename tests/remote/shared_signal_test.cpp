// Waiting for changes, from several threads.

#include <catch2/catch.hpp>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include <heph/core/block_on.hpp>

#include "node/shared_signal.hpp"

using heph::remote::detail::shared_signal;

TEST_CASE("shared signal: who waits gets each change after what was seen, and none before",
          "[remote][group]") {
    shared_signal signal;
    std::optional first(signal.beyond(signal.count()));
    auto second = signal.beyond(signal.count());
    CHECK_FALSE(first->poll(heph::waker()).is_ready());
    CHECK_FALSE(second.poll(heph::waker()).is_ready());
    first.reset();  // The first in the list goes.
    signal.notify();
    CHECK(second.poll(heph::waker()).is_ready());
    auto third = signal.beyond(signal.count());
    CHECK_FALSE(third.poll(heph::waker()).is_ready());
    CHECK_FALSE(third.poll(heph::waker()).is_ready());
    auto late = signal.beyond(0);
    CHECK(late.poll(heph::waker()).is_ready());
    signal.notify();
    CHECK(third.poll(heph::waker()).is_ready());
}

TEST_CASE("shared signal: threads that wait, and give up waiting, miss no change",
          "[remote][group]") {
    shared_signal signal;
    constexpr std::uint64_t changes = 2'000;
    std::atomic<int> done = 0;
    std::vector<std::thread> waiting;
    for (int i = 0; i < 3; ++i) {
        waiting.emplace_back([&] {
            for (std::uint64_t seen = signal.count(); seen < changes; seen = signal.count()) {
                {
                    auto dropped = signal.beyond(seen);
                    (void)dropped.poll(heph::waker());
                }
                // Hangs if a change is missed: nothing comes behind the last one.
                heph::block_on(signal.beyond(seen));
            }
            ++done;
        });
    }
    for (std::uint64_t i = 0; i < changes; ++i) { signal.notify(); }
    for (auto& each : waiting) { each.join(); }
    CHECK(done == 3);
}
