// Who looks at the messages of a channel, and leaves them there.

#include <heph/inbox/detail/message_watch.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include <catch2/catch.hpp>

#include "inbox/explore.hpp"
#include "inbox/probe.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;
using explored::check;
using explored::program;
using heph::polled;
using heph::waker;

namespace {

using its_layout = explored::layout<explored::sound>;

// Is ready when so many messages were seen.
class sees {
public:
    using value_type = void;
    sees(detail::message_watch<tracked, its_layout>& by, int count) noexcept
        : by_(&by), left_(count) {}

    polled<void> poll(const waker& who) {
        while (left_ != 0) {
            const tracked* shown = by_->next(who);
            if (shown == nullptr) { return heph::pending; }
            check(shown->number() == expected_++, "shown out of order");
            --left_;
        }
        return heph::ready;
    }

private:
    detail::message_watch<tracked, its_layout>* by_;
    int left_;
    int expected_ = 0;
};

explored::options preemptions(int most) {
    explored::options chosen;
    chosen.preemptions_max = most;
    return chosen;
}

}  // namespace

TEST_CASE("message watch: shows each message once, and leaves them to the next receiver",
          "[inbox][watch]") {
    auto [boss, tx, rx] = managed_channel<int>(3);
    REQUIRE(tx.try_send(1));
    {
        detail::message_watch<int> watch(std::move(rx));
        REQUIRE(watch.next(waker()) != nullptr);
        CHECK(watch.next(waker()) == nullptr);
        REQUIRE(tx.try_send(2));
        REQUIRE(tx.try_send(3));
        const int* shown = watch.next(waker());
        REQUIRE(shown != nullptr);
        CHECK(*shown == 2);
        REQUIRE(watch.next(waker()) != nullptr);
        CHECK(watch.next(waker()) == nullptr);  // It is full.
        CHECK_FALSE(tx.try_send(4));
    }
    auto next = boss.new_receiver();
    REQUIRE(next);
    for (int i = 1; i <= 3; ++i) { CHECK(next->try_recv() == i); }
    CHECK(next->try_recv().error() == recv_error::empty);
}

TEST_CASE("message watch: is woken for a message behind others, and its waker goes with it",
          "[inbox][watch]") {
    wake_counter counter;
    auto [boss, tx, rx] = managed_channel<int>(8);
    REQUIRE(tx.try_send(1));
    {
        detail::message_watch<int> watch(std::move(rx));
        REQUIRE(watch.next(counter.get()) != nullptr);
        CHECK(watch.next(counter.get()) == nullptr);
        CHECK(counter.wakes() == 0);
        REQUIRE(tx.try_send(2));
        CHECK(counter.wakes() == 1);
        REQUIRE(watch.next(counter.get()) != nullptr);
        CHECK(watch.next(counter.get()) == nullptr);
    }
    REQUIRE(tx.try_send(3));
    CHECK(counter.wakes() == 1);
    CHECK(counter.references() == 0);
}

TEST_CASE("explore: a watch that is woken for the second message, and a receiver after it",
          "[inbox][explore]") {
    (void)explore(1000, preemptions(4), [](program& made) {
        auto all = std::make_shared<world<>>(3, 1, true);
        made.thread([=] {
            check(all->tx[0]->try_emplace(0).has_value(), "refused");
            check(all->tx[0]->try_emplace(1).has_value(), "refused");
            all->tx[0].reset();
        });
        made.thread([=] {
            {
                detail::message_watch<tracked, its_layout> watch(std::move(*all->rx));
                (void)all->run[0].block_on(sees(watch, 2));
            }
            all->rx.reset();
            auto next = all->boss->new_receiver();
            check(next.has_value(), "the receiver was kept");
            all->rx.emplace(std::move(*next));
            all->receive_all(all->run[1]);
        });
        made.afterwards([=] { check(all->received.size() == 2, "a message was lost"); });
    });
}
