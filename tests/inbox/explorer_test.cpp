// The explorer itself: it finds what it is to find in programs of a few lines, and nothing else.

#include "support/explorer.hpp"

#include <atomic>
#include <memory>

#include <catch2/catch.hpp>

#include "support/explored_environment.hpp"

using namespace heph::test;
using explored::check;

namespace {

template <typename V>
using atomic = explored::atomic<V, explored::sound>;

// Two threads that each write one word and then read the other's.
struct store_buffering {
    atomic<int> x{0};
    atomic<int> y{0};
    int seen_x = 0;
    int seen_y = 0;
};

explored::outcome explore_store_buffering(std::memory_order order, bool fences) {
    return explored::explore({}, [=](explored::program& made) {
        auto shared = std::make_shared<store_buffering>();
        made.thread([=] {
            shared->x.store(1, order);
            if (fences) { explored::full_fence(); }
            shared->seen_y = shared->y.load(
                order == std::memory_order_release ? std::memory_order_acquire : order);
        });
        made.thread([=] {
            shared->y.store(1, order);
            if (fences) { explored::full_fence(); }
            shared->seen_x = shared->x.load(
                order == std::memory_order_release ? std::memory_order_acquire : order);
        });
        made.afterwards(
            [=] { check(shared->seen_x + shared->seen_y > 0, "both read old values"); });
    });
}

struct message_passing {
    atomic<int> ready{0};
    int data = 0;
};

explored::outcome explore_message_passing(std::memory_order store, std::memory_order load,
                                          bool early) {
    explored::options chosen;
    chosen.is_broken = true;
    return explored::explore(chosen, [=](explored::program& made) {
        auto shared = std::make_shared<message_passing>();
        made.thread([=] {
            if (early) { shared->ready.store(1, store); }
            explored::access(&shared->data, true);
            shared->data = 1;
            if (!early) { shared->ready.store(1, store); }
        });
        made.thread([=] {
            if (shared->ready.load(load) == 0) { return; }
            explored::access(&shared->data, false);
            check(shared->data == 1, "old data");
        });
    });
}

}  // namespace

TEST_CASE("explorer: finds that two threads may both read old values", "[inbox][explore]") {
    CHECK(explore_store_buffering(std::memory_order_release, false).failure ==
          "both read old values");
    const auto fenced = explore_store_buffering(std::memory_order_release, true);
    CHECK(fenced.failure.empty());
    CHECK(fenced.complete);
    CHECK(explore_store_buffering(std::memory_order_seq_cst, false).failure.empty());
}

TEST_CASE("explorer: finds a missing release, a missing acquire, and a wrong order",
          "[inbox][explore]") {
    using std::memory_order_acquire;
    using std::memory_order_relaxed;
    using std::memory_order_release;
    CHECK(
        explore_message_passing(memory_order_release, memory_order_acquire, false).failure.empty());
    CHECK_FALSE(
        explore_message_passing(memory_order_relaxed, memory_order_acquire, false).failure.empty());
    CHECK_FALSE(
        explore_message_passing(memory_order_release, memory_order_relaxed, false).failure.empty());
    CHECK_FALSE(
        explore_message_passing(memory_order_release, memory_order_acquire, true).failure.empty());
}

TEST_CASE("explorer: counts all interleavings of independent steps", "[inbox][explore]") {
    explored::options chosen;
    chosen.preemptions_max = 100;
    const auto found = explored::explore(chosen, [](explored::program& made) {
        auto word = std::make_shared<atomic<int>>(0);
        for (int i = 0; i < 2; ++i) {
            made.thread([=] {
                for (int step = 0; step < 3; ++step) {
                    (void)word->fetch_add(1, std::memory_order_relaxed);
                }
            });
        }
        made.afterwards([=] { check(word->load(std::memory_order_relaxed) == 6, "lost"); });
    });
    CHECK(found.failure.empty());
    CHECK(found.complete);
    CHECK(found.schedules == 20);  // 6 over 3.
}

TEST_CASE("explorer: finds an update that is lost, and replays it from its choices",
          "[inbox][explore]") {
    const auto make = [](explored::program& made) {
        auto word = std::make_shared<atomic<int>>(0);
        for (int i = 0; i < 2; ++i) {
            made.thread([=] {
                const int before = word->load(std::memory_order_acquire);
                word->store(before + 1, std::memory_order_release);
            });
        }
        made.afterwards([=] { check(word->load(std::memory_order_relaxed) == 2, "lost"); });
    };
    const auto found = explored::explore({}, make);
    REQUIRE(found.failure == "lost");
    CHECK_FALSE(found.trace.empty());
    explored::options again;
    again.replay = found.choices;
    const auto replayed = explored::explore(again, make);
    CHECK(replayed.schedules == 1);
    CHECK(replayed.failure == "lost");
    CHECK(replayed.trace == found.trace);
}

TEST_CASE("explorer: finds threads that wait for ever, and loops without an end",
          "[inbox][explore]") {
    explored::options chosen;
    chosen.is_broken = true;
    const auto stuck = explored::explore(chosen, [](explored::program& made) {
        auto word = std::make_shared<atomic<int>>(0);
        auto woken = std::make_shared<explored::event>();
        made.thread([=] {
            if (word->load(std::memory_order_acquire) == 0) { woken->wait(); }
        });
        made.thread([=] {  // Nobody is woken who came to wait before this.
            if (word->exchange(1, std::memory_order_acq_rel) == 2) { woken->set(); }
        });
    });
    CHECK(stuck.failure == "every thread waits, and none can go on: a wake was lost");
    const auto endless = explored::explore(chosen, [](explored::program& made) {
        auto word = std::make_shared<atomic<int>>(0);
        made.thread([=] {
            while (word->load(std::memory_order_relaxed) == 0) {}
        });
    });
    CHECK(endless.failure == "it has no end");
}

TEST_CASE("explorer: a loop that pauses lets others go on, and ends", "[inbox][explore]") {
    const auto found = explored::explore({}, [](explored::program& made) {
        auto word = std::make_shared<atomic<int>>(0);
        made.thread([=] {
            while (word->load(std::memory_order_acquire) != 2) { explored::pause(); }
        });
        made.thread([=] {
            word->store(1, std::memory_order_release);
            word->store(2, std::memory_order_release);
        });
    });
    CHECK(found.failure.empty());
    CHECK(found.complete);
    CHECK(found.schedules > 3);
}
