// Two nodes: publish, find, send, call.

#include <thread>

#include <heph/core/either.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
using heph::remote::remote_ref;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

// Two linked nodes and a counter at "a".
struct pair_of_nodes {
    explicit pair_of_nodes(rt::worker worker, std::size_t inbox_size = 8,
                           remote::options of_a = listening("a"),
                           remote::options of_b = quick_options("b"))
        : state(std::make_shared<counter_state>()),
          counter(spawn_counter(worker, state, inbox_size)),
          a(start(worker, of_a)),
          b(start(worker, of_b.peer("a", a.address()))) {
        a.publish("counter", counter);
    }
    std::shared_ptr<counter_state> state;
    heph::actor_ref<counter_message> counter;
    remote::node a;
    remote::node b;
};

// Takes texts, and keeps what they begin with.
heph::task<> keep_numbers(rt::local_context<text> ctx, std::shared_ptr<std::vector<int>> numbers) {
    while (auto next = co_await ctx.receive()) { numbers->push_back(std::stoi(next->body)); }
}

}  // namespace

TEST_CASE("node: an actor is found, sent to and asked over a link", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        pair_of_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        CHECK(found->node_name() == "a");
        CHECK(found->actor_name() == "counter");
        const auto sent = co_await found->send(add(3));
        CHECK(sent);
        CHECK(found->try_send(add(4)));
        const auto emplaced = co_await found->emplace<add>(5);
        CHECK(emplaced);
        const auto total = co_await found->rpc<get_total>(plenty);
        REQUIRE(total);
        CHECK(*total == 12);
        const text said("hello");
        const auto echoed = co_await found->rpc(plenty, said);
        REQUIRE(echoed);
        CHECK(echoed->body == "hello");
        CHECK(nodes.b.is_linked("a"));
        CHECK(nodes.a.is_linked("b"));
        CHECK_FALSE(nodes.a.is_linked("c"));
        const auto amounts = nodes.state->amounts;
        CHECK(amounts == std::vector<int>{3, 4, 5});
    });
}

TEST_CASE("node: who accepts finds the actors of who dialed", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        pair_of_nodes nodes(worker);
        nodes.b.publish("other", nodes.counter);
        const bool linked = co_await eventually([&] { return nodes.a.is_linked("b"); });
        REQUIRE(linked);
        auto found = co_await nodes.a.find<counter_message>("b", "other", plenty);
        REQUIRE(found);
        const auto total = co_await found->rpc<get_total>(plenty);
        CHECK(total == 0);
    });
}

TEST_CASE("node: searching what is not there says what is missing", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        pair_of_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "nobody", plenty);
        CHECK(found.error() == failure::no_such_actor);
        found = co_await nodes.b.find<counter_message>("nowhere", "counter", plenty);
        CHECK(found.error() == failure::node_down);
        auto other = co_await nodes.b.find<text>("a", "counter", plenty);
        CHECK(other.error() == failure::unknown_type);
        const auto asked = co_await nodes.counter.send(finish());
        CHECK(asked);
        co_await nodes.counter.join();
        found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        CHECK(found.error() == failure::actor_gone);
        nodes.a.unpublish("counter");
        found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        CHECK(found.error() == failure::no_such_actor);
    });
}

TEST_CASE("node: a call fails by its deadline, and the called actor sees that", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        pair_of_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        const auto held = co_await found->rpc<hold>(50ms);
        CHECK(held.error() == failure::timed_out);
        const bool given_up = co_await eventually([&] { return nodes.state->given_up == 1; });
        CHECK(given_up);
        const auto total = co_await found->rpc<get_total>(plenty);  // The actor goes on.
        CHECK(total == 0);
    });
}

TEST_CASE("node: dropping a call cancels it at the called actor", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        pair_of_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        {
            auto first = co_await heph::either(
                found->rpc<hold>(plenty), eventually([&] { return nodes.state->holding == 1; }));
            REQUIRE(first.index() == 1);
            CHECK(std::get<1>(first));
        }
        const bool given_up = co_await eventually([&] { return nodes.state->given_up == 1; });
        CHECK(given_up);
    });
}

TEST_CASE("node: a call that the actor drops has no reply", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        pair_of_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        const auto dropped = co_await found->rpc<drop>(plenty);
        CHECK(dropped.error() == failure::no_reply);
    });
}

TEST_CASE("node: what is sent to an actor that is gone fails", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        std::vector<failure> undelivered;
        remote::options of_b = quick_options("b");
        of_b.undelivered([&](std::string_view node, std::string_view actor, failure why) {
            if (node == "a" && actor == "counter") { undelivered.push_back(why); }
        });
        pair_of_nodes nodes(worker, 8, listening("a"), of_b);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        const auto asked = co_await found->send(finish());
        CHECK(asked);
        co_await nodes.counter.join();
        const auto total = co_await found->rpc<get_total>(plenty);
        CHECK(total.error() == failure::actor_gone);
        CHECK(found->try_send(add(1)));
        bool told = co_await eventually([&] { return undelivered.size() == 1; });
        REQUIRE(told);
        CHECK(undelivered.front() == failure::actor_gone);
        nodes.a.unpublish("counter");
        const auto again = co_await found->rpc<get_total>(plenty);
        CHECK(again.error() == failure::no_such_actor);
    });
}

TEST_CASE("node: an actor that takes fewer types refuses the others only", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        pair_of_nodes nodes(worker);
        using newer = std::variant<text, add, get_total>;
        auto found = co_await nodes.b.find<newer>("a", "counter", plenty);
        REQUIRE(found);
        const text unknown("?");
        const auto refused = co_await found->send(unknown);
        CHECK(refused.error() == failure::unknown_type);
        CHECK(found->try_send(unknown).error() == failure::unknown_type);
        const auto sent = co_await found->send(add(2));
        CHECK(sent);
        const auto total = co_await found->rpc<get_total>(plenty);
        CHECK(total == 2);
    });
}

TEST_CASE("node: a large message arrives, one that is too large is refused", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::options of_a = listening("a");
        remote::link_settings links = quick_links();
        links.own.message_bytes_max = 1'500'000;
        of_a.links(links);
        pair_of_nodes nodes(worker, 8, of_a);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        std::string bytes(1'000'000, 'x');
        bytes[123'456] = 'y';
        const text large(bytes);
        const auto echoed = co_await found->rpc(plenty, large);
        REQUIRE(echoed);
        CHECK(echoed->body == bytes);
        const text larger(std::string(2'000'000, 'x'));
        const auto refused = co_await found->rpc(plenty, larger);
        CHECK(refused.error() == failure::too_large);
    });
}

TEST_CASE("node: a full inbox slows its own senders, and nobody else", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::options of_a = listening("a");
        remote::link_settings small = quick_links();
        small.own.window_messages = 4;
        of_a.links(small);
        pair_of_nodes nodes(worker, 2, of_a);
        const auto other = std::make_shared<counter_state>();
        nodes.a.publish("other", spawn_counter(worker, other));
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        auto beside = co_await nodes.b.find<counter_message>("a", "other", plenty);
        REQUIRE(beside);
        // The counter is kept busy, so that its inbox and then the window fill up.
        auto holding = found->rpc<hold>(plenty);
        auto first =
            co_await heph::either(holding, eventually([&] { return nodes.state->holding == 1; }));
        REQUIRE(first.index() == 1);
        int taken = 0;
        failure why = failure::stopped;
        while (taken < 5000) {
            auto sending = rt::deadline(5s, found->send(add(1)));
            const auto sent = co_await sending;
            if (!sent) { break; }
            REQUIRE(*sent);
            ++taken;
        }
        CHECK(taken == 2 + 4);  // The inbox, and the window.
        int accepted = 0;
        for (; accepted < 5000; ++accepted) {
            const auto sent = found->try_send(add(1));
            if (!sent) {
                why = sent.error();
                break;
            }
            // The node has to get a chance to take the commands.
            if (accepted % 100 == 0) { co_await rt::timer(1ms); }
        }
        CHECK(why == failure::full);
        CHECK(accepted >= 1000);
        const auto total = co_await beside->rpc<get_total>(plenty);
        CHECK(total == 0);
        {
            const auto dropped = std::move(holding);  // Lets the counter go on.
        }
        const int sent_in_all = taken + accepted;
        const bool all = co_await eventually(
            [&] { return nodes.state->amounts.size() == static_cast<std::size_t>(sent_in_all); });
        CHECK(all);
    });
}

TEST_CASE("node: sends stay in order, whether they wait or not", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::options of_a = listening("a");
        remote::link_settings narrow = quick_links();
        narrow.own.window_messages = 8;
        narrow.own.window_bytes = 32 * 1024;
        of_a.links(narrow);
        pair_of_nodes nodes(worker, 2, of_a);
        const auto numbers = std::make_shared<std::vector<int>>();
        nodes.a.publish("keeper",
                        worker.spawn(heph::no_supervisor(), heph::actor_fn(keep_numbers), numbers));
        auto found = co_await nodes.b.find<text>("a", "keeper", plenty);
        REQUIRE(found);
        // What is larger than its part of the window waits for what becomes of it; so does what
        // finds the window full. The small ones between could be handed over at once.
        constexpr int count = 300;
        sends_at_once all;
        for (int i = 0; i < count; ++i) {
            const std::size_t size = i % 7 == 3 ? 20'000U : i % 5 == 2 ? 5'000U : 10U;
            std::string body = std::to_string(i) + ' ';
            body.resize(size, 'x');
            all.add(found->send(text(std::move(body))));
        }
        const std::size_t good = co_await all;
        CHECK(good == count);
        const bool arrived = co_await eventually([&] { return numbers->size() == count; });
        CHECK(arrived);
        CHECK(std::ranges::is_sorted(*numbers));
    });
}

TEST_CASE("node: sends do not wait while there is room, and wait when there is none",
          "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::options of_a = listening("a");
        remote::link_settings narrow = quick_links();
        narrow.own.window_messages = 16;
        of_a.links(narrow);
        pair_of_nodes nodes(worker, 1, of_a);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        auto holding = found->rpc<hold>(plenty);
        auto first =
            co_await heph::either(holding, eventually([&] { return nodes.state->holding == 1; }));
        REQUIRE(first.index() == 1);
        sends_at_once all;
        for (int i = 0; i < 100; ++i) { all.add(found->send(add(i))); }
        CHECK_FALSE(all.poll(heph::waker()).is_ready());
        // The window, less the call if its grant is not here yet.
        CHECK(all.done() >= 15);
        CHECK(all.done() <= 16);
        {
            // A send that waits is taken back.
            auto dropped = found->send(add(1000));
            CHECK_FALSE(dropped.poll(heph::waker()).is_ready());
        }
        { const auto over = std::move(holding); }  // Lets the counter go on.
        const std::size_t good = co_await all;
        CHECK(good == 100);
        const auto& amounts = nodes.state->amounts;
        const bool arrived = co_await eventually([&] { return amounts.size() == 100; });
        CHECK(arrived);
        CHECK(std::ranges::is_sorted(amounts));
        const auto last = co_await found->send(add(5));
        CHECK(last);
        const auto total = co_await found->rpc<get_total>(plenty);
        CHECK(total == 99 * 100 / 2 + 5);
    });
}

TEST_CASE("node: what was handed over when the node stopped arrives, or somebody is told",
          "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto untold = std::make_shared<std::atomic<int>>(0);
        remote::options of_b = quick_options("b");
        of_b.undelivered([untold](std::string_view, std::string_view, failure) { ++*untold; });
        pair_of_nodes nodes(worker, 4, listening("a"), of_b);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        std::atomic<int> taken = 0;
        std::atomic<int> refused = 0;
        const auto send_until_stopped = [&, to = *found] {
            for (;;) {
                const auto sent = to.try_send(add(1));
                if (sent) {
                    ++taken;
                } else if (sent.error() == failure::stopped) {
                    break;
                } else {
                    std::this_thread::yield();
                }
            }
            ++refused;
        };
        std::thread one(send_until_stopped);
        std::thread other(send_until_stopped);
        const bool going = co_await eventually([&] { return taken >= 1000; });
        CHECK(going);
        nodes.b.stop();
        const bool over = co_await eventually([&] { return refused == 2; });
        one.join();
        other.join();
        CHECK(over);
        const auto late = co_await found->send(add(1));
        CHECK(late.error() == failure::stopped);
        // What is not known to have arrived is told as well.
        const bool known = co_await eventually(
            [&] { return static_cast<int>(nodes.state->amounts.size()) + *untold >= taken; });
        CHECK(known);
    });
}

TEST_CASE("node: many callers at once on several workers each get their own answer",
          "[remote][node]") {
    run_nodes(
        [](rt::worker worker) -> heph::task<> {
            pair_of_nodes nodes(worker, 64);
            auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
            REQUIRE(found);
            const auto right = std::make_shared<std::atomic<int>>(0);
            const auto done = std::make_shared<std::atomic<int>>(0);
            static constexpr auto ask =
                [](remote_ref<counter_message> to, int number,
                   std::shared_ptr<std::atomic<int>> good,
                   std::shared_ptr<std::atomic<int>> ended) -> heph::task<> {
                for (int i = 0; i < 20; ++i) {
                    const text said(std::to_string(number) + '/' + std::to_string(i));
                    const auto answered = co_await to.rpc(plenty, said);
                    if (answered && answered->body == said.body) { ++*good; }
                }
                ++*ended;
            };
            constexpr int callers = 100;
            auto everywhere = worker.shared();
            for (int i = 0; i < callers; ++i) {
                everywhere.spawn_future(ask(*found, i, right, done));
            }
            const bool all = co_await eventually([&] { return *done == callers; }, 50s);
            CHECK(all);
            CHECK(*right == callers * 20);
        },
        2);
}

TEST_CASE("node: publishing checks the name, and that types differ on the wire", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        pair_of_nodes nodes(worker);
        CHECK_THROWS_AS(nodes.a.publish("", nodes.counter), std::invalid_argument);
        CHECK_THROWS_AS(nodes.a.publish("with space", nodes.counter), std::invalid_argument);
        struct again : get_total {
            using get_total::get_total;
        };
        using twice = std::variant<get_total, again>;
        CHECK_THROWS_AS(nodes.a.publish("twice", heph::actor_ref<twice>::to_nothing()),
                        std::invalid_argument);
        co_return;
    });
}

TEST_CASE("node: start refuses bad names and addresses, and a port in use", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto refused = [&](const remote::options& settings) {
            const auto started = remote::node::start(worker, settings);
            return started ? std::string() : started.error().message();
        };
        CHECK(refused(quick_options("two words")).contains("node name"));
        CHECK(refused(quick_options("a").peer("a", "127.0.0.1:1")).contains("own name"));
        CHECK(refused(quick_options("a").peer("b", "somewhere")).contains("somewhere"));
        CHECK(refused(quick_options("a").listen("nowhere")).contains("nowhere"));
        const auto first = start(worker, listening("a"));
        const std::string busy = refused(quick_options("b").listen(first.address()));
        CHECK(busy.contains(first.address()));
        CHECK(busy.contains("another program"));
        co_return;
    });
}

TEST_CASE("node: senders wait while too much is not acknowledged yet", "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::options of_b = quick_options("b");
        remote::link_settings small = quick_links();
        small.session.frames_max = 4;
        of_b.links(small);
        pair_of_nodes nodes(worker, 64, listening("a"), of_b);
        const auto other = std::make_shared<counter_state>();
        nodes.a.publish("other", spawn_counter(worker, other));
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        auto beside = co_await nodes.b.find<counter_message>("a", "other", plenty);
        REQUIRE(found);
        REQUIRE(beside);
        const auto sent = std::make_shared<int>(0);
        static constexpr auto send_some = [](remote_ref<counter_message> to,
                                             std::shared_ptr<int> count) -> heph::task<> {
            for (int i = 0; i < 20; ++i) {
                const auto taken = co_await to.send(add(1));
                if (taken) { ++*count; }
            }
        };
        for (int i = 0; i < 50; ++i) {
            worker.spawn_future(send_some(i % 2 == 0 ? *found : *beside, sent));
        }
        const bool all = co_await eventually(
            [&] { return nodes.state->amounts.size() == 500 && other->amounts.size() == 500; });
        CHECK(all);
        CHECK(*sent == 1000);
    });
}

TEST_CASE("node: a search waits for a link that is coming up, at most until its deadline",
          "[remote][node]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto b = start(worker, quick_options("b"));
        // It accepts, and never says anything.
        const auto silent = rt::net::tcp_listener::bind(rt::net::endpoint::loopback(0));
        REQUIRE(silent);
        REQUIRE(b.add_peer("a", silent->local_endpoint()->to_string()));
        const bool known = co_await eventually([&] { return b.peers().size() == 1; });
        REQUIRE(known);
        CHECK(b.peers().front().name == "a");
        CHECK_FALSE(b.peers().front().linked);
        const auto nothing = co_await b.find<counter_message>("a", "counter", 20ms);
        CHECK(nothing.error() == failure::timed_out);
        auto searching = b.find<counter_message>("a", "counter", plenty);
        auto first = co_await heph::either(searching, rt::timer(20ms));
        REQUIRE(first.index() == 1);
        // The peer turns out to be somewhere else.
        const auto a = start(worker, listening("a"));
        a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        REQUIRE(a.add_peer("b", "127.0.0.1:1"));  // In vain.
        REQUIRE(b.add_peer("a", a.address()));
        const auto found = co_await searching;
        REQUIRE(found);
        const auto total = co_await found->rpc<get_total>(plenty);
        CHECK(total == 0);
        CHECK_FALSE(b.add_peer("b", a.address()));
        CHECK_FALSE(b.add_peer("c", "127.0.0.1:0"));
        CHECK_FALSE(b.add_peer("c d", "127.0.0.1:1"));
    });
}

TEST_CASE("node: what is not delivered is logged, unless somebody is told", "[remote][node]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        pair_of_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        nodes.a.unpublish("counter");
        CHECK(found->try_send(add(1)));
        const bool told =
            co_await eventually([] { return log_lines::with("a/counter was not delivered") == 1; });
        CHECK(told);
    });
}
