#include <heph/core/stream.hpp>

#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/context.hpp>
#include <heph/inbox/channel.hpp>

#include "support/poll_loop.hpp"

using heph::waker;

namespace {

struct some_actor {
    explicit some_actor(std::size_t capacity = 256)
        : some_actor(heph::inbox::channel<int>(capacity)) {}
    explicit some_actor(std::pair<heph::inbox::sender<int>, heph::inbox::receiver<int>> ends)
        : ref(heph::actor_ref<int>(std::move(ends.first))),
          ctx(std::move(ends.second), heph::no_runtime()) {}
    std::optional<heph::actor_ref<int>> ref;
    heph::context<int> ctx;
};

}  // namespace

static_assert(heph::stream<heph::message_stream<int>>);
static_assert(!heph::stream<int>);
static_assert(std::is_same_v<heph::stream_value_t<heph::message_stream<int>>, int>);

TEST_CASE("for_each: calls the function with each message until there are no more",
          "[core][stream]") {
    some_actor actor;
    auto messages = actor.ctx.messages();
    std::vector<int> seen;
    auto all = heph::for_each(messages, [&](int next) { seen.push_back(next); });
    REQUIRE(actor.ref->try_send(1));
    CHECK_FALSE(all.poll(waker()).is_ready());
    REQUIRE(actor.ref->try_send(2));
    actor.ref.reset();
    CHECK(all.poll(waker()).is_ready());
    CHECK(seen == std::vector<int>({1, 2}));
}

TEST_CASE("for_each: ends when the function returns false, and takes nothing more",
          "[core][stream]") {
    some_actor actor;
    auto messages = actor.ctx.messages();
    for (int i = 1; i <= 3; ++i) { REQUIRE(actor.ref->try_send(i)); }
    auto some = heph::for_each(messages, [](int next) { return next < 2; });
    CHECK(some.poll(waker()).is_ready());
    CHECK(actor.ctx.try_receive() == 3);
}

TEST_CASE("for_each: an exception of the function leaves it, and the rest is still there",
          "[core][stream]") {
    some_actor actor;
    auto messages = actor.ctx.messages();
    REQUIRE(actor.ref->try_send(1));
    REQUIRE(actor.ref->try_send(2));
    auto all = heph::for_each(messages, [](int) { throw std::runtime_error("no"); });
    CHECK_THROWS_WITH(all.poll(waker()), "no");
    CHECK(actor.ctx.try_receive() == 2);
}

TEST_CASE("for_each: many values that are there at once let others run in between",
          "[core][stream]") {
    some_actor actor;
    auto messages = actor.ctx.messages();
    for (int i = 0; i < 200; ++i) { REQUIRE(actor.ref->try_send(i)); }
    actor.ref.reset();
    int count = 0;
    heph::test::poll_loop loop;
    loop.spawn(heph::for_each(messages, [&](int) { ++count; }));
    bool between = false;
    struct once {
        using value_type = void;
        once(int& watched, bool& seen) : count_(&watched), between_(&seen) {}
        heph::polled<void> poll(const heph::waker&) {
            *between_ = *count_ < 200;
            return heph::ready;
        }
        int* count_;
        bool* between_;
    };
    loop.spawn(once(count, between));
    loop.run();
    CHECK(count == 200);
    CHECK(between);
}

TEST_CASE("for_each: dropping it half-way loses no message", "[core][stream]") {
    some_actor actor;
    auto messages = actor.ctx.messages();
    {
        auto all = heph::for_each(messages, [](int) {});
        CHECK_FALSE(all.poll(waker()).is_ready());
        REQUIRE(actor.ref->try_send(5));
    }
    CHECK(actor.ctx.try_receive() == 5);
}
