// Groups whose members come and go with nodes: in a memory network, in virtual time.

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <heph/core/testing/step_executor.hpp>
#include <heph/remote/memory_network.hpp>
#include <heph/remote/remote_group.hpp>

#include "node/group_state.hpp"
#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::audience;
using heph::remote::failure;
using heph::remote::group_change;
using heph::remote::memory_network;
using heph::remote::remote_group;
using heph::remote::remote_ref;
using heph::testing::step_executor;
using heph::testing::step_runtime;
namespace detail = heph::remote::detail;
namespace remote = heph::remote;

namespace {

using group = remote_group<counter_message>;
using change = group_change<counter_message>;

// Some nodes that all dial each other.
struct cluster {
    explicit cluster(std::vector<std::string> names, remote::link_settings how = quick_links())
        : all(std::move(names)) {
        links = how;
        links.failures_max = 0;
        for (const auto& each : all) { start(each); }
    }
    ~cluster() {
        for (const auto& [name, node] : nodes) { node.stop(); }
        run.advance(10s);
    }

    void start(const std::string& name) {
        remote::options settings = quick_options(name);
        settings.links(links).network(network).listen("memory:" + name);
        for (const auto& each : all) {
            if (each != name) { settings.peer(each, "memory:" + each); }
        }
        auto started = remote::start_stepped(run, settings);
        if (!started) { throw std::runtime_error(started.error().message()); }
        nodes.insert_or_assign(name, *started);
    }
    // An actor that adds up what it gets, under a name.
    void publish(const std::string& node, const std::string& name,
                 audience who = audience::everyone()) {
        const auto state = std::make_shared<counter_state>();
        states[node + '/' + name] = state;
        nodes.at(node).publish(
            name, run.spawn(run.supervisor(), heph::actor_fn(counter_on<step_runtime>), state),
            std::move(who));
    }
    [[nodiscard]] std::size_t got(const std::string& who) { return states.at(who)->amounts.size(); }
    bool until(const std::function<bool()>& condition) { return run.run_until(condition, 10min); }
    // Nobody gets through to anybody.
    void cut_all(bool yes) {
        for (const auto& each : all) {
            if (yes) { network.cut(each); }
            network.refuse(each, yes);
        }
    }

    static heph::testing::step_options bounds() {
        heph::testing::step_options made;
        made.polls_max = 10'000'000;
        return made;
    }
    step_executor run{heph::testing::schedule::random(11), bounds()};
    memory_network network;
    std::vector<std::string> all;
    remote::link_settings links;
    std::map<std::string, remote::node> nodes;
    std::map<std::string, std::shared_ptr<counter_state>> states;
};

// Names who is there, and in brackets who is away.
std::string names_of(group& of) {
    std::string text;
    for (const auto& each : of.members()) {
        const std::string name = each.actor.node_name() + '/' + each.actor.actor_name();
        text += (text.empty() ? "" : " ") + (each.is_away ? '(' + name + ')' : name);
    }
    return text;
}

std::string text_of(const change& what) {
    using kind = change::kind;
    const std::map<kind, std::string> words{
        {kind::joined, "+"}, {kind::left, "-"}, {kind::away, "?"}, {kind::back, "!"}};
    return words.at(what.what) + what.actor.node_name() + '/' + what.actor.actor_name();
}

// Collects all changes of a group, until its node stops.
heph::task<> collect(remote::group_changes<counter_message> from, std::vector<std::string>* into) {
    for (;;) {
        auto waiting = from.next();
        const auto next = co_await waiting;
        if (!next) { break; }
        into->push_back(text_of(*next));
    }
    into->push_back("stopped");
}

detail::destination run_of(std::string node, std::uint64_t incarnation) {
    return {std::move(node), "", std::string(detail::directory_name), {incarnation, 1}, 1, {}};
}

detail::listed_actor listed(std::string name, std::uint64_t number) {
    return {std::move(name), number, {"t"}};
}

std::string names_of(const detail::group_state& state) {
    std::string text;
    for (const auto& each : *state.view()) {
        const std::string name = each.to->node + '/' + each.to->name;
        text += (text.empty() ? "" : " ") + (each.is_away ? '(' + name + ')' : name);
    }
    return text;
}

}  // namespace

TEST_CASE("group state: who is listed is a member until its node lists it no more, or is lost",
          "[remote][group]") {
    detail::group_state state;
    CHECK(!state.peer("b", {true, true}));
    CHECK(!state.listed(run_of("b", 1), {}));
    CHECK(state.listed(run_of("b", 1), {listed("x", 1), listed("y", 2)}));
    CHECK(names_of(state) == "b/x b/y");
    CHECK(!state.listed(run_of("b", 1), {listed("y", 2), listed("x", 1)}));
    // Who stays is the same object, and who is published anew is another one.
    const auto before = state.view();
    CHECK(state.listed(run_of("b", 1), {listed("x", 1), listed("y", 3)}));
    CHECK(before->at(0).to == state.view()->at(0).to);
    CHECK(before->at(1).to != state.view()->at(1).to);
    // So is the same number of another run.
    CHECK(state.listed(run_of("b", 2), {listed("x", 1)}));
    CHECK(before->at(0).to != state.view()->at(0).to);
    CHECK(state.lost("b"));
    CHECK(state.view()->empty());
    CHECK(!state.lost("b"));
    CHECK(!state.lost("nobody"));
    // What comes late from who is no peer any more counts for nothing.
    CHECK(!state.gone("b"));
    CHECK(!state.listed(run_of("b", 2), {listed("x", 1)}));
}

TEST_CASE("group state: a cut link marks members, and ends them where the node was taken out",
          "[remote][group]") {
    detail::group_state state;
    (void)state.peer("b", {true, true});
    (void)state.peer("c", {true, true});
    (void)state.listed(run_of("c", 1), {listed("x", 1)});
    (void)state.listed(run_of("b", 1), {listed("x", 1)});
    CHECK(names_of(state) == "b/x c/x");
    CHECK(state.peer("b", {false, true}));
    CHECK(names_of(state) == "(b/x) c/x");
    CHECK(state.peer("b", {false, false}));
    CHECK(names_of(state) == "c/x");
    // Also in the other order; a link that is up is enough.
    CHECK(!state.peer("c", {true, false}));
    CHECK(state.peer("c", {false, false}));
    CHECK(state.view()->empty());
    // Links that are back bring them back.
    CHECK(state.peer("b", {true, false}));
    CHECK(state.peer("c", {false, true}));
    CHECK(names_of(state) == "b/x (c/x)");
}

TEST_CASE("group: of what a node lists, only names that were asked for count", "[remote][group]") {
    const auto asked_for = [](std::string name, std::string by, bool is_prefix) {
        detail::list_request request;
        request.name = std::move(by);
        request.is_prefix = is_prefix;
        return detail::is_asked_for(listed(std::move(name), 1), request);
    };
    CHECK(asked_for("w/1", "w/", true));
    CHECK(asked_for("w/1", "w/1", false));
    CHECK_FALSE(asked_for("w/12", "w/1", false));
    CHECK_FALSE(asked_for("x/1", "w/", true));
    CHECK_FALSE(asked_for("", "", true));
    CHECK_FALSE(asked_for("w/1\nnode b: forged", "w/", true));
    CHECK_FALSE(asked_for("w/" + std::string(300, 'x'), "w/", true));
}

TEST_CASE("group: the list of two hundred thousand actors is not too long", "[remote][group]") {
    detail::list_answer answer;
    answer.actors.resize(1'000);
    for (std::size_t i = 0; i != answer.actors.size(); ++i) {
        answer.actors[i].name = "accounts/by-number/" + std::to_string(i);
        answer.actors[i].number = i + 1;
        answer.actors[i].types = {"bank.deposit", "bank.withdraw", "bank.get_balance"};
    }
    const auto bytes = remote::encode(answer);
    // A part of the list has its part of the memory.
    constexpr std::size_t parts = 200;
    const auto fits = [&](remote::decode_limits limits) {
        limits.memory_bytes_max /= parts;
        return remote::decode<detail::list_answer>(bytes, limits).has_value();
    };
    CHECK(fits(detail::list_limits(parts * bytes.size())));
    CHECK_FALSE(fits(detail::payload_limits(parts * bytes.size())));

    // A list of nothing much takes no more for that.
    constexpr std::size_t mib = std::size_t{1024} * 1024;
    CHECK(detail::list_limits(64 * mib).memory_bytes_max == 128 * mib);
    CHECK(detail::list_limits(1 * mib).memory_bytes_max ==
          detail::payload_limits(1 * mib).memory_bytes_max);
}

TEST_CASE("group: members come with publications and nodes, and go with them", "[remote][group]") {
    cluster three({"a", "b", "c"});
    three.publish("b", "work/1");
    three.publish("b", "other");
    auto by_prefix = group::below(three.nodes.at("a"), "work/");
    auto by_name = group::named(three.nodes.at("a"), "work/1");
    CHECK(by_prefix.empty());
    CHECK(three.run.block_on(by_prefix.at_least(1, 1min)));
    CHECK(names_of(by_prefix) == "b/work/1");

    three.publish("c", "work/1");
    three.publish("a", "work/2");
    three.publish("a", "work");
    CHECK(three.until([&] { return by_prefix.size() == 3 && by_name.size() == 2; }));
    CHECK(names_of(by_prefix) == "a/work/2 b/work/1 c/work/1");
    CHECK(names_of(by_name) == "b/work/1 c/work/1");

    // Taken back, published anew, and finished.
    three.nodes.at("b").unpublish("work/1");
    CHECK(three.until([&] { return names_of(by_prefix) == "a/work/2 c/work/1"; }));
    const auto before = by_prefix.members();
    three.publish("c", "work/1");
    CHECK(three.until([&] { return by_prefix.members() != before; }));
    CHECK(names_of(by_prefix) == "a/work/2 c/work/1");
    CHECK(three.run.block_on(by_prefix.members().at(1).actor.send(finish())));
    CHECK(three.until([&] { return names_of(by_prefix) == "a/work/2"; }));
    CHECK(three.run.block_on(by_prefix.members().at(0).actor.send(finish())));
    CHECK(three.until([&] { return by_prefix.empty(); }));
    CHECK(three.run.block_on(by_prefix.at_least(1, 5s)) == std::unexpected(failure::timed_out));

    // A node that stops, and one that comes.
    three.publish("b", "work/1");
    CHECK(three.run.block_on(by_prefix.at_least(1, 1min)));
    three.nodes.at("b").stop();
    CHECK(three.until([&] { return by_prefix.empty(); }));
    three.run.advance(1s);
    three.start("b");
    three.publish("b", "work/9");
    CHECK(three.until([&] { return names_of(by_prefix) == "b/work/9"; }));

    three.nodes.at("a").stop();
    CHECK(three.run.block_on(by_prefix.at_least(2, 1min)) == std::unexpected(failure::stopped));
}

TEST_CASE("group: a node that stops in order leaves before its drain, and is not held up by groups",
          "[remote][group]") {
    auto links = quick_links();
    links.drain_time = 60s;
    cluster two({"a", "b"}, links);
    two.publish("a", "work/1");
    two.publish("b", "work/1");
    auto at_a = group::below(two.nodes.at("a"), "work/");
    auto at_b = group::below(two.nodes.at("b"), "work/");
    CHECK(two.until([&] { return at_a.size() == 2 && at_b.size() == 2; }));
    // A call is under way, which its node finishes.
    const auto ref = at_a.members().at(1).actor;
    bool is_answered = false;
    static constexpr auto call = [](remote_ref<counter_message> to, bool* done) -> heph::task<> {
        auto calling = to.rpc<hold>(5s);
        (void)co_await calling;
        *done = true;
    };
    two.run.spawn_future(call(ref, &is_answered));
    two.run.advance(100ms);
    two.nodes.at("b").stop();
    CHECK(two.until([&] { return names_of(at_a) == "a/work/1"; }));
    CHECK(!is_answered);
    CHECK(two.nodes.at("a").is_linked("b"));
    // Its own group stays as it was.
    CHECK(at_b.size() == 2);
    const auto begun = two.run.clock().now();
    CHECK(two.until([&] { return !two.nodes.at("a").is_linked("b"); }));
    CHECK(is_answered);
    CHECK(two.run.clock().now() - begun < 10s);
}

TEST_CASE("group: one is chosen in turn, at random, or by a key that stays where it is",
          "[remote][group]") {
    cluster four({"a", "b", "c", "d"});
    for (const std::string node : {"b", "c", "d"}) {
        four.publish(node, "work/1");
        four.publish(node, "work/2");
    }
    auto workers = group::below(four.nodes.at("a"), "work/");
    CHECK(four.run.block_on(workers.at_least(6, 1min)));
    for (int i = 0; i < 24; ++i) { CHECK(four.run.block_on(workers.send_to_one(add(1)))); }
    for (int i = 0; i < 24; ++i) { CHECK(workers.try_send_to_one(add(1))); }
    CHECK(four.until([&] {
        return std::ranges::all_of(
            four.states, [](const auto& each) { return each.second->amounts.size() == 8; });
    }));
    workers.seed(5);
    std::map<std::string, int> chosen;
    const auto name_of = [](const remote_ref<counter_message>& ref) {
        return ref.node_name() + '/' + ref.actor_name();
    };
    for (int i = 0; i < 600; ++i) { ++chosen[name_of(*workers.pick(heph::at_random))]; }
    CHECK(chosen.size() == 6);
    for (const auto& [name, count] : chosen) { CHECK((count > 50 && count < 150)); }

    // Every node has the same owner for a key, and who comes takes over from all, and no more.
    auto elsewhere = group::below(four.nodes.at("c"), "work/");
    CHECK(four.run.block_on(elsewhere.at_least(6, 1min)));
    std::map<int, std::string> owners;
    for (int key = 0; key < 700; ++key) {
        owners[key] = name_of(*workers.pick(heph::by_key(key)));
        CHECK(owners[key] == name_of(*elsewhere.pick(heph::by_key(key))));
    }
    four.publish("a", "work/1");
    CHECK(four.run.block_on(workers.at_least(7, 1min)));
    int moved = 0;
    for (int key = 0; key < 700; ++key) {
        const auto now = name_of(*workers.pick(heph::by_key(key)));
        if (now == owners[key]) { continue; }
        ++moved;
        CHECK(now == "a/work/1");
    }
    CHECK((moved > 50 && moved < 200));
    const auto count = [&](const std::string& who) { return four.got(who); };
    const auto before = count(owners.at(1));
    for (int i = 0; i < 5; ++i) {
        CHECK(four.run.block_on(workers.send_to_one(add(1), heph::by_key(1))));
    }
    CHECK(four.until([&] {
        return count(owners.at(1)) + (four.states.contains("a/work/1") ? count("a/work/1") : 0) ==
               before + 5;
    }));
}

TEST_CASE("group: a message goes to another member when the one it was for is not there",
          "[remote][group]") {
    cluster three({"a", "b", "c"});
    three.publish("b", "work");
    three.publish("c", "work");
    auto workers = group::named(three.nodes.at("a"), "work");
    CHECK(workers.try_send_to_one(add(1)) == std::unexpected(failure::no_such_actor));
    CHECK(three.run.block_on(workers.send_to_one(add(1))) ==
          std::unexpected(failure::no_such_actor));
    CHECK(!workers.pick());
    CHECK(three.run.block_on(workers.at_least(2, 1min)));
    // Its node is gone; nobody has told yet.
    three.nodes.at("b").stop();
    std::size_t sent = 0;
    for (int i = 0; i < 10; ++i) {
        sent += three.run.block_on(workers.send_to_one(add(1))).has_value() ? 1U : 0U;
        three.run.advance(20ms);
    }
    CHECK(sent == 10);
    CHECK(three.until([&] { return three.got("c/work") + three.got("b/work") >= 9; }));
    CHECK(names_of(workers) == "c/work");

    // All of them, with a report.
    three.publish("a", "work");
    CHECK(three.run.block_on(workers.at_least(2, 1min)));
    const auto told = three.run.block_on(workers.send_to_all(add(1)));
    CHECK(told.sent == 2);
    CHECK(told.failed.empty());
    CHECK(workers.try_send_to_all(add(1)).sent == 2);
    CHECK(three.until([&] { return three.got("a/work") == 2; }));
}

TEST_CASE(
    "group: members that are full are passed over as long as others have room, and get their "
    "turns again",
    "[remote][group]") {
    auto links = quick_links();
    links.own.window_messages = 4;
    cluster three({"a", "b", "c"}, links);
    three.publish("b", "work");
    three.publish("c", "work");
    three.publish("a", "work");
    auto workers = group::named(three.nodes.at("a"), "work");
    CHECK(three.run.block_on(workers.at_least(3, 1min)));
    // The actors of a, here, and of b do nothing until they are let go.
    static constexpr auto call = [](remote_ref<counter_message> to,
                                    std::chrono::seconds time) -> heph::task<> {
        auto calling = to.rpc<hold>(time);
        (void)co_await calling;
    };
    const auto held = [&](const std::string& name) { return three.states.at(name)->holding == 1; };
    three.run.spawn_future(call(workers.members().at(0).actor, 300s));
    three.run.spawn_future(call(workers.members().at(1).actor, 300s));
    CHECK(three.until([&] { return held("a/work") && held("b/work"); }));
    const auto begun = three.run.clock().now();
    for (int i = 0; i < 100; ++i) {
        CHECK(three.run.block_on(workers.send_to_one(add(1))));
        three.run.advance(10ms);  // Whoever takes it says so.
    }
    CHECK(three.until([&] { return three.got("c/work") >= 70; }));
    CHECK(three.run.clock().now() < begun + 60s);

    // By key it waits, and when all of them are full.
    int of_b = 0;
    while (workers.pick(heph::by_key(of_b))->node_name() != "b") { ++of_b; }
    static constexpr auto send = [](group to, int key, int* sent) -> heph::task<> {
        auto sending = key < 0 ? to.send_to_one(add(1)) : to.send_to_one(add(1), heph::by_key(key));
        const auto done = co_await sending;
        *sent += done.has_value() ? 1 : 0;
    };
    int sent = 0;
    three.run.spawn_future(send(workers, of_b, &sent));
    three.run.advance(1s);
    CHECK(sent == 0);
    three.run.spawn_future(call(workers.members().at(2).actor, 300s));
    CHECK(three.until([&] { return held("c/work"); }));
    constexpr int many = 40;
    for (int i = 0; i < many; ++i) { three.run.spawn_future(send(workers, -1, &sent)); }
    three.run.advance(1s);
    CHECK(sent < many);

    // Once they are let go, all of it gets there, and each has its turns as before.
    CHECK(three.until([&] { return sent == many + 1; }));
    const auto got = [&] {
        return three.got("a/work") + three.got("b/work") + three.got("c/work");
    };
    CHECK(three.until([&] { return got() == 100 + many + 1; }));
    const auto before = three.got("b/work");
    for (int i = 0; i < 30; ++i) {
        CHECK(three.run.block_on(workers.send_to_one(add(1))));
        three.run.advance(10ms);
    }
    CHECK(three.until([&] { return three.got("b/work") == before + 10; }));
}

TEST_CASE("group: members of a node that is cut off are away, and are chosen last",
          "[remote][group]") {
    auto links = quick_links();
    links.patience = 300ms;
    links.grace = 20s;
    cluster two({"a", "b"}, links);
    two.publish("a", "work");
    two.publish("b", "work");
    auto workers = group::named(two.nodes.at("a"), "work");
    CHECK(two.run.block_on(workers.at_least(2, 1min)));
    std::vector<std::string> told;
    two.run.spawn_future(collect(workers.changes(), &told));
    CHECK(two.until([&] { return told.size() == 2; }));
    int of_b = 0;  // Some key that is b's.
    while (workers.pick(heph::by_key(of_b))->node_name() != "b") { ++of_b; }

    two.cut_all(true);
    CHECK(two.until([&] { return names_of(workers) == "a/work (b/work)"; }));
    for (int i = 0; i < 6; ++i) { CHECK(two.run.block_on(workers.send_to_one(add(1)))); }
    CHECK(two.until([&] { return two.got("a/work") == 6; }));
    CHECK(workers.pick(heph::by_key(of_b))->node_name() == "b");
    two.run.advance(1s);
    CHECK(two.run.block_on(workers.send_to_one(add(1), heph::by_key(of_b))) ==
          std::unexpected(failure::node_down));
    CHECK(two.run.block_on(workers.send_to_all(add(1))).failed.size() == 1);

    // The link is back with its session: the same members, by the same references.
    two.cut_all(false);
    CHECK(two.until([&] { return names_of(workers) == "a/work b/work"; }));
    CHECK(two.run.block_on(workers.send_to_one(add(1), heph::by_key(of_b))));
    CHECK(two.until([&] { return two.got("b/work") == 1; }));

    // Cut off for longer than the grace: each side has its own, until they meet again. What nobody
    // asked for in time would not be told.
    CHECK(two.until([&] { return told.size() == 4; }));
    two.cut_all(true);
    auto other_side = group::named(two.nodes.at("b"), "work");
    CHECK(two.until(
        [&] { return names_of(workers) == "a/work" && names_of(other_side) == "b/work"; }));
    CHECK(workers.pick(heph::by_key(of_b))->node_name() == "a");
    two.cut_all(false);
    CHECK(two.until([&] { return workers.size() == 2 && other_side.size() == 2; }));
    CHECK(workers.pick(heph::by_key(of_b))->node_name() == "b");
    two.nodes.at("a").stop();
    CHECK(two.until([&] { return !told.empty() && told.back() == "stopped"; }));
    const std::vector<std::string> wanted{"+a/work", "+b/work", "?b/work", "!b/work",
                                          "?b/work", "-b/work", "+b/work", "stopped"};
    CHECK(told == wanted);
}

TEST_CASE("group: who is not the audience, or takes nothing of the messages, is no member",
          "[remote][group]") {
    cluster two({"a", "b"});
    two.publish("b", "work/seen", audience::of({"a"}));
    two.publish("b", "work/unseen", audience::of({"z"}));
    static constexpr auto reader = [](heph::testing::step_context<text> ctx) -> heph::task<> {
        while (auto message = co_await ctx.receive()) {}
    };
    two.nodes.at("b").publish("work/text",
                              two.run.spawn(two.run.supervisor(), heph::actor_fn(reader)));
    auto counters = group::below(two.nodes.at("a"), "work/");
    auto readers = remote_group<text>::below(two.nodes.at("a"), "work/");
    auto adders = remote_group<add>::below(two.nodes.at("a"), "work/");
    CHECK(two.until(
        [&] { return counters.size() == 1 && adders.size() == 1 && readers.size() == 1; }));
    CHECK(names_of(counters) == "b/work/seen");
    CHECK(readers.members().at(0).actor.actor_name() == "work/text");
    // At its own node, an actor is seen.
    auto at_home = group::below(two.nodes.at("b"), "work/");
    CHECK(two.run.block_on(at_home.at_least(2, 1min)));
    CHECK(names_of(at_home) == "b/work/seen b/work/unseen");
    CHECK_THROWS_AS(two.publish("b", "heph.directory"), std::invalid_argument);
}

TEST_CASE("group: nothing is asked of other nodes any more once the last handle is gone",
          "[remote][group]") {
    cluster two({"a", "b"});
    two.publish("b", "work");
    auto first = std::make_optional(group::named(two.nodes.at("a"), "work"));
    CHECK(two.run.block_on(first->at_least(1, 1min)));
    auto copy = std::make_optional(*first);
    first.reset();
    two.nodes.at("b").unpublish("work");
    CHECK(two.until([&] { return copy->empty(); }));
    const auto tasks = [&] { return two.run.unfinished(); };
    const auto before = tasks();
    copy.reset();
    CHECK(two.until([&] { return tasks() < before; }));
    // A peer that is forgotten is no member while it is away.
    auto workers = group::named(two.nodes.at("a"), "work");
    two.publish("b", "work");
    CHECK(two.run.block_on(workers.at_least(1, 1min)));
    two.nodes.at("a").forget_peer("b");
    two.nodes.at("b").forget_peer("a");
    two.run.advance(100ms);
    CHECK(workers.size() == 1);
    two.cut_all(true);
    CHECK(two.until([&] { return workers.empty(); }));
}
