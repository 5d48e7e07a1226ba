// All interleavings of the two ends of a one-shot channel.

#include <memory>
#include <optional>
#include <utility>

#include <catch2/catch.hpp>

#include <heph/inbox/oneshot.hpp>

#include "inbox/explore.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;
using explored::check;
using explored::program;

namespace {

using environment = explored::environment<>;

// The two ends, each of which one thread has.
struct ends {
    ends() {
        auto [made_tx, made_rx] = oneshot<tracked, environment>();
        tx.emplace(std::move(made_tx));
        rx.emplace(std::move(made_rx));
    }
    void send(int number) {
        auto sent = std::move(*tx).try_send(tracked(number));
        tx.reset();
        if (!sent) { check(sent.error().number() == number, "another one came back"); }
        came_back = !sent;
    }
    // Polls once, and goes away.
    void look(int who) {
        auto receiving = rx->recv();
        auto got = receiving.poll(run[who].get());
        received = received || (got.is_ready() && got.value());
    }

    explored::executor run[3];  // Goes last.
    std::optional<oneshot_sender<tracked, environment>> tx;
    std::optional<oneshot_receiver<tracked, environment>> rx;
    bool came_back = false;
    bool received = false;
};

explored::options preemptions(int most) {
    explored::options chosen;
    chosen.preemptions_max = most;
    return chosen;
}

}  // namespace

TEST_CASE("explore: a one-shot value is received, or comes back, once", "[inbox][explore]") {
    (void)explore(20, preemptions(5), [](program& made) {
        auto both = std::make_shared<ends>();
        made.thread([=] { both->send(1); });
        made.thread([=] {
            auto got = both->rx->try_recv();
            both->received = got.has_value();
            both->rx.reset();
        });
        made.afterwards([=] { check(!both->came_back || !both->received, "two of it"); });
    });
    (void)explore(20, preemptions(5), [](program& made) {
        auto both = std::make_shared<ends>();
        made.thread([=] { both->send(1); });
        made.thread([=] {
            auto got = both->run[0].block_on(both->rx->recv());
            both->received = got.value().has_value();
            both->rx.reset();
        });
        made.afterwards([=] { check(both->received && !both->came_back, "it was lost"); });
    });
}

TEST_CASE("explore: a one-shot receiver learns that the sender went", "[inbox][explore]") {
    (void)explore(20, preemptions(5), [](program& made) {
        auto both = std::make_shared<ends>();
        made.thread([=] { both->tx.reset(); });
        made.thread([=] {
            check(!both->rx->recv_blocking().has_value(), "a value that nobody sent");
            both->rx.reset();
        });
    });
}

TEST_CASE("explore: a one-shot receive changes its waker, is dropped, and waits again",
          "[inbox][explore]") {
    (void)explore(100, preemptions(5), [](program& made) {
        auto both = std::make_shared<ends>();
        made.thread([=] { both->send(1); });
        made.thread([=] {
            both->look(0);
            if (!both->received) {
                auto receiving = both->rx->recv();
                auto got = receiving.poll(both->run[1].get());
                if (!got.is_ready()) {
                    auto last = both->run[2].block_on(receiving);
                    check(last.value().has_value(), "it was lost");
                }
            }
            both->rx.reset();
        });
        made.afterwards([=] { check(!both->came_back, "it came back"); });
    });
}

TEST_CASE("explore: a one-shot receive that owns its receiver goes while the value comes",
          "[inbox][explore]") {
    (void)explore(20, preemptions(5), [](program& made) {
        auto both = std::make_shared<ends>();
        made.thread([=] { both->send(1); });
        made.thread([=] {
            {
                auto receiving = std::move(*both->rx).recv_once();
                auto got = receiving.poll(both->run[0].get());
                both->received = got.is_ready() && got.value();
            }
            both->rx.reset();
        });
        made.afterwards([=] { check(!both->came_back || !both->received, "two of it"); });
    });
}

TEST_CASE("explore: a one-shot sender waits for the receiver to go", "[inbox][explore]") {
    (void)explore(50, preemptions(5), [](program& made) {
        auto both = std::make_shared<ends>();
        made.thread([=] {
            (void)both->run[0].block_on(both->tx->closed());
            check(!both->tx->is_connected(), "too early");
            both->send(1);
            check(both->came_back, "nobody has it");
        });
        made.thread([=] {
            both->look(1);
            both->rx.reset();
        });
    });
    (void)explore(50, preemptions(5), [](program& made) {
        auto both = std::make_shared<ends>();
        made.thread([=] {
            {
                auto dropped = both->tx->closed();
                (void)dropped.poll(both->run[0].get());
            }
            both->send(1);
        });
        made.thread([=] { both->rx.reset(); });
    });
}

TEST_CASE("explore: a one-shot channel is used again when its sender has left",
          "[inbox][explore]") {
    (void)explore(20, preemptions(5), [](program& made) {
        auto both = std::make_shared<ends>();
        made.thread([=] { both->send(1); });
        made.thread([=] {
            auto got = both->run[0].block_on(both->rx->recv());
            check(got.value().has_value(), "it was lost");
            for (;;) {  // The sender may need a moment to leave.
                if (auto again = both->rx->try_reset()) {
                    check(std::move(*again).try_send(tracked(2)).has_value(), "refused");
                    break;
                }
                explored::pause();
            }
            auto second = both->rx->try_recv();
            check(second.has_value() && second->number() == 2, "another one");
            both->rx.reset();
        });
    });
}
