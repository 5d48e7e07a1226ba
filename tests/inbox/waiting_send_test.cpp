#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/channel.hpp>

#include "inbox/probe.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;

TEST_CASE("send: waits for room, first come first served", "[inbox][send]") {
    std::array<wake_counter, 3> woken;
    auto [tx, rx] = channel<int>(1);
    REQUIRE(tx.try_send(0));
    auto a = tx.send(1);
    auto b = tx.send(2);
    auto c = tx.send(3);
    REQUIRE_FALSE(a.poll(woken[0].get()).is_ready());
    REQUIRE_FALSE(b.poll(woken[1].get()).is_ready());
    REQUIRE_FALSE(c.poll(woken[2].get()).is_ready());
    CHECK(rx.try_recv().value() == 0);
    CHECK(woken[0].take());
    CHECK_FALSE(woken[1].take());
    // Not its turn, although there is room.
    CHECK_FALSE(c.poll(woken[2].get()).is_ready());
    CHECK(a.poll(woken[0].get()).is_ready());
    CHECK_FALSE(woken[1].take());
    CHECK(rx.try_recv().value() == 1);
    CHECK(woken[1].take());
    CHECK(b.poll(woken[1].get()).is_ready());
    CHECK(rx.try_recv().value() == 2);
    CHECK(c.poll(woken[2].get()).is_ready());
    CHECK(rx.try_recv().value() == 3);
}

TEST_CASE("send: try_send does not overtake a waiting send", "[inbox][send]") {
    wake_counter woken;
    auto [tx, rx] = channel<int>(2);
    REQUIRE(tx.try_send(0));
    REQUIRE(tx.try_send(1));
    auto waiting = tx.send(2);
    REQUIRE_FALSE(waiting.poll(woken.get()).is_ready());
    CHECK(rx.try_recv().value() == 0);
    auto overtaking = tx.try_send(3);
    REQUIRE_FALSE(overtaking);
    CHECK(overtaking.error().is_full());
    CHECK(waiting.poll(woken.get()).is_ready());
    CHECK(rx.try_recv().value() == 1);
    CHECK(tx.try_send(3));
    CHECK(rx.try_recv().value() == 2);
    CHECK(rx.try_recv().value() == 3);
}

TEST_CASE("send: a woken one wakes the next while there is room", "[inbox][send]") {
    std::array<wake_counter, 2> woken;
    auto [tx, rx] = channel<int>(2);
    REQUIRE(tx.try_send(0));
    REQUIRE(tx.try_send(1));
    auto a = tx.send(2);
    auto b = tx.send(3);
    REQUIRE_FALSE(a.poll(woken[0].get()).is_ready());
    REQUIRE_FALSE(b.poll(woken[1].get()).is_ready());
    std::vector<int> got;
    CHECK(rx.try_recv_many(got, 2) == 2);
    CHECK(woken[0].take());
    CHECK(a.poll(woken[0].get()).is_ready());
    CHECK(woken[1].take());
    CHECK(b.poll(woken[1].get()).is_ready());
}

TEST_CASE("send: dropped while it waits, it leaves no trace", "[inbox][send]") {
    int alive = 0;
    wake_counter woken;
    auto [tx, rx] = channel<counted>(1);
    REQUIRE(tx.try_emplace(0, alive));
    {
        auto dropped = tx.emplace(1, alive);
        REQUIRE_FALSE(dropped.poll(woken.get()).is_ready());
        CHECK(alive == 2);
    }
    CHECK(alive == 1);
    CHECK(woken.references() == 0);
    CHECK(rx.try_recv()->value() == 0);
    CHECK(rx.try_recv().error() == recv_error::empty);
    CHECK(woken.wakes() == 0);
    CHECK(tx.try_emplace(2, alive));
}

TEST_CASE("send: dropped after its wake, it passes the wake on", "[inbox][send]") {
    std::array<wake_counter, 2> woken;
    auto [tx, rx] = channel<int>(1);
    REQUIRE(tx.try_send(0));
    std::optional<send_future<int>> first(tx.send(1));
    auto second = tx.send(2);
    REQUIRE_FALSE(first->poll(woken[0].get()).is_ready());
    REQUIRE_FALSE(second.poll(woken[1].get()).is_ready());
    CHECK(rx.try_recv().value() == 0);
    CHECK(woken[0].take());
    CHECK_FALSE(woken[1].take());
    first.reset();
    CHECK(woken[1].take());
    CHECK(second.poll(woken[1].get()).is_ready());
    CHECK(rx.try_recv().value() == 2);
}

TEST_CASE("send: one dropped in the middle or at the end of the queue harms no other",
          "[inbox][send]") {
    wake_counter woken;
    auto [tx, rx] = channel<int>(1);
    REQUIRE(tx.try_send(0));
    std::array<std::optional<send_future<int>>, 4> sends;
    for (int i = 0; i < 4; ++i) {
        sends[static_cast<std::size_t>(i)].emplace(tx.send(i + 1));
        REQUIRE_FALSE(sends[static_cast<std::size_t>(i)]->poll(woken.get()).is_ready());
    }
    sends[1].reset();
    sends[3].reset();
    CHECK(rx.try_recv().value() == 0);
    CHECK(sends[0]->poll(woken.get()).is_ready());
    CHECK(rx.try_recv().value() == 1);
    CHECK(sends[2]->poll(woken.get()).is_ready());
    CHECK(rx.try_recv().value() == 3);
    CHECK(tx.try_send(5));
}

TEST_CASE("send: gives the message back, woken, when the receiver goes", "[inbox][send]") {
    std::array<wake_counter, 2> woken;
    auto [tx, rx] = channel<std::unique_ptr<int>>(1);
    REQUIRE(tx.try_emplace(new int(0)));
    auto a = tx.emplace(new int(1));
    auto b = tx.emplace(new int(2));
    REQUIRE_FALSE(a.poll(woken[0].get()).is_ready());
    REQUIRE_FALSE(b.poll(woken[1].get()).is_ready());
    { auto gone = std::move(rx); }
    CHECK(woken[0].take());
    CHECK(woken[1].take());
    auto refused = b.poll(woken[1].get());
    REQUIRE(refused.is_ready());
    REQUIRE_FALSE(refused.value().has_value());
    CHECK(refused.value().error().is_disconnected());
    CHECK(*refused.value().error().value() == 2);
    CHECK(tx.try_emplace(new int(3)).error().is_disconnected());
}

TEST_CASE("send: only the waker of the last poll counts", "[inbox][send]") {
    wake_counter first;
    wake_counter second;
    auto [tx, rx] = channel<int>(1);
    REQUIRE(tx.try_send(0));
    auto waiting = tx.send(1);
    REQUIRE_FALSE(waiting.poll(first.get()).is_ready());
    REQUIRE_FALSE(waiting.poll(second.get()).is_ready());
    CHECK(first.references() == 0);
    CHECK(rx.try_recv().value() == 0);
    CHECK(first.wakes() == 0);
    CHECK(second.wakes() == 1);
}

// Every sender is polled only when it was woken, as a runtime does it.
TEST_CASE(
    "regression: 64 waiting senders on capacity 8 never stall, and none waits 3 times the mean",
    "[inbox][send]") {
    constexpr std::size_t senders = 64;
    constexpr int each = 100;
    auto [tx, rx] = channel<std::pair<std::size_t, int>>(8);
    struct state {
        wake_counter woken;
        std::optional<send_future<std::pair<std::size_t, int>>> sending;
        int sent = 0;
        std::size_t started = 0;
        std::size_t waited_max = 0;
        std::size_t waited = 0;
    };
    std::vector<state> all(senders);
    std::vector<int> next(senders, 0);
    wake_counter receiver_woken;
    std::size_t received = 0;

    const auto drive = [&](std::size_t i) {
        state& mine = all[i];
        while (mine.sent < each) {
            if (!mine.sending) {
                mine.started = received;
                mine.sending.emplace(tx.send(std::pair(i, mine.sent)));
            }
            if (!mine.sending->poll(mine.woken.get()).is_ready()) { return; }
            mine.sending.reset();
            mine.waited_max = std::max(mine.waited_max, received - mine.started);
            mine.waited += received - mine.started;
            ++mine.sent;
        }
    };
    for (std::size_t i = 0; i < senders; ++i) { drive(i); }
    while (received < senders * each) {
        auto receiving = rx.recv();
        auto got = receiving.poll(receiver_woken.get());
        if (got.is_ready()) {
            const auto [who, what] = *got.value();
            REQUIRE(what == next[who]++);
            ++received;
        }
        bool progress = got.is_ready();
        for (std::size_t i = 0; i < senders; ++i) {
            if (all[i].woken.take()) {
                drive(i);
                progress = true;
            }
        }
        REQUIRE(progress);
    }
    std::size_t waited = 0;  // In messages received meanwhile.
    for (const state& one : all) { waited += one.waited; }
    for (const state& one : all) {
        CHECK(one.sent == each);
        CHECK(one.waited_max * senders * each <= 3 * waited);
    }
}

namespace {

template <std::size_t Size>
struct sized {
    explicit sized(std::uint8_t value) { bytes.fill(value); }
    [[nodiscard]] bool is(std::uint8_t value) const {
        return std::ranges::count(bytes, value) == static_cast<std::ptrdiff_t>(Size);
    }
    std::array<std::uint8_t, Size> bytes;
};

// A waiting send is woken, and the receiver learns that the senders are gone and are back, in each
// of several rounds: the words for that lie elsewhere in a large ring than in a small one.
template <std::size_t Size>
void wake_in_each_round(std::size_t capacity) {
    wake_counter woken;
    auto [tx, rx] = channel<sized<Size>>(capacity);
    std::optional<sender<sized<Size>>> sending(std::move(tx));
    const auto in_order = [](std::size_t i) { return static_cast<std::uint8_t>(i); };
    for (int round = 0; round < 3; ++round) {
        for (std::size_t i = 0; i < capacity; ++i) {
            REQUIRE(sending->try_send(sized<Size>(in_order(i))));
        }
        {
            auto waiting = sending->send(sized<Size>(in_order(capacity)));
            REQUIRE_FALSE(waiting.poll(woken.get()).is_ready());
            CHECK(sending->try_send(sized<Size>(0)).error().is_full());
            REQUIRE(rx.try_recv().value().is(0));
            CHECK(woken.take());
            REQUIRE(waiting.poll(woken.get()).is_ready());
        }
        for (std::size_t i = 1; i <= capacity; ++i) {
            REQUIRE(rx.try_recv().value().is(in_order(i)));
        }
        CHECK(rx.try_recv().error() == recv_error::empty);
        sending.reset();
        CHECK(rx.try_recv().error() == recv_error::disconnected);
        sending.emplace(rx.new_sender());
        CHECK(rx.try_recv().error() == recv_error::empty);
    }
}

}  // namespace

TEST_CASE("send: wakes and is woken in rings of all sizes, for messages of all sizes",
          "[inbox][send]") {
    const std::size_t capacity = GENERATE(1U, 7U, 8U, 9U, 16U, 17U, 100U, 1'024U, 65'537U);
    wake_in_each_round<1>(capacity);
    wake_in_each_round<5>(capacity);
    wake_in_each_round<8>(capacity);
    wake_in_each_round<60>(capacity);
    wake_in_each_round<100>(capacity);
}
