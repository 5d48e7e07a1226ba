#include <heph/core/stream_rpc.hpp>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/either.hpp>
#include <heph/core/match.hpp>
#include <heph/core/stream.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/channel.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_ref;
using heph::rpc_error;
using heph::task;
using heph::waker;
using heph::window;

namespace {

using count_to = heph::stream_rpc<int, int>;
struct list_names : heph::stream_rpc<void, std::string, std::string> {
    using stream_rpc::stream_rpc;
};
struct watch : heph::stream_rpc<void, std::unique_ptr<int>> {
    using stream_rpc::stream_rpc;
};
using message = std::variant<int, count_to, list_names, watch>;

struct callee {
    explicit callee(std::size_t capacity = 4) : callee(heph::inbox::channel<message>(capacity)) {}
    explicit callee(std::pair<heph::inbox::sender<message>, heph::inbox::receiver<message>> ends)
        : ref(std::move(ends.first)), inbox(std::move(ends.second)) {}
    template <typename Call>
    Call next() {
        return std::get<Call>(std::move(*inbox->try_recv()));
    }
    // Opens a stream whose request there is room for.
    template <typename Call, typename... Args>
    auto open(Args&&... args) {
        auto opening = ref.stream<Call>(std::forward<Args>(args)...);
        return std::move(opening.poll(waker()).value().value());
    }
    actor_ref<message> ref;
    std::optional<heph::inbox::receiver<message>> inbox;
};

task<> answers(count_to call, int* sent) {
    for (int i = 1; i <= call.request(); ++i) {
        auto result = co_await call.send(i);
        if (!result) { co_return; }
        ++*sent;
    }
    call.finish();
}

task<> counter(heph::inbox::receiver<message> inbox, int* sent) {
    while (auto next = co_await inbox.recv()) {
        if (auto* call = std::get_if<count_to>(&*next)) {
            co_await answers(std::move(*call), sent);
        }
    }
}

task<> asks(actor_ref<message> ref, int up_to, std::vector<int>* got, bool* good) {
    auto numbers = co_await ref.stream(window(3), up_to);
    if (!numbers) { co_return; }
    while (auto next = co_await numbers->next()) { got->push_back(*next); }
    *good = numbers->result().has_value();
}

}  // namespace

static_assert(heph::stream<heph::reply_stream<int>>);
static_assert(!std::is_aggregate_v<count_to> && std::is_nothrow_move_constructible_v<count_to>);
static_assert(std::is_nothrow_move_constructible_v<list_names>);

TEST_CASE("stream_rpc: many items come back, in order, and then the end", "[core][stream_rpc]") {
    callee to;
    auto numbers = to.open<count_to>(window(4), 2);
    count_to call = to.next<count_to>();
    CHECK(call.request() == 2);
    REQUIRE(call.try_send(10));
    REQUIRE(call.try_send(20));
    CHECK(call.finish());
    CHECK_FALSE(call.finish());
    auto first = numbers.next();
    CHECK(first.poll(waker()).value() == 10);
    CHECK(numbers.try_next() == 20);
    auto last = numbers.next();
    CHECK_FALSE(last.poll(waker()).value().has_value());
    CHECK(numbers.result().has_value());
    CHECK(numbers.result().has_value());
}

TEST_CASE("stream_rpc: who answers waits while the window is full", "[core][stream_rpc]") {
    callee to;
    auto numbers = to.open<count_to>(window(2), 100);
    count_to call = to.next<count_to>();
    REQUIRE(call.try_send(1));
    REQUIRE(call.try_send(2));
    auto full = call.try_send(3);
    REQUIRE_FALSE(full);
    CHECK(full.error().reason() == heph::send_failure::full);
    CHECK(full.error().value() == 3);
    auto sending = call.send(3);
    CHECK_FALSE(sending.poll(waker()).is_ready());
    CHECK(numbers.try_next() == 1);
    CHECK(sending.poll(waker()).value().has_value());
    // The end needs no room.
    CHECK(call.finish());
    CHECK(numbers.try_next() == 2);
    CHECK(numbers.try_next() == 3);
    CHECK(numbers.try_next().error() == heph::inbox::recv_error::disconnected);
    CHECK(numbers.result().has_value());
}

TEST_CASE("stream_rpc: an actor and its caller go at the same pace", "[core][stream_rpc]") {
    auto [tx, rx] = heph::inbox::channel<message>(1);
    heph::test::poll_loop loop;
    std::vector<int> got;
    int sent = 0;
    bool good = false;
    loop.spawn(counter(std::move(rx), &sent));
    loop.spawn(asks(actor_ref<message>(std::move(tx)), 50, &got, &good));
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(sent == 50);
    REQUIRE(got.size() == 50);
    CHECK(got.front() == 1);
    CHECK(got.back() == 50);
    CHECK(good);
}

TEST_CASE("stream_rpc: one that is dropped half-way is told apart from the end",
          "[core][stream_rpc]") {
    callee to;
    auto numbers = to.open<count_to>(3);
    {
        count_to call = to.next<count_to>();
        REQUIRE(call.try_send(1));
    }
    CHECK(numbers.try_next() == 1);
    CHECK(numbers.try_next().error() == heph::inbox::recv_error::disconnected);
    CHECK(numbers.result().error() == rpc_error::no_reply);
}

TEST_CASE("stream_rpc: a caller who waits is woken when the actor ends", "[core][stream_rpc]") {
    callee to;
    auto numbers = to.open<watch>();
    auto next = numbers.next();
    CHECK_FALSE(next.poll(waker()).is_ready());
    to.inbox.reset();
    CHECK_FALSE(next.poll(waker()).value().has_value());
    CHECK(numbers.result().error() == rpc_error::no_reply);
}

TEST_CASE("stream_rpc: the actor can say why there are no more", "[core][stream_rpc]") {
    callee to;
    auto names = to.open<list_names>();
    list_names call = to.next<list_names>();
    REQUIRE(call.try_send("a"));
    CHECK(call.fail("disk is full"));
    CHECK(names.try_next() == "a");
    CHECK_FALSE(names.try_next().has_value());
    auto ended = names.result();
    REQUIRE_FALSE(ended);
    CHECK(std::get<std::string>(ended.error()) == "disk is full");

    auto broken = to.open<list_names>();
    { list_names gone = to.next<list_names>(); }
    CHECK_FALSE(broken.try_next().has_value());
    CHECK(std::get<rpc_error>(broken.result().error()) == rpc_error::no_reply);
}

TEST_CASE("stream_rpc: the actor sees that the caller gave up", "[core][stream_rpc]") {
    callee to;
    auto value = std::make_unique<int>(1);
    std::optional items(to.open<watch>());
    watch call = to.next<watch>();
    CHECK_FALSE(call.is_cancelled());
    auto closed = call.closed();
    CHECK_FALSE(closed.poll(waker()).is_ready());
    REQUIRE(call.try_send(std::move(value)));
    SECTION("by dropping the stream") { items.reset(); }
    SECTION("by closing it") {
        items->close();
        CHECK(items->try_next().error() == heph::inbox::recv_error::disconnected);
    }
    CHECK(closed.poll(waker()).is_ready());
    CHECK(call.is_cancelled());
    auto sending = call.send(std::make_unique<int>(2));
    auto sent = sending.poll(waker());
    REQUIRE(sent.is_ready());
    REQUIRE_FALSE(sent.value());
    CHECK(sent.value().error().reason() == heph::send_failure::disconnected);
    CHECK(*sent.value().error().value() == 2);
    CHECK_FALSE(call.finish());
}

TEST_CASE("stream_rpc: a waiting send of the actor ends when the caller gives up",
          "[core][stream_rpc]") {
    callee to;
    std::optional numbers(to.open<count_to>(window(1), 9));
    count_to call = to.next<count_to>();
    REQUIRE(call.try_send(1));
    auto sending = call.send(2);
    CHECK_FALSE(sending.poll(waker()).is_ready());
    numbers.reset();
    CHECK_FALSE(sending.poll(waker()).value().has_value());
}

TEST_CASE("stream_rpc: a finished actor, and a reference that refuses, are told when it is opened",
          "[core][stream_rpc]") {
    callee to;
    to.inbox.reset();
    auto opening = to.ref.stream(3);
    CHECK(opening.poll(waker()).value().error() == rpc_error::disconnected);
    const auto refuses = actor_ref<message>::to_function([](const message&) { return false; });
    auto refused = refuses.stream<watch>();
    CHECK(refused.poll(waker()).value().error() == rpc_error::refused);
    auto dropped = actor_ref<message>::to_nothing().stream<watch>();
    auto opened = dropped.poll(waker());
    auto items = std::move(opened.value().value());
    CHECK_FALSE(items.try_next().has_value());
    CHECK(items.result().error() == rpc_error::no_reply);
}

TEST_CASE("stream_rpc: opening waits for room, and a dropped one was not sent",
          "[core][stream_rpc]") {
    callee to(1);
    REQUIRE(to.ref.try_send(1));
    {
        auto dropped = to.ref.stream(1);
        CHECK_FALSE(dropped.poll(waker()).is_ready());
    }
    auto made = to.ref.stream(2);
    auto opening = std::move(made);
    CHECK_FALSE(opening.poll(waker()).is_ready());
    CHECK(std::get<int>(*to.inbox->try_recv()) == 1);
    CHECK(opening.poll(waker()).value().has_value());
    CHECK(to.next<count_to>().request() == 2);
}

TEST_CASE("stream_rpc: goes through a mapped reference", "[core][stream_rpc][map]") {
    callee to;
    const actor_ref<count_to> mapped = to.ref;
    auto opening = mapped.stream(window(1), 4);
    auto opened = opening.poll(waker());
    auto numbers = std::move(opened.value().value());
    count_to call = to.next<count_to>();
    REQUIRE(call.try_send(4));
    CHECK(numbers.try_next() == 4);
}

TEST_CASE("stream_rpc: a dropped next loses no item", "[core][stream_rpc]") {
    callee to;
    auto numbers = to.open<count_to>(1);
    count_to call = to.next<count_to>();
    {
        auto next = numbers.next();
        CHECK_FALSE(next.poll(waker()).is_ready());
        REQUIRE(call.try_send(1));
    }
    CHECK(numbers.try_next() == 1);
    CHECK(numbers.try_next().error() == heph::inbox::recv_error::empty);
    CHECK_FALSE(numbers.result().has_value());
}

TEST_CASE("stream_rpc: assigning to a call drops the one that it was", "[core][stream_rpc]") {
    callee to;
    auto first = to.open<count_to>(1);
    auto second = to.open<count_to>(2);
    count_to call = to.next<count_to>();
    call = to.next<count_to>();
    CHECK(first.try_next().error() == heph::inbox::recv_error::disconnected);
    CHECK(first.result().error() == rpc_error::no_reply);
    CHECK(call.request() == 2);
    REQUIRE(call.try_send(2));
    CHECK(second.try_next() == 2);
}

TEST_CASE("stream_rpc: the items of an answer work as any stream", "[core][stream_rpc]") {
    callee to;
    auto numbers = to.open<count_to>(1);
    {
        count_to call = to.next<count_to>();
        REQUIRE(call.try_send(3));
        REQUIRE(call.try_send(4));
        call.finish();
    }
    int sum = 0;
    auto all = heph::for_each(numbers, [&](int number) { sum += number; });
    CHECK(all.poll(waker()).is_ready());
    CHECK(sum == 7);
}

TEST_CASE("stream_rpc: both sides may be dropped after any number of polls", "[core][stream_rpc]") {
    for (int polls = 0; polls < 40; ++polls) {
        for (const bool caller_first : {true, false}) {
            auto [tx, rx] = heph::inbox::channel<message>(1);
            std::vector<int> got;
            int sent = 0;
            bool good = false;
            std::optional answering(counter(std::move(rx), &sent));
            std::optional asking(asks(actor_ref<message>(std::move(tx)), 5, &got, &good));
            bool answered = false;
            bool asked = false;
            for (int i = 0; i < polls; ++i) {
                if (i % 2 == 0 && !asked) { asked = asking->poll(waker()).is_ready(); }
                if (i % 2 == 1 && !answered) { answered = answering->poll(waker()).is_ready(); }
            }
            CHECK(got.size() <= 5);
            if (caller_first) { asking.reset(); }
            answering.reset();
            asking.reset();
        }
    }
}
