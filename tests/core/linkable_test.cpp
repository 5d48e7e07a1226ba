// Links between actors that run: who ends with whom, when, and on which thread.

#include <heph/core/linkable.hpp>

#include <atomic>
#include <cstddef>
#include <expected>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/link.hpp>
#include <heph/core/monitor.hpp>
#include <heph/core/task.hpp>

#include "core/executors.hpp"
#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::actor_end;
using heph::actor_options;
using heph::actor_ref;
using heph::context;
using heph::end_reason;
using heph::task;
using heph::waker;
using heph::test::captured_log;
using heph::test::gate;
using heph::test::poll_loop;
using heph::test::probe;
using namespace std::chrono_literals;

namespace {

using outcome = std::expected<void, std::string>;

// Ends well on 0, fails on 1, throws on 2; counts others.
task<outcome> mortal(context<int> ctx, probe, std::size_t* handled) {
    while (auto message = co_await ctx.receive()) {
        if (*message == 0) { co_return outcome(); }
        if (*message == 1) { co_return std::unexpected(std::string("a one")); }
        if (*message == 2) { throw std::range_error("a two"); }
        ++*handled;
    }
    co_return outcome();
}

// What a test needs of a few such actors on a loop.
struct world {
    captured_log log;
    int live = 0;
    std::size_t handled = 0;
    poll_loop loop;

    template <typename Supervisor = heph::stop_supervisor>
    auto make(Supervisor supervisor = {}) {
        return heph::make_actor(heph::linkable(std::move(supervisor)), heph::actor_fn(mortal),
                                heph::no_runtime(), actor_options(), probe(live), &handled);
    }
    actor_ref<int> spawn() {
        auto [running, ref] = make();
        loop.spawn(std::move(running));
        return std::move(ref);
    }
};

actor_end end_of(const actor_ref<int>& ref) {
    auto watching = heph::monitor(ref);
    auto end = watching.poll(waker());
    REQUIRE(end.is_ready());
    return std::move(end).value();
}

}  // namespace

TEST_CASE("linkable: a failure ends the other one, whichever it is, with its words",
          "[core][linkable]") {
    world all;
    const actor_ref<int> refs[] = {all.spawn(), all.spawn()};
    all.loop.run();
    REQUIRE(heph::link(refs[0], refs[1]));
    const std::size_t first = GENERATE(0U, 1U);
    const int how = GENERATE(1, 2);
    REQUIRE(refs[first].try_send(how));
    all.loop.run();
    CHECK(all.loop.unfinished() == 0);
    CHECK(all.live == 0);
    CHECK(end_of(refs[first]).reason() == end_reason::failed);
    const actor_end end = end_of(refs[1 - first]);
    CHECK(end.reason() == end_reason::linked);
    CHECK(end.text() == (how == 1 ? "a one" : "a two"));
    CHECK(all.log.lines().size() == 1);  // Of the one that failed.
}

TEST_CASE("linkable: a finish, and a restart, leave the other one alone", "[core][linkable]") {
    world all;
    const auto ref = all.spawn();
    SECTION("a finish") {
        const auto other = all.spawn();
        REQUIRE(heph::link(ref, other));
        REQUIRE(other.try_send(0));
        all.loop.run();
        CHECK(ref.is_connected());
        CHECK_FALSE(heph::unlink(ref, other));  // It went with the other one.
    }
    SECTION("a restart") {
        auto [running, other] = all.make(
            heph::restart_supervisor(heph::restart_limit{1, 1h}, probe(all.live), &all.handled));
        all.loop.spawn(std::move(running));
        REQUIRE(heph::link(ref, other));
        REQUIRE(other.try_send(1));
        REQUIRE(other.try_send(7));
        all.loop.run();
        CHECK(all.handled == 1);
        CHECK(ref.is_connected());
        REQUIRE(other.try_send(1));  // Once too often.
        all.loop.run();
        CHECK(end_of(ref).reason() == end_reason::linked);
    }
}

TEST_CASE("linkable: dropping one ends the other", "[core][linkable]") {
    world all;
    const auto ref = all.spawn();
    {
        auto [running, other] = all.make();
        REQUIRE(heph::link(ref, other));
        all.loop.run();
        CHECK(ref.is_connected());
    }
    all.loop.run();
    CHECK(all.live == 0);
    CHECK(end_of(ref).reason() == end_reason::linked);
    CHECK(end_of(ref).text() == "dropped");
}

TEST_CASE("linkable: linking to one that has ended is as if it ended now", "[core][linkable]") {
    world all;
    const auto ref = all.spawn();
    const auto gone = all.spawn();
    const int how = GENERATE(0, 1);
    REQUIRE(gone.try_send(how));
    all.loop.run();
    REQUIRE_FALSE(gone.is_connected());
    const bool gone_first = GENERATE(false, true);
    REQUIRE((gone_first ? heph::link(gone, ref) : heph::link(ref, gone)));
    all.loop.run();
    CHECK(ref.is_connected() == (how == 0));
    if (how == 1) {
        CHECK(end_of(ref).reason() == end_reason::linked);
        CHECK(heph::link(ref, gone));  // Nobody is left.
    }
}

TEST_CASE("linkable: an unlink takes the link away, both ways, and says whether there was one",
          "[core][linkable]") {
    world all;
    const auto first = all.spawn();
    const auto second = all.spawn();
    CHECK_FALSE(heph::unlink(first, second));
    REQUIRE(heph::link(first, second));
    REQUIRE(heph::link(second, first));  // As good as once.
    CHECK(heph::unlink(second, first));
    CHECK_FALSE(heph::unlink(first, second));
    REQUIRE(first.try_send(1));
    all.loop.run();
    CHECK_FALSE(first.is_connected());
    CHECK(second.is_connected());
}

TEST_CASE("linkable: the end of one goes through a circle, and through a star",
          "[core][linkable]") {
    world all;
    constexpr std::size_t count = 1000;
    std::vector<actor_ref<int>> refs;
    for (std::size_t i = 0; i < count; ++i) { refs.push_back(all.spawn()); }
    const bool circle = GENERATE(true, false);
    for (std::size_t i = 0; i < count; ++i) {
        REQUIRE(heph::link(refs[i], refs[circle ? (i + 1) % count : 0]));
    }
    all.loop.run();
    CHECK(all.loop.unfinished() == count);
    REQUIRE(refs[count / 2].try_send(1));
    all.loop.run();
    CHECK(all.loop.unfinished() == 0);
    CHECK(all.live == 0);
    CHECK(end_of(refs[1]).text() == "a one");
}

TEST_CASE("linkable: an actor is ended wherever it waits", "[core][linkable]") {
    captured_log log;
    int live = 0;
    poll_loop loop;
    const auto waits = [](context<int> ctx, gate* at, probe) -> task<> {
        auto message = co_await ctx.receive();
        auto opened = co_await at->wait();
        (void)(*message + opened);
    };
    const auto fails = [](context<int> ctx) -> task<outcome> {
        auto message = co_await ctx.receive();
        (void)message;
        co_return std::unexpected(std::string("told to"));
    };
    gate closed;
    auto [waiting, ref] =
        heph::make_actor(heph::linkable(heph::no_supervisor()), heph::actor_fn(+waits),
                         heph::no_runtime(), actor_options(), &closed, probe(live));
    auto [failing, other] = heph::make_actor(heph::linkable(heph::stop_supervisor()),
                                             heph::actor_fn(+fails), heph::no_runtime(), {});
    loop.spawn(std::move(waiting));
    loop.spawn(std::move(failing));
    REQUIRE(ref.try_send(1));
    loop.run();
    REQUIRE(closed.waiting == 1);
    REQUIRE(heph::link(ref, other));
    REQUIRE(other.try_send(1));
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(closed.waiting == 0);
    CHECK(live == 0);
}

TEST_CASE("linkable: an actor that waits for its restart is ended, too", "[core][linkable]") {
    const captured_log log;
    heph::testing::virtual_clock clock;
    poll_loop loop;
    const heph::test::on_a_poll_loop::runtime rt(loop, clock);
    const auto fails = [](context<int, heph::test::on_a_poll_loop::runtime> ctx) -> task<outcome> {
        auto message = co_await ctx.receive();
        (void)message;
        co_return std::unexpected(std::string("again"));
    };
    heph::backoff slow;
    slow.initial = 1h;
    auto patient = rt.spawn(actor_options(),
                            heph::linkable(heph::backoff_supervisor(heph::restart_limit{}, slow)),
                            heph::actor_fn(+fails));
    auto other =
        rt.spawn(actor_options(), heph::linkable(heph::stop_supervisor()), heph::actor_fn(+fails));
    REQUIRE(heph::link(patient, other));
    REQUIRE(patient.try_send(1));
    loop.run();
    REQUIRE(patient.is_connected());
    REQUIRE(other.is_connected());
    REQUIRE(other.try_send(1));
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(end_of(patient).reason() == end_reason::linked);
}

TEST_CASE("linkable: who is told before its first poll ends without having run",
          "[core][linkable]") {
    world all;
    auto [running, ref] = all.make();
    auto [failing, other] = all.make();
    REQUIRE(heph::link(ref, other));
    REQUIRE(ref.try_send(7));
    REQUIRE(other.try_send(1));
    all.loop.spawn(std::move(failing));
    all.loop.spawn(std::move(running));
    all.loop.run();
    CHECK(all.loop.unfinished() == 0);
    CHECK(all.handled == 0);
    CHECK(end_of(ref).reason() == end_reason::linked);
}

TEST_CASE("linkable: the last waker counts", "[core][linkable]") {
    world all;
    const auto other = all.spawn();
    all.loop.run();
    auto [running, ref] = all.make();
    REQUIRE(heph::link(ref, other));
    // Polled by hand first, then by the loop, which has to be told.
    CHECK_FALSE(running.poll(waker()).is_ready());
    all.loop.spawn([](decltype(running)* actor) -> task<> { co_await *actor; }(&running));
    all.loop.run();
    REQUIRE(other.try_send(1));
    all.loop.run();
    CHECK(all.loop.unfinished() == 0);
    CHECK(end_of(ref).reason() == end_reason::linked);
}

TEST_CASE("linkable: an actor may link itself, and be ended by that", "[core][linkable]") {
    world all;
    const auto gone = all.spawn();
    REQUIRE(gone.try_send(1));
    all.loop.run();
    const auto links = [](context<int> ctx, actor_ref<int> to, bool* reached) -> task<> {
        auto self = heph::link(ctx.self(), ctx.self());  // Nothing.
        auto linked = heph::link(ctx.self(), to);
        CHECK((self && linked));
        *reached = true;  // It ends at its next wait, not in the middle.
        auto message = co_await ctx.receive();
        (void)message;
        *reached = false;
    };
    bool reached = false;
    auto [running, ref] =
        heph::make_actor(heph::linkable(heph::no_supervisor()), heph::actor_fn(+links),
                         heph::no_runtime(), actor_options(), gone, &reached);
    all.loop.spawn(std::move(running));
    REQUIRE(ref.try_send(1));
    all.loop.run();
    CHECK(all.loop.unfinished() == 0);
    CHECK(end_of(ref).reason() == end_reason::finished);  // Its message was there: it never waited.
    CHECK_FALSE(reached);
    auto [again, ref_again] =
        heph::make_actor(heph::linkable(heph::no_supervisor()), heph::actor_fn(+links),
                         heph::no_runtime(), actor_options(), gone, &reached);
    all.loop.spawn(std::move(again));
    all.loop.run();
    CHECK(reached);
    CHECK(end_of(ref_again).reason() == end_reason::linked);
}

TEST_CASE("linkable: one that ended is not taken for another one that came after it",
          "[core][linkable]") {
    world all;
    const auto other = all.spawn();
    // Finished, but not destroyed by whoever ran it.
    auto [finished, gone] = all.make();
    REQUIRE(gone.try_send(1));
    CHECK(finished.poll(waker()).is_ready());
    { const auto last = std::move(gone); }
    std::vector<actor_ref<int>> later;
    for (int i = 0; i < 50; ++i) {
        auto [running, ref] =
            heph::make_actor(heph::stop_supervisor(), heph::actor_fn(mortal), heph::no_runtime(),
                             actor_options(), probe(all.live), &all.handled);
        all.loop.spawn(std::move(running));
        later.push_back(std::move(ref));
    }
    for (const auto& each : later) { CHECK_FALSE(heph::link(other, each)); }
    all.loop.run();
    CHECK(other.is_connected());
}

TEST_CASE("linkable: what cannot be linked is refused, and says what to do", "[core][linkable]") {
    world all;
    const auto ref = all.spawn();
    auto [running, plain] =
        heph::make_actor(heph::stop_supervisor(), heph::actor_fn(mortal), heph::no_runtime(),
                         actor_options(), probe(all.live), &all.handled);
    auto refused = heph::link(ref, plain);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == heph::link_error::not_linkable);
    CHECK(to_string(refused.error()).find("heph::linkable(supervisor)") != std::string_view::npos);
    CHECK_FALSE(heph::link(plain, ref));
    CHECK_FALSE(heph::unlink(ref, plain));
    const auto nobody = actor_ref<int>::to_nothing();
    refused = heph::link(nobody, ref);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == heph::link_error::no_actor);
    CHECK_FALSE(heph::unlink(nobody, ref));
}

TEST_CASE("linkable: a mapped reference links the actor behind it", "[core][linkable]") {
    world all;
    const auto ref = all.spawn();
    const auto other = all.spawn();
    const auto mapped = ref.map_fn<std::string>(
        [](const std::string& text) { return static_cast<int>(text.size()); });
    REQUIRE(heph::link(mapped, other));
    REQUIRE(other.try_send(1));
    all.loop.run();
    CHECK_FALSE(mapped.is_connected());
}

TEST_CASE("linkable: a member of a link group tells its links, and its links tell the group",
          "[core][linkable]") {
    world all;
    const heph::link_group group;
    auto [running, inside] = all.make();
    auto [grouped, second] = all.make();
    all.loop.spawn(group.link(std::move(running)));
    all.loop.spawn(group.link(std::move(grouped)));
    const auto outside = all.spawn();
    REQUIRE(heph::link(outside, inside));
    all.loop.run();
    REQUIRE((GENERATE(true, false) ? outside : second).try_send(1));
    all.loop.run();
    CHECK(all.loop.unfinished() == 0);
    CHECK(group.is_broken());
    CHECK(all.live == 0);
}

TEMPLATE_TEST_CASE("linkable: actors on every executor end together", "[core][linkable][executors]",
                   heph::test::on_a_poll_loop, heph::test::on_a_step_executor,
                   heph::test::on_heph_rt, heph::test::on_shared_heph_rt, heph::test::on_asio,
                   heph::test::on_an_asio_strand, heph::test::on_asio_threads) {
    using runtime = typename TestType::runtime;
    const auto stops = [](const heph::failure&) { return heph::stop; };
    std::vector<actor_ref<int>> refs;
    TestType::run([&](runtime rt) {
        const auto waits = [](context<int, runtime> ctx) -> task<outcome> {
            auto first = co_await ctx.receive();
            if (first && *first == 1) { co_return std::unexpected(std::string("told to")); }
            co_await ctx.runtime().timer_at(ctx.runtime().now() + 1h);
            co_return outcome();
        };
        for (int i = 0; i < 4; ++i) {
            refs.push_back(
                rt.spawn(actor_options(), heph::linkable(stops), heph::actor_fn(+waits)));
            if (i > 0) { CHECK(heph::link(refs[static_cast<std::size_t>(i) - 1], refs.back())); }
        }
        for (std::size_t i = 1; i < refs.size(); ++i) { CHECK(refs[i].try_send(0)); }
        CHECK(refs[0].try_send(1));
    });
    for (std::size_t i = 1; i < refs.size(); ++i) {
        CHECK(end_of(refs[i]).reason() == end_reason::linked);
        CHECK(end_of(refs[i]).text() == "told to");
    }
}

TEST_CASE("linkable: whoever links, unlinks and fails at the same time, a yes is kept",
          "[core][linkable][threads]") {
    const auto stops = [](const heph::failure&) { return heph::stop; };
    const auto waits = [](context<int> ctx) -> task<outcome> {
        auto message = co_await ctx.receive();
        if (message && *message == 1) { co_return std::unexpected(std::string("told to")); }
        co_return outcome();
    };
    const auto make = [&] {
        return heph::make_actor(heph::linkable(stops), heph::actor_fn(+waits), heph::no_runtime(),
                                actor_options());
    };
    std::atomic<int> wrong = 0;
    for (int round = 0; round < 200; ++round) {
        auto [failing, fails] = make();
        auto [linked, with] = make();
        auto [unlinked, without] = make();
        if (!heph::link(fails, without)) { ++wrong; }
        bool was_linked = false;
        bool was_unlinked = false;
        {
            const auto run = [](auto actor) { heph::block_on(std::move(actor)); };
            const std::jthread first(run, std::move(failing));
            const std::jthread second(run, std::move(linked));
            const std::jthread third(run, std::move(unlinked));
            const std::jthread sends([to = fails] { (void)to.try_send(1); });
            was_linked = heph::link(with, fails).has_value();
            was_unlinked = heph::unlink(without, fails);
            if (was_unlinked) { (void)without.try_send(0); }
        }
        if (!was_linked || heph::block_on(heph::monitor(with)).reason() != end_reason::linked) {
            ++wrong;
        }
        const auto end = heph::block_on(heph::monitor(without)).reason();
        if (end != (was_unlinked ? end_reason::finished : end_reason::linked)) { ++wrong; }
    }
    CHECK(wrong == 0);
}
