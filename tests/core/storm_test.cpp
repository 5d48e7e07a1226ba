// Storms: very many restarts, with memory that stays bounded and others that keep running.

#include <cstddef>
#include <cstdlib>
#include <expected>
#include <limits>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <malloc.h>

#include <catch2/catch.hpp>
#include <heph/core/actor_future.hpp>
#include <heph/core/log.hpp>
#include <heph/core/supervision_tree.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/core/task.hpp>

#include "core/probes.hpp"
#include "support/poll_loop.hpp"

using heph::context;
using heph::failure;
using heph::task;
using heph::test::poll_loop;
using namespace std::chrono_literals;

namespace {

using outcome = std::expected<void, std::string>;

constexpr int storm = 100'000;

// No line is kept: there would be very many.
class no_log {
public:
    no_log() : previous_(heph::set_log_handler(heph::log_handler(&ignore))) {}
    no_log(const no_log&) = delete;
    no_log& operator=(const no_log&) = delete;
    ~no_log() { heph::set_log_handler(previous_); }

private:
    static void ignore(heph::log_level, std::string_view) noexcept {}
    heph::log_handler previous_;
};

// Fails at once, as often as it is told to.
task<outcome> fails(context<int> ctx, int* left, int* live) {
    const heph::test::probe mine(*live);
    if ((*left)-- > 0) { co_return std::unexpected(std::string("e")); }
    (void)co_await ctx.receive();
    co_return outcome();
}

task<> ticks(context<int> ctx, int* received) {
    while (auto next = co_await ctx.receive()) { *received += *next > 0 ? 1 : 0; }
}

}  // namespace

TEST_CASE("storm: an actor that fails at once lets others run between its restarts",
          "[core][storm]") {
    const no_log quiet;
    int left = storm;
    int live = 0;
    int received = 0;
    poll_loop loop;
    const heph::restart_limit endless{std::numeric_limits<std::size_t>::max(), 1ns};
    auto [running, ref] =
        heph::make_actor(heph::restart_supervisor(endless, &left, &live), heph::actor_fn(fails),
                         heph::no_runtime(), heph::actor_options(), &left, &live);
    auto [other, other_ref] =
        heph::make_actor(heph::no_supervisor(), heph::actor_fn(ticks), heph::no_runtime(),
                         heph::actor_options(), &received);
    loop.spawn(std::move(running));
    loop.spawn(std::move(other));
    for (int i = 1; i <= 1000; ++i) {
        REQUIRE(other_ref.try_send(i));
        loop.run(4);
        REQUIRE(received == i);
        REQUIRE(live <= 1);
    }
    CHECK(left > 0);
    const auto before = mallinfo2().uordblks;
    loop.run();
    const auto after = mallinfo2().uordblks;
    CHECK(left == -1);
    CHECK(live == 1);
    // With a sanitizer, which has an allocator of its own, both are 0.
    CHECK(after < before + 64 * 1024);
}

TEST_CASE("storm: a long history of restarts costs no more than its limit, and ends there",
          "[core][storm]") {
    const no_log quiet;
    int left = std::numeric_limits<int>::max();
    int live = 0;
    poll_loop loop;
    auto [running, ref] = heph::make_actor(
        heph::restart_supervisor(heph::restart_limit{storm, 24h}, &left, &live),
        heph::actor_fn(fails), heph::no_runtime(), heph::actor_options(), &left, &live);
    loop.spawn(std::move(running));
    loop.run();
    CHECK(loop.unfinished() == 0);
    CHECK(std::numeric_limits<int>::max() - left == storm + 1);
    CHECK(live == 0);
}

TEST_CASE("storm: a tree restarts a child very many times, and its sisters run on",
          "[core][storm]") {
    const no_log quiet;
    int left = storm;
    int live = 0;
    int received = 0;
    poll_loop loop;
    heph::tree_options options;
    options.limit = heph::restart_limit{std::numeric_limits<std::size_t>::max(), 1ns};
    heph::supervision_tree tree(options);
    auto failing = tree.add(heph::child_spec("failing"), heph::actor_fn(fails), &left, &live);
    auto sister = tree.add(heph::child_spec("sister"), heph::actor_fn(ticks), &received);
    loop.spawn(std::move(tree));
    for (int i = 1; i <= 1000; ++i) {
        REQUIRE(sister.try_send(i));
        loop.run(4);
        REQUIRE(received == i);
    }
    const auto before = mallinfo2().uordblks;
    loop.run();
    CHECK(left == -1);
    CHECK(live == 1);
    CHECK(mallinfo2().uordblks < before + 64 * 1024);
}

TEST_CASE("storm: a tree of very many temporary children keeps nothing of them", "[core][storm]") {
    const no_log quiet;
    int left = std::numeric_limits<int>::max();
    int live = 0;
    poll_loop loop;
    heph::supervision_tree tree;
    auto control = tree.control();
    loop.spawn(std::move(tree));
    std::size_t before = 0;
    for (int i = 0; i < 20'000; ++i) {
        auto ref =
            control.add(heph::child_spec("short").temporary(), heph::actor_fn(fails), &left, &live);
        loop.run();
        REQUIRE_FALSE(ref.is_connected());
        if (i == 100) { before = mallinfo2().uordblks; }
    }
    CHECK(live == 0);
    CHECK(mallinfo2().uordblks < before + 64 * 1024);
}
