// Nodes in a memory network: clusters without sockets, in virtual time.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>

#include <heph/core/testing/step_executor.hpp>
#include <heph/remote/memory_network.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
using heph::remote::memory_network;
using heph::remote::remote_ref;
using heph::testing::step_executor;
using heph::testing::step_runtime;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

remote::node start_in(step_executor& run, const remote::options& settings) {
    auto started = remote::start_stepped(run, settings);
    if (!started) { throw std::runtime_error(started.error().message()); }
    return std::move(*started);
}

remote::options in_memory(std::string name, const memory_network& network,
                          bool is_plain_text = false) {
    remote::link_settings links = quick_links();
    links.failures_max = 0;
    remote::options made = is_plain_text ? quick_plain_text(name) : quick_options(name);
    made.links(links).network(network).listen("memory:" + name);
    return made;
}

struct numbered {
    numbered() = default;
    numbered(int sender, int which, std::size_t bytes)
        : from(sender), index(which), padding(bytes, 'x') {}
    int from = 0;
    int index = 0;
    std::string padding;
};
HEPH_MESSAGE(numbered, "test.numbered", 1, from, index, padding)

// What became of the messages of all senders to all nodes.
struct tally {
    std::map<std::pair<std::string, int>, std::vector<int>> received;  // By node and sender.
    int accepted = 0;
    int refused = 0;
    int undelivered = 0;
    int senders_done = 0;

    [[nodiscard]] int delivered() const {
        std::size_t all = 0;
        for (const auto& [from, indices] : received) { all += indices.size(); }
        return static_cast<int>(all);
    }
    // Each once, and in order; there may be gaps.
    [[nodiscard]] bool is_ordered() const {
        return std::ranges::all_of(received, [](const auto& each) {
            return std::ranges::adjacent_find(each.second, std::greater_equal()) ==
                   each.second.end();
        });
    }
};

heph::task<> sink(heph::testing::step_context<numbered> ctx, std::string node, tally* into) {
    while (auto message = co_await ctx.receive()) {
        into->received[{node, message->from}].push_back(message->index);
    }
}

// Sends as long as the network is disturbed, and so many messages at the least: bursts, and pauses
// in which what is on its way gets there.
heph::task<> send_all(step_runtime run, remote::node from, std::string to, int id, int count,
                      const bool* healed, tally* into) {
    std::mt19937 random(static_cast<unsigned>(id));
    remote_ref<numbered> ref;
    while (!ref) {
        const auto found = co_await from.find<numbered>(to, "sink", 1min);
        if (found) {
            ref = *found;
        } else {
            co_await run.timer_at(run.now() + 10ms);
        }
    }
    for (int i = 0; i < count || !*healed; ++i) {
        // Some of them are cut into parts.
        const numbered next(id, i, random() % 100 == 0 ? 100'000 : random() % 300);
        const auto sent = co_await ref.send(next);
        ++(sent ? into->accepted : into->refused);
        if (!sent || random() % 8 == 0) {
            co_await run.timer_at(run.now() + std::chrono::milliseconds(random() % 200));
        }
    }
    ++into->senders_done;
}

// Does something bad to the network, again and again, and lets it heal at last.
heph::task<> disturb(step_runtime run, memory_network network, std::uint32_t seed, int cuts,
                     std::chrono::milliseconds outage_max, bool* healed) {
    using direction = memory_network::direction;
    std::mt19937 random(seed);
    const auto some_time = [&random](std::chrono::milliseconds most) {
        return std::chrono::milliseconds(random() % static_cast<unsigned>(most.count()) + 1);
    };
    const std::string_view names[] = {"a", "b"};
    for (int cut = 0; cut < cuts;) {
        const std::string_view name = names[random() % 2];
        switch (random() % 8) {
            case 0: {
                const auto way = random() % 2 == 0 ? direction::from_dialer : direction::to_dialer;
                network.stall(name, way, true);
                co_await run.timer_at(run.now() + some_time(outage_max));
                network.stall(name, way, false);
                break;
            }
            case 1:
                network.refuse(name, true);
                network.cut(name);
                ++cut;
                co_await run.timer_at(run.now() + some_time(outage_max));
                network.refuse(name, false);
                break;
            case 2: network.delay(name, some_time(20ms) - 1ms); break;
            case 3: network.buffer(name, 1 + random() % 100'000); break;
            default:
                network.cut(name);
                ++cut;
                break;
        }
        co_await run.timer_at(run.now() + some_time(30ms));
    }
    for (const std::string_view name : names) {
        network.delay(name, 0ms);
        network.buffer(name, 256 * 1024);
    }
    *healed = true;
}

struct outcome {
    tally told;
    bool is_done = false;
    heph::steady_time ended;
};

// Three nodes, each of which sends to both others, over a network that `disturb` sees to.
outcome run_cluster(std::uint32_t seed, int cuts, int messages, const remote::link_settings& links,
                    std::chrono::milliseconds outage_max, bool is_plain_text = false) {
    outcome result;
    tally& told = result.told;
    heph::testing::step_options bounds;
    bounds.polls_max = 100'000'000;
    step_executor run(heph::testing::schedule::random(seed), bounds);
    memory_network network;
    std::map<std::string, remote::node> nodes;
    const auto add_node = [&](const std::string& name, const std::vector<std::string>& peers) {
        remote::options settings = in_memory(name, network, is_plain_text);
        settings.links(links).undelivered(
            [&told](std::string_view, std::string_view, failure) { ++told.undelivered; });
        for (const std::string& each : peers) { settings.peer(each, "memory:" + each); }
        auto node = start_in(run, settings);
        node.publish("sink", run.spawn(run.supervisor(), heph::actor_fn(sink), name, &told));
        nodes.emplace(name, std::move(node));
    };
    add_node("a", {});
    add_node("b", {"a"});
    add_node("c", {"a", "b"});
    bool healed = false;
    int id = 0;
    for (const auto& [from, node] : nodes) {
        for (const auto& [to, other] : nodes) {
            if (from == to) { continue; }
            run.spawn_future(send_all(run.runtime(), node, to, id++, messages, &healed, &told));
        }
    }
    run.spawn_future(disturb(run.runtime(), network, seed, cuts, outage_max, &healed));
    result.is_done = run.run_until(
        [&] {
            return healed && told.senders_done == id &&
                   told.delivered() + told.undelivered >= told.accepted;
        },
        std::chrono::hours(10));
    result.ended = run.clock().now();
    for (const auto& [name, node] : nodes) { node.stop(); }
    run.advance(10s);
    return result;
}

}  // namespace

TEST_CASE("memory: order and exactly once hold over a thousand cuts, stalls and delays",
          "[remote][memory]") {
    remote::link_settings links = quick_links();
    links.failures_max = 0;
    links.patience = std::chrono::hours(1);
    links.grace = std::chrono::hours(1);
    // Of these, 3, 5 and 7 once lost sessions to hellos that other connections had overtaken.
    for (const std::uint32_t seed : {1U, 3U, 5U, 7U, 10U}) {
        INFO("seed " << seed);
        const bool is_plain_text = seed == 3 || seed == 10;
        const outcome seen = run_cluster(seed, 500, 2000, links, 300ms, is_plain_text);
        CHECK(seen.is_done);
        CHECK(seen.told.is_ordered());
        CHECK(seen.told.accepted >= 6 * 2000);
        CHECK(seen.told.delivered() == seen.told.accepted);
        CHECK(seen.told.refused == 0);
        CHECK(seen.told.undelivered == 0);
    }
}

TEST_CASE("memory: what a lost session did not deliver is reported, and the rest stays in order",
          "[remote][memory]") {
    // Outages last longer than a session waits.
    remote::link_settings links = quick_links();
    links.failures_max = 0;
    links.patience = 50ms;
    links.grace = 100ms;
    links.silence = 300ms;
    links.heartbeat = 50ms;
    int lost = 0;
    for (const std::uint32_t seed : {3U, 4U}) {
        INFO("seed " << seed);
        const outcome seen = run_cluster(seed, 60, 300, links, 1000ms);
        CHECK(seen.is_done);
        CHECK(seen.told.is_ordered());
        // Nothing that was taken over is lost without a word.
        CHECK(seen.told.delivered() + seen.told.undelivered >= seen.told.accepted);
        lost += seen.told.undelivered;
    }
    CHECK(lost > 0);
}

TEST_CASE("memory: the same seed gives the same run, to the last message and millisecond",
          "[remote][memory]") {
    const remote::link_settings links = quick_links();
    const outcome first = run_cluster(7, 20, 100, links, 300ms);
    const outcome again = run_cluster(7, 20, 100, links, 300ms);
    CHECK(first.ended == again.ended);
    CHECK(first.told.received == again.told.received);
    CHECK(first.told.undelivered == again.told.undelivered);
}

TEST_CASE("memory: deadlines, patience and back-pressure take virtual time only",
          "[remote][memory]") {
    heph::testing::step_options bounds;
    bounds.polls_max = 100'000'000;
    step_executor run(heph::testing::schedule::in_order(), bounds);
    const memory_network network;
    memory_network faults = network;
    const auto state = std::make_shared<counter_state>();
    auto a = start_in(run, in_memory("a", network));
    a.publish("counter",
              run.spawn(run.supervisor(), heph::actor_fn(counter_on<step_runtime>), state));
    const auto b = start_in(run, in_memory("b", network).peer("a", "memory:a"));
    CHECK(a.address() == "memory:a");
    auto found = run.block_on(b.find<counter_message>("a", "counter", plenty));
    REQUIRE(found);
    CHECK(faults.connections("a") == 1);
    CHECK(faults.connections("b") == 0);

    // A deadline of an hour.
    const auto asked_at = run.clock().now();
    const auto held = run.block_on(found->rpc<hold>(1h), 2h);
    CHECK(held == std::unexpected(failure::timed_out));
    CHECK(run.clock().now() == asked_at + 1h);
    run.advance(1s);
    CHECK(state->given_up == 1);
    const auto here = run.block_on(a.find<counter_message>("a", "counter"));
    REQUIRE(here);
    CHECK(run.block_on(here->rpc<hold>(1min)) == std::unexpected(failure::timed_out));

    // A peer that is held up takes what fits on the way, and no more; then it goes on.
    faults.buffer("a", 1000);
    faults.stall("a", memory_network::direction::from_dialer, true);
    int sent = 0;
    static constexpr auto flood = [](remote_ref<counter_message> to, int* count) -> heph::task<> {
        while (*count < 50'000) {
            const auto done = co_await to.send(add(1));
            if (!done) { co_return; }
            ++*count;
        }
    };
    run.spawn_future(flood(*found, &sent));
    run.advance(2s);
    const int on_the_way = sent;
    CHECK(on_the_way > 0);
    CHECK(on_the_way < 50'000);
    run.advance(2s);
    CHECK(sent == on_the_way);
    faults.stall("a", memory_network::direction::from_dialer, false);
    CHECK(run.run_until([&] { return sent == 50'000; }, 1h));
    CHECK(run.block_on(found->rpc<get_total>(plenty)) == 50'000);

    // Nobody answers: a new search waits for the patience, then fails; a refused one comes back.
    faults.refuse("a", true);
    faults.refuse("b", true);  // Else a dials b, which says where it is reached.
    faults.cut("a");
    run.advance(10ms);
    CHECK(!b.is_linked("a"));
    const auto away = run.block_on(b.find<counter_message>("a", "counter", plenty));
    REQUIRE(!away);
    CHECK(away.error() == failure::node_down);
    faults.refuse("a", false);
    CHECK(run.run_until([&] { return b.is_linked("a"); }, 1min));

    // The name is taken, and a network is needed.
    const auto taken = remote::start_stepped(run, in_memory("c", network).listen("memory:a"));
    REQUIRE(!taken);
    CHECK(taken.error().code() == std::errc::address_in_use);
    const auto none =
        remote::start_stepped(run, remote::options("c", shared_secret()).listen("memory:c"));
    REQUIRE(!none);
    CHECK(none.error().code() == std::errc::network_unreachable);
    const auto socket = remote::start_stepped(run, quick_options("c").listen("127.0.0.1:0"));
    REQUIRE(!socket);
    CHECK(socket.error().code() == std::errc::not_supported);

    auto watching = b.watch("a");
    a.stop();
    CHECK(run.block_on(watching) == failure::node_down);
    b.stop();
    run.advance(10s);
    CHECK(faults.connections("a") == 0);
}

TEST_CASE("memory: a session that waits is not lost by a time in which the program did not run",
          "[remote][memory]") {
    step_executor run(heph::testing::schedule::in_order());
    memory_network network;
    remote::link_settings links = quick_links();
    links.grace = 30s;
    const auto a = start_in(run, in_memory("a", network).links(links));
    const auto b = start_in(run, in_memory("b", network).links(links).peer("a", "memory:a"));
    const auto state = std::make_shared<counter_state>();
    a.publish("counter",
              run.spawn(run.supervisor(), heph::actor_fn(counter_on<step_runtime>), state));
    const auto found = run.block_on(b.find<counter_message>("a", "counter", 1min));
    REQUIRE(found);
    const auto why = std::make_shared<std::optional<failure>>();
    static constexpr auto note = [](heph::task<failure> of,
                                    std::shared_ptr<std::optional<failure>> to) -> heph::task<> {
        const failure ended = co_await of;
        to->emplace(ended);
    };
    run.spawn_future(note(found->join(), why));
    // Either of them dials the other.
    const auto separate = [&](bool yes) {
        for (const char* name : {"a", "b"}) {
            network.refuse(name, yes);
            if (yes) { network.cut(name); }
        }
    };
    run.advance(100ms);
    separate(true);
    run.advance(20s);
    CHECK(!*why);
    CHECK(!b.is_linked("a"));
    // Whatever is woken then sees that an hour has passed.
    auto clock = run.clock();
    clock.advance(1h);
    run.advance(5s);
    CHECK(!*why);
    separate(false);
    CHECK(run.run_until([&] { return b.is_linked("a"); }, 1min));
    CHECK(run.block_on(found->rpc<get_total>(1min)) == 0);
    CHECK(!*why);
    // What it did run counts.
    separate(true);
    run.advance(29s);
    CHECK(!*why);
    CHECK(!b.is_linked("a"));
    run.advance(2s);
    CHECK(*why == failure::node_down);
    a.stop();
    b.stop();
    run.advance(10s);
}

TEST_CASE("memory: a peer is given up when its silence is suspicious, and else after the time-out",
          "[remote][memory]") {
    using direction = memory_network::direction;
    const bool is_suspicious = GENERATE(true, false);
    const log_lines log;
    step_executor run(heph::testing::schedule::in_order());
    memory_network network;
    remote::link_settings links = quick_links();
    links.heartbeat = 2s;
    links.silence = 60s;
    const auto a = start_in(run, in_memory("a", network).links(links));
    if (is_suspicious) { links.phi_accrual.emplace(); }
    const auto b = start_in(run, in_memory("b", network).links(links).peer("a", "memory:a"));
    const auto stall = [&](bool yes) {
        network.stall("a", direction::to_dialer, yes);
        network.stall("b", direction::from_dialer, yes);  // Where a dials.
    };
    CHECK(run.run_until([&] { return b.is_linked("a"); }, 1min));
    // It says nothing but that it is there, for long, and is late with that at times.
    for (int i = 0; i < 60; ++i) {
        run.advance(10s);
        stall(true);
        run.advance(std::chrono::milliseconds(i * 10));
        stall(false);
    }
    run.advance(10s);
    CHECK(b.is_linked("a"));
    CHECK(log_lines::with("silent for too long") == 0);
    // What it heard last may be 2 s old by now.
    stall(true);
    run.advance(2500ms);
    CHECK(b.is_linked("a"));
    run.advance(6s);
    CHECK(b.is_linked("a") == !is_suspicious);
    run.advance(48s);
    CHECK(log_lines::with("silent for too long") == (is_suspicious ? 1 : 0));
    run.advance(10s);
    CHECK(!b.is_linked("a"));
    CHECK(log_lines::with("silent for too long") == 1);
    stall(false);
    CHECK(run.run_until([&] { return b.is_linked("a"); }, 1min));
    a.stop();
    b.stop();
    run.advance(10s);
}

TEST_CASE("memory: link settings that make no sense are refused, by their names",
          "[remote][memory]") {
    struct bad_setting {
        std::string_view says;
        void (*set)(remote::link_settings&);
    };
    using settings = remote::link_settings;
    const memory_network network;
    step_executor run(heph::testing::schedule::in_order());
    const auto start_with = [&](void (*set)(settings&)) {
        settings links;
        set(links);
        return remote::start_stepped(run, in_memory("a", network).links(links));
    };
    for (const bad_setting& each : {
             bad_setting{"handshake_time is not from 1 ms to 10 years: 0 ms",
                         [](settings& of) { of.handshake_time = 0ms; }},
             bad_setting{"heartbeat is not from 1 ms", [](settings& of) { of.heartbeat = 0ms; }},
             bad_setting{"silence is not from 1 ms",
                         [](settings& of) { of.silence = std::chrono::milliseconds::max(); }},
             bad_setting{"grace is not from 0 ms", [](settings& of) { of.grace = -1ms; }},
             bad_setting{"patience is not", [](settings& of) { of.patience = -1ms; }},
             bad_setting{"pause_min is not", [](settings& of) { of.pause_min = -1ms; }},
             bad_setting{"pause_max is not", [](settings& of) { of.pause_max = -1ms; }},
             bad_setting{"drain_time is not", [](settings& of) { of.drain_time = -1ms; }},
             bad_setting{"goodbye_time is not", [](settings& of) { of.goodbye_time = -1ms; }},
             bad_setting{"failure_forgiven is not",
                         [](settings& of) { of.failure_forgiven = -1ms; }},
             bad_setting{"listen_retry is not from 0 ms",
                         [](settings& of) { of.listen_retry = -1ms; }},
             bad_setting{"phi_accrual.pause is not from 0 ms to 10 years: -1 ms",
                         [](settings& of) { of.phi_accrual.emplace().pause = -1ms; }},
             bad_setting{"phi_accrual.deviation_min is not from 1 ms",
                         [](settings& of) { of.phi_accrual.emplace().deviation_min = 0ms; }},
             bad_setting{"phi_accrual.threshold is not above 0 and at most 300",
                         [](settings& of) { of.phi_accrual.emplace().threshold = 0; }},
             bad_setting{"phi_accrual.threshold",
                         [](settings& of) { of.phi_accrual.emplace().threshold = std::nan(""); }},
             bad_setting{"phi_accrual.threshold",
                         [](settings& of) { of.phi_accrual.emplace().threshold = 301; }},
             bad_setting{"phi_accrual.samples_max is not from 2 to 10000",
                         [](settings& of) { of.phi_accrual.emplace().samples_max = 1; }},
             bad_setting{"phi_accrual.samples_max",
                         [](settings& of) { of.phi_accrual.emplace().samples_max = 10'001; }},
             bad_setting{"half_open_max is not 1 at least",
                         [](settings& of) { of.half_open_max = 0; }},
             bad_setting{"peers_max is not", [](settings& of) { of.peers_max = 0; }},
             bad_setting{"own.window_messages is not 1 at least",
                         [](settings& of) { of.own.window_messages = 0; }},
             bad_setting{"own.window_bytes is not", [](settings& of) { of.own.window_bytes = 0; }},
             bad_setting{"own.message_bytes_max is not",
                         [](settings& of) { of.own.message_bytes_max = 0; }},
             bad_setting{"own.parts_bytes_max is not",
                         [](settings& of) { of.own.parts_bytes_max = 0; }},
             bad_setting{"session.frames_max is not",
                         [](settings& of) { of.session.frames_max = 0; }},
             bad_setting{"session.bytes_max is not",
                         [](settings& of) { of.session.bytes_max = 0; }},
             bad_setting{"session.hard_bytes_max is not",
                         [](settings& of) { of.session.hard_bytes_max = 0; }},
         }) {
        INFO(each.says);
        const auto started = start_with(each.set);
        REQUIRE(!started);
        CHECK(started.error().code() == std::errc::invalid_argument);
        INFO(started.error().message());
        CHECK(started.error().message().contains(each.says));
    }
    const auto bounds = start_with([](settings& of) {
        of.heartbeat = of.silence = of.handshake_time = 1ms;
        of.grace = of.patience = std::chrono::years(10);
        of.pause_min = of.drain_time = of.goodbye_time = 0ms;
        of.phi_accrual.emplace().threshold = 300;
        of.phi_accrual->samples_max = 10'000;
        of.phi_accrual->deviation_min = 1ms;
    });
    REQUIRE(bounds);
    bounds->stop();
    run.advance(10s);
}

TEST_CASE("memory: another address of a peer counts once its link is down", "[remote][memory]") {
    step_executor run(heph::testing::schedule::in_order());
    const memory_network network;
    memory_network faults = network;
    const auto start_a = [&](const std::string& at, int total) {
        auto made = start_in(run, in_memory("a", network).listen("memory:" + at));
        const auto counter = run.spawn(run.supervisor(), heph::actor_fn(counter_on<step_runtime>),
                                       std::make_shared<counter_state>());
        made.publish("counter", counter);
        CHECK(counter.try_send(counter_message(add(total))));
        return made;
    };
    const auto total_at_a = [&](const remote::node& from) {
        const auto found = run.block_on(from.find<counter_message>("a", "counter", plenty));
        if (!found) { return -1; }
        return run.block_on(found->rpc<get_total>(plenty)).value_or(-1);
    };
    const auto a = start_a("here", 1);
    const auto b = start_in(run, in_memory("b", network).peer("a", "memory:here"));
    CHECK(total_at_a(b) == 1);
    CHECK(b.add_peer("a", "memory:there"));
    run.advance(30s);
    // It works, so it stays.
    CHECK(b.is_linked("a"));
    CHECK(faults.connections("here") == 1);
    CHECK(total_at_a(b) == 1);
    a.stop();
    run.advance(10s);
    CHECK(!b.is_linked("a"));
    const auto again = start_a("there", 2);
    CHECK(run.run_until([&] { return b.is_linked("a"); }, 1min));
    CHECK(faults.connections("there") == 1);
    CHECK(total_at_a(b) == 2);
    // An attempt that gets no answer is given up for another address.
    faults.refuse("b", true);
    faults.stall("there", memory_network::direction::to_dialer, true);
    faults.cut("there");
    run.advance(1s);
    CHECK(!b.is_linked("a"));
    again.stop();
    const auto last = start_a("elsewhere", 3);
    CHECK(b.add_peer("a", "memory:elsewhere"));
    CHECK(run.run_until([&] { return b.is_linked("a"); }, 1min));
    CHECK(total_at_a(b) == 3);
    for (const auto* each : {&last, &b}) { each->stop(); }
    run.advance(10s);
}

TEST_CASE("memory: a node goes on when its handler of what was not delivered throws",
          "[remote][memory]") {
    step_executor run(heph::testing::schedule::in_order());
    const memory_network network;
    memory_network faults = network;
    const auto state = std::make_shared<counter_state>();
    const auto a = start_in(run, in_memory("a", network));
    const auto publish_at_a = [&] {
        a.publish("counter",
                  run.spawn(run.supervisor(), heph::actor_fn(counter_on<step_runtime>), state));
    };
    publish_at_a();
    int told = 0;
    const auto b =
        start_in(run, in_memory("b", network)
                          .peer("a", "memory:a")
                          .undelivered([&told](std::string_view, std::string_view, failure) {
                              ++told;
                              throw std::runtime_error("the handler failed");
                          }));
    const auto found = run.block_on(b.find<counter_message>("a", "counter", plenty));
    REQUIRE(found);
    a.unpublish("counter");
    run.advance(1s);
    for (int i = 1; i <= 3; ++i) {
        CHECK(found->try_send(add(1)));
        run.advance(1s);
        CHECK(told == i);
    }
    CHECK(b.is_linked("a"));
    publish_at_a();
    CHECK(run.block_on(b.find<counter_message>("a", "counter", plenty)));
    for (const auto* each : {&a, &b}) { each->stop(); }
    run.advance(10s);
}

TEST_CASE("memory: nodes on workers link in a memory network as well", "[remote][memory]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        memory_network network;
        const auto a = start(worker, in_memory("a", network));
        a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        const auto b = start(worker, in_memory("b", network).peer("a", "memory:a"));
        auto found = co_await b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        network.delay("a", 5ms);
        for (int i = 1; i <= 3; ++i) {
            network.cut("a");
            const text said(std::string(100'000, 'x'));
            const auto echoed = co_await found->rpc(plenty, said);
            REQUIRE(echoed);
            CHECK(echoed->body == said.body);
        }
    });
}
