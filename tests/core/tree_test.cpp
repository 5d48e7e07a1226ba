// Supervision trees: who is restarted, in which order, and when a tree gives up.

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/task.hpp>

#include "core/manual_time.hpp"
#include "core/probes.hpp"
#include "core/tree_probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_fn;
using heph::actor_ref;
using heph::child_spec;
using heph::end_reason;
using heph::restart_limit;
using heph::restart_strategy;
using heph::supervision_tree;
using heph::task;
using heph::tree_options;
using heph::waker;
using heph::test::captured_log;
using heph::test::journal;
using heph::test::manual_runtime;
using heph::test::manual_time;
using heph::test::order;
using heph::test::outcome;
using heph::test::poll_loop;
using heph::test::stubborn;
using heph::test::worker;
using namespace std::chrono_literals;

namespace {

using tree_result = std::expected<void, heph::tree_failure>;

tree_options settings(restart_strategy strategy, std::size_t restarts = 100) {
    tree_options options;
    options.strategy = strategy;
    options.limit = restart_limit{restarts, 1h};
    options.name = "test";
    return options;
}

auto plain_worker() { return actor_fn(&worker<heph::no_runtime>); }

// A tree of three, a loop that runs it, and what came of it.
class three {
public:
    explicit three(tree_options options) : tree_(std::move(options)) {
        for (const char* name : {"a", "b", "c"}) {
            refs_.push_back(tree_->add(child_spec(name), plain_worker(), &seen, std::string(name)));
        }
    }

    void run() {
        if (tree_) {
            loop_.spawn(keep(std::move(*tree_), &result));
            tree_.reset();
        }
        loop_.run();
    }
    void tell(std::size_t child, order what) {
        REQUIRE(refs_[child].try_send(what));
        run();
    }
    journal take() {
        run();
        return std::exchange(seen, journal());
    }
    [[nodiscard]] const actor_ref<order>& ref(std::size_t child) const { return refs_[child]; }
    [[nodiscard]] supervision_tree<>& tree() { return *tree_; }
    void drop() { loop_.drop_all(); }

    static task<> keep(supervision_tree<> tree, std::optional<tree_result>* into) {
        auto ended = co_await std::move(tree);
        into->emplace(std::move(ended));
    }

    journal seen;
    std::optional<tree_result> result;

private:
    std::optional<supervision_tree<>> tree_;
    std::vector<actor_ref<order>> refs_;
    poll_loop loop_;
};

// Fails to be made a number of times, from its n-th call on.
class unreliable {
public:
    using message_type = order;
    unreliable(int& calls, int good, int bad) : calls_(&calls), good_(good), bad_(bad) {}

    std::expected<task<outcome>, std::string> make(heph::context<order> ctx, journal* into) {
        const int call = (*calls_)++;
        if (call >= good_ && call < good_ + bad_) { return std::unexpected(std::string("no")); }
        return worker(std::move(ctx), into, "u");
    }

private:
    int* calls_;
    int good_;
    int bad_;
};

}  // namespace

TEST_CASE("tree: starts its children in order, and stops them in reverse when it is dropped",
          "[core][tree]") {
    three all(settings(restart_strategy::one_for_one));
    CHECK(all.take() == journal{"+a", "+b", "+c"});
    auto watching = heph::monitor(all.ref(1));
    all.drop();
    CHECK(all.seen == journal{"-c", "-b", "-a"});
    for (std::size_t i = 0; i < 3; ++i) { CHECK_FALSE(all.ref(i).is_connected()); }
    auto end = watching.poll(waker());
    REQUIRE(end.is_ready());
    CHECK(end.value().reason() == end_reason::dropped);
}

TEST_CASE("tree: one_for_one restarts the one that ended, and keeps its inbox", "[core][tree]") {
    const captured_log log;
    three all(settings(restart_strategy::one_for_one));
    (void)all.take();
    REQUIRE(all.ref(1).try_send(order::fail));
    REQUIRE(all.ref(1).try_send(order::work));
    CHECK(all.take() == journal{"-b", "+b", "b"});
    all.tell(1, order::finish);  // Permanent: also then.
    CHECK(all.take() == journal{"-b", "+b"});
    all.tell(2, order::blow_up);
    CHECK(all.take() == journal{"-c", "+c"});
    for (std::size_t i = 0; i < 3; ++i) { all.tell(i, order::work); }
    CHECK(all.take() == journal{"a", "b", "c"});
    CHECK_FALSE(all.result.has_value());
    REQUIRE(captured_log::lines().size() == 3);
    CHECK(captured_log::lines()[0].second == "tree test: child b failed: b broke; restarting it");
    CHECK(captured_log::lines()[1].second == "tree test: child b finished; restarting it");
    CHECK(captured_log::lines()[2].second ==
          "tree test: child c failed: c blew up (exception std::range_error); restarting it");
}

TEST_CASE("tree: one_for_all stops all in reverse, then starts all", "[core][tree]") {
    const captured_log log;
    three all(settings(restart_strategy::one_for_all));
    (void)all.take();
    REQUIRE(all.ref(1).try_send(order::fail));
    CHECK(all.take() == journal{"-b", "-c", "-a", "+a", "+b", "+c"});
    for (std::size_t i = 0; i < 3; ++i) { all.tell(i, order::work); }
    CHECK(all.take() == journal{"a", "b", "c"});
}

TEST_CASE("tree: rest_for_one restarts those that were added later, too", "[core][tree]") {
    const captured_log log;
    three all(settings(restart_strategy::rest_for_one));
    (void)all.take();
    all.tell(1, order::fail);
    CHECK(all.take() == journal{"-b", "-c", "+b", "+c"});
    all.tell(2, order::fail);
    CHECK(all.take() == journal{"-c", "+c"});
    all.tell(0, order::fail);
    CHECK(all.take() == journal{"-a", "-c", "-b", "+a", "+b", "+c"});
}

TEST_CASE("tree: too many restarts make it give up, and stop its children in reverse",
          "[core][tree]") {
    const captured_log log;
    three all(settings(restart_strategy::one_for_one, 2));
    (void)all.take();
    all.tell(0, order::fail);
    all.tell(1, order::fail);
    CHECK_FALSE(all.result.has_value());
    (void)all.take();
    auto broken = heph::monitor(all.ref(1));
    auto bystander = heph::monitor(all.ref(0));
    all.tell(1, order::fail);
    CHECK(all.take() == journal{"-b", "-c", "-a"});
    REQUIRE(all.result.has_value());
    REQUIRE_FALSE(all.result->has_value());
    CHECK(all.result->error().message() == "child b failed: b broke");
    CHECK(captured_log::lines().back().first == heph::log_level::critical);
    CHECK(captured_log::lines().back().second ==
          "tree test: child b failed: b broke; giving up, as there were too many restarts");
    auto end = broken.poll(waker());
    REQUIRE(end.is_ready());
    CHECK(end.value().text() == "b broke");
    auto other = bystander.poll(waker());
    REQUIRE(other.is_ready());
    CHECK(other.value().reason() == end_reason::dropped);
}

TEST_CASE("tree: counts restarts by the runtime's time", "[core][tree]") {
    const captured_log log;
    manual_time time;
    journal seen;
    poll_loop loop;
    tree_options options = settings(restart_strategy::one_for_one);
    options.limit = restart_limit{1, 10s};
    supervision_tree tree(options, manual_runtime(time));
    auto ref =
        tree.add(child_spec("a"), actor_fn(&worker<manual_runtime>), &seen, std::string("a"));
    loop.spawn(std::move(tree));
    for (int i = 0; i < 5; ++i) {
        REQUIRE(ref.try_send(order::fail));
        loop.run();
        REQUIRE(ref.is_connected());
        time.advance(10s);
    }
    REQUIRE(ref.try_send(order::fail));
    REQUIRE(ref.try_send(order::fail));
    loop.run();
    CHECK_FALSE(ref.is_connected());
}

TEST_CASE("tree: transient children are restarted after failures, temporary ones never",
          "[core][tree]") {
    const captured_log log;
    journal seen;
    poll_loop loop;
    std::optional<tree_result> result;
    supervision_tree tree(settings(restart_strategy::one_for_one));
    auto transient = tree.add(child_spec("t").transient(), plain_worker(), &seen, std::string("t"));
    auto temporary = tree.add(child_spec("x").temporary(), plain_worker(), &seen, std::string("x"));
    loop.spawn(three::keep(std::move(tree), &result));
    REQUIRE(transient.try_send(order::fail));
    REQUIRE(temporary.try_send(order::fail));
    loop.run();
    CHECK(seen == journal{"+t", "-t", "+x", "-x", "+t"});
    CHECK_FALSE(temporary.is_connected());
    CHECK(transient.is_connected());
    CHECK_FALSE(result.has_value());
    REQUIRE(transient.try_send(order::finish));
    loop.run();
    CHECK_FALSE(transient.is_connected());
    REQUIRE(result.has_value());  // No child is left.
    CHECK(result->has_value());
}

TEST_CASE("tree: a temporary child that is stopped with others does not come back",
          "[core][tree]") {
    const captured_log log;
    journal seen;
    poll_loop loop;
    supervision_tree tree(settings(restart_strategy::one_for_all));
    auto first = tree.add(child_spec("a"), plain_worker(), &seen, std::string("a"));
    auto temporary = tree.add(child_spec("x").temporary(), plain_worker(), &seen, std::string("x"));
    auto done = tree.add(child_spec("t").transient(), plain_worker(), &seen, std::string("t"));
    loop.spawn(std::move(tree));
    REQUIRE(done.try_send(order::finish));
    loop.run();
    CHECK(seen == journal{"+a", "+x", "+t", "-t"});
    seen.clear();
    REQUIRE(first.try_send(order::fail));
    loop.run();
    // One that has finished is started again with the others, as it may be what they rest on.
    CHECK(seen == journal{"-a", "-x", "+a", "+t"});
    CHECK_FALSE(temporary.is_connected());
}

TEST_CASE("tree: asks children to stop, one after the other, and waits for each", "[core][tree]") {
    const captured_log log;
    journal seen;
    poll_loop loop;
    std::optional<tree_result> result;
    supervision_tree tree(settings(restart_strategy::one_for_one));
    std::vector<actor_ref<order>> refs;
    for (const char* name : {"a", "b"}) {
        refs.push_back(tree.add(child_spec(name).stop_with(order::stop).inbox_size(1),
                                plain_worker(), &seen, std::string(name)));
    }
    auto control = tree.control();
    loop.spawn(three::keep(std::move(tree), &result));
    loop.run();
    seen.clear();
    REQUIRE(refs[1].try_send(order::work));  // Its inbox is full: the request has to wait.
    control.stop();
    loop.run();
    CHECK(seen == journal{"b", "stop b", "-b", "stop a", "-a"});
    REQUIRE(result.has_value());
    CHECK(result->has_value());
    auto end = heph::monitor(refs[0]).poll(waker());
    REQUIRE(end.is_ready());
    CHECK(end.value().reason() == end_reason::finished);
}

TEST_CASE("tree: drops a child that does not stop in time, and the others' messages wait",
          "[core][tree]") {
    const captured_log log;
    manual_time time;
    journal seen;
    poll_loop loop;
    supervision_tree tree(settings(restart_strategy::one_for_all), manual_runtime(time));
    auto first = tree.add(child_spec("a").stop_with(order::stop).within(1s),
                          actor_fn(&worker<manual_runtime>), &seen, std::string("a"));
    auto second = tree.add(child_spec("s").stop_with(order::stop).within(5s),
                           actor_fn(&stubborn<manual_runtime>), &seen, std::string("s"));
    auto third =
        tree.add(child_spec("c"), actor_fn(&worker<manual_runtime>), &seen, std::string("c"));
    loop.spawn(std::move(tree));
    loop.run();
    seen.clear();
    REQUIRE(third.try_send(order::fail));
    loop.run();
    CHECK(seen == journal{"-c", "no, s"});
    REQUIRE(first.try_send(order::work));  // It is not its turn yet: it works on.
    REQUIRE(third.try_send(order::work));  // It has stopped: that is for the next one.
    time.advance(4999ms);
    loop.run();
    CHECK(seen == journal{"-c", "no, s", "a"});
    time.advance(1ms);
    loop.run();
    CHECK(seen == journal{"-c", "no, s", "a", "-s", "stop a", "-a", "+a", "+s", "+c", "c"});
    CHECK(captured_log::lines().back().second ==
          "tree test: child s did not stop in time; dropping it");
    CHECK(time.waiting() == 0);
}

TEST_CASE("tree: what else fails while children are stopped extends the restart, once",
          "[core][tree]") {
    const captured_log log;
    manual_time time;
    journal seen;
    poll_loop loop;
    supervision_tree tree(settings(restart_strategy::rest_for_one, 2), manual_runtime(time));
    auto first =
        tree.add(child_spec("a"), actor_fn(&worker<manual_runtime>), &seen, std::string("a"));
    auto second =
        tree.add(child_spec("b"), actor_fn(&worker<manual_runtime>), &seen, std::string("b"));
    auto third = tree.add(child_spec("s").stop_with(order::stop).within(5s),
                          actor_fn(&stubborn<manual_runtime>), &seen, std::string("s"));
    loop.spawn(std::move(tree));
    loop.run();
    seen.clear();
    REQUIRE(second.try_send(order::fail));  // s is asked to stop.
    loop.run();
    REQUIRE(first.try_send(order::fail));  // The second restart, of the two that are allowed.
    loop.run();
    CHECK(seen == journal{"-b", "no, s", "-a"});
    time.advance(5s);
    loop.run();
    CHECK(seen == journal{"-b", "no, s", "-a", "-s", "+a", "+b", "+s"});
    CHECK(third.is_connected());
}

TEST_CASE("tree: a first start that fails makes it give up", "[core][tree]") {
    const captured_log log;
    journal seen;
    poll_loop loop;
    int calls = 0;
    std::optional<tree_result> result;
    supervision_tree tree(settings(restart_strategy::one_for_one));
    auto first = tree.add(child_spec("a"), plain_worker(), &seen, std::string("a"));
    auto second = tree.add(child_spec("u"), unreliable(calls, 0, 1), &seen);
    loop.spawn(three::keep(std::move(tree), &result));
    loop.run();
    REQUIRE(result.has_value());
    REQUIRE_FALSE(result->has_value());
    CHECK(result->error().message() == "child u could not be started: no");
    CHECK_FALSE(first.is_connected());
    CHECK_FALSE(second.is_connected());
    CHECK(calls == 1);
}

TEST_CASE("tree: a restart that fails is tried again as often as the limit allows",
          "[core][tree]") {
    const captured_log log;
    journal seen;
    poll_loop loop;
    int calls = 0;
    std::optional<tree_result> result;
    const int bad = GENERATE(3, 4);
    supervision_tree tree(settings(restart_strategy::one_for_one, 4));
    auto ref = tree.add(child_spec("u"), unreliable(calls, 1, bad), &seen);
    auto other = tree.add(child_spec("a"), plain_worker(), &seen, std::string("a"));
    loop.spawn(three::keep(std::move(tree), &result));
    REQUIRE(ref.try_send(order::fail));
    loop.run();
    CHECK(calls == 5);
    CHECK(result.has_value() == (bad == 4));
    if (bad == 4) {
        CHECK(result->error().message() == "child u could not be restarted: no");
        CHECK_FALSE(other.is_connected());
    } else {
        REQUIRE(ref.try_send(order::work));
        loop.run();
        CHECK(seen.back() == "u");
    }
}

TEST_CASE("tree: a child's own supervisor comes first", "[core][tree]") {
    const captured_log log;
    journal seen;
    poll_loop loop;
    supervision_tree tree(settings(restart_strategy::one_for_all));
    auto supervised = tree.add(
        child_spec("b"), heph::restart_supervisor(restart_limit{2, 1h}, &seen, std::string("b'")),
        plain_worker(), &seen, std::string("b"));
    auto other = tree.add(child_spec("a"), plain_worker(), &seen, std::string("a"));
    loop.spawn(std::move(tree));
    loop.run();
    seen.clear();
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 3; ++i) { REQUIRE(supervised.try_send(order::fail)); }
        loop.run();
        // Twice by itself; the third time it is the tree's affair, and its limit begins anew.
        CHECK(seen == journal{"-b", "+b'", "-b'", "+b'", "-b'", "-a", "+b", "+a"});
        seen.clear();
    }
}

TEST_CASE("tree: a child whose supervisor waits before a restart is stopped at once",
          "[core][tree]") {
    const captured_log log;
    manual_time time;
    journal seen;
    poll_loop loop;
    std::optional<tree_result> result;
    supervision_tree tree(settings(restart_strategy::one_for_one), manual_runtime(time));
    heph::backoff waits;
    waits.initial = waits.longest = 10s;
    auto ref =
        tree.add(child_spec("b").stop_with(order::stop).within(5s),
                 heph::backoff_supervisor(restart_limit{2, 1h}, waits, &seen, std::string("b")),
                 actor_fn(&worker<manual_runtime>), &seen, std::string("b"));
    auto control = tree.control();
    const auto keep = [](supervision_tree<manual_runtime> running,
                         std::optional<tree_result>* into) -> task<> {
        auto ended = co_await std::move(running);
        into->emplace(std::move(ended));
    };
    loop.spawn(keep(std::move(tree), &result));
    REQUIRE(ref.try_send(order::fail));
    loop.run();
    CHECK(time.waiting() == 1);
    control.stop();
    loop.run();
    CHECK(result.has_value());
    CHECK(time.waiting() == 0);
}

TEST_CASE("tree: a child that fails as it is asked to stop is not restarted by its own supervisor",
          "[core][tree]") {
    const captured_log log;
    journal seen;
    poll_loop loop;
    std::optional<tree_result> result;
    supervision_tree tree(settings(restart_strategy::one_for_one));
    const order asks = GENERATE(order::fail, order::blow_up);
    auto ref = tree.add(child_spec("b").stop_with(asks),
                        heph::restart_supervisor(restart_limit{9, 1h}, &seen, std::string("b")),
                        plain_worker(), &seen, std::string("b"));
    auto control = tree.control();
    loop.spawn(three::keep(std::move(tree), &result));
    REQUIRE(ref.try_send(order::fail));  // Before that, it is.
    loop.run();
    CHECK(seen == journal{"+b", "-b", "+b"});
    control.stop();
    loop.run();
    CHECK(seen == journal{"+b", "-b", "+b", "-b"});
    CHECK(result.has_value());
    CHECK_FALSE(ref.is_connected());
}

TEST_CASE("tree: a nested tree that gives up has failed, and is restarted", "[core][tree]") {
    const captured_log log;
    journal seen;
    poll_loop loop;
    std::optional<tree_result> result;
    supervision_tree inner(settings(restart_strategy::one_for_one, 1));
    auto a = inner.add(child_spec("a"), plain_worker(), &seen, std::string("a"));
    auto b = inner.add(child_spec("b"), plain_worker(), &seen, std::string("b"));
    supervision_tree outer(settings(restart_strategy::rest_for_one, 1));
    outer.add(child_spec("inner").transient(), std::move(inner));
    auto c = outer.add(child_spec("c"), plain_worker(), &seen, std::string("c"));
    loop.spawn(three::keep(std::move(outer), &result));
    loop.run();
    CHECK(seen == journal{"+c", "+a", "+b"});
    seen.clear();
    const auto fail_twice = [&](const actor_ref<order>& ref) {
        REQUIRE(ref.try_send(order::fail));
        REQUIRE(ref.try_send(order::fail));
        loop.run();
    };
    fail_twice(a);
    CHECK(seen == journal{"-a", "+a", "-a", "-b", "-c", "+c", "+a", "+b"});
    seen.clear();
    REQUIRE(b.try_send(order::work));
    loop.run();
    CHECK(seen == journal{"b"});
    seen.clear();
    fail_twice(b);
    REQUIRE(result.has_value());
    REQUIRE_FALSE(result->has_value());
    CHECK(result->error().message() == "child inner failed: child b failed: b broke");
    for (const auto& ref : {a, b, c}) { CHECK_FALSE(ref.is_connected()); }
}

TEST_CASE("tree: a nested tree is asked to stop, and given its time", "[core][tree]") {
    const captured_log log;
    manual_time time;
    journal seen;
    poll_loop loop;
    supervision_tree inner(settings(restart_strategy::one_for_one), manual_runtime(time));
    auto a = inner.add(child_spec("a").stop_with(order::stop), actor_fn(&worker<manual_runtime>),
                       &seen, std::string("a"));
    auto s = inner.add(child_spec("s").stop_with(order::stop), actor_fn(&stubborn<manual_runtime>),
                       &seen, std::string("s"));
    supervision_tree outer(settings(restart_strategy::one_for_one), manual_runtime(time));
    outer.add(child_spec("inner").within(5s), std::move(inner));
    auto control = outer.control();
    loop.spawn(std::move(outer));
    loop.run();
    seen.clear();
    control.stop();
    loop.run();
    CHECK(seen == journal{"no, s"});
    time.advance(5s);
    loop.run();
    CHECK(seen == journal{"no, s", "-s", "-a"});
    CHECK(loop.unfinished() == 0);
    CHECK_FALSE(a.is_connected());
}

TEST_CASE("tree: a control adds children, stops them by name, and keeps the tree going",
          "[core][tree]") {
    const captured_log log;
    journal seen;
    poll_loop loop;
    std::optional<tree_result> result;
    std::optional<heph::tree_control<heph::no_runtime>> control;
    {
        supervision_tree tree(settings(restart_strategy::one_for_one));
        control.emplace(tree.control());
        loop.spawn(three::keep(std::move(tree), &result));
    }
    loop.run();
    CHECK_FALSE(result.has_value());
    auto a = control->add(child_spec("a"), plain_worker(), &seen, std::string("a"));
    auto b = control->add(child_spec("b").stop_with(order::stop), heph::escalate_supervisor(),
                          plain_worker(), &seen, std::string("b"));
    int calls = 0;
    auto u = control->add(child_spec("u"), unreliable(calls, 0, 1), &seen);
    loop.run();
    CHECK(seen == journal{"+a", "+b"});
    CHECK_FALSE(u.is_connected());  // It could not be started, which is nobody else's affair.
    REQUIRE(a.try_send(order::fail));
    control->stop("b");
    control->stop("nobody");
    loop.run();
    CHECK(seen == journal{"+a", "+b", "-a", "stop b", "-b", "+a"});
    CHECK_FALSE(b.is_connected());
    control->stop("a");
    loop.run();
    CHECK_FALSE(a.is_connected());
    CHECK_FALSE(result.has_value());
    control.reset();
    loop.run();
    CHECK(result.has_value());
}

TEST_CASE("tree: a control may outlive its tree", "[core][tree]") {
    journal seen;
    std::optional<supervision_tree<>> tree(std::in_place, settings(restart_strategy::one_for_one));
    auto control = tree->control();
    auto early = control.add(child_spec("e"), plain_worker(), &seen, std::string("e"));
    CHECK(early.is_connected());
    tree.reset();
    CHECK_FALSE(early.is_connected());
    auto late = control.add(child_spec("l"), plain_worker(), &seen, std::string("l"));
    CHECK_FALSE(late.is_connected());
    control.stop();
    control.stop("e");
    const auto copied = control;
    CHECK(seen.empty());
}

TEST_CASE("tree: ends with its significant children", "[core][tree]") {
    const captured_log log;
    journal seen;
    poll_loop loop;
    std::optional<tree_result> result;
    tree_options options = settings(restart_strategy::one_for_one);
    const bool any = GENERATE(true, false);
    options.when_significant_end =
        any ? heph::auto_shutdown::any_significant : heph::auto_shutdown::all_significant;
    supervision_tree tree(options);
    auto a = tree.add(child_spec("a").transient().significant(), plain_worker(), &seen,
                      std::string("a"));
    auto b = tree.add(child_spec("b").temporary().significant(), plain_worker(), &seen,
                      std::string("b"));
    auto c = tree.add(child_spec("c"), plain_worker(), &seen, std::string("c"));
    loop.spawn(three::keep(std::move(tree), &result));
    loop.run();
    REQUIRE(a.try_send(order::fail));  // It is restarted: that is no end.
    loop.run();
    CHECK_FALSE(result.has_value());
    REQUIRE(a.try_send(order::finish));
    loop.run();
    CHECK(result.has_value() == any);
    CHECK(c.is_connected() != any);
    if (!any) {
        REQUIRE(b.try_send(order::fail));
        loop.run();
        REQUIRE(result.has_value());
    }
    CHECK(result->has_value());
}

TEST_CASE("tree: children are restarted in the middle of what they do with each other",
          "[core][tree]") {
    const captured_log log;
    poll_loop loop;
    using ask = heph::rpc<int, int>;
    int answered = 0;
    int lost = 0;
    const auto server = [](heph::context<ask> ctx) -> task<outcome> {
        while (auto call = co_await ctx.receive()) {
            if (call->request() % 3 == 0) { co_return std::unexpected(std::string("three")); }
            call->respond(call->request());
        }
        co_return outcome();
    };
    const auto client = [](heph::context<order> ctx, actor_ref<ask> to, int* good,
                           int* bad) -> task<> {
        for (int i = 1; i <= 30; ++i) {
            auto answer = co_await to.rpc(i);
            ++*(answer ? good : bad);
        }
        (void)co_await ctx.receive();
    };
    supervision_tree tree(settings(restart_strategy::rest_for_one));
    auto first = tree.add(child_spec("c"), actor_fn(+[](heph::context<order> ctx) -> task<> {
                              (void)co_await ctx.receive();
                          }));
    auto to = tree.add(child_spec("s"), actor_fn(+server));
    loop.spawn(std::move(tree));
    // From outside: it goes on over the restarts.
    auto [running, ref] =
        heph::make_actor(heph::no_supervisor(), actor_fn(+client), heph::no_runtime(),
                         heph::actor_options(), to, &answered, &lost);
    loop.spawn(std::move(running));
    loop.run();
    CHECK(answered == 20);
    CHECK(lost == 10);
}
