// An orderly end: what is under way is finished first.

#include <memory>
#include <optional>

#include <heph/core/either.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
namespace remote = heph::remote;
namespace rt = heph::rt;

namespace {

/// Is answered when the test says so.
struct wait_for_it : heph::rpc<void, int> {
    using heph::rpc<void, int>::rpc;
    static constexpr std::string_view message_name = "test.wait_for_it";
};

heph::task<> waiter(rt::local_context<wait_for_it> ctx, std::shared_ptr<int> asked,
                    std::shared_ptr<bool> answers) {
    while (auto call = co_await ctx.receive()) {
        ++*asked;
        (void)co_await eventually([&] { return *answers; });
        call->respond(42);
    }
}

struct waiting_nodes {
    explicit waiting_nodes(rt::worker worker, std::chrono::milliseconds drain)
        : asked(std::make_shared<int>(0)),
          answers(std::make_shared<bool>(false)),
          links(quick_links()) {
        links.drain_time = drain;
        a.emplace(start(worker, listening("a").links(links)));
        b.emplace(start(worker, quick_options("b").links(links).peer("a", a->address())));
        a->publish("waiter",
                   worker.spawn(heph::no_supervisor(), heph::actor_fn(waiter), asked, answers));
    }
    std::shared_ptr<int> asked;
    std::shared_ptr<bool> answers;
    remote::link_settings links;
    std::optional<remote::node> a;
    std::optional<remote::node> b;
};

}  // namespace

TEST_CASE("goodbye: a call that is under way is answered before the called node goes",
          "[remote][goodbye]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        waiting_nodes nodes(worker, plenty);
        auto found = co_await nodes.b->find<wait_for_it>("a", "waiter", plenty);
        REQUIRE(found);
        auto asking = found->rpc(plenty);
        auto first = co_await heph::either(asking, eventually([&] { return *nodes.asked == 1; }));
        REQUIRE(first.index() == 1);
        nodes.a->stop();
        auto still = co_await heph::either(asking, rt::timer(100ms));
        REQUIRE(still.index() == 1);
        CHECK(nodes.b->is_linked("a"));
        *nodes.answers = true;
        const auto answer = co_await asking;
        CHECK(answer == 42);
        const bool gone = co_await eventually([&] { return !nodes.b->is_linked("a"); });
        CHECK(gone);
    });
}

TEST_CASE("goodbye: a call that is under way is answered before the calling node goes",
          "[remote][goodbye]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        waiting_nodes nodes(worker, plenty);
        auto found = co_await nodes.b->find<wait_for_it>("a", "waiter", plenty);
        REQUIRE(found);
        auto asking = found->rpc(plenty);
        auto first = co_await heph::either(asking, eventually([&] { return *nodes.asked == 1; }));
        REQUIRE(first.index() == 1);
        nodes.b->stop();
        auto still = co_await heph::either(asking, rt::timer(100ms));
        REQUIRE(still.index() == 1);
        *nodes.answers = true;
        const auto answer = co_await asking;
        CHECK(answer == 42);
    });
}

TEST_CASE("goodbye: a draining node accepts no connections, and goes after the drain time",
          "[remote][goodbye]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        waiting_nodes nodes(worker, 300ms);
        auto found = co_await nodes.b->find<wait_for_it>("a", "waiter", plenty);
        REQUIRE(found);
        auto asking = found->rpc(plenty);
        auto first = co_await heph::either(asking, eventually([&] { return *nodes.asked == 1; }));
        REQUIRE(first.index() == 1);
        nodes.a->stop();
        const bool closed = co_await eventually([] { return true; });
        CHECK(closed);
        const auto where = *rt::net::endpoint::parse(nodes.a->address());
        // The listener is gone as soon as its task has run; the call is held all the time.
        bool refused = false;
        for (int tries = 0; tries < 100 && !refused; ++tries) {
            auto connected = co_await rt::net::tcp_stream::connect(where);
            refused = !connected;
            co_await rt::timer(1ms);
        }
        CHECK(refused);
        const auto late = co_await nodes.b->find<wait_for_it>("a", "waiter", plenty);
        CHECK(late.error() == failure::node_down);
        const auto answer = co_await asking;
        CHECK(answer.error() == failure::node_down);
        *nodes.answers = true;  // The actor need not be waited for.
    });
}

TEST_CASE("goodbye: what waits for room in an inbox of the node that goes is told to its senders",
          "[remote][goodbye]") {
    run_nodes([](rt::worker worker) -> heph::task<> {
        const auto state = std::make_shared<counter_state>();
        const auto counter = spawn_counter(worker, state, 1);
        const auto a = start(worker, listening("a"));
        a.publish("counter", counter);
        const auto told = std::make_shared<int>(0);
        auto settings = quick_options("b").peer("a", a.address());
        settings.undelivered([told](std::string_view, std::string_view actor, failure why) {
            *told += actor == "counter" && why == failure::node_down ? 1 : 0;
        });
        const auto b = start(worker, settings);
        auto holding = counter.rpc<hold>();
        auto held = co_await heph::either(holding, eventually([&] { return state->holding == 1; }));
        REQUIRE(held.index() == 1);
        auto found = co_await b.find<counter_message>("a", "counter", plenty);
        REQUIRE(found);
        for (int i = 0; i < 20; ++i) { CHECK(found->try_send(add(1))); }
        // What is answered was asked behind them, and acknowledges them.
        auto behind = co_await b.find<counter_message>("a", "counter", plenty);
        CHECK(behind);
        a.stop();
        const bool gone = co_await eventually([&] { return !b.is_linked("a"); });
        CHECK(gone);
        CHECK(*told >= 18);
        CHECK(*told < 20);
    });
}
