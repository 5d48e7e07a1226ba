// All interleavings of two or three threads that use one channel.

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <catch2/catch.hpp>

#include "inbox/explore.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;
using explored::check;
using explored::program;

namespace {

// A kernel that refuses membarrier: all fences are the threads' own.
struct without_heavy_fence : explored::sound {
    static constexpr bool kernel_has_heavy_fence = false;
};

// A receiver that counts before it stops looking closely.
struct counting : explored::sound {
    static constexpr std::uint32_t quiet_max = 2;
};

// Two senders that wait for room, and a receiver that takes everything.
template <typename Variant>
void two_waiting_senders(program& made) {
    auto all = std::make_shared<world<Variant>>(1, 3);
    check(all->tx[2]->try_emplace(20).has_value(), "refused");  // So that both have to wait.
    all->tx[2].reset();
    for (std::size_t who = 0; who < 2; ++who) {
        made.thread([=] {
            all->send(all->run[who], who, static_cast<int>(who) * 10);
            all->tx[who].reset();
        });
    }
    made.thread([=] { all->receive_all(all->run[2]); });
    made.afterwards([=] { check(all->received.size() == 3, "a message was lost"); });
}

template <typename Variant>
void one_waiting_sender(program& made) {
    auto all = std::make_shared<world<Variant>>(1, 1);
    made.thread([=] {
        for (int i = 0; i < 3; ++i) { all->send(all->run[0], 0, i); }
        all->tx[0].reset();
    });
    made.thread([=] { all->receive_all(all->run[1]); });
    made.afterwards([=] { check(all->received.size() == 3, "a message was lost"); });
}

explored::options preemptions(int most) {
    explored::options chosen;
    chosen.preemptions_max = most;
    return chosen;
}

}  // namespace

TEST_CASE("explore: a send and a receive that waits for it", "[inbox][explore]") {
    (void)explore(5000, preemptions(4), [](program& made) {
        auto all = std::make_shared<world<>>(2, 1);
        made.thread([=] {
            check(all->tx[0]->try_emplace(0).has_value(), "refused");
            check(all->tx[0]->try_emplace(1).has_value(), "refused");
            all->tx[0].reset();
        });
        made.thread([=] { all->receive_all(all->run[0]); });
        made.afterwards([=] { check(all->received.size() == 2, "a message was lost"); });
    });
}

TEST_CASE("explore: senders that send at once, and a receiver that looks again and again",
          "[inbox][explore]") {
    (void)explore(1000, preemptions(3), [](program& made) {
        auto all = std::make_shared<world<>>(3, 2);
        for (std::size_t who = 0; who < 2; ++who) {
            made.thread([=] {
                check(all->tx[who]->try_emplace(static_cast<int>(who) * 10).has_value(), "refused");
                all->tx[who].reset();
            });
        }
        made.thread([=] {
            for (int i = 0; i < 3; ++i) {
                auto got = all->rx->try_recv();
                if (got) { all->receive(*got); }
            }
        });
        made.afterwards([=] {
            while (auto got = all->rx->try_recv()) { all->receive(*got); }
            check(all->received.size() == 2, "a message was lost");
            check(all->rx->try_recv().error() == recv_error::disconnected, "not over");
        });
    });
}

TEST_CASE("explore: a receive that changes its waker, is dropped, and waits again",
          "[inbox][explore]") {
    (void)explore(5000, preemptions(4), [](program& made) {
        auto all = std::make_shared<world<>>(2, 1);
        made.thread([=] {
            check(all->tx[0]->try_emplace(0).has_value(), "refused");
            all->tx[0].reset();
        });
        made.thread([=] {
            {
                auto receiving = all->rx->recv();
                auto got = receiving.poll(all->run[0].get());
                if (!got.is_ready()) { got = receiving.poll(all->run[1].get()); }
                if (got.is_ready()) {
                    check(got.value().has_value(), "over too early");
                    all->receive(*got.value());
                }
            }
            all->receive_all(all->run[2]);
        });
        made.afterwards([=] { check(all->received.size() == 1, "a message was lost"); });
    });
}

TEST_CASE("explore: a receiver that waits and goes while a sender comes and another one goes",
          "[inbox][explore]") {
    (void)explore(3000, preemptions(4), [](program& made) {
        auto all = std::make_shared<world<>>(2, 1, true);
        made.thread([=] { all->tx[0].reset(); });
        made.thread([=] {
            {
                auto receiving = all->rx->recv();
                (void)receiving.poll(all->run[0].get());
                all->tx[1].emplace(all->boss->new_sender());
                if (!receiving.poll(all->run[1].get()).is_ready()) {
                    all->tx[1].reset();
                    check(!all->run[2].block_on(receiving).value().has_value(), "a message");
                }
            }
            all->rx.reset();
        });
    });
}

TEST_CASE("explore: one sender that waits for room", "[inbox][explore]") {
    (void)explore(3000, preemptions(2), one_waiting_sender<explored::sound>);
}

TEST_CASE("explore: two senders that wait for room", "[inbox][explore]") {
    (void)explore(10'000, preemptions(2), two_waiting_senders<explored::sound>);
}

TEST_CASE("explore: a sender that waits for room, without a heavy fence", "[inbox][explore]") {
    (void)explore(3000, preemptions(2), one_waiting_sender<without_heavy_fence>);
}

TEST_CASE("explore: senders that wait for room, and a receiver that counts how long none did",
          "[inbox][explore]") {
    (void)explore(3000, preemptions(2), one_waiting_sender<counting>);
    (void)explore(1000, preemptions(1), two_waiting_senders<counting>);
}

TEST_CASE("explore: a receive that is ready before its message is taken", "[inbox][explore]") {
    (void)explore(3000, preemptions(3), [](program& made) {
        auto all = std::make_shared<world<>>(1, 1);
        made.thread([=] {
            for (int i = 0; i < 2; ++i) { all->send(all->run[0], 0, i); }
            all->tx[0].reset();
        });
        made.thread([=] {
            for (int i = 0; i < 2; ++i) {
                auto receiving = all->rx->recv();
                if (receiving.ready_to_take(all->run[1].get())) {
                    auto got = receiving.take();
                    check(got.has_value(), "over too early");
                    all->receive(*got);
                } else {
                    auto got = all->run[1].block_on(receiving);
                    check(got.value().has_value(), "over too early");
                    all->receive(*got.value());
                }
            }
        });
        made.afterwards([=] { check(all->received.size() == 2, "a message was lost"); });
    });
}

TEST_CASE("explore: a waiting send that is dropped passes its wake on", "[inbox][explore]") {
    (void)explore(3000, preemptions(2), [](program& made) {
        auto all = std::make_shared<world<>>(1, 2);
        check(all->tx[0]->try_emplace(0).has_value(), "refused");
        made.thread([=] {
            {
                auto dropped = all->tx[0]->emplace(1);
                (void)dropped.poll(all->run[0].get());
            }
            all->tx[0].reset();
        });
        made.thread([=] {
            all->send(all->run[1], 1, 10);
            all->tx[1].reset();
        });
        made.thread([=] { all->receive_all(all->run[2]); });
        made.afterwards([=] { check(all->received.size() >= 2, "a message was lost"); });
    });
}

TEST_CASE("explore: a receiver that goes while one send waits and another does not",
          "[inbox][explore]") {
    (void)explore(3000, preemptions(2), [](program& made) {
        auto all = std::make_shared<world<>>(1, 2);
        auto refused = std::make_shared<int>(0);
        made.thread([=] {
            for (int i = 0; i < 2; ++i) {
                auto sent = all->run[0].block_on(all->tx[0]->emplace(i));
                if (sent.value()) { continue; }
                check(sent.value().error().is_disconnected(), "full, though it waited");
                check(sent.value().error().value().number() == i, "another one came back");
                ++*refused;
            }
            all->tx[0].reset();
        });
        made.thread([=] {
            auto sent = all->tx[1]->try_emplace(10);
            check(sent || sent.error().value().number() == 10, "another one came back");
            all->tx[1].reset();
        });
        made.thread([=] {
            if (auto got = all->rx->try_recv()) { all->receive(*got); }
            all->rx.reset();
        });
        made.afterwards([=] { check(*refused + 1 >= 2 || !all->received.empty(), "lost"); });
    });
}

TEST_CASE("explore: a receiver that is restarted misses no message and no wake",
          "[inbox][explore]") {
    (void)explore(3000, preemptions(3), [](program& made) {
        auto all = std::make_shared<world<>>(1, 1, true);
        made.thread([=] {
            for (int i = 0; i < 2; ++i) { all->send(all->run[0], 0, i); }
            all->tx[0].reset();
        });
        made.thread([=] {
            {
                auto dropped = all->rx->recv();
                auto polled = dropped.poll(all->run[1].get());
                if (polled.is_ready() && polled.value()) { all->receive(*polled.value()); }
            }
            all->rx.reset();
            all->rx.emplace(std::move(*all->boss->new_receiver()));
            all->receive_all(all->run[1]);
        });
        made.afterwards([=] { check(all->received.size() == 2, "a message was lost"); });
    });
}

TEST_CASE("explore: receiver, manager and sender go at once", "[inbox][explore]") {
    (void)explore(1000, preemptions(3), [](program& made) {
        auto all = std::make_shared<world<>>(2, 1, true);
        made.thread([=] {
            (void)all->tx[0]->try_emplace(0);
            all->tx[0].reset();
        });
        made.thread([=] { all->rx.reset(); });
        made.thread([=] { all->boss.reset(); });
    });
}

TEST_CASE("explore: a manager makes a sender while the last one goes", "[inbox][explore]") {
    (void)explore(1000, preemptions(3), [](program& made) {
        auto all = std::make_shared<world<>>(2, 1, true);
        made.thread([=] {
            check(all->tx[0]->try_emplace(0).has_value(), "refused");
            all->tx[0].reset();
        });
        made.thread([=] {
            auto again = all->boss->new_sender();
            check(again.try_emplace(10).has_value(), "refused");
        });
        made.thread([=] {
            for (int i = 0; i < 2; ++i) {
                auto got = all->rx->try_recv();
                if (got) { all->receive(*got); }
            }
        });
        made.afterwards([=] {
            while (auto got = all->rx->try_recv()) { all->receive(*got); }
            check(all->received.size() == 2, "a message was lost");
            check(!all->rx->is_connected(), "somebody is still there");
            check(all->rx->try_recv().error() == recv_error::disconnected, "not over");
        });
    });
}

TEST_CASE("explore: joins are woken when the other side goes", "[inbox][explore]") {
    (void)explore(1000, preemptions(3), [](program& made) {
        auto all = std::make_shared<world<>>(1, 2);
        made.thread([=] {
            (void)all->run[0].block_on(all->tx[0]->join());
            check(!all->tx[0]->is_connected(), "joined too early");
            all->tx[0].reset();
        });
        made.thread([=] {
            {
                auto dropped = all->tx[1]->join();
                (void)dropped.poll(all->run[1].get());
            }
            all->tx[1].reset();
        });
        made.thread([=] { all->rx.reset(); });
    });
    (void)explore(100, preemptions(3), [](program& made) {
        auto all = std::make_shared<world<>>(1, 2);
        for (std::size_t who = 0; who < 2; ++who) {
            made.thread([=] { all->tx[who].reset(); });
        }
        made.thread([=] {
            (void)all->run[2].block_on(all->rx->join());
            check(!all->rx->is_connected(), "joined too early");
        });
    });
}

TEST_CASE("explore: a batch is seen whole or not at all, also beside another sender",
          "[inbox][explore]") {
    (void)explore(5000, preemptions(2), [](program& made) {
        auto all = std::make_shared<world<>>(4, 2);
        made.thread([=] {
            std::array<tracked, 3> batch{tracked(0), tracked(1), tracked(2)};
            check(all->tx[0]->try_send_all(batch).has_value(), "refused");
            all->tx[0].reset();
        });
        made.thread([=] {
            check(all->tx[1]->try_emplace(10).has_value(), "refused");
            all->tx[1].reset();
        });
        made.thread([=] {
            std::vector<tracked> got;
            for (;;) {
                got.clear();
                auto count = all->run[2].block_on(all->rx->recv_many(got, 4));
                if (count.value() == 0) { return; }
                std::size_t of_batch = 0;
                for (const tracked& one : got) {
                    all->receive(one);
                    if (one.number() < 10) { ++of_batch; }
                }
                check(of_batch == 0 || of_batch == 3, "a part of a batch was seen");
            }
        });
        made.afterwards([=] { check(all->received.size() == 4, "a message was lost"); });
    });
}

TEST_CASE("explore: a batch that can be seen has taken the waker of who waited for it",
          "[inbox][explore]") {
    (void)explore(500, preemptions(4), [](program& made) {
        auto all = std::make_shared<world<>>(2, 1);
        made.thread([=] {
            std::array<tracked, 2> batch{tracked(0), tracked(1)};
            check(all->tx[0]->try_send_all(batch).has_value(), "refused");
            all->tx[0].reset();
        });
        made.thread([=] {
            {
                auto receiving = all->rx->recv();
                auto got = receiving.poll(all->run[0].get());
                if (!got.is_ready()) { got = receiving.poll(all->run[0].get()); }
                if (got.is_ready()) { all->receive(*got.value()); }
            }
            all->receive_all(all->run[1]);
        });
        made.afterwards([=] { check(all->received.size() == 2, "a message was lost"); });
    });
}

TEST_CASE("explore: batches that are larger than the room there is go in pieces, in order",
          "[inbox][explore]") {
    (void)explore(3000, preemptions(2), [](program& made) {
        auto all = std::make_shared<world<>>(2, 2);
        made.thread([=] {
            std::array<tracked, 3> batch{tracked(0), tracked(1), tracked(2)};
            auto sent = all->run[0].block_on(all->tx[0]->send_many(batch));
            check(sent.value() == 3, "not all were sent");
            all->tx[0].reset();
        });
        made.thread([=] {
            std::array<tracked, 2> batch{tracked(10), tracked(11)};
            const auto sent = all->tx[1]->try_send_many(batch);
            const std::size_t count = sent ? *sent : 0;
            for (std::size_t i = count; i < 2; ++i) {
                check(batch[i].number() == 10 + static_cast<int>(i), "one that stayed was moved");
            }
            all->tx[1].reset();
        });
        made.thread([=] { all->receive_all(all->run[2]); });
        made.afterwards([=] { check(all->received.size() >= 3, "a message was lost"); });
    });
}

TEST_CASE("explore: a batch that waits is dropped half-way, or refused when the receiver goes",
          "[inbox][explore]") {
    (void)explore(10'000, preemptions(2), [](program& made) {
        auto all = std::make_shared<world<>>(1, 2);
        made.thread([=] {
            std::array<tracked, 2> batch{tracked(0), tracked(1)};
            std::size_t sent = 0;
            {
                auto dropped = all->tx[0]->send_many(batch);
                (void)dropped.poll(all->run[0].get());
                sent = std::move(dropped).cancel();
            }
            for (std::size_t i = sent; i < 2; ++i) {
                check(batch[i].number() == static_cast<int>(i), "one that stayed was moved");
            }
            all->tx[0].reset();
        });
        made.thread([=] {
            std::array<tracked, 2> batch{tracked(10), tracked(11)};
            auto sent = all->run[1].block_on(all->tx[1]->send_many(batch));
            check(sent.value() <= 2, "more than all were sent");
            all->tx[1].reset();
        });
        made.thread([=] {
            if (auto got = all->rx->try_recv()) { all->receive(*got); }
            all->rx.reset();
        });
    });
}

TEST_CASE("explore: threads that block sleep and are woken, or give up in time",
          "[inbox][explore]") {
    (void)explore(1000, preemptions(2), [](program& made) {
        auto all = std::make_shared<world<>>(1, 1);
        made.thread([=] {
            for (int i = 0; i < 2; ++i) {
                check(all->tx[0]->send_blocking(tracked(i)).has_value(), "refused");
            }
            all->tx[0].reset();
        });
        made.thread([=] {
            while (auto got = all->rx->recv_blocking()) { all->receive(*got); }
        });
        made.afterwards([=] { check(all->received.size() == 2, "a message was lost"); });
    });
    (void)explore(1000, preemptions(2), [](program& made) {
        auto all = std::make_shared<world<>>(1, 1);
        auto late = std::make_shared<std::size_t>(0);
        made.thread([=] {
            for (int i = 0; i < 2; ++i) {
                auto sent = all->tx[0]->send_blocking(tracked(i), explored::still_clock::later());
                if (!sent) {
                    check(sent.error().is_full(), "disconnected");
                    check(sent.error().value().number() == i, "another one came back");
                    ++*late;
                }
            }
            all->tx[0].reset();
        });
        made.thread([=] {
            auto first = all->rx->recv_blocking(explored::still_clock::later());
            if (first) { all->receive(*first); }
            while (auto got = all->rx->recv_blocking()) { all->receive(*got); }
        });
        made.afterwards([=] { check(all->received.size() + *late == 2, "a message was lost"); });
    });
}
