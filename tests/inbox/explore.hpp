#pragma once

// What the programs that are explored have in common.

#include <array>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/channel.hpp>

#include "support/explored_environment.hpp"
#include "support/explorer.hpp"

namespace heph::inbox::test {

namespace explored = heph::test::explored;
using explored::tracked;

/// A channel, its handles, and who has received what. Lives as long as one schedule.
template <typename Variant = explored::sound>
struct world {
    using layout = explored::layout<Variant>;
    using sender_type = sender<tracked, layout>;
    using receiver_type = receiver<tracked, layout>;
    using manager_type = manager<tracked, layout>;

    /// Makes a channel with as many senders, and a manager if it is wanted.
    world(std::size_t capacity, std::size_t senders, bool managed = false) {
        auto [boss_made, first, rx_made] = managed_channel<tracked, layout>(capacity);
        if (managed) { boss.emplace(std::move(boss_made)); }
        rx.emplace(std::move(rx_made));
        for (std::size_t i = 0; i < senders; ++i) { tx[i].emplace(first); }
    }

    /// Keeps a message that was received. Each sender numbers its own by 10 times its number and
    /// on.
    void receive(const tracked& got) {
        const int number = got.number();
        for (const int before : received) {
            explored::check(before != number, "a message was received twice");
            explored::check(before / 10 != number / 10 || before < number,
                            "a sender's messages were received out of order");
        }
        received.push_back(number);
    }
    /// Receives until every sender is gone.
    void receive_all(explored::executor& on) {
        for (;;) {
            auto got = on.block_on(rx->recv());
            if (!got.value()) { return; }
            receive(*got.value());
        }
    }
    void send(explored::executor& on, std::size_t who, int number) {
        auto sent = on.block_on(tx[who]->emplace(number));
        explored::check(sent.value().has_value(), "a message was refused");
    }

    std::array<explored::executor, 3> run;  // Goes last.
    std::optional<manager_type> boss;
    std::array<std::optional<sender_type>, 3> tx;
    std::optional<receiver_type> rx;
    std::vector<int> received;
};

/// Explores, and says how much; the test fails when too little was explored to mean anything.
inline explored::outcome explore(std::size_t schedules_min, const explored::options& chosen,
                                 const std::function<void(explored::program&)>& make) {
    const explored::outcome found = explored::explore(chosen, make);
    INFO("schedules: " << found.schedules << ", steps: " << found.steps);
    INFO("in the schedule that failed:\n" << found.trace);
    CHECK(found.failure.empty());
    CHECK(found.complete);
    CHECK(found.schedules >= schedules_min);
    std::printf("explored %8zu schedules, %10zu steps: %s\n", found.schedules, found.steps,
                Catch::getResultCapture().getCurrentTestName().c_str());
    return found;
}

}  // namespace heph::inbox::test
