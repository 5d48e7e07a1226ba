// Drops an actor, and who calls it, after every number of polls: nothing may leak, be destroyed
// twice, or refer to what is gone. The sanitizers look on.

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/either.hpp>
#include <heph/core/join.hpp>
#include <heph/core/match.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_options;
using heph::context;
using heph::task;
using heph::test::captured_log;
using heph::test::poll_loop;
using heph::test::probe;

namespace {

using outcome = std::expected<void, std::string>;

// A message that owns something, counted.
class parcel {
public:
    parcel(int& live, int number) : number_(number), probe_(live) {}
    [[nodiscard]] int number() const { return number_; }

private:
    int number_;
    probe probe_;
    std::unique_ptr<int> owned_ = std::make_unique<int>(0);
};

class fetch : public heph::rpc<int, parcel> {
public:
    using rpc::rpc;
};
using message = std::variant<parcel, fetch>;

task<parcel> make_parcel(int* live, int number) {
    const probe local(*live);
    co_await heph::yield();
    co_return parcel(*live, number);
}

// Awaits children, combinators and calls while it handles messages; fails on a parcel numbered 3.
task<outcome> postman(context<message> ctx, int* live, probe) {
    const probe local(*live);
    std::vector<parcel> kept;
    for (;;) {
        auto receiving = ctx.receive();
        auto first = co_await heph::either(receiving, heph::yield());
        std::optional<message> received;
        if (first.index() == 0) {
            if (auto& got = std::get<0>(first)) { received.emplace(std::move(*got)); }
        } else {
            auto got = co_await receiving;
            if (got) { received.emplace(std::move(*got)); }
        }
        if (!received) { co_return outcome(); }
        if (auto* call = std::get_if<fetch>(&*received)) {
            auto made = co_await heph::join(make_parcel(live, call->request()), heph::yield());
            call->respond(std::move(std::get<0>(made)));
            continue;
        }
        parcel taken = std::move(std::get<parcel>(*received));
        if (taken.number() == 3) { co_return std::unexpected(std::string("three is too many")); }
        if (taken.number() == 4) { throw std::string("four"); }
        kept.push_back(std::move(taken));
        co_await make_parcel(live, 0);
    }
}

task<> customer(heph::actor_ref<message> ref, int* live, int* done) {
    const probe local(*live);
    for (int i = 1; i <= 5; ++i) {
        auto sent = co_await ref.emplace<parcel>(*live, i);
        if (!sent) { co_return; }
        auto calling = ref.rpc<fetch>(i);
        auto both = co_await heph::join(calling, heph::yield());
        if (std::get<0>(both) && std::get<0>(both)->number() != i) { *done = -100; }
    }
    ++*done;
}

// Runs the whole for so many polls, then drops everything. Tells whether it had finished.
bool run_and_drop(std::size_t polls, std::size_t inbox_size) {
    int live = 0;
    int done = 0;
    bool finished = false;
    {
        poll_loop loop;
        actor_options options;
        options.inbox_size = inbox_size;
        auto [running, ref] = heph::make_actor(
            [&live](const heph::failure&) { return heph::restart(&live, probe(live)); },
            heph::actor_fn(postman), heph::no_runtime(), options, &live, probe(live));
        loop.spawn(std::move(running));
        loop.spawn(customer(ref, &live, &done));
        loop.spawn(customer(ref, &live, &done));
        { auto gone = std::move(ref); }
        loop.run(polls);
        finished = loop.unfinished() == 0;
        loop.drop_all();
        REQUIRE(live == 0);
    }
    REQUIRE(live == 0);
    REQUIRE(done == (finished ? 2 : done));
    return finished;
}

}  // namespace

TEST_CASE("drop: an actor and its callers may be dropped after any number of polls",
          "[core][drop]") {
    const std::size_t inbox_size = GENERATE(1U, 3U);
    const captured_log log;
    std::size_t polls = 0;
    while (!run_and_drop(polls, inbox_size)) { ++polls; }
    CHECK(polls > 40);
}

TEST_CASE("drop: callers learn when the actor is dropped at any point", "[core][drop]") {
    const captured_log log;
    for (std::size_t polls = 0; polls < 60; ++polls) {
        int live = 0;
        int done = 0;
        poll_loop callers;
        auto [made, ref] = heph::make_actor(
            [&live](const heph::failure&) { return heph::restart(&live, probe(live)); },
            heph::actor_fn(postman), heph::no_runtime(), actor_options(), &live, probe(live));
        {
            poll_loop loop;
            loop.spawn(std::move(made));
            callers.spawn(customer(ref, &live, &done));
            { auto gone = std::move(ref); }
            for (std::size_t i = 0; i < polls; ++i) {
                callers.run(1);
                loop.run(1);
            }
        }
        // The callers end by themselves: nothing they wait for can come any more.
        callers.run();
        REQUIRE(callers.unfinished() == 0);
        REQUIRE(live == 0);
    }
}

TEST_CASE("drop: a task may be destroyed by what it sent itself to", "[core][drop]") {
    // A message that holds the reference by which it travels.
    struct letter {
        explicit letter(heph::actor_ref<std::unique_ptr<letter>> to) : ref(std::move(to)) {}
        heph::actor_ref<std::unique_ptr<letter>> ref;
    };
    const auto ignores = [](context<std::unique_ptr<letter>> ctx, probe) -> task<> {
        (void)co_await ctx.receive();
        // Ends with the letter of the last reference to itself still in its inbox.
    };
    int live = 0;
    auto [running, ref] = heph::make_actor(heph::no_supervisor(), heph::actor_fn(ignores),
                                           heph::no_runtime(), actor_options(), probe(live));
    REQUIRE(ref.try_send(nullptr));
    REQUIRE(ref.try_send(std::make_unique<letter>(ref)));
    { auto gone = std::move(ref); }
    CHECK(running.poll(heph::waker()).is_ready());
    CHECK(live == 0);
}
