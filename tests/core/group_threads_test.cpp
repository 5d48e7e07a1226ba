// Groups, mappings and streams between threads.

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_group.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/stream_rpc.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/channel.hpp>

using heph::actor_group;
using heph::actor_ref;
using heph::task;

namespace {

using count_to = heph::stream_rpc<int, std::unique_ptr<int>>;

task<> sends(actor_group<int> to, int count, std::atomic<int>* failed) {
    for (int i = 0; i < count; ++i) {
        auto sent = i % 3 == 0   ? to.try_send_to_one(1, heph::at_random)
                    : i % 3 == 1 ? to.try_send_to_one(1, heph::by_key(i))
                                 : to.try_send_to_one(1);
        if (sent) { continue; }
        auto waited = co_await to.send_to_one(1);
        if (!waited) { ++*failed; }
    }
    auto all = co_await to.send_to_all(1);
    if (!all) { ++*failed; }
}

task<> counts(heph::inbox::receiver<int> from, std::atomic<int>* got) {
    while (auto next = co_await from.recv()) { *got += *next; }
}

task<> answers(heph::inbox::receiver<count_to> inbox, std::atomic<int>* cancelled) {
    while (auto call = co_await inbox.recv()) {
        bool wanted = true;
        for (int i = 1; wanted && i <= call->request(); ++i) {
            auto item = std::make_unique<int>(i);
            auto sent = co_await call->send(std::move(item));
            wanted = sent.has_value();
        }
        if (!wanted || !call->finish()) { ++*cancelled; }
    }
}

// Takes some of the items, then gives up, or all.
task<> asks(actor_ref<count_to> ref, int calls, std::atomic<int>* wrong) {
    for (int i = 0; i < calls; ++i) {
        const int wanted = i % 2 == 0 ? 40 : i;
        auto items = co_await ref.stream(heph::window(2), 40);
        if (!items) {
            ++*wrong;
            co_return;
        }
        int taken = 0;
        while (taken < wanted) {
            auto next = co_await items->next();
            if (!next || **next != ++taken) {
                ++*wrong;
                co_return;
            }
        }
        if (wanted < 40) { continue; }
        auto end = co_await items->next();
        if (end || !items->result()) { ++*wrong; }
    }
}

}  // namespace

TEST_CASE("threads: groups of several threads send to the same members", "[core][group][threads]") {
    constexpr int senders = 3;
    constexpr int each = 1000;
    std::atomic<int> failed = 0;
    std::atomic<int> got = 0;
    {
        actor_group<int> group;
        std::vector<std::jthread> threads;
        for (int i = 0; i < 2; ++i) {
            auto [tx, rx] = heph::inbox::channel<int>(3);
            // One of them through a mapping, which the threads share.
            const actor_ref<int> direct(std::move(tx));
            group.add(i == 0 ? direct : direct.map_fn<int>([](int number) { return number; }));
            threads.emplace_back([inbox = std::move(rx), &got]() mutable {
                heph::block_on(counts(std::move(inbox), &got));
            });
        }
        for (int i = 0; i < senders; ++i) {
            threads.emplace_back([group, &failed] { heph::block_on(sends(group, each, &failed)); });
        }
        group.clear();
    }
    CHECK(failed == 0);
    CHECK(got == senders * (each + 2));
}

TEST_CASE("threads: a stream is answered and received, or given up, on different threads",
          "[core][stream_rpc][threads]") {
    std::atomic<int> wrong = 0;
    std::atomic<int> cancelled = 0;
    {
        auto [tx, rx] = heph::inbox::channel<count_to>(2);
        std::vector<std::jthread> threads;
        threads.emplace_back([inbox = std::move(rx), &cancelled]() mutable {
            heph::block_on(answers(std::move(inbox), &cancelled));
        });
        actor_ref<count_to> ref(std::move(tx));
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([ref, &wrong] { heph::block_on(asks(ref, 40, &wrong)); });
        }
        { auto gone = std::move(ref); }
    }
    CHECK(wrong == 0);
    // Who was to give up may have got everything that was under way already.
    CHECK(cancelled > 0);
    CHECK(cancelled <= 40);
}

TEST_CASE("threads: members end while others send to the group", "[core][group][threads]") {
    std::atomic<int> got = 0;
    for (int round = 0; round < 50; ++round) {
        actor_group<int> group;
        std::vector<std::jthread> threads;
        for (int i = 0; i < 2; ++i) {
            auto [tx, rx] = heph::inbox::channel<int>(1);
            group.add(actor_ref<int>(std::move(tx)));
            threads.emplace_back([inbox = std::move(rx), &got]() mutable {
                for (int taken = 0; taken < 3; ++taken) {
                    if (heph::block_on(inbox.recv())) { ++got; }
                }
            });
        }
        std::optional<heph::send_failure> reason;
        threads.emplace_back([&] {
            for (int i = 0; !reason; ++i) {
                auto sent = heph::block_on(group.send_to_one(i));
                if (!sent) { reason = sent.error().reason(); }
            }
        });
        threads.clear();
        REQUIRE(reason == heph::send_failure::disconnected);
    }
    CHECK(got == 300);
}
