// The README of heph-core, part five: groups and streamed answers. See readme_test.cpp.

#include <cstddef>
#include <expected>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_group.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/stream_rpc.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/testing/step_executor.hpp>

namespace {

std::vector<std::string> printed;
void print(const std::string& line) { printed.push_back(line); }

// [stream-rpc]
using count_up = heph::stream_rpc<int, int>;  // asks with an int, answers many

heph::task<> counts(heph::context<count_up> ctx) {
    while (auto call = co_await ctx.receive()) {
        for (int i = 1; i <= call->request(); ++i) {
            auto sent = co_await call->send(i);  // waits for a caller that is slow
            if (!sent) { break; }                // the caller has had enough
        }
        call->finish();
    }
}

heph::task<> listens(heph::actor_ref<count_up> ref) {
    auto numbers = co_await ref.stream<count_up>(heph::window(4), 3);  // at most 4 under way
    if (!numbers) { co_return; }                                       // the actor is finished
    while (auto next = co_await numbers->next()) { print(std::to_string(*next)); }
    auto ended = numbers->result();
    print(ended ? "that was all" : "the actor broke off");
}
// [/stream-rpc]

heph::task<> works(heph::testing::step_context<std::string> ctx, std::string name) {
    while (auto job = co_await ctx.receive()) { print(name + " does " + *job); }
}

heph::task<> shares_out(heph::actor_group<std::string> group) {
    // [group]
    // To the one whose turn it is; or at random, or always the same one for a key.
    auto sent = co_await group.send_to_one("sweep");
    auto same = group.try_send_to_one("dust", heph::by_key(std::string("kitchen")));
    // To all: one is moved, the others are copies.
    heph::group_report<std::string> report = group.try_send_to_all("rest");
    for (const auto& failure : report.failures()) { print(std::string(failure.message())); }
    // [/group]
    print(sent && same && report ? "shared out" : "not shared out");
}

}  // namespace

TEST_CASE("readme: a call is answered by many values", "[core][readme]") {
    printed.clear();
    heph::testing::step_executor run;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(counts),
                                           heph::no_runtime(), heph::actor_options());
    run.spawn_future(std::move(running));
    run.spawn_future(listens(std::move(ref)));
    run.run();
    CHECK(run.unfinished() == 0);
    CHECK(printed == std::vector<std::string>{"1", "2", "3", "that was all"});
}

TEST_CASE("readme: a group shares work out", "[core][readme]") {
    printed.clear();
    heph::testing::step_executor run;
    heph::actor_group<std::string> group;
    for (const char* name : {"ann", "ben"}) {
        group.add(run.spawn(run.supervisor(), heph::actor_fn(works), std::string(name)));
    }
    run.spawn_future(shares_out(std::move(group)));
    run.run();
    CHECK(run.unfinished() == 0);
    CHECK(printed.front() == "shared out");
    CHECK(printed.size() == 5);
}
