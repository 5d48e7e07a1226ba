// Of the test kit: what loses messages, what rethrows failures, what measures.

#include <heph/core/testing/actor_size.hpp>
#include <heph/core/testing/message_loss.hpp>
#include <heph/core/testing/rethrow_supervisor.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/block_on.hpp>
#include <heph/core/task.hpp>
#include <heph/core/testing/probe.hpp>
#include <heph/core/testing/step_executor.hpp>

using heph::actor_ref;
using heph::task;
using heph::testing::message_loss;
using heph::testing::probe;
using heph::testing::rethrow_supervisor;
using heph::testing::step_executor;
using namespace std::chrono_literals;

namespace {

task<std::expected<void, std::string>> fails(heph::context<int> ctx) {
    auto message = co_await ctx.receive();
    if (message == 1) { throw std::logic_error("thrown"); }
    co_return std::unexpected(std::string("returned"));
}

std::vector<int> what_arrives(unsigned percent, std::uint64_t seed) {
    std::vector<int> seen;
    const auto to = actor_ref<int>::to_function([&seen](int number) { seen.push_back(number); });
    const message_loss<int> loss(to, percent, seed);
    const auto ref = loss.ref();
    for (int i = 0; i < 1000; ++i) { CHECK(ref.try_send(i)); }
    CHECK(loss.lost() + loss.passed() == 1000);
    CHECK(loss.passed() == seen.size());
    return seen;
}

task<> small(heph::context<long> ctx) {
    // With a name: g++ 12 miscompiles `while (co_await …) {}` where nothing is declared.
    while (auto message = co_await ctx.receive()) { (void)message; }
}

task<> nested(heph::context<long> ctx) {
    const auto child = [](heph::context<long>* of) -> task<> { (void)co_await of->receive(); };
    co_await child(&ctx);
}

template <std::size_t Bytes>
task<> with_local(heph::context<long> ctx) {
    std::array<char, Bytes> local{};
    local[7] = 'x';
    while (auto message = co_await ctx.receive()) {
        // In use beyond the wait, so that no compiler leaves it out of the frame.
        std::ranges::rotate(local, local.begin() + static_cast<std::ptrdiff_t>(*message));
    }
    if (local[7] != 'x') { throw std::runtime_error("rotated"); }
}

template <typename Actor>
heph::testing::actor_size size_of(Actor* function, std::size_t inbox_size = 8) {
    heph::actor_options options;
    options.inbox_size = inbox_size;
    return heph::testing::measure_actor(heph::stop_supervisor(), heph::actor_fn(function),
                                        heph::no_runtime(), options);
}

}  // namespace

TEST_CASE("testing: the size of an actor counts its frames, its inbox and its process",
          "[core][testing]") {
    const auto size = size_of(&small);
    INFO(size.text());
    CHECK(size.total() == size.frames() + size.inbox() + size.process());
    CHECK(size.frames() >= 64);
    CHECK(size.inbox() >= 8 * sizeof(long));
    CHECK(size.process() >= sizeof(void*));
#if !HEPH_TASK_NAMES
    CHECK(size.total() <= 424);  // Names make awaiters larger.
#endif
    // Measuring leaves nothing behind, and gives the same again.
    CHECK(size_of(&small).total() == size.total());
    // A larger local, child and inbox are in there, whether the frame comes from a pool or not.
    CHECK(size_of(&with_local<512>).frames() >= size.frames() + 448);
    CHECK(size_of(&with_local<4096>).frames() >= size.frames() + 4032);
    CHECK(size_of(&nested).frames() > size.frames());
    CHECK(size_of(&small, 64).inbox() >= size.inbox() + 56 * sizeof(long));
    CHECK(size_of(&small, 64).frames() == size.frames());
}

TEST_CASE("testing: a lossy reference loses about as many messages as it should, and says so",
          "[core][testing]") {
    CHECK(what_arrives(0, 1).size() == 1000);
    CHECK(what_arrives(100, 1).empty());
    const auto half = what_arrives(50, 1);
    CHECK(half.size() > 400);
    CHECK(half.size() < 600);
    CHECK(half == what_arrives(50, 1));
    CHECK(half != what_arrives(50, 2));
    const auto most = what_arrives(10, 1);
    CHECK(most.size() > 850);
    CHECK(most.size() < 950);
}

TEST_CASE("testing: a lossy reference is otherwise like the one it leads to", "[core][testing]") {
    step_executor run;
    probe<std::unique_ptr<int>> watched(run, "probe", 1);
    message_loss<std::unique_ptr<int>> loss(watched.ref(), 0);
    const auto ref = loss.ref();
    CHECK(ref == watched.ref());
    CHECK(ref.is_connected());
    CHECK(run.block_on(ref.send(std::make_unique<int>(1))));
    auto full = ref.try_send(std::make_unique<int>(2));
    REQUIRE_FALSE(full.has_value());
    CHECK(full.error().reason() == heph::send_failure::full);
    CHECK(*full.error().value() == 2);
    // A send that waits for room gets it.
    const auto sends = [](actor_ref<std::unique_ptr<int>> to, bool* sent) -> task<> {
        auto result = co_await to.send(std::make_unique<int>(3));
        *sent = result.has_value();
    };
    bool sent = false;
    run.spawn_future(sends(ref, &sent));
    run.run();
    CHECK_FALSE(sent);
    CHECK(**watched.receive() == 1);
    CHECK(**watched.receive() == 3);
    CHECK(sent);
    loss.set_percent(100);
    CHECK(run.block_on(ref.send(std::make_unique<int>(4))));
    watched.expect_nothing();
}

TEST_CASE("testing: a call that is lost tells its caller", "[core][testing]") {
    using ask = heph::rpc<int, int>;
    step_executor run;
    const auto answers = [](heph::testing::step_context<ask> ctx) -> task<> {
        while (auto call = co_await ctx.receive()) { call->respond(call->request() + 1); }
    };
    auto ref = run.spawn(run.supervisor(), heph::actor_fn(answers));
    message_loss<ask> loss(ref, 100);
    auto lost = run.block_on(loss.ref().rpc(1));
    REQUIRE_FALSE(lost.has_value());
    CHECK(lost.error() == heph::rpc_error::no_reply);
    loss.set_percent(0);
    auto answered = run.block_on(loss.ref().rpc(1));
    CHECK(answered == 2);
}

TEST_CASE("testing: threads may lose messages at once", "[core][testing]") {
    const auto to = actor_ref<int>::to_nothing();
    const message_loss<int> loss(to, 50, 7);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([ref = loss.ref()] {
                for (int k = 0; k < 500; ++k) { (void)ref.try_send(k); }
            });
        }
    }
    CHECK(loss.lost() + loss.passed() == 1000);
}

TEST_CASE("testing: a rethrowing supervisor stops the actor, keeps the first failure and throws it",
          "[core][testing]") {
    const rethrow_supervisor supervisor;
    CHECK_NOTHROW(supervisor.rethrow());
    CHECK_FALSE(supervisor.has_failed());
    for (const int message : {1, 2}) {
        heph::actor_options options;
        options.name = "failing";
        auto [running, ref] =
            heph::make_actor(supervisor, heph::actor_fn(fails), heph::no_runtime(), options);
        REQUIRE(ref.try_send(message));
        heph::block_on(std::move(running));
        CHECK_FALSE(ref.is_connected());
        CHECK(supervisor.has_failed());
        if (message == 1) {
            CHECK_THROWS_AS(supervisor.rethrow(), std::logic_error);
        } else {
            CHECK_THROWS_WITH(supervisor.rethrow(), "actor failing failed: returned");
        }
        CHECK_FALSE(supervisor.has_failed());
    }
}
