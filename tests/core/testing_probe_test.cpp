#include <heph/core/testing/probe.hpp>

#include <chrono>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

using heph::actor_ref;
using heph::task;
using heph::testing::describe;
using heph::testing::expectation_failed;
using heph::testing::probe;
using heph::testing::step_context;
using heph::testing::step_executor;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

struct opaque {};
enum class colour { red };
constexpr std::string_view to_string(colour) { return "red"; }
struct printed {
    friend std::ostream& operator<<(std::ostream& out, const printed&) { return out << "<p>"; }
};

using message = std::variant<int, std::string>;

task<> echo_later(step_context<int> ctx, actor_ref<int> to, heph::steady_time::duration after) {
    while (auto received = co_await ctx.receive()) {
        co_await ctx.runtime().timer_at(ctx.runtime().now() + after);
        (void)co_await to.send(*received);
    }
}

struct scene {
    explicit scene(heph::steady_time::duration after)
        : ref(run.spawn(run.supervisor(), heph::actor_fn(echo_later), echoes.ref(), after)) {}
    step_executor run;
    probe<int> echoes{run, "echoes"};
    actor_ref<int> ref;
};

}  // namespace

TEST_CASE("testing: messages are described by what they print, their text or their type",
          "[core][testing]") {
    CHECK(describe(5) == "5");
    CHECK(describe(true) == "true");
    CHECK(describe(std::string("x")) == "\"x\"");
    CHECK(describe(printed()) == "<p>");
    CHECK(describe(colour::red) == "red");
    CHECK_THAT(describe(opaque()), Contains("opaque"));
    CHECK(describe(message(5)) == "int 5");
    CHECK_THAT(describe(std::variant<opaque, int>()), Contains("opaque"));
}

TEST_CASE("testing: a probe gives the message that it expects, however late in virtual time",
          "[core][testing]") {
    scene at(2s);
    REQUIRE(at.ref.try_send(1));
    REQUIRE(at.ref.try_send(2));
    const auto begin = at.run.clock().now();
    CHECK(at.echoes.expect_message() == 1);
    CHECK(at.run.clock().now() == begin + 2s);
    at.echoes.expect_message(2);
    CHECK(at.run.clock().now() == begin + 4s);
    at.echoes.expect_nothing(1min);
    CHECK(at.run.clock().now() == begin + 4s + 1min);
}

TEST_CASE("testing: a probe fails when no message comes in time, and says who is not finished",
          "[core][testing]") {
    scene at(2s);
    REQUIRE(at.ref.try_send(1));
    const auto begin = at.run.clock().now();
    CHECK_THROWS_WITH(at.echoes.expect_message(1999ms),
                      Contains("echoes expected a message within 1999 ms: none came") &&
                          Contains("not finished: #1"));
    CHECK(at.run.clock().now() == begin + 1999ms);
    at.echoes.expect_message(1, 1ms);
}

TEST_CASE("testing: a probe fails when another message comes, and says which", "[core][testing]") {
    step_executor run;
    probe<message> watched(run, "watched");
    const auto ref = watched.ref();
    const auto send = [&](message sent) { REQUIRE(ref.try_send(std::move(sent))); };

    send(5);
    CHECK_THROWS_WITH(watched.expect_message(message(6)),
                      Contains("expected the message int 6 within 3 s: got int 5"));
    send(std::string("text"));
    CHECK_THROWS_WITH(watched.expect_alternative<int>(),
                      Contains("expected a message of type int") && Contains("\"text\""));
    send(5);
    CHECK(watched.expect_alternative<int>() == 5);
    send(5);
    const auto is_six = [](const message& one) { return one == message(6); };
    CHECK_THROWS_WITH(watched.expect_match(is_six, "is six"),
                      Contains("expected a message that is six within 3 s: got int 5"));
    send(6);
    CHECK(watched.expect_match(is_six) == message(6));
    send(5);
    CHECK_THROWS_WITH(watched.expect_nothing(), Contains("expected nothing") && Contains("int 5"));
}

TEST_CASE("testing: a probe passes over messages until one matches, and lists them when none does",
          "[core][testing]") {
    step_executor run;
    probe<int> watched(run);
    const auto ref = watched.ref();
    for (int i = 0; i < 20; ++i) { REQUIRE(ref.try_send(i)); }
    CHECK(watched.expect_eventually([](int i) { return i == 7; }) == 7);
    CHECK_THROWS_WITH(watched.expect_eventually([](int i) { return i == 7; }, "is seven"),
                      Contains("a message that is seven") &&
                          Contains("got 12 others: 8, 9, 10, 11, 12, 13, 14, 15, ..."));
}

TEST_CASE("testing: a probe expects the end of its references, and of an actor",
          "[core][testing]") {
    scene at(1s);
    CHECK_THROWS_WITH(at.echoes.expect_end(), Contains("there still are references"));
    CHECK_THROWS_WITH(at.echoes.expect_finished(at.ref), Contains("did not"));
    REQUIRE(at.ref.try_send(1));
    const auto observed = at.ref.map<short>();
    { auto gone = std::exchange(at.ref, actor_ref<int>::to_nothing()); }
    CHECK_THROWS_WITH(at.echoes.expect_end(),
                      Contains("the end of its messages") && Contains("got 1"));
    CHECK_THROWS_AS(at.echoes.expect_finished(observed), expectation_failed);
}

TEST_CASE("testing: a probe learns that none of its references is left", "[core][testing]") {
    step_executor run;
    probe<int> watched(run);
    {
        auto ref = run.spawn(run.supervisor(), heph::actor_fn(echo_later), watched.ref(), 1s);
        REQUIRE(ref.try_send(1));
    }
    watched.expect_message(1);
    watched.expect_end();
    CHECK_THROWS_WITH(watched.expect_message(), Contains("all references to it are gone"));
}

TEST_CASE("testing: a probe without an executor blocks its thread, for real time",
          "[core][testing]") {
    probe<int> watched("real");
    std::jthread other([ref = watched.ref()] {
        for (int i = 0; i < 3; ++i) { (void)ref.try_send(i); }
    });
    watched.expect_message(0, 20s);
    CHECK(watched.expect_match([](int i) { return i == 1; }, "is one", 20s) == 1);
    CHECK(watched.expect_eventually([](int i) { return i == 2; }, "is two", 20s) == 2);
    other = std::jthread();
    watched.expect_end(20s);
    const auto ref = watched.ref();
    watched.expect_nothing(1ms);
    CHECK_THROWS_WITH(watched.expect_message(1ms),
                      "real expected a message within 1 ms: none came");
    CHECK_THROWS_WITH(watched.expect_finished(ref, 1ms), Contains("that the actor finishes"));
}

TEST_CASE("probe: a time that is expected is not taken for the patience", "[core][testing]") {
    step_executor run;
    probe<std::chrono::nanoseconds> times(run, "times");
    REQUIRE(times.ref().try_send(7ns));
    REQUIRE(times.ref().try_send(8ns));
    times.expect_message(7ns);
    CHECK_THROWS_AS(times.expect_message(5ns), expectation_failed);
}
