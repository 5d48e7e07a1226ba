#include <heph/core/actor_ref.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/context.hpp>

using heph::actor_ref;
using heph::context;
using heph::send_failure;
using heph::waker;

namespace {

using text_pointer = std::unique_ptr<std::string>;

text_pointer text(const char* of) { return std::make_unique<std::string>(of); }

// An inbox and the reference to it, without an actor.
template <typename M>
struct box {
    explicit box(std::size_t capacity) : box(heph::inbox::channel<M>(capacity)) {}
    explicit box(std::pair<heph::inbox::sender<M>, heph::inbox::receiver<M>> ends)
        : ref(std::move(ends.first)),
          ctx(std::in_place, std::move(ends.second), heph::no_runtime()) {}
    actor_ref<M> ref;
    std::optional<context<M>> ctx;
};

struct named {
    named(std::string first, std::string second) : text(std::move(first) + std::move(second)) {}
    std::string text;
};

}  // namespace

static_assert(heph::future<heph::send_future<int>> && heph::future<heph::join_ref_future<int>>);
static_assert(!std::is_aggregate_v<heph::send_future<int>> &&
              !std::is_aggregate_v<heph::join_ref_future<int>>);
static_assert(std::is_copy_constructible_v<actor_ref<text_pointer>>);

TEST_CASE("actor_ref: try_send gives a message back from a full inbox", "[core][actor_ref]") {
    box<text_pointer> actor(1);
    REQUIRE(actor.ref.try_send(text("first")));
    auto second = actor.ref.try_send(text("second"));
    REQUIRE_FALSE(second);
    CHECK(second.error().reason() == send_failure::full);
    CHECK(second.error().message() == "the actor's inbox is full");
    REQUIRE(second.error().has_value());
    CHECK(*second.error().value() == "second");
    CHECK(**actor.ctx->try_receive() == "first");
    CHECK(actor.ref.try_send(std::move(second).error().value()));
    CHECK(**actor.ctx->try_receive() == "second");
}

TEST_CASE("actor_ref: a finished actor gives messages back, waiting ones too",
          "[core][actor_ref]") {
    box<text_pointer> actor(1);
    REQUIRE(actor.ref.try_send(text("first")));
    auto waiting = actor.ref.send(text("second"));
    CHECK_FALSE(waiting.poll(waker()).is_ready());
    CHECK(actor.ref.is_connected());
    actor.ctx.reset();
    CHECK_FALSE(actor.ref.is_connected());
    auto sent = waiting.poll(waker());
    REQUIRE(sent.is_ready());
    REQUIRE_FALSE(sent.value());
    CHECK(sent.value().error().reason() == send_failure::disconnected);
    CHECK(*sent.value().error().value() == "second");
    auto refused = actor.ref.try_send(text("third"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason() == send_failure::disconnected);
    CHECK(*refused.error().value() == "third");
}

TEST_CASE("actor_ref: send waits for room, in order", "[core][actor_ref]") {
    box<int> actor(1);
    REQUIRE(actor.ref.try_send(1));
    auto second = actor.ref.send(2);
    auto third = actor.ref.send(3);
    CHECK_FALSE(second.poll(waker()).is_ready());
    CHECK_FALSE(third.poll(waker()).is_ready());
    CHECK(actor.ctx->try_receive() == 1);
    CHECK_FALSE(third.poll(waker()).is_ready());
    CHECK(second.poll(waker()).is_ready());
    CHECK(actor.ctx->try_receive() == 2);
    CHECK(third.poll(waker()).is_ready());
    CHECK(actor.ctx->try_receive() == 3);
}

TEST_CASE("actor_ref: emplace makes the message in place", "[core][actor_ref]") {
    box<named> one(2);
    REQUIRE(one.ref.try_emplace("a", "b"));
    auto sending = one.ref.emplace("c", "d");
    REQUIRE(sending.poll(waker()).is_ready());
    CHECK(one.ctx->try_receive()->text == "ab");
    CHECK(one.ctx->try_receive()->text == "cd");

    box<std::variant<int, named, text_pointer>> several(3);
    REQUIRE(several.ref.try_emplace<named>("a", "b"));
    REQUIRE(several.ref.try_emplace<int>(5));
    auto received = several.ctx->try_receive();
    CHECK(std::get<named>(*received).text == "ab");
    received = several.ctx->try_receive();
    CHECK(std::get<int>(*received) == 5);
}

TEST_CASE("actor_ref: copies lead to the same actor, and compare so", "[core][actor_ref]") {
    box<int> one(1);
    box<int> other(1);
    const actor_ref<int> copy = one.ref;
    CHECK(copy == one.ref);
    CHECK(copy != other.ref);
    CHECK((copy <=> one.ref) == std::strong_ordering::equal);
    CHECK((copy < other.ref) != (other.ref < copy));
    CHECK(copy.id() == one.ref.id());
    CHECK(copy.sends_to(one.ref));
    CHECK_FALSE(copy.sends_to(other.ref));
    const std::unordered_set<actor_ref<int>> set{one.ref, copy, other.ref};
    CHECK(set.size() == 2);
    actor_ref<int> assigned = other.ref;
    assigned = copy;
    CHECK(assigned == one.ref);
}

TEST_CASE("actor_ref: join is ready when the actor is finished", "[core][actor_ref]") {
    box<int> actor(1);
    auto joining = actor.ref.join();
    CHECK_FALSE(joining.poll(waker()).is_ready());
    const auto mapped = actor.ref.map<short>();
    auto joining_mapped = mapped.join();
    CHECK_FALSE(joining_mapped.poll(waker()).is_ready());
    actor.ctx.reset();
    CHECK(joining.poll(waker()).is_ready());
    CHECK(joining_mapped.poll(waker()).is_ready());
    CHECK_FALSE(mapped.is_connected());
}

TEST_CASE("actor_ref: to_function calls it with each message", "[core][actor_ref]") {
    std::vector<int> got;
    const auto ref = actor_ref<int>::to_function([&got](int message) { got.push_back(message); });
    REQUIRE(ref.try_send(1));
    auto sending = ref.send(2);
    REQUIRE(sending.poll(waker()).value());
    CHECK(got == std::vector<int>{1, 2});
    CHECK(ref.is_connected());
    auto joining = ref.join();
    CHECK_FALSE(joining.poll(waker()).is_ready());
    const auto other = actor_ref<int>::to_function([](int) {});
    CHECK(ref != other);
    CHECK(ref == actor_ref<int>(ref));
}

TEST_CASE("actor_ref: a function refuses, and gives back what it only looked at",
          "[core][actor_ref]") {
    const auto looks =
        actor_ref<text_pointer>::to_function([](const text_pointer& it) { return *it == "yes"; });
    REQUIRE(looks.try_send(text("yes")));
    auto refused = looks.try_send(text("no"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason() == send_failure::refused);
    REQUIRE(refused.error().has_value());
    CHECK(*refused.error().value() == "no");

    const auto takes = actor_ref<text_pointer>::to_function([](text_pointer) { return false; });
    auto lost = takes.try_send(text("no"));
    REQUIRE_FALSE(lost);
    CHECK(lost.error().reason() == send_failure::refused);
    CHECK_FALSE(lost.error().has_value());
}

TEST_CASE("actor_ref: to_nothing takes and destroys every message", "[core][actor_ref]") {
    const auto ref = actor_ref<std::shared_ptr<int>>::to_nothing();
    const auto watched = std::make_shared<int>(1);
    REQUIRE(ref.try_send(watched));
    CHECK(watched.use_count() == 1);
    CHECK(ref.is_connected());
}

TEST_CASE("actor_ref: a dropped send was not sent", "[core][actor_ref]") {
    box<std::shared_ptr<int>> actor(1);
    const auto watched = std::make_shared<int>(1);
    REQUIRE(actor.ref.try_send(nullptr));
    {
        auto waiting = actor.ref.send(watched);
        CHECK_FALSE(waiting.poll(waker()).is_ready());
        CHECK(watched.use_count() == 2);
    }
    CHECK(watched.use_count() == 1);
    CHECK(actor.ctx->try_receive() == nullptr);
    CHECK(actor.ctx->try_receive().error() == heph::receive_error::empty);
}
