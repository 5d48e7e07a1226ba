// Several threads at once. What they find must hold under any schedule; the sanitizers look on.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/channel.hpp>

#include "inbox/probe.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;
using namespace std::chrono_literals;

namespace {

struct message {
    message(std::size_t who, int what) : from(who), number(std::make_unique<int>(what)) {}
    std::size_t from;
    std::unique_ptr<int> number;  // So that a double destroy does not go unseen.
};

auto deadline() { return std::chrono::steady_clock::now() + 60s; }

}  // namespace

TEST_CASE("stress: each sender's messages arrive once and in order", "[inbox][stress]") {
    const std::size_t capacity = GENERATE(1U, 3U, 8U, 64U);
    constexpr std::size_t senders = 4;
    constexpr int each = 3000;
    auto [made, rx] = channel<message>(capacity);
    std::vector<std::jthread> threads;
    std::atomic<int> failed = 0;
    for (std::size_t who = 0; who < senders; ++who) {
        threads.emplace_back([tx = made, who, &failed] {
            for (int i = 0; i < each; ++i) {
                message next(who, i);
                if (i % 3 == 0) {  // By turns waiting and not waiting.
                    if (auto sent = tx.try_send(std::move(next)); sent) {
                        continue;
                    } else {
                        next = std::move(sent).error().value();
                    }
                }
                if (!tx.send_blocking(std::move(next), deadline())) {
                    ++failed;
                    return;
                }
            }
        });
    }
    { auto gone = std::move(made); }
    std::vector<int> expected(senders, 0);
    std::vector<message> batch;
    std::size_t wrong = 0;
    const auto check = [&](const message& got) {
        if (*got.number != expected[got.from]++) { ++wrong; }
    };
    for (std::size_t turn = 0;; ++turn) {
        if (turn % 4 == 0) {
            batch.clear();
            rx.try_recv_many(batch, 5);
            for (const auto& got : batch) { check(got); }
            continue;
        }
        auto got = rx.recv_blocking(deadline());
        if (!got) {
            CHECK(got.error() == recv_error::disconnected);
            break;
        }
        check(*got);
    }
    CHECK(wrong == 0);
    CHECK(failed == 0);
    CHECK(expected == std::vector<int>(senders, each));
}

TEST_CASE("stress: sends dropped half-way lose no wake and no message", "[inbox][stress]") {
    constexpr std::size_t senders = 3;
    constexpr int each = 2000;
    auto [made, rx] = channel<message>(2);
    std::vector<std::jthread> threads;
    std::vector<int> sent(senders, 0);
    std::atomic<int> failed = 0;
    for (std::size_t who = 0; who < senders; ++who) {
        threads.emplace_back([tx = made, who, &sent, &failed] {
            std::mt19937 random(static_cast<unsigned>(who));
            const heph::waker nobody;
            for (int i = 0; i < each; ++i) {
                // The first ones are dropped at once, so that their wakes have to be passed on.
                if (random() % 2 == 0) {
                    auto dropped = tx.send(message(who, sent[who]));
                    if (dropped.poll(nobody).is_ready()) { ++sent[who]; }
                    continue;
                }
                if (!tx.send_blocking(message(who, sent[who]), deadline())) {
                    ++failed;
                    return;
                }
                ++sent[who];
            }
        });
    }
    { auto gone = std::move(made); }
    std::vector<int> expected(senders, 0);
    std::size_t wrong = 0;
    for (;;) {
        auto got = rx.recv_blocking(deadline());
        if (!got) {
            CHECK(got.error() == recv_error::disconnected);
            break;
        }
        if (*got->number != expected[got->from]++) { ++wrong; }
    }
    threads.clear();
    CHECK(wrong == 0);
    CHECK(failed == 0);
    CHECK(expected == sent);
}

TEST_CASE("stress: 64 threads that wait on capacity 8 never stall", "[inbox][stress]") {
    constexpr std::size_t senders = 64;
    constexpr int each = 50;
    auto [made, rx] = channel<message>(8);
    std::vector<std::jthread> threads;
    std::atomic<int> failed = 0;
    for (std::size_t who = 0; who < senders; ++who) {
        threads.emplace_back([tx = made, who, &failed] {
            for (int i = 0; i < each; ++i) {
                if (!tx.send_blocking(message(who, i), deadline())) {
                    ++failed;
                    return;
                }
            }
        });
    }
    { auto gone = std::move(made); }
    std::vector<int> expected(senders, 0);
    std::size_t wrong = 0;
    while (auto got = rx.recv_blocking(deadline())) {
        if (*got->number != expected[got->from]++) { ++wrong; }
    }
    CHECK(wrong == 0);
    CHECK(failed == 0);
    CHECK(expected == std::vector<int>(senders, each));
}

TEST_CASE("stress: a receiver that goes while senders send leaks nothing", "[inbox][stress]") {
    for (int round = 0; round < 300; ++round) {
        auto [made, rx] = channel<message>(3);
        std::vector<std::jthread> threads;
        std::atomic<int> refused = 0;
        for (std::size_t who = 0; who < 2; ++who) {
            threads.emplace_back([tx = made, who, &refused] {
                for (int i = 0;; ++i) {
                    auto sent = who == 0 ? tx.send_blocking(message(who, i), deadline())
                                         : tx.try_send(message(who, i));
                    if (!sent && sent.error().is_disconnected()) {
                        if (*sent.error().value().number == i) { ++refused; }
                        return;
                    }
                    if (!sent && who == 0) { return; }
                }
            });
        }
        for (int i = 0; i < round % 20; ++i) { (void)rx.recv_blocking(deadline()); }
        { auto gone = std::move(rx); }
        threads.clear();
        REQUIRE(refused == 2);
    }
}

TEST_CASE("stress: receivers that are restarted while senders send miss nothing",
          "[inbox][stress]") {
    constexpr std::size_t senders = 2;
    constexpr int each = 5000;
    auto [boss, made, first] = managed_channel<message>(4);
    std::vector<std::jthread> threads;
    std::atomic<int> failed = 0;
    for (std::size_t who = 0; who < senders; ++who) {
        threads.emplace_back([tx = made, who, &failed] {
            for (int i = 0; i < each; ++i) {
                if (!tx.send_blocking(message(who, i), deadline())) {
                    ++failed;
                    return;
                }
            }
        });
    }
    { auto gone = std::move(made); }
    std::vector<int> expected(senders, 0);
    std::size_t wrong = 0;
    std::optional rx(std::move(first));
    bool done = false;
    for (unsigned turn = 0; !done; ++turn) {
        for (unsigned i = 0; i < turn % 7; ++i) {
            auto got = rx->recv_blocking(deadline());
            if (!got) {
                CHECK(got.error() == recv_error::disconnected);
                done = true;
                break;
            }
            if (*got->number != expected[got->from]++) { ++wrong; }
        }
        wake_counter woken;  // Goes before the next one: nothing may refer to it.
        {
            auto dropped = rx->peek();
            (void)dropped.poll(woken.get());
        }
        rx.reset();
        rx.emplace(std::move(*boss.new_receiver()));
        while (woken.references() != 0) { std::this_thread::yield(); }  // A sender just wakes it.
    }
    CHECK(wrong == 0);
    CHECK(failed == 0);
    CHECK(expected == std::vector<int>(senders, each));
}
