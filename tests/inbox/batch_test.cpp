// Many messages at once: in, and out.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/channel.hpp>

#include "inbox/probe.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;

static_assert(heph::future<send_many_future<int>> && heph::future<recv_span_future<int>>);
static_assert(message_range<std::vector<int>&, int>);
static_assert(message_range<const std::list<int>&, int>);
static_assert(message_range<std::vector<std::unique_ptr<int>>&, std::unique_ptr<int>>);
static_assert(!message_range<const std::vector<std::unique_ptr<int>>&, std::unique_ptr<int>>);

namespace {

std::vector<std::unique_ptr<int>> pointers(int from, int to) {
    std::vector<std::unique_ptr<int>> made;
    for (int i = from; i < to; ++i) { made.push_back(std::make_unique<int>(i)); }
    return made;
}

template <typename T, typename Layout>
std::vector<T> everything(receiver<T, Layout>& rx) {
    std::vector<T> got;
    rx.try_recv_many(got, 1000);
    return got;
}

}  // namespace

TEST_CASE("batch: try_send_many sends what fits, and leaves the rest where it was", "[inbox]") {
    auto [tx, rx] = channel<std::unique_ptr<int>>(3);
    auto all = pointers(0, 5);
    const auto sent = tx.try_send_many(all);
    REQUIRE(sent.has_value());
    CHECK(*sent == 3);
    for (std::size_t i = 0; i < 3; ++i) { CHECK(all[i] == nullptr); }
    REQUIRE(all[3] != nullptr);
    CHECK(*all[3] == 3);
    CHECK(*all[4] == 4);
    CHECK(tx.try_send_many(std::span(all).subspan(3)).error() == send_failure::full);
    CHECK(**rx.try_recv() == 0);
    CHECK(tx.try_send_many(std::span(all).subspan(3)).value() == 1);
    CHECK(all[3] == nullptr);
    CHECK(*all[4] == 4);
    for (int i = 1; i < 4; ++i) { CHECK(**rx.try_recv() == i); }
    CHECK(rx.try_recv().error() == recv_error::empty);
}

TEST_CASE("batch: try_send_all sends all or nothing", "[inbox]") {
    auto [tx, rx] = channel<std::unique_ptr<int>>(4);
    auto all = pointers(0, 3);
    REQUIRE(tx.try_send_all(all).has_value());
    auto more = pointers(3, 5);
    const auto refused = tx.try_send_all(more);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == send_failure::full);
    CHECK(*more[0] == 3);
    CHECK(*more[1] == 4);
    CHECK(**rx.try_recv() == 0);
    CHECK(tx.try_send_all(more).has_value());
    CHECK(everything(rx).size() == 4);
    auto too_many = pointers(0, 5);  // They never fit.
    CHECK(tx.try_send_all(too_many).error() == send_failure::full);
    CHECK(*too_many[0] == 0);
}

TEST_CASE("batch: takes any range of what messages can be made of", "[inbox]") {
    auto [tx, rx] = channel<long>(16);
    CHECK(tx.try_send_many(std::vector<int>{1, 2}).value() == 2);
    const std::list<short> kept{3, 4};
    CHECK(tx.try_send_all(kept).has_value());
    CHECK(tx.try_send_many(std::views::iota(5, 8)).value() == 3);
    std::array<long, 2> last{8, 9};
    CHECK(tx.try_send_many(std::span<long>(last)).value() == 2);
    CHECK(tx.try_send_many(std::vector<long>()).value() == 0);
    CHECK(tx.try_send_all(std::vector<long>()).has_value());
    CHECK(everything(rx) == std::vector<long>{1, 2, 3, 4, 5, 6, 7, 8, 9});
    CHECK(kept == std::list<short>{3, 4});
}

TEST_CASE("batch: wakes a waiting receiver once", "[inbox]") {
    wake_counter woken;
    auto [tx, rx] = channel<int>(8);
    std::array<int, 8> out{};
    {
        auto receiving = rx.recv_many(std::span<int>(out));
        REQUIRE_FALSE(receiving.poll(woken.get()).is_ready());
        CHECK(tx.try_send_many(std::views::iota(0, 5)).value() == 5);
        CHECK(woken.wakes() == 1);
        CHECK(receiving.poll(woken.get()).value() == 5);
    }
    CHECK(woken.references() == 0);
    for (int i = 0; i < 5; ++i) { CHECK(out[static_cast<std::size_t>(i)] == i); }
}

TEST_CASE("batch: is refused, and nothing moved, when the receiver is gone", "[inbox]") {
    wake_counter woken;
    auto [tx, rx] = channel<std::unique_ptr<int>>(4);
    { auto gone = std::move(rx); }
    auto all = pointers(0, 2);
    CHECK(tx.try_send_many(all).error() == send_failure::disconnected);
    CHECK(tx.try_send_all(all).error() == send_failure::disconnected);
    CHECK(tx.try_send_many(std::span(all).subspan(2)).error() == send_failure::disconnected);
    auto sending = tx.send_many(all);
    CHECK(sending.poll(woken.get()).value() == 0);
    CHECK(*all[0] == 0);
    CHECK(*all[1] == 1);
}

TEST_CASE("batch: does not overtake a waiting send", "[inbox]") {
    wake_counter woken;
    auto [tx, rx] = channel<int>(2);
    CHECK(tx.try_send_many(std::views::iota(0, 2)).value() == 2);
    auto waiting = tx.send(2);
    REQUIRE_FALSE(waiting.poll(woken.get()).is_ready());
    CHECK(everything(rx) == std::vector{0, 1});
    CHECK(tx.try_send_many(std::views::iota(3, 4)).error() == send_failure::full);
    CHECK(tx.try_send_all(std::views::iota(3, 4)).error() == send_failure::full);
    CHECK(waiting.poll(woken.get()).is_ready());
    CHECK(tx.try_send_many(std::views::iota(3, 4)).value() == 1);
    CHECK(everything(rx) == std::vector{2, 3});
}

TEST_CASE("batch: send_many sends in pieces, keeps its place, and comes out in order", "[inbox]") {
    wake_counter woken;
    wake_counter other_woken;
    {
        auto [tx, rx] = channel<std::unique_ptr<int>>(2);
        auto all = pointers(0, 5);
        auto sending = tx.send_many(all);
        REQUIRE_FALSE(sending.poll(woken.get()).is_ready());
        CHECK(sending.sent() == 2);
        auto other = tx.emplace(new int(5));
        REQUIRE_FALSE(other.poll(other_woken.get()).is_ready());
        int next = 0;
        while (next < 4) {
            REQUIRE(**rx.try_recv() == next++);
            REQUIRE(woken.take());
            REQUIRE_FALSE(other_woken.take());
            if (sending.poll(woken.get()).is_ready()) { break; }
        }
        CHECK(sending.sent() == 5);
        CHECK(next == 3);
        REQUIRE(**rx.try_recv() == next++);
        CHECK(other_woken.take());
        CHECK(other.poll(other_woken.get()).is_ready());
        for (; next < 6; ++next) { CHECK(**rx.try_recv() == next); }
        CHECK(rx.try_recv().error() == recv_error::empty);
    }
    CHECK(woken.references() == 0);
    CHECK(other_woken.references() == 0);
}

TEST_CASE("batch: a dropped send_many tells how many went, and is not in the way", "[inbox]") {
    wake_counter woken;
    wake_counter other_woken;
    auto [tx, rx] = channel<std::unique_ptr<int>>(2);
    auto all = pointers(0, 4);
    std::optional<send_many_future<std::unique_ptr<int>>> sending(tx.send_many(all));
    REQUIRE_FALSE(sending->poll(woken.get()).is_ready());
    auto other = tx.emplace(new int(9));
    REQUIRE_FALSE(other.poll(other_woken.get()).is_ready());
    CHECK(**rx.try_recv() == 0);
    CHECK(std::move(*sending).cancel() == 2);
    sending.reset();
    CHECK(woken.references() == 0);
    CHECK(*all[2] == 2);
    CHECK(other_woken.take());  // Its turn, and there is room.
    CHECK(other.poll(other_woken.get()).is_ready());
    CHECK(**rx.try_recv() == 1);
    CHECK(**rx.try_recv() == 9);
}

TEST_CASE("batch: send_many ends early, woken, when the receiver goes", "[inbox]") {
    wake_counter woken;
    auto [tx, rx] = channel<std::unique_ptr<int>>(2);
    auto all = pointers(0, 4);
    auto sending = tx.send_many(all);
    REQUIRE_FALSE(sending.poll(woken.get()).is_ready());
    { auto gone = std::move(rx); }
    CHECK(woken.take());
    auto sent = sending.poll(woken.get());
    REQUIRE(sent.is_ready());
    CHECK(sent.value() == 2);
    CHECK(*all[3] == 3);
}

TEST_CASE("batch: the blocking forms send and receive all, or give up in time", "[inbox]") {
    using namespace std::chrono_literals;
    const auto soon = [] { return std::chrono::steady_clock::now() + 5ms; };
    auto [tx, rx] = channel<int>(4);
    std::array<int, 6> out{};
    CHECK(rx.recv_many_blocking(out, soon()) == 0);
    std::vector<int> many(10);
    for (int i = 0; i < 10; ++i) { many[static_cast<std::size_t>(i)] = i; }
    CHECK(tx.send_many_blocking(many, soon()) == 4);
    CHECK(rx.recv_many_blocking(out) == 4);
    CHECK(rx.recv_many_blocking(out, soon()) == 0);
    std::jthread sending([held = std::move(tx), &many] {
        (void)held.send_many_blocking(std::span(many).subspan(4));
    });
    std::vector<int> got(out.begin(), out.begin() + 4);
    while (const std::size_t count = rx.recv_many_blocking(out)) {
        got.insert(got.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(count));
    }
    CHECK(got == many);
}

TEST_CASE("batch: fills odd capacities to the brim, round after round", "[inbox]") {
    const std::size_t capacity = GENERATE(1U, 2U, 3U, 5U, 7U, 8U, 13U, 100U);
    auto [tx, rx] = channel<std::size_t, layout::padded>(capacity);
    std::size_t next_in = 0;
    std::size_t next_out = 0;
    for (std::size_t round = 0; round < 50; ++round) {
        const std::size_t wanted = round % (capacity + 2);
        const std::size_t room = capacity - (next_in - next_out);
        const auto sent = tx.try_send_many(std::views::iota(next_in, next_in + wanted));
        REQUIRE(sent.has_value() == (wanted == 0 || room != 0));
        if (sent) {
            REQUIRE(*sent == std::min(wanted, room));
            next_in += *sent;
        }
        std::vector<std::size_t> got;
        rx.try_recv_many(got, (round * 7) % (capacity + 1));
        for (const std::size_t one : got) { REQUIRE(one == next_out++); }
    }
    for (const std::size_t one : everything(rx)) { REQUIRE(one == next_out++); }
    CHECK(next_in == next_out);
}

TEST_CASE("batch: try_peek_at looks further ahead, up to what is there", "[inbox]") {
    auto [tx, rx] = channel<int>(3);
    CHECK(rx.try_peek_at(0) == nullptr);
    CHECK(tx.try_send_many(std::views::iota(0, 3)).value() == 3);
    for (int i = 0; i < 3; ++i) { CHECK(*rx.try_peek_at(static_cast<std::size_t>(i)) == i); }
    CHECK(rx.try_peek_at(3) == nullptr);
    CHECK(rx.try_peek_at(4) == nullptr);
    CHECK(rx.try_recv().value() == 0);
    CHECK(*rx.try_peek_at(1) == 2);
    CHECK(rx.try_peek_at(2) == nullptr);
}

TEST_CASE("batch: threads send batches of all sizes, and each one's order is kept",
          "[inbox][stress]") {
    constexpr std::size_t senders = 3;
    constexpr std::size_t each = 20'000;
    auto [made, rx] = channel<std::pair<std::size_t, std::size_t>>(13);
    std::vector<std::jthread> threads;
    for (std::size_t who = 0; who < senders; ++who) {
        threads.emplace_back([tx = made, who] {
            std::vector<std::pair<std::size_t, std::size_t>> batch;
            for (std::size_t next = 0, turn = 0; next < each; ++turn) {
                batch.clear();
                const std::size_t count = std::min(1 + turn % 17, each - next);
                for (std::size_t i = 0; i < count; ++i) { batch.emplace_back(who, next + i); }
                if (turn % 3 == 0) {
                    const auto sent = tx.try_send_many(batch);
                    next += sent ? *sent : 0;
                } else if (turn % 3 == 1) {
                    next += tx.try_send_all(batch) ? count : 0;
                } else {
                    next += tx.send_many_blocking(batch);
                }
            }
        });
    }
    { auto gone = std::move(made); }
    std::vector<std::size_t> expected(senders, 0);
    std::size_t wrong = 0;
    std::vector<std::pair<std::size_t, std::size_t>> out(9);
    while (const std::size_t count = rx.recv_many_blocking(out)) {
        for (std::size_t i = 0; i < count; ++i) {
            if (out[i].second != expected[out[i].first]++) { ++wrong; }
        }
    }
    CHECK(wrong == 0);
    CHECK(expected == std::vector<std::size_t>(senders, each));
}
