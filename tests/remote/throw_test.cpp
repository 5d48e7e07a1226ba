// What a program's own functions throw while a node runs them.

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/testing/step_executor.hpp>
#include <heph/remote/memory_network.hpp>

#include "remote/nodes.hpp"

using namespace heph::remote::testing;
using heph::remote::failure;
using heph::testing::step_executor;
using heph::testing::step_runtime;
namespace remote = heph::remote;

namespace {

remote::node start_in(step_executor& run, const remote::options& settings) {
    auto started = remote::start_stepped(run, settings);
    if (!started) { throw std::runtime_error(started.error().message()); }
    return std::move(*started);
}

// Unlucky is whoever adds 3.
counter_message unless_three(counter_message message) {
    if (const auto* what = std::get_if<add>(&message); what != nullptr && what->amount == 3) {
        throw std::runtime_error("three");
    }
    return message;
}

}  // namespace

TEST_CASE("deliver: a message whose mapping throws once it waited is reported, and others go on",
          "[remote][memory]") {
    step_executor run(heph::testing::schedule::in_order());
    const remote::memory_network network;
    const auto state = std::make_shared<counter_state>();
    heph::actor_options small;
    small.inbox_size = 1;
    const auto counter = run.spawn(std::move(small), run.supervisor(),
                                   heph::actor_fn(counter_on<step_runtime>), state);
    const auto a = start_in(run, quick_options("a").network(network).listen("memory:a"));
    a.publish("counter", counter.map_fn<counter_message>(&unless_three));
    std::vector<failure> told;
    const auto b = start_in(run, quick_options("b")
                                     .network(network)
                                     .peer("a", "memory:a")
                                     .undelivered([&told](std::string_view, std::string_view,
                                                          failure why) { told.push_back(why); }));
    const auto found = run.block_on(b.find<counter_message>("a", "counter", plenty));
    REQUIRE(found);
    {
        auto holding = found->rpc<hold>(1h);
        run.run_until(
            [&] {
                (void)holding.poll(heph::waker());
                return state->holding == 1;
            },
            1s);
        REQUIRE(state->holding == 1);
        // The first one fills the inbox; the others wait for room, each behind the one before it.
        for (int amount = 1; amount <= 6; ++amount) { REQUIRE(found->try_send(add(amount))); }
        run.advance(1s);
        CHECK(state->amounts.empty());
    }
    run.advance(1s);
    CHECK(state->amounts == std::vector<int>{1, 2, 4, 5, 6});
    CHECK(told == std::vector<failure>{failure::bad_message});

    // And so it is where there is room at once.
    REQUIRE(found->try_send(add(3)));
    REQUIRE(found->try_send(add(7)));
    run.advance(1s);
    CHECK(state->amounts.back() == 7);
    CHECK(told.size() == 2);
    CHECK(b.is_linked("a"));
    a.stop();
    b.stop();
    run.advance(10s);
}
