// References as values: in messages, to this node, in part, and behind local ones.

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <heph/core/actor_group.hpp>
#include <heph/core/either.hpp>
#include <heph/remote/local_ref.hpp>

#include "node/port.hpp"
#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
using heph::remote::local_ref;
using heph::remote::remote_ref;
using heph::remote::protocol::id128;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

using counter_ref = remote_ref<counter_message>;

struct introduce {
    introduce() = default;
    introduce(std::string called, counter_ref who)
        : name(std::move(called)), counter(std::move(who)) {}
    std::string name;
    counter_ref counter;
};
HEPH_MESSAGE(introduce, "test.introduce", 1, name, counter)

/// Asks for the counter that was introduced under a name.
struct lookup : heph::rpc<std::string, counter_ref> {
    using heph::rpc<std::string, counter_ref>::rpc;
    static constexpr std::string_view message_name = "test.lookup";
};

using directory_message = std::variant<introduce, lookup>;

heph::task<> directory(rt::local_context<directory_message> ctx) {
    std::map<std::string, counter_ref> known;
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message, [&](introduce& m) { known[m.name] = m.counter; },
            [&](lookup& call) { call.respond(known[call.request()]); });
    }
}

// Node "a" has a directory; "b" and "c" are linked to it, and not to each other.
struct three_nodes {
    explicit three_nodes(rt::worker worker)
        : state(std::make_shared<counter_state>()),
          counter(spawn_counter(worker, state)),
          a(start(worker, listening("a"))),
          b(start(worker, listening("b").peer("a", a.address()))),
          c(start(worker, quick_options("c").peer("a", a.address()))) {
        a.publish("directory", worker.spawn(heph::no_supervisor(), heph::actor_fn(directory)));
    }
    std::shared_ptr<counter_state> state;
    heph::actor_ref<counter_message> counter;  // Of "b".
    remote::node a;
    remote::node b;
    remote::node c;
};

/// Sends a reference from "b" to the directory, and gives what "c" finds there.
heph::task<counter_ref> hand_to_c(three_nodes& nodes, counter_ref counter) {
    auto of_b = co_await nodes.b.find<directory_message>("a", "directory", plenty);
    REQUIRE(of_b);
    const introduce said("mine", std::move(counter));
    const auto sent = co_await of_b->send(said);
    REQUIRE(sent);
    auto of_c = co_await nodes.c.find<directory_message>("a", "directory", plenty);
    REQUIRE(of_c);
    // What two nodes send has no order between them.
    counter_ref found;
    for (int tries = 0; tries < 1000 && !found; ++tries) {
        auto answer = co_await of_c->rpc(plenty, std::string("mine"));
        REQUIRE(answer);
        found = *answer;
        co_await rt::timer(1ms);
    }
    REQUIRE(found);
    co_return found;
}

}  // namespace

TEST_CASE("reference: one that is sent to a third node works there", "[remote][reference]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        three_nodes nodes(worker);
        counter_ref found = co_await hand_to_c(nodes, nodes.b.share(nodes.counter));
        CHECK(found.node_name() == "b");
        CHECK_FALSE(nodes.c.is_linked("b"));
        const auto added = co_await found.send(add(5));
        CHECK(added);
        const auto total = co_await found.rpc<get_total>(plenty);
        CHECK(total == 5);
        CHECK(nodes.c.is_linked("b"));
        // It can be watched, too, and ends with the actor.
        auto joining = found.join();
        auto nothing = co_await heph::either(joining, rt::timer(20ms));
        REQUIRE(nothing.index() == 1);
        const auto asked = co_await found.send(finish());
        CHECK(asked);
        const auto ended = co_await joining;
        CHECK(ended == failure::actor_gone);
        const bool forgotten = co_await eventually([&] { return !nodes.counter.is_connected(); });
        CHECK(forgotten);
    });
}

TEST_CASE("reference: to an actor of the own node, it works without a link",
          "[remote][reference]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto a = start(worker, quick_options("a"));
        const auto state = std::make_shared<counter_state>();
        const auto counter = spawn_counter(worker, state, 2);
        a.publish("counter", counter);
        auto found = co_await a.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        const auto sent = co_await found->send(add(3));
        CHECK(sent);
        CHECK(found->try_send(add(4)));
        const text said("hello");
        const auto echoed = co_await found->rpc(plenty, said);
        REQUIRE(echoed);
        CHECK(echoed->body == "hello");
        const auto total = co_await found->rpc<get_total>(plenty);
        CHECK(total == 7);
        const auto late = co_await found->rpc<hold>(20ms);
        CHECK(late.error() == failure::timed_out);
        const bool given_up = co_await eventually([&] { return state->given_up == 1; });
        CHECK(given_up);
        const auto unknown = co_await a.find<counter_message>("a", "nobody", plenty);
        CHECK(unknown.error() == failure::no_such_actor);
        auto shared = a.share(counter);
        const auto again = co_await shared.rpc<get_total>(plenty);
        CHECK(again == 7);
        auto joining = shared.join();
        const auto asked = co_await found->send(finish());
        CHECK(asked);
        const auto ended = co_await joining;
        CHECK(ended == failure::actor_gone);
        const auto gone = co_await found->rpc<get_total>(plenty);
        CHECK(gone.error() == failure::actor_gone);
        a.unpublish("counter");
        const auto nothing = co_await found->rpc<get_total>(plenty);
        CHECK(nothing.error() == failure::no_such_actor);
    });
}

namespace {

// Decoding begins with a default one.
struct fragile {
    fragile() { throw std::runtime_error("it broke"); }
    explicit fragile(int which) : number(which) {}
    int number;
};
HEPH_MESSAGE(fragile, "test.fragile", 1, number)

heph::task<> take_fragile(rt::local_context<fragile> ctx) {
    while (auto message = co_await ctx.receive()) {}
}

}  // namespace

TEST_CASE("reference: what a message throws at the own node is told as from another one",
          "[remote][reference]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const remote::node a = start(worker, listening("a"));
        const remote::node b = start(worker, quick_options("b").peer("a", a.address()));
        a.publish("fragile", worker.spawn(heph::no_supervisor(), heph::actor_fn(take_fragile)));
        auto here = co_await a.find<fragile>("a", "fragile", plenty);
        REQUIRE(here);
        const fragile message(1);
        const auto sent = co_await here->send(message);
        CHECK(sent == std::unexpected(failure::bad_message));
        CHECK(here->try_send(message) == std::unexpected(failure::bad_message));
        auto there = co_await b.find<fragile>("a", "fragile", plenty);
        REQUIRE(there);
        const log_lines logged;
        const auto taken_over = co_await there->send(message);
        CHECK(taken_over);
        const bool told = co_await eventually(
            [] { return log_lines::with("a/fragile was not delivered: ") == 1; });
        CHECK(told);
    });
}

TEST_CASE("reference: one with a name that is none is refused", "[remote][reference]") {
    auto [sender, receiver] = heph::inbox::channel<remote::detail::command>(1);
    const auto port = std::make_shared<remote::detail::port>(nullptr, "a", "", "", id128(), false,
                                                             std::move(sender));
    const remote::detail::decoding_at here(port);
    const auto reads = [](std::string name) {
        remote::detail::reference_form form;
        form.node = "b";
        form.name = std::move(name);
        form.types = {"test.add@1"};
        return remote::decode<counter_ref>(remote::encode(form)).has_value();
    };
    CHECK(reads("counter"));
    CHECK(reads(""));  // One that was shared.
    CHECK_FALSE(reads("a\nforged line"));
    CHECK_FALSE(reads(std::string(300, 'x')));
}

TEST_CASE("reference: to nothing, it says so", "[remote][reference]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        (void)worker;
        const counter_ref nothing;
        CHECK_FALSE(nothing);
        const auto sent = co_await nothing.send(add(1));
        CHECK(sent.error() == failure::no_such_actor);
        CHECK(nothing.try_send(add(1)).error() == failure::no_such_actor);
        const auto total = co_await nothing.rpc<get_total>(plenty);
        CHECK(total.error() == failure::no_such_actor);
        const auto ended = co_await nothing.join();
        CHECK(ended == failure::no_such_actor);
        // It travels, and a reference outside of any node is refused.
        const auto bytes = remote::encode(introduce("x", nothing));
        const auto read = remote::decode<introduce>(bytes);
        REQUIRE(read);
        CHECK_FALSE(read->counter);
    });
}

TEST_CASE("reference: a part of the messages is sent by a reference of its own",
          "[remote][reference]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        three_nodes nodes(worker);
        nodes.a.publish("counter", nodes.counter);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        const remote_ref<add> adding = found->map<add>();
        const auto sent = co_await adding.send(add(2));
        CHECK(sent);
        const auto total = co_await found->map<std::variant<get_total, add>>().rpc(plenty);
        CHECK(total == 2);
    });
}

TEST_CASE("local reference: an actor of another node is used as if it were here",
          "[remote][reference]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        three_nodes nodes(worker);
        nodes.a.publish("counter", nodes.counter);
        auto found = co_await nodes.b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        const heph::actor_ref<counter_message> here = local_ref(worker, *found);
        for (int i = 1; i <= 100; ++i) {
            const auto sent = co_await here.send(add(1));
            CHECK(sent);
            // A call is not passed by the messages behind it.
            auto asking = here.rpc<get_total>();
            const auto total = co_await asking;
            CHECK(total == i);
        }
        text said("there and back");
        const auto echoed = co_await here.rpc(std::move(said));
        REQUIRE(echoed);
        CHECK(echoed->body == "there and back");
        const auto dropped = co_await here.rpc<drop>();
        CHECK_FALSE(dropped);
        {
            auto holding = here.rpc<hold>();
            auto first = co_await heph::either(
                holding, eventually([&] { return nodes.state->holding == 1; }));
            REQUIRE(first.index() == 1);
        }
        const bool given_up = co_await eventually([&] { return nodes.state->given_up == 1; });
        CHECK(given_up);
        const auto asked = co_await found->send(finish());
        CHECK(asked);
        co_await here.join();
        CHECK_FALSE(here.is_connected());
    });
}

TEST_CASE("local reference: a group has members at several nodes", "[remote][reference]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        three_nodes nodes(worker);
        std::vector<std::shared_ptr<counter_state>> states;
        for (int i = 0; i < 3; ++i) { states.push_back(std::make_shared<counter_state>()); }
        nodes.a.publish("counter", spawn_counter(worker, states[0]));
        nodes.b.publish("counter", spawn_counter(worker, states[1]));
        auto at_a = co_await nodes.c.find<counter_message>("a", "counter", plenty);
        REQUIRE(at_a);
        // "c" reaches "b" by a reference that came over "a".
        auto own = co_await nodes.b.find<counter_message>("b", "counter", plenty);
        REQUIRE(own);
        const counter_ref at_b = co_await hand_to_c(nodes, *own);
        heph::actor_group<add> group;
        group.add(local_ref(worker, *at_a).map<add>());
        group.add(local_ref(worker, at_b).map<add>());
        group.add(spawn_counter(worker, states[2]).map<add>());
        for (int i = 0; i < 9; ++i) {
            const auto taken = co_await group.send_to_one(add(1));
            CHECK(taken);
        }
        const bool all = co_await eventually([&] {
            return std::ranges::all_of(states,
                                       [](const auto& each) { return each->amounts.size() == 3; });
        });
        CHECK(all);
    });
}
