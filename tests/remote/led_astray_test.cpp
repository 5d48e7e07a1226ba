// What references lead to: nodes that are not there, that have moved, or were made up.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/testing/step_executor.hpp>
#include <heph/remote/memory_network.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
using heph::remote::memory_network;
using heph::remote::remote_ref;
using heph::testing::step_context;
using heph::testing::step_executor;
using heph::testing::step_runtime;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

using counter_ref = remote_ref<counter_message>;

struct hand_over {
    hand_over() = default;
    explicit hand_over(counter_ref which) : counter(std::move(which)) {}
    counter_ref counter;
};
HEPH_MESSAGE(hand_over, "test.hand_over", 1, counter)

// The same on the wire, with whatever its sender says.
struct forged_hand_over {
    forged_hand_over() = default;
    forged_hand_over(std::string node, std::string address) {
        counter.node = std::move(node);
        counter.address = std::move(address);
        counter.incarnation = {1, 1};
        counter.number = 1;
        counter.types = {"test.add@1"};
    }
    remote::detail::reference_form counter;
};
HEPH_MESSAGE(forged_hand_over, "test.hand_over", 1, counter)

/// Keeps what it is given, and sends something there at once.
template <typename RT>
heph::task<> eager(heph::context<hand_over, RT> ctx, std::vector<counter_ref>* kept) {
    while (auto message = co_await ctx.receive()) {
        kept->push_back(message->counter);
        (void)message->counter.try_send(add(1));
    }
}

heph::task<> join_into(counter_ref which, std::optional<failure>* why) {
    *why = co_await which.join();
}

// Nodes "a", "b", … in virtual time.
struct stepped {
    stepped() { links.patience = 500ms; }

    remote::options named(const std::string& name) {
        return quick_options(name).links(links).network(network);
    }
    remote::node start(const remote::options& settings) {
        auto started = remote::start_stepped(run, settings);
        if (!started) { throw std::runtime_error(started.error().message()); }
        return std::move(*started);
    }
    heph::actor_ref<counter_message> make_counter() {
        return run.spawn(run.supervisor(), heph::actor_fn(counter_on<step_runtime>),
                         std::make_shared<counter_state>());
    }
    /// Starts a node to which a dialer, "evil", gives references; they are kept in `kept`.
    remote::node start_eager(const remote::options& settings) {
        auto made = start(settings);
        made.publish("eager",
                     run.spawn(run.supervisor(), heph::actor_fn(eager<step_runtime>), &kept));
        return made;
    }
    void forge(const remote::node& by, const std::string& node, const std::string& address,
               const std::string& at = "a") {
        const auto to = run.block_on(by.find<forged_hand_over>(at, "eager", plenty));
        REQUIRE(to);
        const forged_hand_over said(node, address);
        REQUIRE(run.block_on(to->send(said)));
    }

    remote::link_settings links = quick_links();
    step_executor run{heph::testing::schedule::in_order(), [] {
                          heph::testing::step_options bounds;
                          bounds.polls_max = 10'000'000;
                          return bounds;
                      }()};
    memory_network network;
    std::vector<counter_ref> kept;
};

bool knows(const remote::node& node, std::string_view peer) {
    return std::ranges::any_of(node.peers(),
                               [peer](const auto& each) { return each.name == peer; });
}

}  // namespace

TEST_CASE("reference: made-up ones take few places, and real nodes get them back",
          "[remote][reference]") {
    const log_lines log;
    stepped with;
    with.links.learned_peers_max = 4;
    with.links.peers_max = 5;
    const auto a = with.start_eager(with.named("a").listen("memory:a"));
    const auto evil = with.start(with.named("evil").peer("a", "memory:a"));
    for (int i = 0; i < 20; ++i) {
        with.forge(evil, "nobody" + std::to_string(i), "memory:nowhere" + std::to_string(i));
    }
    REQUIRE(with.run.run_until([&] { return with.kept.size() == 20; }, 1min));
    CHECK(a.peers().size() == 5);
    CHECK(a.is_linked("evil"));
    CHECK(log_lines::with("does not dial nobody4 at memory:nowhere4") == 1);

    // One that dials is taken all the same.
    const auto d = with.start(with.named("d").peer("a", "memory:a"));
    CHECK(with.run.run_until([&] { return a.is_linked("d"); }, 1s));
    CHECK(a.peers().size() == 5);

    // And so is one to which a good reference leads, once the others had their time.
    const auto c = with.start(with.named("c").listen("memory:c"));
    with.run.advance(1s);
    with.forge(evil, "c", "memory:c");
    CHECK(with.run.run_until([&] { return a.is_linked("c"); }, 1s));
    CHECK(a.peers().size() == 5);
    for (const auto& each : {a, evil, c, d}) { each.stop(); }
    with.run.advance(10s);
}

TEST_CASE("reference: it does not lead to a Unix socket where nobody uses them",
          "[remote][reference]") {
    const log_lines log;
    stepped with;
    const auto a = with.start_eager(with.named("a").listen("memory:a"));
    const auto evil = with.start(with.named("evil").peer("a", "memory:a"));
    with.forge(evil, "u", "unix:/run/some.sock");
    with.forge(evil, "t", "192.0.2.1:1");
    REQUIRE(with.run.run_until([&] { return knows(a, "t"); }, 1min));
    CHECK_FALSE(knows(a, "u"));
    const auto b =
        with.start_eager(with.named("b").listen("memory:b").peer("v", "unix:/run/other.sock"));
    CHECK(evil.add_peer("b", "memory:b"));
    with.forge(evil, "u", "unix:/run/some.sock", "b");
    CHECK(with.run.run_until([&] { return knows(b, "u"); }, 1min));
    for (const auto& each : {a, b, evil}) { each.stop(); }
    with.run.advance(10s);
}

TEST_CASE("reference: a newer one leads to a node that moved, before the older address is given up",
          "[remote][reference]") {
    stepped with;
    const auto a = with.start_eager(with.named("a").listen("memory:a"));
    const auto introduce = [&](const remote::node& by, const counter_ref& which) {
        const auto to = with.run.block_on(by.find<hand_over>("a", "eager", plenty));
        REQUIRE(to);
        const hand_over said(which);
        const std::size_t before = with.kept.size();
        REQUIRE(with.run.block_on(to->send(said)));
        REQUIRE(with.run.run_until([&] { return with.kept.size() == before + 1; }, 1min));
    };
    const auto d = with.start(with.named("d").listen("memory:d").peer("a", "memory:a"));
    // "d" is told of both by whom they dial.
    std::vector<counter_ref> at_d;
    d.publish("eager",
              with.run.spawn(with.run.supervisor(), heph::actor_fn(eager<step_runtime>), &at_d));
    const auto tell_d = [&](const remote::node& by) {
        const auto to = with.run.block_on(by.find<hand_over>("d", "eager", plenty));
        REQUIRE(to);
        const hand_over said(by.share(with.make_counter()));
        REQUIRE(with.run.block_on(to->send(said)));
    };
    const auto first = with.start(with.named("c").listen("memory:c1").peer("d", "memory:d"));
    tell_d(first);
    REQUIRE(with.run.run_until([&] { return at_d.size() == 1; }, 1min));
    first.stop();
    with.run.advance(1s);
    const auto second = with.start(with.named("c").listen("memory:c2").peer("d", "memory:d"));
    tell_d(second);
    REQUIRE(with.run.run_until([&] { return at_d.size() == 2; }, 1min));

    introduce(d, at_d[0]);
    with.run.advance(1s);  // Longer than the patience: the older address is known not to work.
    CHECK(with.run.block_on(with.kept[0].rpc<get_total>(plenty)) ==
          std::unexpected(failure::node_down));
    introduce(d, at_d[1]);
    // Of "d" and of "a".
    CHECK(with.run.block_on(with.kept[1].rpc<get_total>(1s)) == 2);
    CHECK(with.run.block_on(with.kept[0].rpc<get_total>(plenty)) ==
          std::unexpected(failure::node_down));
    for (const auto& each : {a, d, second}) { each.stop(); }
    with.run.advance(10s);
}

TEST_CASE("reference: a place that says nothing does not hold up the other places of its node",
          "[remote][reference]") {
    stepped with;
    with.links.handshake_time = 20s;
    with.links.grace = 5min;
    const auto a = with.start_eager(with.named("a").listen("memory:a"));
    const auto evil = with.start(with.named("evil").peer("a", "memory:a"));
    // It takes connections, and hears nothing.
    const auto silent = with.start(with.named("silent").listen("memory:silent"));
    with.network.stall("silent", memory_network::direction::from_dialer, true);
    with.forge(evil, "c", "memory:c");
    with.forge(evil, "c", "memory:silent");
    REQUIRE(with.run.run_until([&] { return with.network.connections("silent") != 0; }, 1min));

    // An answer takes longer than the first attempts are given, and gets its time.
    with.network.delay("c", 1500ms);
    auto c = with.start(with.named("c").listen("memory:c"));
    const auto begun = with.run.clock().now();
    CHECK(with.run.run_until([&] { return a.is_linked("c"); }, 1min));
    CHECK(with.run.clock().now() - begun < 20s);
    c.stop();
    with.run.advance(10s);
    for (const auto& each : {a, evil, silent}) { each.stop(); }
    with.run.advance(10s);
}

TEST_CASE("watch: a join that begins during a cut does not tell of an end that did not happen",
          "[remote][watch]") {
    stepped with;
    const auto a = with.start(with.named("a").listen("memory:a"));
    const auto counter = with.make_counter();
    a.publish("counter", counter);
    const auto b = with.start(with.named("b").peer("a", "memory:a"));
    const auto found = with.run.block_on(b.find<counter_message>("a", "counter", plenty));
    REQUIRE(found);
    with.network.refuse("a", true);
    with.network.cut("a");
    with.run.advance(2s);  // Longer than the patience, shorter than the grace.
    std::optional<failure> why;
    with.run.spawn_future(join_into(*found, &why));
    with.run.advance(5s);
    CHECK(!why);
    with.network.refuse("a", false);
    REQUIRE(with.run.run_until([&] { return b.is_linked("a"); }, 1min));
    with.run.advance(1s);
    CHECK(!why);
    CHECK(counter.try_send(finish()));
    CHECK(with.run.run_until([&] { return why.has_value(); }, 1s));
    CHECK(why == failure::actor_gone);

    // The grace counts for it as for all that was under way.
    const auto other = with.make_counter();
    a.publish("counter", other);
    const auto again = with.run.block_on(b.find<counter_message>("a", "counter", plenty));
    REQUIRE(again);
    with.network.refuse("a", true);
    with.network.cut("a");
    with.run.advance(2s);
    std::optional<failure> lost;
    with.run.spawn_future(join_into(*again, &lost));
    CHECK(with.run.run_until([&] { return lost.has_value(); }, 1min));
    CHECK(lost == failure::node_down);
    a.stop();
    b.stop();
    with.run.advance(10s);
}

TEST_CASE("reference: to a node that listens at any address, it leads where it was found",
          "[remote][reference]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto a = start(worker, quick_options("a").listen("0.0.0.0:0"));
        CHECK(log_lines::with("says nowhere where it is reached") == 1);
        a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        const std::string at = "127.0.0.1" + a.address().substr(a.address().rfind(':'));
        const auto b = start(worker, quick_options("b").peer("a", at));
        const auto c = start(worker, listening("c"));
        std::vector<counter_ref> kept;
        c.publish("eager", worker.spawn(heph::no_supervisor(),
                                        heph::actor_fn(eager<rt::local_runtime>), &kept));
        CHECK(b.add_peer("c", c.address()));
        auto found = co_await b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        auto to = co_await b.find<hand_over>("c", "eager", plenty);
        REQUIRE(to);
        const hand_over said(*found);
        const auto sent = co_await to->send(said);
        REQUIRE(sent);
        const bool arrived = co_await eventually([&] { return kept.size() == 1; });
        REQUIRE(arrived);
        const auto total = co_await kept[0].rpc<get_total>(plenty);
        CHECK(total == 1);
    });
}
