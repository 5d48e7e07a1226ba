// The handles of a channel go, in every order, and on several threads at once. Whoever is left
// learns of it, each message is destroyed once, and so is the channel: the sanitizers look on.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
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

namespace {

// A message that keeps its own channel connected.
struct note {
    explicit note(sender<std::unique_ptr<note>> to) : back(std::move(to)) {}
    sender<std::unique_ptr<note>> back;
};

}  // namespace

TEST_CASE("going: handles may go in any order, whatever is queued and waiting", "[inbox][going]") {
    enum handle : std::size_t { first_sender, second_sender, the_receiver, the_manager, count };
    std::array<std::size_t, count> order{first_sender, second_sender, the_receiver, the_manager};
    do {
        for (int queued = 0; queued <= 2; ++queued) {
            int alive = 0;
            wake_counter send_woken;
            wake_counter join_woken;
            {
                auto [boss, tx, rx] = managed_channel<counted>(2);
                std::optional senders{std::array<std::optional<sender<counted>>, 2>()};
                (*senders)[0].emplace(tx);
                (*senders)[1].emplace(std::move(tx));
                std::optional made_manager(std::move(boss));
                std::optional made_receiver(std::move(rx));
                for (int i = 0; i < queued; ++i) { REQUIRE((*senders)[0]->try_emplace(i, alive)); }
                std::optional<send_future<counted>> waiting;
                if (queued == 2) {
                    waiting.emplace((*senders)[1]->emplace(9, alive));
                    REQUIRE_FALSE(waiting->poll(send_woken.get()).is_ready());
                }
                std::optional<join_future> joining((*senders)[1]->join());
                REQUIRE_FALSE(joining->poll(join_woken.get()).is_ready());
                bool has_receiver = true;
                bool has_manager = true;
                for (const std::size_t next : order) {
                    switch (next) {
                        case first_sender: (*senders)[0].reset(); break;
                        case second_sender:
                            waiting.reset();  // Its futures go first.
                            joining.reset();
                            (*senders)[1].reset();
                            break;
                        case the_receiver:
                            made_receiver.reset();
                            has_receiver = false;
                            break;
                        default: made_manager.reset(); has_manager = false;
                    }
                    const bool closed = !has_receiver && !has_manager;
                    for (const auto& left : *senders) {
                        if (left) { REQUIRE(left->is_connected() != closed); }
                    }
                    if (joining) { REQUIRE(joining->poll(join_woken.get()).is_ready() == closed); }
                    if (closed && joining) {
                        REQUIRE(join_woken.take());
                        joining.reset();
                    }
                    if (closed && waiting) {
                        REQUIRE(send_woken.take());
                        auto refused = waiting->poll(send_woken.get());
                        REQUIRE(refused.is_ready());
                        REQUIRE(refused.value().error().value().value() == 9);
                        waiting.reset();
                    }
                    if (closed) { REQUIRE(alive == 0); }
                }
            }
            REQUIRE(alive == 0);
            REQUIRE(send_woken.references() == 0);
            REQUIRE(join_woken.references() == 0);
        }
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("going: messages that hold senders of their own channel go with it", "[inbox][going]") {
    const bool managed = GENERATE(true, false);
    std::unique_ptr<manager<std::unique_ptr<note>>> boss;
    std::optional<sender<std::unique_ptr<note>>> tx;
    std::optional<receiver<std::unique_ptr<note>>> rx;
    if (managed) {
        auto made = managed_channel<std::unique_ptr<note>>(3);
        boss = std::make_unique<manager<std::unique_ptr<note>>>(std::move(std::get<0>(made)));
        tx.emplace(std::move(std::get<1>(made)));
        rx.emplace(std::move(std::get<2>(made)));
    } else {
        auto made = channel<std::unique_ptr<note>>(3);
        tx.emplace(std::move(made.first));
        rx.emplace(std::move(made.second));
    }
    for (int i = 0; i < 3; ++i) { REQUIRE(tx->try_send(std::make_unique<note>(*tx))); }
    tx.reset();
    CHECK(rx->is_connected());  // By what is queued.
    rx.reset();
    boss.reset();  // Leaks, or is destroyed twice, if this goes wrong.
}

TEST_CASE("going: a waiting send may go at any place of the queue", "[inbox][going]") {
    constexpr std::size_t waiting = 5;
    for (std::size_t dropped = 0; dropped < waiting; ++dropped) {
        for (std::size_t received_before = 0; received_before < 3; ++received_before) {
            int alive = 0;
            std::array<wake_counter, waiting> woken;
            {
                auto [tx, rx] = channel<counted>(1);
                REQUIRE(tx.try_emplace(100, alive));
                std::array<std::optional<send_future<counted>>, waiting> sends;
                for (std::size_t i = 0; i < waiting; ++i) {
                    sends[i].emplace(tx.emplace(static_cast<int>(i), alive));
                    REQUIRE_FALSE(sends[i]->poll(woken[i].get()).is_ready());
                }
                std::vector<int> got;
                const auto step = [&] {
                    auto next = rx.try_recv();
                    if (next) { got.push_back(next->value()); }
                    for (std::size_t i = 0; i < waiting; ++i) {
                        if (sends[i] && woken[i].take() &&
                            sends[i]->poll(woken[i].get()).is_ready()) {
                            sends[i].reset();
                        }
                    }
                };
                for (std::size_t i = 0; i < received_before; ++i) { step(); }
                sends[dropped].reset();
                for (std::size_t i = 0; i < waiting + 1; ++i) { step(); }
                std::vector<int> expected{100};
                for (std::size_t i = 0; i < waiting; ++i) {
                    if (i != dropped || i < received_before) {
                        expected.push_back(static_cast<int>(i));
                    }
                }
                REQUIRE(got == expected);
                REQUIRE(tx.try_emplace(1, alive));  // Nobody is in the way.
            }
            REQUIRE(alive == 0);
            for (const wake_counter& one : woken) { REQUIRE(one.references() == 0); }
        }
    }
}

namespace {

// Everything that can wait at a channel, driven in turns. One of them is dropped on the way.
struct all_waiting {
    explicit all_waiting(int& alive)
        : batch(make_batch(alive)),
          parts(channel<counted>(2)),
          tx(std::move(parts.first)),
          rx(std::move(parts.second)),
          other(tx) {
        single.emplace(tx->emplace(20, alive));
        many.emplace(tx->send_many(batch));
        senders_gone.emplace(rx->join());
        receiver_gone.emplace(other->join());
        receiving.emplace(rx->recv());
        peeking.emplace(rx->peek());
        receiving_many.emplace(rx->recv_many(received, 2));
    }
    static std::vector<counted> make_batch(int& alive) {
        std::vector<counted> made;
        for (int i = 10; i < 14; ++i) { made.emplace_back(i, alive); }
        return made;
    }

    template <typename F>
    static void poll(std::optional<F>& future, wake_counter& woken) {
        if (future && future->poll(woken.get()).is_ready()) { future.reset(); }
    }
    void drop(std::size_t which) {
        switch (which) {
            case 0: single.reset(); break;
            case 1: many.reset(); break;
            case 2: senders_gone.reset(); break;
            case 3: receiver_gone.reset(); break;
            case 4: receiving.reset(); break;
            case 5: peeking.reset(); break;
            case 6: receiving_many.reset(); break;
            case 7:  // The receiver, after its futures.
                senders_gone.reset();
                receiving.reset();
                peeking.reset();
                receiving_many.reset();
                rx.reset();
                break;
            default:  // A sender, after its futures.
                single.reset();
                many.reset();
                tx.reset();
        }
    }
    // What happens in one step, over and over.
    void step(std::size_t which) {
        switch (which % 9) {
            case 0: poll(receiving, woken[4]); break;
            case 1: poll(many, woken[1]); break;
            case 2: poll(single, woken[0]); break;
            case 3: poll(senders_gone, woken[2]); break;
            case 4: poll(receiver_gone, woken[3]); break;
            case 5: poll(peeking, woken[5]); break;
            case 6: poll(receiving_many, woken[6]); break;
            case 7:
                if (rx) { (void)rx->try_recv(); }
                break;
            default:
                if (rx) { (void)rx->try_recv_many(received, 1); }
        }
    }

    std::array<wake_counter, 7> woken;  // Goes last.
    std::vector<counted> batch;
    std::vector<counted> received;
    std::pair<sender<counted>, receiver<counted>> parts;
    std::optional<sender<counted>> tx;
    std::optional<receiver<counted>> rx;
    std::optional<sender<counted>> other;
    std::optional<send_future<counted>> single;
    std::optional<send_many_future<counted>> many;
    std::optional<join_future> senders_gone;
    std::optional<join_future> receiver_gone;
    std::optional<recv_future<counted>> receiving;
    std::optional<peek_future<counted>> peeking;
    std::optional<recv_many_future<counted>> receiving_many;
};

}  // namespace

TEST_CASE("going: whatever waits may be dropped at any point, and leaves nothing behind",
          "[inbox][going]") {
    constexpr std::size_t kinds = 9;
    constexpr std::size_t steps = 30;
    for (std::size_t dropped = 0; dropped < kinds; ++dropped) {
        for (std::size_t at = 0; at < steps; ++at) {
            int alive = 0;
            {
                all_waiting all(alive);
                for (std::size_t i = 0; i < steps; ++i) {
                    if (i == at) { all.drop(dropped); }
                    all.step(i);
                }
                for (std::size_t i = 0; i < kinds; ++i) { all.drop(i); }
                for (const wake_counter& one : all.woken) { REQUIRE(one.references() == 0); }
            }
            REQUIRE(alive == 0);
        }
    }
}

TEST_CASE("going: senders, receiver and manager may go at once on four threads",
          "[inbox][going][stress]") {
    for (int round = 0; round < 1000; ++round) {
        std::atomic<int> alive = 0;
        struct watched {
            explicit watched(std::atomic<int>& count) : live(&count) { ++count; }
            watched(watched&& other) noexcept : live(std::exchange(other.live, nullptr)) {}
            watched& operator=(watched&&) = delete;
            ~watched() {
                if (live != nullptr) { --*live; }
            }
            std::atomic<int>* live;
        };
        {
            auto [boss, tx, rx] = managed_channel<watched>(2);
            std::atomic<int> ready = 0;
            const auto line_up = [&ready] {
                ++ready;
                while (ready.load() < 4) { std::this_thread::yield(); }
            };
            std::array<std::jthread, 4> threads{
                std::jthread([held = tx, &line_up, &alive] {
                    line_up();
                    (void)held.try_emplace(alive);
                }),
                std::jthread([held = std::move(tx), &line_up, &alive] {
                    wake_counter woken;
                    line_up();
                    {
                        auto sending = held.emplace(alive);
                        (void)sending.poll(woken.get());
                    }
                    // Whoever closes the channel may just be waking it.
                    while (woken.references() != 0) { std::this_thread::yield(); }
                }),
                std::jthread([held = std::move(rx), round, &line_up]() mutable {
                    line_up();
                    if (round % 2 == 0) { (void)held.try_recv(); }
                    auto gone = std::move(held);
                }),
                std::jthread([held = std::move(boss), round, &line_up]() mutable {
                    line_up();
                    if (round % 3 == 0) { (void)held.new_receiver(); }
                    auto gone = std::move(held);
                })};
        }
        REQUIRE(alive == 0);
    }
}

TEST_CASE("going: a thread may still wait while what belongs to it is destroyed",
          "[inbox][going]") {
    using namespace std::chrono_literals;
    struct last_waits {
        std::optional<sender<int>> to;
        std::optional<receiver<int>> from;
        std::vector<int>* received = nullptr;
        ~last_waits() {
            // What the thread waits with was made after this object, and is gone.
            CHECK_FALSE(from->recv_blocking(std::chrono::steady_clock::now() + 1ms));
            std::thread other([to = std::move(*to)] {
                CHECK(to.try_send(1));
                CHECK(to.try_send(2));
            });
            while (const auto number = from->recv_blocking()) { received->push_back(*number); }
            other.join();
        }
    };
    std::vector<int> received;
    std::thread([&received] {
        thread_local last_waits destroyed_last;
        auto [to, from] = channel<int>(4);
        CHECK_FALSE(from.recv_blocking(std::chrono::steady_clock::now() + 1ms));
        destroyed_last.to.emplace(std::move(to));
        destroyed_last.from.emplace(std::move(from));
        destroyed_last.received = &received;
    }).join();
    CHECK(received == std::vector<int>{1, 2});
}
