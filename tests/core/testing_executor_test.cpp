#include <heph/core/testing/step_executor.hpp>

#include <chrono>
#include <expected>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/match.hpp>
#include <heph/core/task.hpp>
#include <heph/core/yield.hpp>

#include "core/probes.hpp"

using heph::task;
using heph::testing::expectation_failed;
using heph::testing::schedule;
using heph::testing::step_context;
using heph::testing::step_executor;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

using get_total = heph::rpc<void, int>;
using counter_message = std::variant<int, get_total>;

task<> counter(step_context<counter_message> ctx) {
    int total = 0;
    while (auto message = co_await ctx.receive()) {
        heph::match(
            *message, [&](int amount) { total += amount; },
            [&](get_total& call) { call.respond(total); });
    }
}

task<> note(std::vector<std::string>* order, std::string name, int times) {
    for (int i = 0; i < times; ++i) {
        order->push_back(name);
        co_await heph::yield();
    }
}

std::vector<std::string> run_notes(schedule order) {
    std::vector<std::string> notes;
    step_executor run(std::move(order));
    for (const char* name : {"a", "b", "c"}) { run.spawn_future(note(&notes, name, 3), name); }
    run.run();
    CHECK(run.unfinished() == 0);
    return notes;
}

task<> tick(heph::testing::step_runtime runtime, std::vector<long>* at) {
    const auto begin = runtime.now();
    for (int i = 0; i < 3; ++i) {
        co_await runtime.timer_at(runtime.now() + 10s);
        at->push_back(
            std::chrono::duration_cast<std::chrono::seconds>(runtime.now() - begin).count());
    }
}

task<std::expected<void, std::string>> fails(step_context<int> ctx) {
    auto message = co_await ctx.receive();
    if (message == 1) { throw std::logic_error("thrown"); }
    co_return std::unexpected(std::string("returned"));
}

}  // namespace

TEST_CASE("testing: a step executor polls one at a time, in the order of their wakes",
          "[core][testing]") {
    std::vector<std::string> notes;
    step_executor run;
    CHECK_FALSE(run.step());
    run.spawn_future(note(&notes, "a", 2));
    run.spawn_future(note(&notes, "b", 1));
    CHECK(run.ready() == 2);
    CHECK(run.step());
    CHECK(notes == std::vector<std::string>{"a"});
    CHECK(run.step());
    CHECK(run.step());
    CHECK(notes == std::vector<std::string>{"a", "b", "a"});
    CHECK(run.run_until_idle() == 2);
    CHECK(run.unfinished() == 0);
}

TEST_CASE("testing: a schedule decides the order, and the same one decides the same",
          "[core][testing]") {
    const auto in_order = run_notes(schedule::in_order());
    CHECK(in_order == std::vector<std::string>{"a", "b", "c", "a", "b", "c", "a", "b", "c"});
    CHECK(run_notes(schedule::path({2}))[0] == "c");
    CHECK(run_notes(schedule::path({1, 1}))[0] == "b");
    int differ = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const auto notes = run_notes(schedule::random(seed));
        CHECK(notes == run_notes(schedule::random(seed)));
        differ += notes != in_order ? 1 : 0;
    }
    CHECK(differ > 10);
}

TEST_CASE("testing: a schedule is made again by its text, and by the path it took",
          "[core][testing]") {
    for (const char* text : {"in-order", "seed:0", "seed:18446744073709551615", "path:0.12.3"}) {
        const auto parsed = schedule::parse(text);
        REQUIRE(parsed);
        CHECK(parsed->to_string() == text);
    }
    for (const char* text : {"", "seed:", "seed:-1", "seed:1x", "path:1.", "path:.1", "path:1..2",
                             "order", "seed:18446744073709551616"}) {
        CHECK_FALSE(schedule::parse(text));
    }
    schedule random = schedule::random(7);
    for (std::size_t i = 2; i < 50; ++i) { CHECK(random.choose(i) < i); }
    auto again = schedule::parse(random.path_taken());
    REQUIRE(again);
    for (const auto& [chosen, among] : random.choices()) { CHECK(again->choose(among) == chosen); }
    CHECK_FALSE(again->has_diverged());
    schedule wide = schedule::path({5});
    CHECK(wide.choose(2) == 1);
    CHECK(wide.has_diverged());
}

TEST_CASE("testing: a step executor runs actors, and a future to its value", "[core][testing]") {
    step_executor run;
    auto ref = run.spawn(run.supervisor(), heph::actor_fn(counter));
    REQUIRE(ref.try_send(1));
    REQUIRE(ref.try_send(2));
    auto total = run.block_on(ref.rpc<get_total>());
    CHECK(total == 3);
    CHECK(run.unfinished() == 1);
    { auto gone = std::move(ref); }
    run.run();
    CHECK(run.unfinished() == 0);
}

TEST_CASE("testing: time moves from timer to timer, and no further than it was told to",
          "[core][testing]") {
    std::vector<long> at;
    step_executor run;
    run.spawn_future(tick(run.runtime(), &at));
    run.run_until_idle();
    CHECK(at.empty());
    const auto begin = run.clock().now();
    run.advance(25s);
    CHECK(at == std::vector<long>{10, 20});
    CHECK(run.clock().now() == begin + 25s);
    CHECK_FALSE(run.run_until([&] { return at.size() == 3; }, 1s));
    CHECK(run.run_until([&] { return at.size() == 3; }, 5s));
    CHECK(run.clock().now() == begin + 30s);
    run.advance(1h);
    CHECK(run.clock().now() == begin + 30s + 1h);
}

TEST_CASE("testing: what makes a supervised actor fail is thrown by the step that did it",
          "[core][testing]") {
    step_executor run;
    auto ref = run.spawn(run.supervisor(), heph::actor_fn(fails));
    REQUIRE(ref.try_send(1));
    CHECK_THROWS_WITH(run.run(), "thrown");
    CHECK(run.unfinished() == 0);
    heph::actor_options options;
    options.name = "second";
    auto second = run.spawn(options, run.supervisor(), heph::actor_fn(fails));
    REQUIRE(second.try_send(2));
    CHECK_THROWS_WITH(run.run(), Contains("actor second failed: returned"));
    run.run();
}

TEST_CASE("testing: an exception of a plain future leaves the step, and its process is gone",
          "[core][testing]") {
    const auto throws = []() -> task<> {
        co_await heph::yield();
        throw std::runtime_error("plain");
    };
    step_executor run;
    run.spawn_future(throws());
    CHECK(run.step());
    CHECK_THROWS_WITH(run.step(), "plain");
    CHECK(run.unfinished() == 0);
}

TEST_CASE("testing: who waits for ever is named", "[core][testing]") {
    step_executor run;
    heph::actor_options options;
    options.name = "counter";
    auto ref = run.spawn(options, run.supervisor(), heph::actor_fn(counter));
    const auto waits = [](heph::testing::step_runtime runtime) -> task<> {
        co_await runtime.timer_at(runtime.now() + 2h);
    };
    CHECK_THROWS_WITH(run.block_on(waits(run.runtime())),
                      Contains("not ready") && Contains("within 1 h") && Contains("counter#1"));
    CHECK_NOTHROW(run.block_on(waits(run.runtime()), 2h));
}

TEST_CASE("testing: a loop without end is an error", "[core][testing]") {
    heph::testing::step_options options;
    options.polls_max = 100;
    step_executor run(schedule::in_order(), options);
    const auto spins = []() -> task<> {
        for (;;) { co_await heph::yield(); }
    };
    run.spawn_future(spins(), "spinner");
    CHECK_THROWS_WITH(run.run(), Contains("no end after 100 polls") && Contains("spinner#1"));
}

TEST_CASE("testing: with early timers, a schedule may have a time-out come first",
          "[core][testing]") {
    const auto race = [](heph::testing::step_runtime runtime, bool* timed_out) -> task<> {
        auto waited =
            co_await heph::with_deadline(heph::yield(), runtime.timer_at(runtime.now() + 1s));
        *timed_out = !waited.has_value();
    };
    heph::testing::step_options options;
    options.early_timers = true;
    const auto runs = [&](schedule order) {
        bool first = false;
        bool second = false;
        step_executor run(std::move(order), options);
        // The second one's yield is late when the first one's timer is chosen over it.
        run.spawn_future(race(run.runtime(), &first));
        run.spawn_future(race(run.runtime(), &second));
        run.run();
        return std::pair(first, second);
    };
    CHECK(runs(schedule::in_order()) == std::pair(false, false));
    // Choices are only taken where there are two: the wake of a yield is as early as its timer.
    bool any = false;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        step_executor run(schedule::random(seed), options);
        std::vector<long> at;
        std::vector<std::string> notes;
        run.spawn_future(tick(run.runtime(), &at));
        run.spawn_future(note(&notes, "a", 100));
        run.run_until([&] { return at.size() == 3; }, 1min);
        any = any || notes.size() < 100;
    }
    CHECK(any);
}

TEST_CASE("testing: what a step executor leaves behind is destroyed with it, and may spawn",
          "[core][testing]") {
    struct spawner {
        explicit spawner(heph::testing::step_runtime runtime, int& live)
            : to(runtime), watched(live) {}
        spawner(spawner&&) = default;
        spawner& operator=(spawner&&) = delete;
        spawner(const spawner&) = delete;
        spawner& operator=(const spawner&) = delete;
        ~spawner() { to.spawn_future(heph::yield()); }
        heph::testing::step_runtime to;
        heph::test::probe watched;
    };
    const auto waits = [](spawner, step_context<int> ctx) -> task<> {
        (void)co_await ctx.receive();
    };
    int live = 0;
    heph::waker late;
    {
        step_executor run;
        auto [inbox, sender, receiver] = heph::inbox::managed_channel<int>(1);
        run.spawn_future(waits(spawner(run.runtime(), live),
                               step_context<int>(std::move(receiver), run.runtime())));
        run.run();
        CHECK(live == 1);
        struct keeps {
            using value_type = void;
            explicit keeps(heph::waker& into) : to(&into) {}
            heph::polled<void> poll(const heph::waker& waker) {
                *to = waker;
                return heph::pending;
            }
            heph::waker* to;
        };
        run.spawn_future(keeps(late));
        run.run();
    }
    CHECK(live == 0);
    late.wake();
}

TEST_CASE("testing: another thread may wake what a step executor runs", "[core][testing]") {
    step_executor run;
    auto [sender, receiver] = heph::inbox::channel<int>(4);
    const auto sum = [](heph::inbox::receiver<int> from, int* total) -> task<> {
        while (auto one = co_await from.recv()) { *total += *one; }
    };
    int total = 0;
    run.spawn_future(sum(std::move(receiver), &total));
    {
        std::jthread other([sending = std::move(sender)]() mutable {
            for (int i = 0; i < 1000; ++i) {
                if (!sending.send_blocking(1)) { return; }
            }
        });
        while (run.unfinished() != 0) {
            if (!run.step()) { std::this_thread::yield(); }
        }
    }
    CHECK(total == 1000);
}
