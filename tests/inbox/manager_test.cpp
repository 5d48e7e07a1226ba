#include <heph/inbox/manager.hpp>

#include <optional>

#include <catch2/catch.hpp>

#include <heph/inbox/channel.hpp>

#include "inbox/probe.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;

TEST_CASE("manager: makes a receiver only when there is none", "[inbox][manager]") {
    auto [boss, tx, rx] = managed_channel<int>(2);
    CHECK(boss.has_receiver());
    auto second = boss.new_receiver();
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error() == manager_error::receiver_connected);
    { auto gone = std::move(rx); }
    CHECK_FALSE(boss.has_receiver());
    CHECK(boss.new_receiver().has_value());
}

TEST_CASE("manager: a new receiver goes on where the old one stopped", "[inbox][manager]") {
    auto [boss, tx, rx] = managed_channel<int>(3);
    for (int i = 0; i < 3; ++i) { REQUIRE(tx.try_send(i)); }
    CHECK(rx.try_recv().value() == 0);
    { auto gone = std::move(rx); }
    CHECK(tx.is_connected());
    REQUIRE(tx.try_send(3));
    CHECK(tx.try_send(4).error().is_full());
    auto again = boss.new_receiver();
    REQUIRE(again.has_value());
    CHECK(again->try_recv().value() == 1);
    CHECK(again->try_recv().value() == 2);
    CHECK(again->try_recv().value() == 3);
    CHECK(again->try_recv().error() == recv_error::empty);
}

TEST_CASE("manager: a waiting send stays in order across a restart", "[inbox][manager]") {
    wake_counter woken;
    auto [boss, tx, rx] = managed_channel<int>(1);
    REQUIRE(tx.try_send(0));
    auto waiting = tx.send(1);
    REQUIRE_FALSE(waiting.poll(woken.get()).is_ready());
    { auto gone = std::move(rx); }
    CHECK_FALSE(waiting.poll(woken.get()).is_ready());
    auto again = boss.new_receiver();
    CHECK(again->try_recv().value() == 0);
    CHECK(woken.take());
    CHECK(waiting.poll(woken.get()).is_ready());
    CHECK(again->try_recv().value() == 1);
}

TEST_CASE("manager: a restarted receiver is woken, not the one before", "[inbox][manager]") {
    wake_counter before;
    wake_counter after;
    auto [boss, tx, rx] = managed_channel<int>(1);
    {
        auto old = std::move(rx);
        auto receiving = old.recv();
        REQUIRE_FALSE(receiving.poll(before.get()).is_ready());
    }
    CHECK(before.references() == 0);
    auto again = boss.new_receiver();
    auto receiving = again->recv();
    REQUIRE_FALSE(receiving.poll(after.get()).is_ready());
    REQUIRE(tx.try_send(1));
    CHECK(before.wakes() == 0);
    CHECK(after.wakes() == 1);
}

TEST_CASE("manager: the last of manager and receiver to go closes the channel",
          "[inbox][manager]") {
    const bool manager_first = GENERATE(true, false);
    int alive = 0;
    auto [made_boss, tx, made_rx] = managed_channel<counted>(2);
    std::optional boss(std::move(made_boss));
    std::optional rx(std::move(made_rx));
    REQUIRE(tx.try_emplace(0, alive));
    if (manager_first) {
        boss.reset();
    } else {
        rx.reset();
    }
    CHECK(tx.is_connected());
    CHECK(alive == 1);
    boss.reset();
    rx.reset();
    CHECK_FALSE(tx.is_connected());
    CHECK(alive == 0);
}

TEST_CASE("manager: makes senders, but is none", "[inbox][manager]") {
    auto [boss, tx, rx] = managed_channel<int>(2);
    { auto gone = std::move(tx); }
    CHECK_FALSE(rx.is_connected());
    CHECK(rx.try_recv().error() == recv_error::disconnected);
    auto made = boss.new_sender();
    CHECK(rx.is_connected());
    CHECK(made.sends_to(rx));
}
