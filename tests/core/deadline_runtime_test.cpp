// Deadlines by the timers of heph-rt.

#include <chrono>
#include <optional>
#include <utility>

#include <catch2/catch.hpp>
#include <heph/core/actor_ref.hpp>
#include <heph/core/context.hpp>
#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/timer.hpp>
#include <heph/rt/worker.hpp>

using namespace std::chrono_literals;
using heph::task;
using heph::rt::local_context;

namespace {

using ask = heph::rpc<int, int>;

struct seen {
    bool receive_timed_out = false;
    bool call_timed_out = false;
    bool answered = false;
    bool received = false;
    bool future_timed_out = false;
};

// Answers even numbers, and keeps the others.
task<> answers_some(local_context<ask> ctx) {
    std::optional<ask> kept;
    while (auto call = co_await ctx.receive()) {
        if (call->request() % 2 == 0) {
            call->respond(call->request() / 2);
        } else {
            kept.emplace(std::move(*call));
        }
    }
}

task<> patient(local_context<int> ctx, heph::actor_ref<ask> other, seen* saw) {
    const auto self = ctx.self();
    auto nothing = co_await ctx.receive(heph::deadline_in(2ms));
    saw->receive_timed_out = !nothing && nothing.error() == heph::receive_error::empty;
    auto none = co_await other.rpc(ctx.deadline_in(2ms), 3);
    saw->call_timed_out = !none && none.error() == heph::rpc_error::timed_out;
    auto half = co_await other.rpc(ctx.deadline_in(30s), 8);
    saw->answered = half.value_or(0) == 4;
    (void)self.try_send(1);
    auto one = co_await ctx.receive(ctx.deadline_at(ctx.runtime().now() + 30s));
    saw->received = one.value_or(0) == 1;
    auto late = co_await heph::with_deadline(ctx.receive(), ctx.deadline_in(2ms));
    saw->future_timed_out = !late.has_value();
    co_await ctx.deadline_in(1ms);
}

}  // namespace

TEST_CASE("deadline: an actor on heph-rt waits by its worker's timers", "[core][deadline][rt]") {
    seen saw;
    auto runtime = heph::rt::setup().threads(1).ignore_signals().build();
    REQUIRE(runtime.has_value());
    runtime->run_on_workers([&saw](heph::rt::worker& worker) {
        auto other = worker.spawn(heph::no_supervisor(), heph::actor_fn(answers_some));
        (void)worker.spawn(heph::no_supervisor(), heph::actor_fn(patient), std::move(other), &saw);
    });
    REQUIRE(runtime->start().has_value());
    CHECK(saw.receive_timed_out);
    CHECK(saw.call_timed_out);
    CHECK(saw.answered);
    CHECK(saw.received);
    CHECK(saw.future_timed_out);
}
