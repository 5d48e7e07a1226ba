// What becomes of links while allocations fail: each of them, one after the other.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/testing/step_executor.hpp>
#include <heph/inbox/detail/block_pool.hpp>
#include <heph/remote/memory_network.hpp>

#include "remote/nodes.hpp"
#include "remote/wire.hpp"
#include "rt/failing_new.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
using heph::testing::step_executor;
using heph::testing::step_runtime;
namespace protocol = heph::remote::protocol;
namespace remote = heph::remote;

namespace {

// Each block is to be an allocation of its own, before the first one is made.
[[maybe_unused]] const bool no_pool = [] {
    heph::inbox::detail::block_pool::take_from_system();
    return true;
}();

// Does something while the allocation behind so many fails, and tells whether it threw.
template <typename Something>
bool throws_without(std::size_t before, std::size_t times, Something something) {
    bool has_thrown = false;
    heph::test::fail_allocation(before, times);
    try {
        something();
    } catch (const std::bad_alloc&) { has_thrown = true; }
    (void)heph::test::stop_failing();
    return has_thrown;
}

// Logs nowhere, and without memory.
class no_log {
public:
    no_log() : previous_(heph::set_log_handler(&drop)) {}
    no_log(const no_log&) = delete;
    no_log& operator=(const no_log&) = delete;
    ~no_log() { heph::set_log_handler(previous_); }

private:
    static void drop(heph::log_level, std::string_view) noexcept {}

    heph::log_handler previous_;
};

std::size_t count_failed(wire_end& of, std::uint64_t token) {
    std::size_t count = 0;
    of.collect_losses();
    for (const auto& each : of.events) {
        const auto* failed = std::get_if<protocol::message_failed>(&each);
        count += failed != nullptr && failed->token == token ? 1U : 0U;
    }
    return count;
}

}  // namespace

TEST_CASE("link: a message in parts is reported whichever allocation of its sending fails",
          "[remote][memory]") {
    const std::string large(2 * protocol::part_bytes + 1, 'x');
    std::size_t before = 0;
    for (bool has_thrown = true; has_thrown; ++before) {
        REQUIRE(before < 1000);
        wire_end a("a", 1);
        wire_end b("b", 2);
        connect(a, b);
        REQUIRE(a.peers.send(5, 7, 0, bytes_of_text(large)));
        has_thrown = throws_without(before, 1, [&] { a.flush(1024 * 1024); });
        CAPTURE(before);
        a.cut();
        // Nor does it get lost when the loss cannot be told at first.
        for (std::size_t at = 0; throws_without(at, 1, [&] { a.peers.lose(failure::node_down); });
             ++at) {
            REQUIRE(at < 1000);
        }
        CHECK(count_failed(a, 7) == 1);
    }
    CHECK(before > 5);
}

namespace {

// Two nodes that are linked, of which the one dials the other.
class two_nodes {
public:
    two_nodes()
        : a(start(quick_plain_text("a").listen("memory:a"))),
          b(start(quick_plain_text("b").peer("a", "memory:a"))) {
        state = std::make_shared<counter_state>();
        a.publish("counter",
                  run.spawn(run.supervisor(), heph::actor_fn(counter_on<step_runtime>), state));
        REQUIRE(run.run_until([&] { return a.is_linked("b") && b.is_linked("a"); }, 1min));
    }
    two_nodes(const two_nodes&) = delete;
    two_nodes& operator=(const two_nodes&) = delete;
    ~two_nodes() {
        a.stop();
        b.stop();
        run.advance(10s);
    }

    // What of the executor throws leaves it, and it goes on.
    void advance(std::chrono::milliseconds by) {
        const auto until = run.clock().now() + by;
        while (run.clock().now() < until) {
            try {
                run.advance(until - run.clock().now());
            } catch (const std::bad_alloc&) { continue; }
        }
    }

private:
    remote::node start(remote::options settings) {
        remote::link_settings links = quick_links();
        links.grace = 3'000ms;
        return remote::start_stepped(run, settings.network(network).links(links)).value();
    }

public:
    step_executor run{heph::testing::schedule::in_order()};
    remote::memory_network network;
    remote::node a;
    remote::node b;
    std::shared_ptr<counter_state> state;
};

}  // namespace

TEST_CASE("reconnect: whichever allocations fail, a peer is dialed again", "[remote][memory]") {
    const no_log nothing;
    const std::size_t times = GENERATE(std::size_t{1}, std::size_t{3}, std::size_t{8});
    std::size_t last = 0;
    for (std::size_t before = 0; before < 400; before += 1 + before / 16) {
        two_nodes nodes;
        nodes.network.cut("a");
        nodes.network.refuse("a", true);
        heph::test::fail_allocation(before, times);
        nodes.advance(300ms);
        if (heph::test::stop_failing()) { last = before; }
        nodes.network.refuse("a", false);
        CAPTURE(times, before);
        CHECK(nodes.run.run_until([&] { return nodes.b.is_linked("a"); }, 1min));
    }
    CHECK(last > 20);
}

namespace {

// Answers all that asked when it is told to add.
heph::task<> answer_later(heph::testing::step_context<counter_message> ctx) {
    std::vector<echo> asked;
    while (auto message = co_await ctx.receive()) {
        if (auto* call = std::get_if<echo>(&*message)) {
            asked.push_back(std::move(*call));
            continue;
        }
        for (echo& each : asked) { each.respond(std::move(each.request())); }
        asked.clear();
    }
}

heph::task<> note_end(heph::remote::rpc_future<text> of, std::shared_ptr<bool> told) {
    const auto answered = co_await of;
    (void)answered;
    *told = true;
}

}  // namespace

TEST_CASE("away: whichever allocation fails, who asked gets an end of an answer given meanwhile",
          "[remote][memory]") {
    const no_log nothing;
    bool has_failed = true;
    std::size_t before = 0;
    for (; has_failed; ++before) {
        REQUIRE(before < 2000);
        two_nodes nodes;
        const auto later = nodes.run.spawn(nodes.run.supervisor(), heph::actor_fn(answer_later));
        nodes.a.publish("later", later);
        const auto found = nodes.run.block_on(nodes.b.find<counter_message>("a", "later", 1h));
        REQUIRE(found);
        const auto told = std::make_shared<bool>(false);
        const text question("an answer that takes memory of its own");
        nodes.run.spawn_future(note_end(found->rpc<echo>(24h, question), told));
        nodes.run.advance(100ms);
        nodes.network.cut("a");
        nodes.network.refuse("a", true);
        nodes.run.advance(100ms);
        REQUIRE_FALSE(nodes.a.is_linked("b"));
        REQUIRE(later.try_send(add(1)));
        heph::test::fail_allocation(before, 3);  // Nor can it be said that it failed.
        nodes.advance(20ms);
        has_failed = heph::test::stop_failing();
        nodes.network.refuse("a", false);
        nodes.advance(10'000ms);
        CAPTURE(before);
        CHECK(*told);
    }
    CHECK(before > 1);
}
