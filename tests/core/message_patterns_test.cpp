// What programs do with variants of messages, compiled with -O2 -Wall -Wextra -Werror whatever the
// build: g++ 12 must not warn of uninitialised memory where it inlines all of it.

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/match.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/channel.hpp>

namespace {

struct add {
    explicit add(int number) : amount(number) {}
    int amount;
};
struct named {
    explicit named(std::string to) : name(std::move(to)) {}
    std::string name;
};
using get_total = heph::rpc<void, int>;
using look_up = heph::rpc<std::string, std::string>;
struct get_other : heph::rpc<void, int> {
    using rpc::rpc;
};
using counter_message = std::variant<add, get_total>;
using any_message = std::variant<add, named, get_total, look_up, get_other>;

heph::task<> counter(heph::context<counter_message> ctx) {
    int total = 0;
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message, [&](add& more) { total += more.amount; },
            [&](get_total& call) { call.respond(total); });
    }
}

template <typename M>
std::pair<heph::actor_ref<M>, heph::inbox::receiver<M>> make_inbox() {
    auto [tx, rx] = heph::inbox::channel<M>(4);
    return {heph::actor_ref<M>(std::move(tx)), std::move(rx)};
}

// Nothing is known of where it leads.
[[gnu::noinline]] heph::actor_ref<counter_message> finished_actor() {
    auto [ref, inbox] = make_inbox<counter_message>();
    return ref;
}

}  // namespace

TEST_CASE("message patterns: sending to who knows whom", "[core][warnings]") {
    auto ref = finished_actor();
    CHECK_FALSE(ref.is_connected());
    CHECK_FALSE(ref.try_send(counter_message(std::in_place_type<add>, 1)));
}

TEST_CASE("message patterns: sending to an actor that was dropped", "[core][warnings]") {
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(counter),
                                           heph::no_runtime(), heph::actor_options());
    { auto gone = std::move(running); }
    CHECK_FALSE(ref.is_connected());
    CHECK_FALSE(ref.try_send(counter_message(std::in_place_type<add>, 1)));
    CHECK_FALSE(ref.try_send(add(1)));
    CHECK_FALSE(ref.try_emplace<add>(1));
}

TEST_CASE("message patterns: a call that is made and answered in one function",
          "[core][warnings]") {
    auto [ref, inbox] = make_inbox<counter_message>();
    auto calling = ref.rpc();
    CHECK_FALSE(calling.poll(heph::waker()).is_ready());
    REQUIRE(ref.try_send(add(1)));
    while (auto message = inbox.try_recv()) {
        heph::match(*message, [](add&) {}, [](get_total& call) { call.respond(2); });
    }
    CHECK(calling.poll(heph::waker()).value() == 2);
}

TEST_CASE("message patterns: a call made by hand, kept in a variable and in a vector",
          "[core][warnings]") {
    auto [ref, inbox] = make_inbox<any_message>();
    auto [tx, rx] = heph::inbox::oneshot<std::string>();
    any_message message = look_up("x", std::move(tx));
    REQUIRE(ref.try_send(std::move(message)));
    std::vector<any_message> kept;
    auto [other_tx, other_rx] = heph::inbox::oneshot<int>();
    kept.emplace_back(get_other(std::move(other_tx)));
    kept.emplace_back(named("y"));
    for (any_message& each : kept) { REQUIRE(ref.try_send(std::move(each))); }
    any_message got = std::move(*inbox.try_recv());
    got = std::move(*inbox.try_recv());
    CHECK(std::holds_alternative<get_other>(got));
    CHECK_FALSE(rx.is_connected());
}

TEST_CASE("message patterns: a message that comes back, through a mapping too",
          "[core][warnings]") {
    auto [tx, made] = heph::inbox::channel<any_message>(1);
    const heph::actor_ref<any_message> ref(std::move(tx));
    { auto gone = std::move(made); }
    auto sent = ref.try_send(named("z"));
    REQUIRE_FALSE(sent);
    any_message back = std::move(sent.error()).value();
    CHECK(std::get<named>(back).name == "z");
    const auto mapped = ref.map<named>();
    auto again = mapped.try_send(named("q"));
    REQUIRE_FALSE(again);
    CHECK(std::move(again.error()).value().name == "q");
    auto calling = ref.map<look_up>().rpc("w");
    auto answered = calling.poll(heph::waker());
    CHECK(answered.value().error() == heph::rpc_error::disconnected);
}
