// Links whose connections break, and peers that come back.

#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include <heph/core/either.hpp>
#include <heph/core/join.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
using heph::remote::remote_ref;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

// Node "b" dials "a" through a proxy.
struct proxied_nodes {
    explicit proxied_nodes(rt::worker worker, const remote::link_settings& links = quick_links())
        : state(std::make_shared<counter_state>()),
          counter(spawn_counter(worker, state)),
          a(start(worker, listening("a").links(links))),
          between(worker, a.address()),
          b(start(worker, quick_options("b").links(links).peer("a", between.address()))) {
        a.publish("counter", counter);
    }
    std::shared_ptr<counter_state> state;
    heph::actor_ref<counter_message> counter;
    remote::node a;
    proxy between;
    remote::node b;
};

/// Tells whether the amounts that arrived are 0, 1, 2, and so on.
bool are_in_order(const counter_state& state) {
    for (std::size_t i = 0; i < state.amounts.size(); ++i) {
        if (state.amounts[i] != static_cast<int>(i)) { return false; }
    }
    return true;
}

}  // namespace

TEST_CASE("reconnect: a reference goes on after the connection was cut", "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        proxied_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        for (int i = 1; i <= 5; ++i) {
            const auto sent = co_await found->send(add(1));
            CHECK(sent);
            nodes.between.cut();
            const auto total = co_await found->rpc<get_total>(plenty);
            CHECK(total == i);
        }
        CHECK(nodes.between.connections() >= 4);
    });
}

TEST_CASE("reconnect: messages arrive once and in order over a connection that is cut all the time",
          "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        proxied_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        // It goes on until there were some cuts, however fast the messages are.
        static constexpr auto send_all = [](remote_ref<counter_message> to,
                                            const int* cuts) -> heph::task<int> {
            int sent = 0;
            for (; sent < 2000 || *cuts < 5; ++sent) {
                const auto done = co_await to.send(add(sent));
                if (!done) { co_return -1; }
                if (sent > 2000) { co_await rt::timer(1ms); }
            }
            co_return sent;
        };
        int cuts = 0;
        int messages = -1;
        auto sending = send_all(*found, &cuts);
        for (bool sent = false; !sent; ++cuts) {
            static constexpr auto linked_for_a_while = [](remote::node b) -> heph::task<> {
                (void)co_await eventually([&] { return b.is_linked("a"); });
                co_await rt::timer(3ms);
            };
            auto first = co_await heph::either(sending, linked_for_a_while(nodes.b));
            sent = first.index() == 0;
            if (sent) { messages = std::get<0>(first); }
            nodes.between.cut();
        }
        REQUIRE(messages >= 2000);
        const auto& amounts = nodes.state->amounts;
        const bool arrived = co_await eventually(
            [&] { return amounts.size() == static_cast<std::size_t>(messages); });
        CHECK(arrived);
        CHECK(are_in_order(*nodes.state));
    });
}

TEST_CASE("reconnect: sends handed over when the connection is cut arrive once, later ones wait",
          "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        proxied_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        int next = 0;
        for (int round = 0; round < 5; ++round) {
            nodes.between.refuse(true);
            // Some are written already, some not, some are not even with the node.
            sends_at_once all;
            for (int i = 0; i < 30; ++i) {
                all.add(found->send(add(next++)));
                (void)all.poll(heph::waker());
                if (i == 10) { co_await rt::timer(2ms); }
                if (i == 20) { nodes.between.cut(); }
            }
            CHECK(all.done() == 30);
            const bool down = co_await eventually([&] { return !nodes.b.is_linked("a"); });
            REQUIRE(down);
            sends_at_once later;
            for (int i = 0; i < 10; ++i) { later.add(found->send(add(next++))); }
            CHECK_FALSE(later.poll(heph::waker()).is_ready());
            CHECK(later.done() == 0);
            nodes.between.refuse(false);
            const std::size_t good = co_await later;
            CHECK(good == 10);
        }
        const auto& amounts = nodes.state->amounts;
        const bool arrived =
            co_await eventually([&] { return amounts.size() == static_cast<std::size_t>(next); });
        CHECK(arrived);
        CHECK(are_in_order(*nodes.state));
    });
}

TEST_CASE("reconnect: a call that is under way when the connection is cut gets its answer",
          "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        proxied_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        // The counter is held up, so that the other call waits in its inbox during the cut.
        auto holding = std::make_optional(found->rpc<hold>(plenty));
        auto first =
            co_await heph::either(*holding, eventually([&] { return nodes.state->holding == 1; }));
        REQUIRE(first.index() == 1);
        auto asking = found->rpc<get_total>(plenty);
        auto second = co_await heph::either(asking, rt::timer(20ms));
        REQUIRE(second.index() == 1);
        nodes.between.cut();
        const bool down = co_await eventually([&] { return !nodes.a.is_linked("b"); });
        CHECK(down);
        holding.reset();  // The cancel has to get there, too.
        const auto total = co_await asking;
        CHECK(total == 0);
        CHECK(nodes.state->given_up == 1);
    });
}

TEST_CASE("reconnect: a node that was restarted is found again, older references say node_down",
          "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        proxied_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        // A call is open when the node goes without a word.
        auto holding = found->rpc<hold>(plenty);
        auto first =
            co_await heph::either(holding, eventually([&] { return nodes.state->holding == 1; }));
        REQUIRE(first.index() == 1);
        nodes.between.refuse(true);
        nodes.between.cut();
        const bool down = co_await eventually([&] { return !nodes.b.is_linked("a"); });
        REQUIRE(down);
        nodes.a.stop();
        const auto again = start(worker, listening("a"));
        const auto other = std::make_shared<counter_state>();
        again.publish("counter", spawn_counter(worker, other));
        nodes.between.lead_to(again.address());
        nodes.between.refuse(false);
        const auto held = co_await holding;
        CHECK(held.error() == failure::node_down);
        const auto stale = co_await found->rpc<get_total>(plenty);
        CHECK(stale.error() == failure::node_down);
        const auto unsent = co_await found->send(add(1));
        CHECK(unsent.error() == failure::node_down);
        auto anew = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(anew);
        CHECK_FALSE(*anew == *found);
        const auto total = co_await anew->rpc<get_total>(plenty);
        CHECK(total == 0);
    });
}

TEST_CASE("reconnect: a node that stops says goodbye, and what waits for it fails at once",
          "[remote][reconnect]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.grace = 120s;
        proxied_nodes nodes(worker, links);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        auto holding = found->rpc<hold>(120s);
        auto first =
            co_await heph::either(holding, eventually([&] { return nodes.state->holding == 1; }));
        REQUIRE(first.index() == 1);
        const auto before = rt::clock::now();
        nodes.a.stop();
        const auto held = co_await holding;
        CHECK(held.error() == failure::node_down);
        CHECK(rt::clock::now() - before < 60s);  // Neither the grace nor the deadline.
        CHECK(log_lines::with("the link to a at") == 1);
        CHECK(log_lines::with("shutting down") == 1);
        const bool given_up = co_await eventually([&] { return nodes.state->given_up == 1; });
        CHECK(given_up);
        const auto own = co_await nodes.a.find<counter_message>("b", "counter", plenty);
        CHECK(own.error() == failure::stopped);
    });
}

TEST_CASE("reconnect: while a node is down, searches and calls fail after the patience, not later",
          "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.patience = 100ms;
        proxied_nodes nodes(worker, links);
        const bool linked = co_await eventually([&] { return nodes.b.is_linked("a"); });
        REQUIRE(linked);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        nodes.between.refuse(true);
        nodes.between.cut();
        const bool down = co_await eventually([&] { return !nodes.b.is_linked("a"); });
        REQUIRE(down);
        const auto before = rt::clock::now();
        const auto total = co_await found->rpc<get_total>(plenty);
        CHECK(total.error() == failure::node_down);
        const auto other = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        CHECK(other.error() == failure::node_down);
        CHECK(rt::clock::now() - before < 60s);
        nodes.between.refuse(false);
        const bool up = co_await eventually([&] { return nodes.b.is_linked("a"); });
        REQUIRE(up);
        const auto later = co_await found->rpc<get_total>(plenty);  // The session was not lost.
        CHECK(later == 0);
    });
}

TEST_CASE("reconnect: a session that finds no connection within its grace is lost",
          "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.grace = 300ms;
        proxied_nodes nodes(worker, links);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        auto holding = found->rpc<hold>(plenty);
        auto first =
            co_await heph::either(holding, eventually([&] { return nodes.state->holding == 1; }));
        REQUIRE(first.index() == 1);
        nodes.between.refuse(true);
        nodes.between.cut();
        const auto held = co_await holding;
        CHECK(held.error() == failure::node_down);
        // At the other end, too: it was dialed, and forgets the node.
        const bool given_up = co_await eventually([&] { return nodes.state->given_up == 1; });
        CHECK(given_up);
        const bool forgotten = co_await eventually([&] { return nodes.a.peers().empty(); });
        CHECK(forgotten);
        nodes.between.refuse(false);
        const bool up = co_await eventually([&] { return nodes.b.is_linked("a"); });
        REQUIRE(up);
        // Both nodes still run, so the reference is good in the new session.
        const auto total = co_await found->rpc<get_total>(plenty);
        CHECK(total == 0);
    });
}

TEST_CASE("reconnect: a connection that falls silent is given up", "[remote][reconnect]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.heartbeat = 100ms;
        links.silence = 1000ms;
        proxied_nodes nodes(worker, links);
        const bool linked = co_await eventually([&] { return nodes.a.is_linked("b"); });
        REQUIRE(linked);
        // Heartbeats keep an idle link.
        co_await rt::timer(1500ms);
        CHECK(nodes.between.connections() == 1);
        CHECK(nodes.a.is_linked("b"));
        nodes.between.swallow(true);
        const bool down =
            co_await eventually([&] { return !nodes.b.is_linked("a") && !nodes.a.is_linked("b"); });
        CHECK(down);
        CHECK(log_lines::with("silent for too long") >= 1);
        nodes.between.swallow(false);
        nodes.between.cut();
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        CHECK(found);
    });
}

TEST_CASE("reconnect: forgetting a peer and adding it at once count in their order",
          "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        // Hangs up on whoever dials.
        auto listener = rt::net::tcp_listener::bind(rt::net::endpoint::loopback(0));
        REQUIRE(listener);
        const auto where = listener->local_endpoint()->to_string();
        auto links = quick_links();
        links.grace = 1ms;
        const auto b = start(worker, quick_options("b").links(links));
        REQUIRE(b.add_peer("a", where));
        for (int i = 0; i < 8; ++i) {
            if (i == 2) {
                // One attempt may be under way, and one more is made: then it would be given up.
                b.forget_peer("a");
                REQUIRE(b.add_peer("a", where));
            }
            rt::deadline bounded(plenty, listener->accept());
            const auto dialed = co_await bounded;
            REQUIRE(dialed);
            REQUIRE(*dialed);
        }
        REQUIRE(b.add_peer("a", where));
        b.forget_peer("a");
        *listener = rt::net::tcp_listener::bind(rt::net::endpoint::loopback(0)).value();
        const bool gone = co_await eventually([&] { return b.peers().empty(); });
        CHECK(gone);
    });
}

TEST_CASE("reconnect: two nodes that dial each other at once keep one connection",
          "[remote][reconnect]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        for (int i = 0; i < 10; ++i) {
            const auto a = start(worker, listening("a"));
            const auto b = start(worker, listening("b"));
            const auto state = std::make_shared<counter_state>();
            const auto counter = spawn_counter(worker, state);
            a.publish("counter", counter);
            b.publish("counter", counter);
            REQUIRE(a.add_peer("b", b.address()));
            REQUIRE(b.add_peer("a", a.address()));
            auto of_a = b.find<counter_message>("a", "counter", plenty);
            auto of_b = a.find<counter_message>("b", "counter", plenty);
            bool linked = co_await eventually([&] { return a.is_linked("b") && b.is_linked("a"); });
            REQUIRE(linked);
            auto [one, other] = co_await heph::join(of_a, of_b);
            REQUIRE(one);
            REQUIRE(other);
            const auto total = co_await one->rpc<get_total>(plenty);
            CHECK(total == 0);
            const auto back = co_await other->rpc<get_total>(plenty);
            CHECK(back == 0);
            a.stop();
            b.stop();
        }
    });
    // Nobody was turned away, and no link went down but by the stops.
    CHECK(log_lines::with("turned away") == 0);
    CHECK(log_lines::with("cannot link") == 0);
    INFO(log_lines::all());
    CHECK(log_lines::with("linked to") == 20);
}

TEST_CASE("reconnect: who dialed at the same time, and gave it up unsaid, was not turned away",
          "[remote][reconnect]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto b = start(worker, listening("b"));
        const auto a = start(worker, listening("a").peer("b", b.address()));
        const bool linked =
            co_await eventually([&] { return a.is_linked("b") && b.is_linked("a"); });
        REQUIRE(linked);
        // To "a", which dialed, it may be the dialing of "b"; but not to "b".
        for (const auto* node : {&a, &b}) {
            auto given_up = co_await rt::net::tcp_stream::connect(
                rt::net::endpoint::parse(node->address()).value());
            REQUIRE(given_up);
            given_up->shutdown(rt::net::shutdown_how::send);
            const auto closed = co_await given_up->next();
            CHECK((!closed || closed->empty()));
        }
        CHECK(log_lines::with("node a: turned away") == 0);
        CHECK(log_lines::with("node b: turned away") == 1);
        CHECK(a.is_linked("b"));
    });
}

TEST_CASE("reconnect: two nodes that dial each other lose nothing when their connections are cut",
          "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto a = start(worker, listening("a"));
        const auto b = start(worker, listening("b"));
        proxy to_a(worker, a.address());
        proxy to_b(worker, b.address());
        const auto at_a = std::make_shared<counter_state>();
        const auto at_b = std::make_shared<counter_state>();
        a.publish("counter", spawn_counter(worker, at_a));
        b.publish("counter", spawn_counter(worker, at_b));
        REQUIRE(a.add_peer("b", to_b.address()));
        REQUIRE(b.add_peer("a", to_a.address()));
        auto of_a = co_await b.find<counter_message>("a", "counter", plenty);
        auto of_b = co_await a.find<counter_message>("b", "counter", plenty);
        REQUIRE(of_a);
        REQUIRE(of_b);
        // They go on until there were some cuts, however fast the messages are.
        static constexpr auto send_all = [](remote_ref<counter_message> to,
                                            const int* cuts) -> heph::task<int> {
            int sent = 0;
            for (; sent < 1000 || *cuts < 6; ++sent) {
                const auto done = co_await to.send(add(sent));
                if (!done) { co_return -1; }
                if (sent > 1000) { co_await rt::timer(1ms); }
            }
            co_return sent;
        };
        static constexpr auto cut_again = [](proxy one, proxy other, int* cuts) -> heph::task<> {
            for (;; ++*cuts) {
                co_await rt::timer(std::chrono::milliseconds(5 + *cuts * 7 % 30));
                (*cuts % 3 == 0 ? one : other).cut();
            }
        };
        int cuts = 0;
        auto sending = heph::join(send_all(*of_a, &cuts), send_all(*of_b, &cuts));
        auto first = co_await heph::either(sending, cut_again(to_a, to_b, &cuts));
        REQUIRE(first.index() == 0);
        const auto [to_first, to_second] = std::get<0>(first);
        for (const auto& [state, messages] :
             {std::pair(at_a, to_first), std::pair(at_b, to_second)}) {
            CHECK(messages >= 1000);
            const auto& amounts = state->amounts;
            const bool arrived = co_await eventually(
                [&] { return amounts.size() == static_cast<std::size_t>(messages); });
            CHECK(arrived);
            CHECK(are_in_order(*state));
        }
        CHECK(to_a.connections() + to_b.connections() > 3);
    });
}

TEST_CASE("reconnect: nodes of two runtimes, of which one stops", "[remote][reconnect]") {
    std::atomic<bool> serving = false;
    std::string address;
    auto runtime = rt::setup{}.name("other").ignore_signals().build();
    REQUIRE(runtime);
    runtime->run_on_workers([&](rt::worker& worker) {
        const auto a = start(worker, listening("a"));
        a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        address = a.address();
        serving = true;
        serving.notify_all();
    });
    auto shared = runtime->shared();
    std::atomic<bool> ended_well = false;
    std::jthread other([&] { ended_well = runtime->start().has_value(); });
    serving.wait(false);
    static std::optional<rt::shared_runtime> to_stop;
    static std::string where;
    to_stop = shared;
    where = address;
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto b = start(worker, quick_options("b").peer("a", where));
        auto found = co_await b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        const auto sent = co_await found->send(add(7));
        CHECK(sent);
        const auto total = co_await found->rpc<get_total>(plenty);
        CHECK(total == 7);
        auto holding = found->rpc<hold>(plenty);
        const auto first = co_await heph::either(holding, rt::timer(10ms));
        CHECK(first.index() == 1);
        to_stop->request_stop();
        const auto held = co_await holding;
        CHECK(held.error() == failure::node_down);
    });
    other.join();
    CHECK(ended_well);
}

TEST_CASE("reconnect: what throws while a frame is taken costs the session, and no more",
          "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto state = std::make_shared<counter_state>();
        const auto a = start(worker, listening("a"));
        a.publish("first", spawn_counter(worker, state));
        a.publish("second", spawn_counter(worker, state));
        const auto has_thrown = std::make_shared<bool>(false);
        auto settings = quick_options("b").peer("a", a.address());
        settings.undelivered([has_thrown](std::string_view, std::string_view, failure) {
            if (!std::exchange(*has_thrown, true)) { throw std::bad_alloc(); }
        });
        const auto b = start(worker, settings);
        auto found = co_await b.find<counter_message>("a", "first", plenty);
        REQUIRE(found);
        const auto finished = co_await found->send(finish());
        CHECK(finished);
        const auto why = co_await found->join();
        CHECK(why == failure::actor_gone);
        const auto sent = co_await found->send(add(1));
        CHECK(sent);
        const bool thrown = co_await eventually([&] { return *has_thrown; });
        REQUIRE(thrown);
        const bool up = co_await eventually([&] { return b.is_linked("a"); });
        REQUIRE(up);
        auto again = co_await b.find<counter_message>("a", "second", plenty);
        REQUIRE(again);
        const auto total = co_await again->rpc<get_total>(plenty);
        CHECK(total == 0);
    });
}

TEST_CASE("reconnect: a peer that begins anew again and again is refused at last",
          "[remote][reconnect]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto state = std::make_shared<counter_state>();
        const auto counter = spawn_counter(worker, state, 1);
        remote::link_settings narrow = quick_links();
        narrow.own.window_messages = 4;
        const auto a = start(worker, listening("a").links(narrow));
        a.publish("counter", counter);
        // It receives nothing while this waits.
        auto holding = counter.rpc<hold>();
        auto held = co_await heph::either(holding, eventually([&] { return state->holding == 1; }));
        REQUIRE(held.index() == 1);
        const auto refused = std::make_shared<int>(0);
        for (int round = 0; round < 8; ++round) {
            auto settings = quick_options("b").peer("a", a.address());
            settings.undelivered([refused](std::string_view, std::string_view, failure why) {
                *refused += why == failure::full ? 1 : 0;
            });
            const auto b = start(worker, settings);
            auto found = co_await b.find<counter_message>("a", "counter", plenty);
            REQUIRE(found);
            for (int i = 0; i < 4; ++i) { CHECK(found->try_send(add(1))); }
            // What is answered was asked behind them.
            auto behind = co_await b.find<counter_message>("a", "counter", plenty);
            CHECK(behind);
            b.stop();
            const bool gone = co_await eventually([&] { return !a.is_linked("b"); });
            REQUIRE(gone);
        }
        // Four windows were left there, and one that was begun.
        CHECK(*refused >= 8);
        CHECK(*refused <= 16);
    });
}
