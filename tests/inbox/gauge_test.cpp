#include <heph/inbox/gauge.hpp>

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/channel.hpp>

#include "inbox/probe.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;

namespace {

// Whether that many are queued and were received.
template <typename Counts>
bool is(const Counts& counts, std::size_t queued, std::uint64_t received) {
    return counts.queued == queued && counts.received == received;
}

}  // namespace

TEST_CASE("gauge: it counts what is queued and what was received, at every fill of every capacity",
          "[inbox][gauge]") {
    for (const std::size_t capacity : {1U, 2U, 3U, 5U, 8U, 29U, 64U, 100U}) {
        auto [boss, tx, rx] = managed_channel<int>(capacity);
        const auto meter = boss.new_gauge();
        std::uint64_t received = 0;
        std::size_t queued = 0;
        int wrong = 0;
        for (std::size_t round = 0; round < 3 * capacity; ++round) {
            for (std::size_t i = 0; i <= round % (capacity + 1); ++i) {
                if (tx.try_send(1)) { ++queued; }
                if (!is(meter.counts(), queued, received)) { ++wrong; }
            }
            for (std::size_t i = 0; i <= round / 3; ++i) {
                if (!rx.try_recv()) { break; }
                --queued;
                ++received;
                if (!is(boss.counts(), queued, received)) { ++wrong; }
            }
        }
        INFO("capacity " << capacity);
        CHECK(wrong == 0);
        CHECK(received > capacity);
    }
}

TEST_CASE("gauge: a new receiver goes on counting, and so does a gauge without the manager",
          "[inbox][gauge]") {
    std::optional<gauge<int>> meter;
    {
        auto [boss, tx, rx] = managed_channel<int>(4);
        meter.emplace(boss.new_gauge());
        const auto copy = *meter;
        CHECK(copy.id() == boss.id());
        for (int i = 0; i < 3; ++i) { REQUIRE(tx.try_send(i)); }
        CHECK(rx.try_recv());
        { auto gone = std::move(rx); }
        CHECK(is(copy.counts(), 2, 1));
        auto again = boss.new_receiver();
        REQUIRE(again);
        CHECK(again->try_recv());
        CHECK(is(copy.counts(), 1, 2));
        CHECK(is(boss.counts(), 1, 2));
    }
    CHECK(meter->counts().received == 2);
}

TEST_CASE("gauge: it counts a batch of messages as so many", "[inbox][gauge]") {
    auto [boss, tx, rx] = managed_channel<int>(8);
    std::vector<int> batch{1, 2, 3, 4, 5};
    std::vector<int> out;
    wake_counter woken;
    auto sending = tx.send_many(batch);
    REQUIRE(sending.poll(woken.get()).is_ready());
    CHECK(is(boss.counts(), 5, 0));
    auto receiving = rx.recv_many(out, 4);
    REQUIRE(receiving.poll(woken.get()).is_ready());
    CHECK(is(boss.counts(), 1, 4));
}

TEST_CASE("gauge: read while others send and receive, it never goes back nor beyond the capacity",
          "[inbox][gauge]") {
    constexpr int messages = 20'000;
    constexpr std::size_t capacity = 6;
    auto [boss, tx, rx] = managed_channel<int>(capacity);
    std::atomic<bool> wrong{false};
    std::atomic<bool> over{false};
    std::thread reader([meter = boss.new_gauge(), &wrong, &over] {
        std::uint64_t before = 0;
        while (!over.load()) {
            const auto now = meter.counts();
            if (now.received < before || now.queued > capacity) { wrong.store(true); }
            before = now.received;
        }
    });
    std::vector<std::thread> senders;
    for (int i = 0; i < 2; ++i) {
        senders.emplace_back([sender = tx]() mutable {
            for (int n = 0; n < messages / 2; ++n) {
                if (!sender.send_blocking(n)) { return; }
            }
        });
    }
    int received = 0;
    while (received < messages && rx.recv_blocking()) { ++received; }
    for (auto& each : senders) { each.join(); }
    over.store(true);
    reader.join();
    CHECK_FALSE(wrong);
    CHECK(is(boss.counts(), 0, messages));
}
