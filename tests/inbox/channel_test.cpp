#include <heph/inbox/channel.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/oneshot.hpp>
#include "inbox/probe.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;

static_assert(heph::future<recv_future<int>> && heph::future<send_future<int>> &&
              heph::future<recv_many_future<int>> && heph::future<peek_future<int>> &&
              heph::future<join_future>);
static_assert(std::is_copy_constructible_v<sender<std::unique_ptr<int>>>);
static_assert(!std::is_copy_constructible_v<receiver<int>>);
static_assert(alignof(send_future<std::uint64_t>) <= 16 && alignof(recv_future<int>) <= 16);

TEST_CASE("channel: of capacity 8 for 8-byte messages takes at most 192 bytes", "[inbox]") {
    CHECK(channel_bytes<std::uint64_t>(8) <= 192);
}

TEST_CASE("channel: refuses capacities that cannot be", "[inbox]") {
    CHECK_THROWS_AS(channel<int>(0), std::invalid_argument);
    CHECK_THROWS_AS(channel<int>(detail::capacity_max + 1), std::invalid_argument);
}

TEST_CASE("channel: holds exactly its capacity, in order, round after round", "[inbox]") {
    const std::size_t capacity =
        GENERATE(range(1U, 34U), values({64U, 100U, 65535U, 65536U, 65537U}));
    auto [tx, rx] = channel<std::size_t>(capacity);
    CHECK(tx.capacity() == capacity);
    CHECK(rx.capacity() == capacity);
    std::size_t next_in = 0;
    std::size_t next_out = 0;
    for (int round = 0; round < 4; ++round) {
        std::size_t accepted = 0;
        while (tx.try_send(next_in)) {
            ++next_in;
            ++accepted;
        }
        REQUIRE(next_in - next_out == capacity);
        for (std::size_t i = 0; i < (capacity + 1) / 2; ++i) {
            auto got = rx.try_recv();
            REQUIRE(got.has_value());
            REQUIRE(*got == next_out++);
        }
        REQUIRE(accepted > 0);
    }
    while (auto got = rx.try_recv()) { REQUIRE(*got == next_out++); }
    CHECK(next_out == next_in);
}

TEST_CASE("channel: try_send on a full channel gives the value back", "[inbox]") {
    auto [tx, rx] = channel<std::unique_ptr<int>>(1);
    REQUIRE(tx.try_emplace(new int(1)));
    auto second = tx.try_send(std::make_unique<int>(2));
    REQUIRE_FALSE(second);
    CHECK(second.error().reason() == send_failure::full);
    REQUIRE(second.error().value());
    CHECK(*second.error().value() == 2);
    CHECK(**rx.try_recv() == 1);
    CHECK(tx.try_send(std::move(second).error().value()));
    CHECK(**rx.try_recv() == 2);
}

TEST_CASE("channel: try_recv tells empty from disconnected", "[inbox]") {
    auto [tx, rx] = channel<int>(2);
    CHECK(rx.try_recv().error() == recv_error::empty);
    std::optional<sender<int>> last(tx);
    { auto gone = std::move(tx); }
    CHECK(rx.is_connected());
    REQUIRE(last->try_send(1));
    last.reset();
    CHECK_FALSE(rx.is_connected());
    CHECK(rx.try_recv().value() == 1);
    CHECK(rx.try_recv().error() == recv_error::disconnected);
    auto again = rx.new_sender();
    CHECK(rx.is_connected());
    REQUIRE(again.try_send(2));
    CHECK(rx.try_recv().value() == 2);
}

TEST_CASE("channel: a dropped receiver destroys each message once, and senders see it", "[inbox]") {
    int alive = 0;
    auto [tx, rx] = channel<counted>(3);
    REQUIRE(tx.try_emplace(1, alive));
    REQUIRE(tx.try_emplace(2, alive));
    CHECK(rx.try_recv()->value() == 1);
    CHECK(alive == 1);
    CHECK(tx.is_connected());
    { auto gone = std::move(rx); }
    CHECK(alive == 0);
    CHECK_FALSE(tx.is_connected());
    auto refused = tx.try_emplace(3, alive);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().is_disconnected());
    CHECK(refused.error().value().value() == 3);
    CHECK(alive == 1);
}

TEST_CASE("channel: messages left when both sides go are destroyed once", "[inbox]") {
    int alive = 0;
    {
        auto [tx, rx] = channel<counted>(5);
        for (int i = 0; i < 5; ++i) { REQUIRE(tx.try_emplace(i, alive)); }
        { auto gone = std::move(tx); }
        CHECK(alive == 5);
    }
    CHECK(alive == 0);
}

TEST_CASE("recv: is woken once by the message it waits for", "[inbox]") {
    wake_counter woken;
    {
        auto [tx, rx] = channel<int>(4);
        auto receiving = rx.recv();
        REQUIRE_FALSE(receiving.poll(woken.get()).is_ready());
        CHECK(woken.wakes() == 0);
        REQUIRE(tx.try_send(1));
        REQUIRE(tx.try_send(2));
        CHECK(woken.wakes() == 1);
        auto got = receiving.poll(woken.get());
        REQUIRE(got.is_ready());
        CHECK(got.value() == 1);
        CHECK(rx.try_recv().value() == 2);
    }
    CHECK(woken.references() == 0);
}

TEST_CASE("recv: only the waker of the last poll counts", "[inbox]") {
    wake_counter first;
    wake_counter second;
    auto [tx, rx] = channel<int>(4);
    {
        auto receiving = rx.recv();
        REQUIRE_FALSE(receiving.poll(first.get()).is_ready());
        REQUIRE_FALSE(receiving.poll(second.get()).is_ready());
        CHECK(first.references() == 0);
        REQUIRE(tx.try_send(1));
        CHECK(first.wakes() == 0);
        CHECK(second.wakes() == 1);
    }
    CHECK(rx.try_recv().value() == 1);
}

TEST_CASE("recv: dropped while it waits, it leaves no waker and loses no message", "[inbox]") {
    wake_counter woken;
    auto [tx, rx] = channel<int>(4);
    {
        auto receiving = rx.recv();
        REQUIRE_FALSE(receiving.poll(woken.get()).is_ready());
        CHECK(woken.references() == 1);
    }
    CHECK(woken.references() == 0);
    REQUIRE(tx.try_send(7));
    CHECK(woken.wakes() == 0);
    auto again = rx.recv();
    CHECK(again.poll(woken.get()).value() == 7);
}

TEST_CASE("recv: ends, woken, when the last sender goes", "[inbox]") {
    wake_counter woken;
    auto [tx, rx] = channel<int>(4);
    auto other = tx;
    auto receiving = rx.recv();
    REQUIRE_FALSE(receiving.poll(woken.get()).is_ready());
    { auto gone = std::move(tx); }
    CHECK(woken.wakes() == 0);
    { auto gone = std::move(other); }
    CHECK(woken.wakes() == 1);
    auto got = receiving.poll(woken.get());
    REQUIRE(got.is_ready());
    CHECK_FALSE(got.value().has_value());
}

TEST_CASE("recv_many: takes what is there, up to its limit", "[inbox]") {
    wake_counter woken;
    auto [tx, rx] = channel<int>(8);
    std::vector<int> got;
    {
        auto receiving = rx.recv_many(got, 3);
        REQUIRE_FALSE(receiving.poll(woken.get()).is_ready());
        for (int i = 0; i < 5; ++i) { REQUIRE(tx.try_send(i)); }
        CHECK(woken.wakes() == 1);
        CHECK(receiving.poll(woken.get()).value() == 3);
    }
    CHECK(rx.try_recv_many(got, 100) == 2);
    CHECK(got == std::vector<int>{0, 1, 2, 3, 4});
    CHECK(rx.try_recv_many(got, 100) == 0);

    REQUIRE(tx.try_send(5));
    REQUIRE(tx.try_send(6));
    int one[1] = {};
    CHECK(rx.try_recv_many(std::span<int>(one)) == 1);
    CHECK(one[0] == 5);
    { auto gone = std::move(tx); }
    auto last = rx.recv_many(got, 9);
    CHECK(last.poll(woken.get()).value() == 1);
    auto end = rx.recv_many(got, 9);
    CHECK(end.poll(woken.get()).value() == 0);
}

TEST_CASE("recv: once ready, leaves the message in the channel until it is taken", "[inbox]") {
    wake_counter woken;
    auto [tx, rx] = channel<std::unique_ptr<int>>(1);
    auto [small_tx, small_rx] = channel<int>(1);
    {
        auto receiving = rx.recv();
        REQUIRE_FALSE(receiving.ready_to_take(woken.get()));
        REQUIRE(tx.try_emplace(std::make_unique<int>(1)));
        CHECK(woken.take());
        REQUIRE(receiving.ready_to_take(woken.get()));
        CHECK_FALSE(tx.try_emplace(nullptr));  // Still full.
        CHECK(**receiving.take() == 1);
        CHECK(tx.try_emplace(std::make_unique<int>(2)));
    }
    {
        auto dropped = rx.recv();
        REQUIRE(dropped.ready_to_take(woken.get()));
    }
    CHECK(**rx.try_recv() == 2);
    REQUIRE(small_tx.try_send(3));
    auto small = small_rx.recv();
    REQUIRE(small.ready_to_take(woken.get()));
    CHECK(small.take() == 3);
    { auto gone = std::move(small_tx); }
    auto last = small_rx.recv();
    REQUIRE(last.ready_to_take(woken.get()));
    CHECK(last.take() == std::nullopt);
}

TEST_CASE("peek: shows the next message and leaves it there", "[inbox]") {
    wake_counter woken;
    auto [tx, rx] = channel<int>(2);
    CHECK(rx.try_peek().error() == recv_error::empty);
    auto peeking = rx.peek();
    REQUIRE_FALSE(peeking.poll(woken.get()).is_ready());
    REQUIRE(tx.try_send(4));
    CHECK(woken.wakes() == 1);
    auto shown = peeking.poll(woken.get());
    REQUIRE(shown.is_ready());
    *shown.value() = 5;
    CHECK(**rx.try_peek() == 5);
    { auto gone = std::move(tx); }
    CHECK(rx.try_recv().value() == 5);
    CHECK(rx.try_peek().error() == recv_error::disconnected);
    auto nothing = rx.peek();
    CHECK(nothing.poll(woken.get()).value() == nullptr);
}

TEST_CASE("join: is woken when the other side is gone, and leaves nothing when dropped",
          "[inbox]") {
    wake_counter woken;
    auto [tx, rx] = channel<int>(2);
    {
        auto joining = rx.join();
        REQUIRE_FALSE(joining.poll(woken.get()).is_ready());
        { auto gone = std::move(tx); }
        CHECK(woken.take());
        CHECK(joining.poll(woken.get()).is_ready());
    }
    auto again = rx.new_sender();
    {
        auto dropped = again.join();
        REQUIRE_FALSE(dropped.poll(woken.get()).is_ready());
    }
    CHECK(woken.references() == 0);
    auto joining = again.join();
    REQUIRE_FALSE(joining.poll(woken.get()).is_ready());
    { auto gone = std::move(rx); }
    CHECK(woken.take());
    CHECK(joining.poll(woken.get()).is_ready());
}

TEST_CASE("channel: ids tell channels apart", "[inbox]") {
    auto [tx, rx] = channel<int>(2);
    auto [other_tx, other_rx] = channel<int>(2);
    const auto copy = tx;
    CHECK(tx.same_channel(copy));
    CHECK_FALSE(tx.same_channel(other_tx));
    CHECK(tx.sends_to(rx));
    CHECK_FALSE(tx.sends_to(other_rx));
    CHECK(tx.id() == rx.id());
    CHECK(tx.id() != other_rx.id());
}

TEST_CASE("channel: keeps over-aligned messages aligned", "[inbox]") {
    struct alignas(128) wide {
        int value;
    };
    auto [tx, rx] = channel<wide>(3);
    for (int i = 0; i < 7; ++i) {
        REQUIRE(tx.try_send(wide{i}));
        auto shown = rx.try_peek();
        REQUIRE(shown.has_value());
        CHECK(reinterpret_cast<std::uintptr_t>(*shown) % 128 == 0);
        CHECK(rx.try_recv()->value == i);
    }
}

TEST_CASE("blocking: gives up at its deadline, and gives the message back", "[inbox]") {
    using namespace std::chrono_literals;
    auto [tx, rx] = channel<int>(1);
    const auto soon = [] { return std::chrono::steady_clock::now() + 5ms; };
    CHECK(rx.recv_blocking(soon()).error() == recv_error::empty);
    CHECK(tx.send_blocking(1, soon()));
    auto late = tx.send_blocking(2, soon());
    REQUIRE_FALSE(late);
    CHECK(late.error().is_full());
    CHECK(late.error().value() == 2);
    CHECK(rx.recv_blocking(soon()).value() == 1);
    CHECK(tx.try_send(3));  // The send that gave up is not in the way.
    { auto gone = std::move(tx); }
    CHECK(rx.recv_blocking() == 3);
    CHECK(rx.recv_blocking() == std::nullopt);
    CHECK(rx.recv_blocking(soon()).error() == recv_error::disconnected);
}

TEST_CASE("channel: a receive that is dropped leaves the waker of a later one alone",
          "[inbox][channel]") {
    wake_counter first_woken;
    wake_counter second_woken;
    {
        auto [tx, rx] = channel<int>(2);
        std::optional first(rx.recv());
        REQUIRE_FALSE(first->poll(first_woken.get()).is_ready());
        auto second = rx.peek();
        REQUIRE_FALSE(second.poll(second_woken.get()).is_ready());
        first.reset();
        REQUIRE(tx.try_send(1));
        CHECK(second_woken.take());
        CHECK_FALSE(first_woken.take());
        CHECK(*second.poll(second_woken.get()).value() == 1);
    }
    CHECK(first_woken.references() == 0);
    CHECK(second_woken.references() == 0);
}

TEST_CASE("channel: of two receives of one task, the one that is left is woken",
          "[inbox][channel]") {
    const bool drops_last = GENERATE(true, false);
    wake_counter woken;
    {
        auto [tx, rx] = channel<int>(2);
        std::optional first(rx.recv());
        std::optional second(rx.recv());
        REQUIRE_FALSE(first->poll(woken.get()).is_ready());
        REQUIRE_FALSE(second->poll(woken.get()).is_ready());
        (drops_last ? second : first).reset();
        REQUIRE(tx.try_send(1));
        CHECK(woken.take());
        CHECK((drops_last ? first : second)->poll(woken.get()).value() == 1);
    }
    CHECK(woken.references() == 0);
}

TEST_CASE(
    "channel: a receive that is polled again takes its waker along, and a new receiver goes on",
    "[inbox][channel]") {
    wake_counter first_woken;
    wake_counter second_woken;
    auto [boss, tx, made] = managed_channel<int>(2);
    std::optional rx(std::move(made));
    REQUIRE(tx.try_send(0));
    REQUIRE(rx->try_recv() == 0);
    {
        std::optional first(rx->recv());
        std::optional second(rx->recv());
        REQUIRE_FALSE(first->poll(first_woken.get()).is_ready());
        REQUIRE_FALSE(second->poll(second_woken.get()).is_ready());
        REQUIRE_FALSE(first->poll(first_woken.get()).is_ready());
        second.reset();
        CHECK(first_woken.references() == 1);
        CHECK(second_woken.references() == 0);
        first.reset();
        CHECK(first_woken.references() == 0);
    }
    REQUIRE(tx.try_send(1));
    CHECK_FALSE(first_woken.take());
    rx.reset();
    auto next = boss.new_receiver();  // The position is kept where the waits are remembered.
    REQUIRE(next.has_value());
    CHECK(next->try_recv() == 1);
}

namespace {

// Trivially copyable, as its copy is deleted and its move is trivial.
struct ticket {
    explicit ticket(int of) : number(of) {}
    ticket(ticket&&) = default;
    ticket& operator=(ticket&&) = default;
    int number;
};
static_assert(std::is_trivially_copyable_v<ticket> && !std::is_copy_constructible_v<ticket>);

// Its address is not what one expects, as with the smart pointers of COM.
class hides_address : public counted {
public:
    using counted::counted;
    int* operator&() noexcept { return nullptr; }  // NOLINT(google-runtime-operator)
};

}  // namespace

TEST_CASE("channel: awaits small messages that are trivially copyable and can only be moved",
          "[inbox][channel][regression]") {
    auto [tx, rx] = channel<ticket>(1);
    REQUIRE(tx.try_send(ticket(7)));
    auto receiving = rx.recv();
    REQUIRE(receiving.ready_to_take(heph::waker()));
    CHECK(receiving.take()->number == 7);
}

TEST_CASE("channel: messages that hide their address are destroyed once, and shown",
          "[inbox][channel][regression]") {
    int alive = 0;
    {
        auto [tx, rx] = channel<hides_address>(2);
        REQUIRE(tx.send_blocking(hides_address(1, alive)));
        CHECK(alive == 1);
        CHECK((*rx.try_peek())->value() == 1);
        CHECK(rx.peek().poll(heph::waker()).value()->value() == 1);
        CHECK(rx.try_recv()->value() == 1);
        { const auto dropped = tx.emplace(2, alive); }
    }
    CHECK(alive == 0);
    {
        auto [tx, rx] = oneshot<hides_address>();
        REQUIRE(std::move(tx).try_send(hides_address(3, alive)));
        CHECK(rx.try_recv()->value() == 3);
    }
    CHECK(alive == 0);
}

TEMPLATE_TEST_CASE("blocking: a deadline further off than the clock counts never passes",
                   "[inbox][regression]", std::chrono::sys_days, std::chrono::sys_seconds,
                   (std::chrono::time_point<std::chrono::steady_clock, std::chrono::seconds>),
                   std::chrono::file_clock::time_point) {
    auto [tx, rx] = channel<int>(1);
    const std::jthread sends([&to = tx] { (void)to.send_blocking(5); });
    CHECK(rx.recv_blocking(TestType::max()) == 5);
    CHECK(rx.recv_blocking(TestType::min()).error() == recv_error::empty);
}
