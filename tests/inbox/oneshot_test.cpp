#include <heph/inbox/oneshot.hpp>

#include <memory>
#include <optional>
#include <thread>

#include <catch2/catch.hpp>

#include "inbox/probe.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;

static_assert(heph::future<oneshot_recv_future<int>> &&
              heph::future<oneshot_recv_once_future<int>> &&
              heph::future<oneshot_closed_future<int>>);

TEST_CASE("oneshot: brings one value, once", "[inbox][oneshot]") {
    auto [tx, rx] = oneshot<std::unique_ptr<int>>();
    CHECK(rx.try_recv().error() == recv_error::empty);
    CHECK(rx.is_connected());
    CHECK(tx.is_connected());
    REQUIRE(std::move(tx).try_send(std::make_unique<int>(1)));
    CHECK_FALSE(rx.is_connected());
    CHECK(**rx.try_recv() == 1);
    CHECK(rx.try_recv().error() == recv_error::disconnected);
}

TEST_CASE("oneshot: gives the value back when the receiver is gone", "[inbox][oneshot]") {
    auto [tx, rx] = oneshot<std::unique_ptr<int>>();
    { auto gone = std::move(rx); }
    CHECK_FALSE(tx.is_connected());
    auto refused = std::move(tx).try_send(std::make_unique<int>(3));
    REQUIRE_FALSE(refused.has_value());
    CHECK(*refused.error() == 3);
}

TEST_CASE("oneshot: destroys a value that nobody received, once", "[inbox][oneshot]") {
    int alive = 0;
    {
        auto [tx, rx] = oneshot<counted>();
        REQUIRE(std::move(tx).try_send(counted(1, alive)));
        CHECK(alive == 1);
    }
    CHECK(alive == 0);
}

TEST_CASE("oneshot: recv is woken by the value, and by a sender that goes", "[inbox][oneshot]") {
    const bool sends = GENERATE(true, false);
    wake_counter woken;
    {
        auto [made, rx] = oneshot<int>();
        std::optional tx(std::move(made));
        auto receiving = rx.recv();
        REQUIRE_FALSE(receiving.poll(woken.get()).is_ready());
        REQUIRE_FALSE(receiving.poll(woken.get()).is_ready());
        CHECK(woken.references() == 1);
        if (sends) { REQUIRE(std::move(*tx).try_send(5)); }
        tx.reset();
        CHECK(woken.wakes() == 1);
        auto got = receiving.poll(woken.get());
        REQUIRE(got.is_ready());
        CHECK(got.value() == (sends ? std::optional(5) : std::nullopt));
    }
    CHECK(woken.references() == 0);
}

TEST_CASE("oneshot: a dropped recv leaves no waker and loses no value", "[inbox][oneshot]") {
    wake_counter woken;
    auto [tx, rx] = oneshot<int>();
    {
        auto receiving = rx.recv();
        REQUIRE_FALSE(receiving.poll(woken.get()).is_ready());
    }
    CHECK(woken.references() == 0);
    REQUIRE(std::move(tx).try_send(1));
    CHECK(woken.wakes() == 0);
    CHECK(rx.try_recv().value() == 1);
}

TEST_CASE("oneshot: closed is woken when the receiver goes", "[inbox][oneshot]") {
    wake_counter woken;
    auto [tx, made] = oneshot<int>();
    std::optional rx(std::move(made));
    auto closed = tx.closed();
    REQUIRE_FALSE(closed.poll(woken.get()).is_ready());
    {
        wake_counter other;
        auto owning = std::move(*rx).recv_once();
        REQUIRE_FALSE(owning.poll(other.get()).is_ready());
        CHECK(woken.wakes() == 0);
    }
    CHECK(woken.wakes() == 1);
    CHECK(closed.poll(woken.get()).is_ready());
}

TEST_CASE("oneshot: try_reset makes a new sender when the old one is done", "[inbox][oneshot]") {
    auto [tx, rx] = oneshot<int>();
    CHECK(rx.try_reset().error() == reset_error::in_use);
    REQUIRE(std::move(tx).try_send(1));
    CHECK(rx.try_reset().error() == reset_error::in_use);
    CHECK(rx.try_recv().value() == 1);
    auto again = rx.try_reset();
    REQUIRE(again.has_value());
    CHECK(rx.is_connected());
    REQUIRE(std::move(*again).try_send(2));
    CHECK(rx.recv_blocking() == 2);
}

TEST_CASE("oneshot: both sides may go at the same time, on two threads", "[inbox][oneshot]") {
    for (int i = 0; i < 5000; ++i) {
        auto [made, rx] = oneshot<std::unique_ptr<int>>();
        std::jthread other([tx = std::move(made), i]() mutable {
            if (i % 3 != 0) { (void)std::move(tx).try_send(std::make_unique<int>(i)); }
        });
        if (i % 2 == 0) { continue; }
        auto got = rx.recv_blocking();
        REQUIRE(got.has_value() == (i % 3 != 0));
        if (got) { REQUIRE(**got == i); }
    }
}
