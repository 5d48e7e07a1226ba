#include <heph/inbox/oneshot.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/channel.hpp>

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

TEST_CASE("oneshot: a wait for the receiver to go may outlive the sending of the value",
          "[inbox][oneshot][regression]") {
    // Who sends gives the waker back, and a wait that still has it must not do so again, nor look
    // at memory that the receiver may have freed.
    for (const bool receiver_stays : {true, false}) {
        wake_counter woken;
        auto [tx, made] = oneshot<int>();
        std::optional rx(std::move(made));
        {
            auto closed = tx.closed();
            REQUIRE_FALSE(closed.poll(woken.get()).is_ready());
            CHECK(woken.references() == 1);
            REQUIRE(std::move(tx).try_send(1));
            CHECK(woken.references() == 0);
            if (!receiver_stays) { rx.reset(); }
            CHECK(closed.poll(woken.get()).is_ready());
        }
        {
            auto [moved, other] = oneshot<int>();
            auto closed = moved.closed();
            REQUIRE_FALSE(closed.poll(woken.get()).is_ready());
            auto kept = std::move(moved);
            CHECK(closed.poll(woken.get()).is_ready());
        }
        CHECK(woken.references() == 0);
    }
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

namespace {

// Both sides wait for each other, so that each may find the other one just waking it, or going.
struct both_sides {
    std::optional<oneshot_sender<std::unique_ptr<int>>> tx;
    std::optional<oneshot_receiver<std::unique_ptr<int>>> rx;
};

// Waits until nothing refers to the counter: the other side may just be waking it.
void settle(const wake_counter& woken) {
    while (woken.references() != 0) { std::this_thread::yield(); }
}

// What the sender's thread does in a round: look whether anybody waits, then send, or not.
void send_side(both_sides& ends, int round) {
    wake_counter woken;
    wake_counter again;
    {
        auto closed = ends.tx->closed();
        bool gone = closed.poll(woken.get()).is_ready();
        if (round % 2 == 0 && !gone) { gone = closed.poll(again.get()).is_ready(); }
    }
    if (round % 5 != 0) { (void)std::move(*ends.tx).try_send(std::make_unique<int>(round)); }
    ends.tx.reset();
    settle(woken);
    settle(again);
}

// What the receiver's does: wait, perhaps with another waker, then go or take the value.
bool receive_side(both_sides& ends, int round) {
    wake_counter woken;
    wake_counter again;
    bool good = true;
    {
        auto receiving = ends.rx->recv();
        auto got = receiving.poll(woken.get());
        if (!got.is_ready() && round % 3 == 0) { got = receiving.poll(again.get()); }
        if (got.is_ready() && got.value()) { good = **got.value() == round; }
    }
    if (round % 4 == 0) { ends.rx.reset(); }
    ends.rx.reset();
    settle(woken);
    settle(again);
    return good;
}

}  // namespace

TEST_CASE("oneshot: both sides may wait, be woken and go at once", "[inbox][oneshot][stress]") {
    constexpr int rounds = 3000;
    std::atomic<int> wrong = 0;
    std::atomic<int> sender_at = 0;
    std::atomic<int> receiver_at = 0;
    std::vector<both_sides> all(rounds);
    for (auto& ends : all) {
        auto [tx, rx] = oneshot<std::unique_ptr<int>>();
        ends.tx.emplace(std::move(tx));
        ends.rx.emplace(std::move(rx));
    }
    std::jthread sending([&] {
        for (int i = 0; i < rounds; ++i) {
            sender_at = i + 1;
            while (receiver_at <= i) { std::this_thread::yield(); }
            send_side(all[static_cast<std::size_t>(i)], i);
        }
    });
    for (int i = 0; i < rounds; ++i) {
        receiver_at = i + 1;
        while (sender_at <= i) { std::this_thread::yield(); }
        if (!receive_side(all[static_cast<std::size_t>(i)], i)) { ++wrong; }
    }
    sending.join();
    CHECK(wrong == 0);
}

TEST_CASE("oneshot: is used again and again across two threads", "[inbox][oneshot][stress]") {
    constexpr int rounds = 3000;
    std::atomic<int> failed = 0;
    auto [questions, asked] = channel<oneshot_sender<std::unique_ptr<int>>>(1);
    std::jthread answering([from = std::move(asked), &failed]() mutable {
        for (int i = 0; auto tx = from.recv_blocking(); ++i) {
            if (!std::move(*tx).try_send(std::make_unique<int>(i))) { ++failed; }
        }
    });
    auto [first, rx] = oneshot<std::unique_ptr<int>>();
    std::optional tx(std::move(first));
    int wrong = 0;
    for (int i = 0; i < rounds; ++i) {
        if (!questions.send_blocking(std::move(*tx))) { ++wrong; }
        auto got = rx.recv_blocking();
        if (!got || **got != i) { ++wrong; }
        // The sender may need a moment to leave after its value was there.
        auto again = rx.try_reset();
        while (!again) {
            std::this_thread::yield();
            again = rx.try_reset();
        }
        tx.emplace(std::move(*again));
    }
    { auto gone = std::move(questions); }
    answering.join();
    CHECK(wrong == 0);
    CHECK(failed == 0);
}

TEST_CASE("oneshot: a receive that is dropped leaves the waker of a later one alone",
          "[inbox][oneshot]") {
    wake_counter first_woken;
    wake_counter second_woken;
    {
        auto [tx, rx] = oneshot<int>();
        std::optional first(rx.recv());
        REQUIRE_FALSE(first->poll(first_woken.get()).is_ready());
        auto second = rx.recv();
        REQUIRE_FALSE(second.poll(second_woken.get()).is_ready());
        first.reset();
        REQUIRE(std::move(tx).try_send(1));
        CHECK(second_woken.take());
        CHECK_FALSE(first_woken.take());
        CHECK(second.poll(second_woken.get()).value() == 1);
    }
    CHECK(first_woken.references() == 0);
    CHECK(second_woken.references() == 0);
}

TEST_CASE("oneshot: a wait for the end that is dropped leaves the waker of another one alone",
          "[inbox][oneshot]") {
    const bool drops_last = GENERATE(true, false);
    wake_counter woken;  // Of the one task that has both.
    {
        auto [tx, rx] = oneshot<int>();
        std::optional first(tx.closed());
        std::optional second(tx.closed());
        REQUIRE_FALSE(first->poll(woken.get()).is_ready());
        REQUIRE_FALSE(second->poll(woken.get()).is_ready());
        (drops_last ? second : first).reset();
        { auto gone = std::move(rx); }
        CHECK(woken.take());
        CHECK((drops_last ? first : second)->poll(woken.get()).is_ready());
    }
    CHECK(woken.references() == 0);
}

TEST_CASE("oneshot: a wait that is polled again is the last one, and takes its waker along",
          "[inbox][oneshot]") {
    wake_counter first_woken;
    wake_counter second_woken;
    {
        auto [tx, rx] = oneshot<int>();
        std::optional first(rx.recv());
        std::optional second(rx.recv());
        REQUIRE_FALSE(first->poll(first_woken.get()).is_ready());
        REQUIRE_FALSE(second->poll(second_woken.get()).is_ready());
        REQUIRE_FALSE(first->poll(first_woken.get()).is_ready());
        second.reset();
        CHECK(first_woken.references() == 1);
        CHECK(second_woken.references() == 0);
        first.reset();
        CHECK(first_woken.references() == 0);
        REQUIRE(std::move(tx).try_send(1));
        CHECK_FALSE(first_woken.take());
    }
}
