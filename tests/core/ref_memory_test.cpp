#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <catch2/catch.hpp>
#include <heph/core/actor_group.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/context.hpp>
#include <heph/inbox/channel.hpp>

#include "core/counting_new.hpp"

using heph::actor_ref;
using heph::waker;
using heph::test::allocations;

namespace {

struct add {
    explicit add(int number) : amount(number) {}
    int amount;
};
using text = std::array<char, 40>;
using get_total = heph::rpc<void, int>;
using message = std::variant<add, text, get_total>;

template <typename M>
std::pair<actor_ref<M>, heph::inbox::receiver<M>> make_inbox(std::size_t capacity) {
    auto [tx, rx] = heph::inbox::channel<M>(capacity);
    return {actor_ref<M>(std::move(tx)), std::move(rx)};
}

// Counts, as Catch's assertions allocate.
template <typename F>
std::size_t allocated_by(F function) {
    const std::size_t before = allocations();
    function();
    return allocations() - before;
}

}  // namespace

TEST_CASE("memory: the counter counts", "[core][memory]") {
    CHECK(allocated_by([] {
              int* volatile kept = new int(1);  // So that it is not optimised away.
              delete kept;
          }) == 1);
}

TEST_CASE("memory: sending allocates nothing, whether it waits or not", "[core][memory]") {
    auto [made, inbox] = make_inbox<message>(1);
    const actor_ref<message> ref = made;
    bool good = true;
    CHECK(allocated_by([&] {
              for (int i = 0; i < 100; ++i) {
                  good = good && ref.try_send(add(i)).has_value();
                  auto sending = ref.send(add(i));
                  good = good && !sending.poll(waker()).is_ready();
                  good = good && inbox.try_recv().has_value();
                  good = good && sending.poll(waker()).value().has_value();
                  good = good && inbox.try_recv().has_value();
              }
          }) == 0);
    CHECK(good);
}

TEST_CASE("memory: sending through a mapping allocates nothing, the first time too",
          "[core][memory]") {
    auto [ref, inbox] = make_inbox<message>(1);
    const actor_ref<add> mapped = ref.map<add>();
    const auto by_function = ref.map_fn<int>([](int number) { return add(number); });
    const auto tried = ref.try_map_fn<int>([](int number) {
        return number < 0 ? std::optional<message>() : std::optional<message>(add(number));
    });
    bool good = true;
    const auto send_both_ways = [&](const auto& to, auto what) {
        good = good && to.try_send(what).has_value();
        auto full = to.try_send(what);
        good = good && !full && full.error().reason() == heph::send_failure::full;
        auto sending = to.send(what);
        good = good && !sending.poll(waker()).is_ready();
        good = good && inbox.try_recv().has_value();
        good = good && sending.poll(waker()).value().has_value();
        good = good && inbox.try_recv().has_value();
    };
    CHECK(allocated_by([&] { send_both_ways(mapped, add(1)); }) == 0);
    CHECK(allocated_by([&] { send_both_ways(by_function, 2); }) == 0);
    CHECK(allocated_by([&] { send_both_ways(tried, 3); }) == 0);
    CHECK(good);
}

TEST_CASE("memory: a mapping of a variant to a larger one allocates nothing for a message",
          "[core][memory]") {
    auto [ref, inbox] = make_inbox<message>(1);
    using part = std::variant<add, text>;
    const actor_ref<part> mapped = ref.map<part>();
    bool good = true;
    CHECK(allocated_by([&] {
              auto sending = mapped.send(text());
              good = sending.poll(waker()).value().has_value();
          }) == 0);
    CHECK(good);
    CHECK(std::holds_alternative<text>(*inbox.try_recv()));
}

TEST_CASE("memory: joining through a mapping allocates nothing", "[core][memory]") {
    auto [ref, made] = make_inbox<message>(1);
    std::optional inbox(std::move(made));
    const actor_ref<add> mapped = ref.map<add>();
    bool good = true;
    CHECK(allocated_by([&] {
              auto joining = mapped.join();
              good = !joining.poll(waker()).is_ready();
              inbox.reset();
              good = good && joining.poll(waker()).is_ready();
          }) == 0);
    CHECK(good);
}

TEST_CASE(
    "memory: a call allocates nothing but its reply slot, which the thread keeps for the next",
    "[core][memory]") {
    auto [ref, inbox] = make_inbox<message>(1);
    const actor_ref<get_total> mapped = ref.map<get_total>();
    bool first = true;
    for (const bool through_a_mapping : {false, true, false}) {
        int answer = 0;
        const auto allocations = allocated_by([&] {
            const auto ask = [&](const auto& to) {
                auto calling = to.template rpc<get_total>();
                if (calling.poll(waker()).is_ready()) { return; }
                message got = std::move(*inbox.try_recv());
                std::get<get_total>(got).respond(5);
                answer = calling.poll(waker()).value().value_or(0);
            };
            through_a_mapping ? ask(mapped) : ask(ref);
        });
        // The thread may have kept a slot from before; under the address sanitizer it keeps none.
        const bool keeps = !heph::inbox::detail::block_pool::is_from_system();
        CHECK(allocations <= (first || !keeps ? 1U : 0U));
        first = false;
        CHECK(answer == 5);
    }
}

TEST_CASE("memory: sending to one or all of a group allocates nothing when there is room",
          "[core][memory]") {
    heph::actor_group<add> group;
    auto [first, first_inbox] = make_inbox<add>(4);
    auto [second, second_inbox] = make_inbox<add>(4);
    group.add(first);
    group.add(second);
    bool good = true;
    CHECK(allocated_by([&] {
              good = group.try_send_to_one(add(1)).has_value();
              good = good && group.try_send_to_one(add(1), heph::by_key(7)).has_value();
              good = good && group.try_send_to_all(add(2)).all_sent();
              auto sending = group.send_to_one(add(3));
              good = good && sending.poll(waker()).value().has_value();
          }) == 0);
    CHECK(good);
}

TEST_CASE("memory: receiving, peeking and deadlines of one's own allocate nothing",
          "[core][memory]") {
    auto [tx, rx] = heph::inbox::channel<int>(2);
    const actor_ref<int> ref(std::move(tx));
    heph::context<int> ctx(std::move(rx), heph::no_runtime());
    bool good = ref.try_send(1).has_value();
    CHECK(allocated_by([&] {
              auto peeking = ctx.peek();
              good = good && *peeking.poll(waker()).value() == 1;
              auto receiving = ctx.receive();
              good = good && receiving.poll(waker()).value() == 1;
          }) == 0);
    CHECK(good);
}
