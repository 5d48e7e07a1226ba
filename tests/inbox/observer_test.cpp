#include <heph/inbox/observer.hpp>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/channel.hpp>

#include "inbox/probe.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;

namespace {

struct counted_word : last_word {
    explicit counted_word(std::atomic<int>& count) noexcept
        : last_word{[](const last_word& self) noexcept {
              const auto& dropped = static_cast<const counted_word&>(self);
              --*dropped.live;
              delete &dropped;
          }},
          live(&count) {
        ++count;
    }
    std::atomic<int>* live;
};

constexpr last_word static_word{nullptr};

}  // namespace

TEST_CASE("observer: is no sender", "[inbox][observer]") {
    auto [tx, rx] = channel<int>(2);
    const observer watching = tx.observe();
    CHECK(watching.id() == rx.id());
    REQUIRE(tx.try_send(1));
    { auto gone = std::move(tx); }
    CHECK_FALSE(rx.is_connected());
    CHECK(rx.try_recv().value() == 1);
    CHECK(rx.try_recv().error() == recv_error::disconnected);
}

TEST_CASE("observer: sees the receiving side go, and outlives everything", "[inbox][observer]") {
    wake_counter woken;
    auto [boss, tx, rx] = managed_channel<int>(2);
    auto watching = tx.observe();
    auto joining = watching.join();
    { auto gone = std::move(tx); }
    { auto gone = std::move(rx); }
    CHECK(watching.is_connected());
    CHECK(watching.word() == nullptr);
    CHECK_FALSE(joining.poll(woken.get()).is_ready());
    std::move(boss).leave(static_word);
    CHECK(woken.take());
    CHECK(joining.poll(woken.get()).is_ready());
    CHECK_FALSE(watching.is_connected());
    CHECK(watching.word() == &static_word);
    const observer copied(watching);
    { auto gone = std::move(watching); }
    CHECK(copied.word() == &static_word);
}

TEST_CASE("observer: without a manager there is no word", "[inbox][observer]") {
    auto [tx, rx] = channel<int>(2);
    const observer watching = tx.observe();
    REQUIRE(tx.try_send(1));
    (void)rx.try_recv();
    { auto gone = std::move(rx); }
    CHECK_FALSE(watching.is_connected());
    CHECK(watching.word() == nullptr);
}

TEST_CASE("observer: a word is dropped with the channel, whoever is last", "[inbox][observer]") {
    std::atomic<int> live = 0;
    SECTION("an observer") {
        auto [boss, tx, rx] = managed_channel<int>(2);
        auto watching = tx.observe();
        { auto gone = std::move(rx); }
        std::move(boss).leave(*new counted_word(live));
        { auto gone = std::move(tx); }
        CHECK(live == 1);
        { auto gone = std::move(watching); }
    }
    SECTION("a sender") {
        auto [boss, tx, rx] = managed_channel<int>(2);
        { auto gone = std::move(rx); }
        std::move(boss).leave(*new counted_word(live));
        CHECK(live == 1);
        CHECK(tx.try_send(1).error().is_disconnected());
        { auto gone = std::move(tx); }
    }
    SECTION("the manager itself") {
        auto [boss, tx, rx] = managed_channel<int>(2);
        { auto gone = std::move(rx); }
        { auto gone = std::move(tx); }
        CHECK_FALSE(boss.is_watched());
        std::move(boss).leave(*new counted_word(live));
    }
    SECTION("a receiver that goes on without the manager") {
        auto [boss, tx, rx] = managed_channel<int>(2);
        std::move(boss).leave(*new counted_word(live));
        CHECK(live == 0);
        REQUIRE(tx.try_send(1));
        CHECK(rx.try_recv().value() == 1);
        { auto gone = std::move(rx); }
        CHECK(tx.observe().word() == nullptr);
    }
    CHECK(live == 0);
}

TEST_CASE("observer: a manager knows whether anyone looks on", "[inbox][observer]") {
    auto [boss, tx, rx] = managed_channel<int>(2);
    auto watching = tx.observe();
    CHECK(boss.is_watched());
    { auto gone = std::move(tx); }
    CHECK(boss.is_watched());
    { auto gone = std::move(watching); }
    CHECK_FALSE(boss.is_watched());
}

TEST_CASE("observer: other threads see the word", "[inbox][observer][threads]") {
    for (int round = 0; round < 200; ++round) {
        std::atomic<int> live = 0;
        std::atomic<int> missed = 0;
        {
            auto [boss, tx, rx] = managed_channel<int>(2);
            std::vector<std::jthread> threads;
            for (int i = 0; i < 2; ++i) {
                threads.emplace_back([watching = tx.observe(), &missed] {
                    auto joining = watching.join();
                    (void)detail::wait_for(joining);
                    if (watching.word() == nullptr) { ++missed; }
                });
            }
            { auto gone = std::move(tx); }
            { auto gone = std::move(rx); }
            std::move(boss).leave(*new counted_word(live));
        }
        REQUIRE(live == 0);
        REQUIRE(missed == 0);
    }
}
