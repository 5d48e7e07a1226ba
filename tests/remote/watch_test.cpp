// Watching actors and nodes, and how the loss of a node is noticed.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <heph/core/either.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
using heph::remote::remote_ref;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;
#elif defined(__has_feature)
constexpr bool is_sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool is_sanitized = false;
#endif
constexpr int many = is_sanitized ? 500 : 2000;  // A sanitizer makes each search slow.

// Node "b" dials "a", which has a counter.
struct linked_nodes {
    explicit linked_nodes(rt::worker worker, const remote::link_settings& links = quick_links())
        : state(std::make_shared<counter_state>()),
          counter(spawn_counter(worker, state)),
          a(start(worker, listening("a").links(links))),
          b(start(worker, listening("b").links(links).peer("a", a.address()))) {
        a.publish("counter", counter);
    }
    std::shared_ptr<counter_state> state;
    heph::actor_ref<counter_message> counter;
    remote::node a;
    remote::node b;
};

}  // namespace

TEST_CASE("watch: the end of an actor at another node is told to all who wait for it",
          "[remote][watch]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        linked_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        auto one = found->join();
        auto two = found->join();
        {
            auto three = found->join();
            auto nothing = co_await heph::either(one, two, three, rt::timer(20ms));
            REQUIRE(nothing.index() == 3);  // The third one goes without harm.
        }
        const auto asked = co_await found->send(finish());
        CHECK(asked);
        const auto first = co_await one;
        CHECK(first == failure::actor_gone);
        const auto second = co_await two;
        CHECK(second == failure::actor_gone);
        const auto later = co_await found->join();
        CHECK(later == failure::actor_gone);
    });
}

TEST_CASE("watch: an actor that is unpublished, or published anew, is told so", "[remote][watch]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        linked_nodes nodes(worker);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        auto joining = found->join();
        auto nothing = co_await heph::either(joining, rt::timer(20ms));
        REQUIRE(nothing.index() == 1);
        nodes.a.publish("counter", nodes.counter);
        const auto ended = co_await joining;
        CHECK(ended == failure::no_such_actor);
        auto again = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(again);
        auto joining_again = again->join();
        auto still = co_await heph::either(joining_again, rt::timer(20ms));
        REQUIRE(still.index() == 1);
        nodes.a.unpublish("counter");
        const auto gone = co_await joining_again;
        CHECK(gone == failure::no_such_actor);
    });
}

TEST_CASE("watch: a reference to an actor of the own node ends when it is not published any more",
          "[remote][watch]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto state = std::make_shared<counter_state>();
        const remote::node own = start(worker, listening("own"));
        const auto counter = spawn_counter(worker, state);
        own.publish("first", counter);
        own.publish("second", counter);
        own.publish("third", counter);
        const auto finishing = spawn_counter(worker, state);
        const auto shared = own.share(finishing);
        auto first = co_await own.find<counter_message>("own", "first");
        auto second = co_await own.find<counter_message>("own", "second");
        auto third = co_await own.find<counter_message>("own", "third");
        REQUIRE((first && second && third));
        const auto ends = std::make_shared<std::map<std::string, failure>>();
        static constexpr auto note = [](auto of, std::shared_ptr<std::map<std::string, failure>> to,
                                        std::string name) -> heph::task<> {
            const failure why = co_await of;
            to->emplace(std::move(name), why);
        };
        worker.spawn_future(note(first->join(), ends, "first"));
        worker.spawn_future(note(second->join(), ends, "second"));
        worker.spawn_future(note(third->join(), ends, "third"));
        worker.spawn_future(note(shared.join(), ends, "shared"));
        worker.spawn_future(note(own.watch("own"), ends, "node"));
        {
            // One that is given up does no harm.
            auto dropped = third->join();
            const auto soon = co_await heph::either(dropped, rt::timer(1ms));
            CHECK(soon.index() == 1);
        }
        CHECK(ends->empty());

        own.unpublish("first");
        own.publish("second", counter);
        const finish now;
        const auto told = co_await shared.send(now);
        CHECK(told);
        const bool three = co_await eventually([&] { return ends->size() == 3; });
        CHECK(three);
        CHECK(ends->at("first") == failure::no_such_actor);
        CHECK(ends->at("second") == failure::no_such_actor);
        CHECK(ends->at("shared") == failure::actor_gone);

        own.stop();
        const bool all = co_await eventually([&] { return ends->size() == 5; });
        CHECK(all);
        CHECK(ends->at("third") == failure::stopped);
        CHECK(ends->at("node") == failure::stopped);
    });
}

TEST_CASE("watch: a node that says goodbye ends the watches of it and of its actors at once",
          "[remote][watch]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.grace = 120s;
        linked_nodes nodes(worker, links);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        auto actor = found->join();
        auto node = nodes.b.watch("a");
        auto accepted = nodes.a.watch("b");
        auto nothing = co_await heph::either(actor, node, accepted, rt::timer(20ms));
        REQUIRE(nothing.index() == 3);
        const auto before = rt::clock::now();
        nodes.a.stop();
        const auto of_actor = co_await actor;
        CHECK(of_actor == failure::node_down);
        const auto of_node = co_await node;
        CHECK(of_node == failure::node_down);
        const auto own = co_await accepted;
        CHECK(own == failure::stopped);
        CHECK(rt::clock::now() - before < 60s);  // Not the grace.
        const auto unknown = co_await nodes.b.watch("nobody");
        CHECK(unknown == failure::node_down);
    });
}

TEST_CASE("watch: a cut connection ends no watch", "[remote][watch]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto state = std::make_shared<counter_state>();
        const auto a = start(worker, listening("a"));
        a.publish("counter", spawn_counter(worker, state));
        proxy between(worker, a.address());
        const auto b = start(worker, quick_options("b").peer("a", between.address()));
        auto found = co_await b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        auto actor = found->join();
        auto node = b.watch("a");
        auto nothing = co_await heph::either(actor, node, rt::timer(20ms));
        REQUIRE(nothing.index() == 2);
        for (int i = 1; i <= 3; ++i) {
            between.cut();
            const auto total = co_await found->rpc<get_total>(plenty);
            CHECK(total == 0);
        }
        auto still = co_await heph::either(actor, node, rt::timer(1ms));
        REQUIRE(still.index() == 2);
        const auto asked = co_await found->send(finish());
        CHECK(asked);
        const auto ended = co_await actor;
        CHECK(ended == failure::actor_gone);
    });
}

TEST_CASE("watch: a node whose port refuses connections after a cut is gone before the grace",
          "[remote][watch]") {
    const bool is_dialed_by_name = GENERATE(false, true);
    const log_lines log;
    run_nodes([is_dialed_by_name](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.refusals_max = 3;
        const auto a = start(worker, listening("a"));
        a.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        auto between = std::make_optional<proxy>(worker, a.address());
        const std::string address =
            is_dialed_by_name ? by_name(between->address()) : between->address();
        const auto b = start(worker, quick_options("b").links(links).peer("a", address));
        auto found = co_await b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        auto holding = found->rpc<hold>(plenty);
        auto node = b.watch("a");
        auto nothing = co_await heph::either(holding, node, rt::timer(20ms));
        REQUIRE(nothing.index() == 2);
        const auto before = rt::clock::now();
        between->close();
        between->cut();
        const auto held = co_await holding;
        CHECK(held.error() == failure::node_down);
        const auto lost = co_await node;
        CHECK(lost == failure::node_down);
        CHECK(rt::clock::now() - before < links.grace / 2);
        CHECK(log_lines::with("a is gone") == 1);
    });
}

TEST_CASE("watch: a node that dialed is called back, and is gone when nobody answers",
          "[remote][watch]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.refusals_max = 2;
        const auto a = start(worker, listening("a").links(links));
        proxy between(worker, a.address());
        // A port at which nobody listens.
        std::string nowhere;
        {
            const auto listener = rt::net::tcp_listener::bind(rt::net::endpoint::loopback(0));
            nowhere = listener->local_endpoint()->to_string();
        }
        const auto b =
            start(worker, quick_options("b").peer("a", between.address()).advertise(nowhere));
        b.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        const bool linked = co_await eventually([&] { return a.is_linked("b"); });
        REQUIRE(linked);
        auto node = a.watch("b");
        auto nothing = co_await heph::either(node, rt::timer(10ms));
        REQUIRE(nothing.index() == 1);
        between.refuse(true);
        between.cut();
        const auto lost = co_await node;
        CHECK(lost == failure::node_down);
        CHECK(log_lines::with("b is gone") == 1);
    });
}

TEST_CASE("watch: a node that is cut off, and told an address that leads elsewhere, is not gone",
          "[remote][watch]") {
    const log_lines log;
    run_nodes([](rt::worker worker) -> heph::task<> {
        remote::link_settings links = quick_links();
        links.refusals_max = 2;
        const auto a = start(worker, listening("a").links(links));
        const auto decoy = start(worker, listening("c"));
        proxy between(worker, a.address());
        // At this machine, nobody is there; but "b" may be at another one, as "a" sees it.
        const auto b = start(
            worker, quick_options("b").peer("a", between.address()).advertise("unix:@heph-nobody"));
        b.publish("counter", spawn_counter(worker, std::make_shared<counter_state>()));
        const bool met = co_await eventually([&] { return a.is_linked("b"); });
        REQUIRE(met);
        auto found = co_await a.find<counter_message>("b", "counter", plenty);
        REQUIRE(found);
        auto node = a.watch("b");
        auto holding = found->rpc<hold>(plenty);
        auto nothing = co_await heph::either(node, holding, rt::timer(10ms));
        REQUIRE(nothing.index() == 2);
        between.lead_to(decoy.address());
        between.cut();
        // Each time "b" waits about as long as "a" would until it dials.
        const int before = between.connections();
        const bool tried = co_await eventually([&] { return between.connections() >= before + 8; });
        REQUIRE(tried);
        between.lead_to(a.address());
        const bool linked = co_await eventually([&] { return a.is_linked("b"); });
        REQUIRE(linked);
        auto still = co_await heph::either(node, holding, rt::timer(1ms));
        CHECK(still.index() == 2);
        CHECK(log_lines::with("b is gone") == 0);
    });
}

TEST_CASE("watch: the end of thousands of actors at once is told to each of their watchers",
          "[remote][watch]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        linked_nodes nodes(worker);
        std::vector<heph::actor_ref<counter_message>> actors;
        for (int i = 0; i < many; ++i) {
            actors.push_back(spawn_counter(worker, std::make_shared<counter_state>(), 1));
            nodes.a.publish(std::to_string(i), actors.back());
        }
        const auto ended = std::make_shared<int>(0);
        const auto watching = std::make_shared<int>(0);
        static constexpr auto watch = [](remote::node from, int number, std::shared_ptr<int> begun,
                                         std::shared_ptr<int> done) -> heph::task<> {
            auto found = co_await from.find<counter_message>("a", std::to_string(number), plenty);
            if (!found) { co_return; }
            ++*begun;
            const auto why = co_await found->join();
            if (why == failure::actor_gone) { ++*done; }
        };
        for (int i = 0; i < many; ++i) { worker.spawn_future(watch(nodes.b, i, watching, ended)); }
        const bool begun = co_await eventually([&] { return *watching == many; });
        REQUIRE(begun);
        for (const auto& each : actors) { (void)each.try_send(finish()); }
        const bool all = co_await eventually([&] { return *ended == many; });
        CHECK(all);
    });
}
