// Drops who sends to groups, asks for streams, waits with deadlines and through mappings, after
// every number of polls: nothing may leak, be destroyed twice, or refer to what is gone. The
// sanitizers look on.

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/actor_group.hpp>
#include <heph/core/join.hpp>
#include <heph/core/match.hpp>
#include <heph/core/select.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/manual_time.hpp"
#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using namespace std::chrono_literals;
using heph::actor_group;
using heph::actor_options;
using heph::actor_ref;
using heph::context;
using heph::task;
using heph::test::manual_runtime;
using heph::test::manual_time;
using heph::test::poll_loop;
using heph::test::probe;

namespace {

// A message that is counted, and can be copied for a whole group.
class parcel {
public:
    explicit parcel(int& live) : probe_(live) {}
    parcel(const parcel&) = default;
    parcel(parcel&&) noexcept = default;
    // The probe is no part of its value.
    parcel& operator=(parcel&&) noexcept { return *this; }
    ~parcel() = default;

private:
    probe probe_;
    std::string text_ = "long enough to be on the heap, wherever it is";
};

using total_of = heph::rpc<int, int>;
using parcels = heph::stream_rpc<int, parcel, std::string>;
using message = std::variant<parcel, total_of, parcels>;

task<> answers(parcels call, int* live) {
    const probe local(*live);
    for (int i = 0; i < call.request(); ++i) {
        auto sent = co_await call.send(parcel(*live));
        if (!sent) { co_return; }
    }
    call.fail("no more");
}

task<> worker(context<message, manual_runtime> ctx, int* live, probe) {
    const probe local(*live);
    for (;;) {
        auto next = co_await ctx.receive(heph::deadline_in(1s));
        if (!next && next.error() == heph::receive_error::disconnected) { co_return; }
        if (!next) { continue; }
        co_await heph::yield();
        if (auto* call = std::get_if<total_of>(&*next)) {
            // Some are never answered.
            if (call->request() % 2 == 0) { call->respond(call->request()); }
        } else if (auto* asked = std::get_if<parcels>(&*next)) {
            co_await answers(std::move(*asked), live);
        }
    }
}

// Copies are for a group of parcels only: the others go through mappings.
task<> customer(actor_group<message> workers, manual_runtime runtime, int* live, int* done) {
    const probe local(*live);
    actor_group<parcel> by_map;
    for (const actor_ref<message>& each : workers) { by_map.add(each.map<parcel>()); }
    for (int i = 0; i < 3; ++i) {
        message given = parcel(*live);
        auto one = co_await workers.send_to_one(std::move(given), heph::by_key(i));
        if (!one) { co_return; }
        auto all = co_await by_map.send_to_all(parcel(*live));
        if (!all) { co_return; }
        auto to = workers.pick(heph::at_random);
        if (!to) { co_return; }
        auto sent = co_await to->map<parcel>().send(parcel(*live));
        if (!sent) { co_return; }
        auto total = co_await to->rpc(heph::bind_deadline(runtime, heph::deadline_in(100ms)), i);
        if (!total && total.error() == heph::rpc_error::disconnected) { co_return; }
        auto items = co_await to->stream(heph::window(1), 4);
        if (!items) { co_return; }
        for (int taken = 0; taken <= i * 2; ++taken) {
            auto receiving = items->next();
            const bool more = co_await heph::select(
                heph::when(receiving,
                           [](const std::optional<parcel>& got) { return got.has_value(); }),
                heph::when(runtime.timer_at(runtime.now() + 1s), [] { return false; }));
            if (!more) { break; }
        }
    }
    ++*done;
}

struct outcome {
    bool finished;
    int done;
};

// Runs the whole for so many polls, then drops everything.
outcome run_and_drop(std::size_t polls) {
    int live = 0;
    int done = 0;
    bool finished = false;
    {
        manual_time time;
        poll_loop loop;
        {
            actor_group<message> workers;
            workers.seed(1);
            actor_options options;
            options.inbox_size = 1;
            for (int i = 0; i < 3; ++i) {
                auto [running, ref] =
                    heph::make_actor(heph::no_supervisor(), heph::actor_fn(worker),
                                     manual_runtime(time), options, &live, probe(live));
                loop.spawn(std::move(running));
                workers.add(std::move(ref));
            }
            loop.spawn(customer(workers, manual_runtime(time), &live, &done));
            loop.spawn(customer(std::move(workers), manual_runtime(time), &live, &done));
        }
        for (std::size_t i = 0; i < polls && loop.unfinished() != 0; ++i) {
            loop.run(1);
            time.advance(1ms);
        }
        finished = loop.unfinished() == 0;
        loop.drop_all();
        REQUIRE(live == 0);
        REQUIRE(time.waiting() == 0);
    }
    REQUIRE(live == 0);
    return {finished, done};
}

}  // namespace

TEST_CASE("drop: who sends to groups, streams and waits with deadlines may go at any point",
          "[core][drop][group]") {
    std::size_t polls = 0;
    for (;; ++polls) {
        REQUIRE(polls < 5000);
        const outcome now = run_and_drop(polls);
        if (now.finished) {
            CHECK(now.done == 2);
            break;
        }
    }
    CHECK(polls > 100);
}

TEST_CASE("drop: each member of a group may go at any point", "[core][drop][group]") {
    for (std::size_t polls = 0; polls < 120; ++polls) {
        int live = 0;
        int done = 0;
        manual_time time;
        {
            poll_loop customers;
            std::vector<std::optional<poll_loop>> loops(2);
            actor_group<message> workers;
            workers.seed(2);
            for (auto& loop : loops) {
                loop.emplace();
                actor_options options;
                options.inbox_size = 1;
                auto [running, ref] =
                    heph::make_actor(heph::no_supervisor(), heph::actor_fn(worker),
                                     manual_runtime(time), options, &live, probe(live));
                loop->spawn(std::move(running));
                workers.add(std::move(ref));
            }
            customers.spawn(customer(std::move(workers), manual_runtime(time), &live, &done));
            for (std::size_t i = 0; i < polls; ++i) {
                customers.run(1);
                for (auto& loop : loops) { loop->run(1); }
                time.advance(1ms);
            }
            // Both go, one after the other; the customer ends by itself.
            for (auto& loop : loops) {
                loop.reset();
                customers.run();
            }
            time.advance(10s);
            customers.run();
            REQUIRE(customers.unfinished() == 0);
        }
        REQUIRE(live == 0);
    }
}
