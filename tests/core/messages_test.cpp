#include <heph/core/messages.hpp>

#include <csignal>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <catch2/catch.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/match.hpp>
#include <heph/core/task.hpp>
#include <heph/inbox/channel.hpp>

#include "support/poll_loop.hpp"

namespace messages = heph::messages;

namespace {

using message = std::variant<messages::start, messages::ack, messages::done, messages::cancel,
                             messages::terminate, messages::signal, std::string>;

std::string name_of(const message& what) {
    return heph::match(
        what, [](const std::string& text) { return text; },
        [](messages::signal caught) { return "signal " + std::to_string(caught.number()); },
        [](auto other) { return std::string(to_string(other)); });
}

heph::task<> sends_all(heph::actor_ref<message> to) {
    // None of them needs a named variable within a co_await.
    (void)co_await to.send(messages::start());
    (void)co_await to.send(messages::ack());
    (void)co_await to.send(messages::done());
    (void)co_await to.send(messages::cancel());
    (void)co_await to.send(messages::terminate());
    (void)co_await to.send(messages::signal(SIGTERM));
    (void)co_await to.emplace<std::string>("text");
}

}  // namespace

static_assert(!std::is_aggregate_v<messages::start> && !std::is_aggregate_v<messages::signal>);
static_assert(std::is_trivially_copyable_v<messages::terminate>);
static_assert(messages::done() == messages::done());
static_assert(messages::signal(1) < messages::signal(2));

TEST_CASE("messages: each one converts to a variant that has it", "[core][messages]") {
    auto [tx, rx] = heph::inbox::channel<message>(8);
    heph::test::poll_loop loop;
    loop.spawn(sends_all(heph::actor_ref<message>(std::move(tx))));
    loop.run();
    REQUIRE(loop.unfinished() == 0);
    std::string all;
    while (auto next = rx.try_recv()) { all += name_of(*next) + ";"; }
    CHECK(all == "start;ack;done;cancel;terminate;signal 15;text;");
}

TEST_CASE("messages: a reference for a variant becomes one for some of its messages",
          "[core][messages][map]") {
    auto [tx, rx] = heph::inbox::channel<message>(8);
    const heph::actor_ref<message> ref(std::move(tx));
    const heph::actor_ref<messages::terminate> stop = ref;
    const heph::actor_ref<std::variant<messages::start, messages::cancel>> control = ref;
    REQUIRE(stop.try_send(messages::terminate()));
    REQUIRE(control.try_send(messages::cancel()));
    CHECK(stop.sends_to(ref));
    CHECK(control.sends_to(stop));
    CHECK(name_of(*rx.try_recv()) == "terminate");
    CHECK(name_of(*rx.try_recv()) == "cancel");
    STATIC_REQUIRE_FALSE(std::is_convertible_v<heph::actor_ref<message>, heph::actor_ref<int>>);
    STATIC_REQUIRE_FALSE(
        std::is_convertible_v<heph::actor_ref<messages::done>, heph::actor_ref<message>>);
}
