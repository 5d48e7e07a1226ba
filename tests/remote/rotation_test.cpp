// Nodes that get other secrets while they run.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <heph/core/testing/step_executor.hpp>
#include <heph/remote/memory_network.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::credentials;
using heph::remote::links_that_are_up;
using heph::testing::step_executor;
using heph::testing::step_runtime;
namespace remote = heph::remote;

namespace {

constexpr std::string_view former = "the secret that there was before";
constexpr std::string_view next = "the secret that there is from now on";

// A node "a" that listens, and those that dial it.
class rotating {
public:
    rotating() {
        a.emplace(start("a", former, false));
        a->publish("counter",
                   run.spawn(run.supervisor(), heph::actor_fn(counter_on<step_runtime>), state));
    }

    remote::node start(std::string name, std::string_view secret, bool dials = true) {
        remote::options settings(std::move(name), secret_of(secret));
        remote::link_settings links = quick_links();
        links.grace = 30s;
        settings.network(network).links(links);
        dials ? settings.peer("a", "memory:a") : settings.listen("memory:a");
        return remote::start_stepped(run, settings).value();
    }
    [[nodiscard]] bool links_to_a(const remote::node& who, std::chrono::seconds in = 5s) {
        return run.run_until([&] { return who.is_linked("a") && a->is_linked(who.name()); }, in);
    }
    void cut() {
        network.cut("a");
        run.advance(1ms);
    }
    // Each connection that was linked at a is a line of its own.
    [[nodiscard]] static std::size_t links_made() { return log_lines::with("node a: linked to"); }

    step_executor run{heph::testing::schedule::in_order()};
    remote::memory_network network;
    std::shared_ptr<counter_state> state = std::make_shared<counter_state>();
    std::optional<remote::node> a;
};

}  // namespace

TEST_CASE("rotation: both secrets link while both are accepted, and links that are up stay",
          "[remote][memory][rotation]") {
    const log_lines log;
    rotating all;
    const auto b = all.start("b", former);
    REQUIRE(all.links_to_a(b));
    const auto early = all.start("early", next);
    CHECK_FALSE(all.links_to_a(early));
    // One after the other: a accepts the new one as well, then uses it, then forgets the former.
    REQUIRE(all.a->set_credentials(credentials(secret_of(former)).also_accept(secret_of(next))));
    CHECK(all.links_to_a(early));
    const auto late = all.start("late", former);
    CHECK(all.links_to_a(late));
    REQUIRE(all.a->set_credentials(credentials(secret_of(next)).also_accept(secret_of(former))));
    REQUIRE(all.a->set_credentials(credentials(secret_of(next))));
    all.run.advance(5s);
    INFO(log_lines::all());
    CHECK(b.is_linked("a"));
    CHECK(late.is_linked("a"));
    CHECK(all.links_made() == 3);
    const auto fresh = all.start("fresh", next);
    CHECK(all.links_to_a(fresh));
    const auto outdated = all.start("outdated", former);
    CHECK_FALSE(all.links_to_a(outdated));
}

TEST_CASE("rotation: what is under way goes on behind a connection that is made by the new secret",
          "[remote][memory][rotation]") {
    const log_lines log;
    rotating all;
    const auto b = all.start("b", former);
    const auto found = all.run.block_on(b.find<counter_message>("a", "counter", 1min));
    REQUIRE(found);
    for (int amount = 1; amount <= 3; ++amount) { REQUIRE(found->try_send(add(amount))); }
    // The end that dials has only the former one when the connection breaks.
    REQUIRE(all.a->set_credentials(credentials(secret_of(next))));
    all.run.advance(100ms);
    all.cut();
    for (int amount = 4; amount <= 6; ++amount) { REQUIRE(found->try_send(add(amount))); }
    CHECK_FALSE(all.links_to_a(b, 2s));
    REQUIRE(b.set_credentials(credentials(secret_of(next))));
    // At once, though attempts that failed have made its pauses long.
    CHECK(all.links_to_a(b, 1s));
    CHECK(all.run.block_on(found->rpc<get_total>(1min)) == 21);
    CHECK(all.state->amounts == std::vector<int>{1, 2, 3, 4, 5, 6});

    // The end that dials has only the new one.
    const auto c = all.start("c", next);
    REQUIRE(all.links_to_a(c));
    REQUIRE(c.set_credentials(credentials(secret_of(former))));
    REQUIRE(all.links_to_a(c));
    all.cut();
    CHECK_FALSE(all.links_to_a(c));
    REQUIRE(all.a->set_credentials(credentials(secret_of(next)).also_accept(secret_of(former))));
    CHECK(all.links_to_a(c));
}

TEST_CASE("rotation: links that are up are made anew on demand, and only by who has the new secret",
          "[remote][memory][rotation]") {
    const bool at_dialer = GENERATE(false, true);
    const log_lines log;
    rotating all;
    const auto b = all.start("b", former);
    const auto found = all.run.block_on(b.find<counter_message>("a", "counter", 1min));
    REQUIRE(found);
    auto watching = b.watch("a");
    const auto& first = at_dialer ? b : *all.a;
    const auto& second = at_dialer ? *all.a : b;
    REQUIRE(first.set_credentials(credentials(secret_of(next)), links_that_are_up::renewed));
    CHECK(all.run.run_until([&] { return !b.is_linked("a") && !all.a->is_linked("b"); }, 1s));
    REQUIRE(found->try_send(add(7)));
    CHECK_FALSE(all.links_to_a(b, 2s));  // Within the patience.
    REQUIRE(second.set_credentials(credentials(secret_of(next)), links_that_are_up::renewed));
    CHECK(all.links_to_a(b));
    CHECK(all.run.block_on(found->rpc<get_total>(1min)) == 7);
    CHECK_FALSE(watching.poll(heph::waker()).is_ready());
    CHECK(all.links_made() == 2);
}

TEST_CASE("rotation: a handshake that is under way ends, and begins again with the new secret",
          "[remote][memory][rotation]") {
    const log_lines log;
    rotating all;
    all.network.stall("a", remote::memory_network::direction::to_dialer, true);
    const auto b = all.start("b", next);
    all.run.advance(10ms);
    REQUIRE(all.a->set_credentials(credentials(secret_of(next))));
    all.network.stall("a", remote::memory_network::direction::to_dialer, false);
    CHECK(all.links_to_a(b));
}

TEST_CASE("rotation: a node of plain text takes no secret, and others stay as they are",
          "[remote][memory][rotation]") {
    const log_lines log;
    step_executor run(heph::testing::schedule::in_order());
    const remote::memory_network network;
    const auto plain = remote::start_stepped(run, quick_plain_text("a").network(network)).value();
    const auto refused = plain.set_credentials(credentials(secret_of(next)));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message().contains("plain text"));
}
