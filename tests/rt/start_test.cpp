// A start that fails, and a runtime that is never started: nothing may be left of what was spawned.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <system_error>
#include <utility>

#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/rt/timer.hpp>

#include "on_runtime.hpp"

using namespace std::chrono_literals;
using heph::task;
using heph::rt::worker;
using heph::test::quiet_setup;

namespace {

// Counts how many of its kind are alive.
class counted {
public:
    explicit counted(std::atomic<int>& alive) noexcept : alive_(&alive) { ++*alive_; }
    counted(counted&& other) noexcept : alive_(std::exchange(other.alive_, nullptr)) {}
    counted& operator=(counted&&) = delete;
    ~counted() {
        if (alive_ != nullptr) { --*alive_; }
    }

private:
    std::atomic<int>* alive_;
};

task<> wait_an_hour(counted) { co_await heph::rt::timer(1h); }

task<> actor(heph::rt::shared_context<int> ctx, std::atomic<int>* alive) {
    const counted here(*alive);
    while (co_await ctx.receive()) {}
}

// Leaves the process so many free descriptors, until it is destroyed.
class descriptors_left {
public:
    explicit descriptors_left(unsigned count) {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        const int lowest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        REQUIRE(lowest >= 0);
        ::close(lowest);
        rlimit few = before_;
        few.rlim_cur = static_cast<rlim_t>(lowest) + count;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    }
    ~descriptors_left() { (void)::setrlimit(RLIMIT_NOFILE, &before_); }
    descriptors_left(const descriptors_left&) = delete;
    descriptors_left& operator=(const descriptors_left&) = delete;

private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("runtime: a worker without a ring drops the thread-safe processes that are its own",
          "[rt][runtime]") {
    std::atomic<int> alive{0};
    auto runtime = quiet_setup().threads(4).build();
    REQUIRE(runtime);
    for (int i = 0; i < 12; ++i) { runtime->shared().spawn_future(wait_an_hour(counted(alive))); }
    CHECK(alive == 12);
    const auto ended = [&runtime] {
        const descriptors_left one(1);  // For the first ring; the other workers get none.
        return runtime->start();
    }();
    REQUIRE_FALSE(ended);
    CHECK(ended.error().code() == std::errc::too_many_files_open);
    CHECK(alive == 0);
}

TEST_CASE("runtime: what was spawned on a runtime that never starts is dropped with it",
          "[rt][runtime]") {
    std::atomic<int> alive{0};
    auto ref = [&alive] {
        auto runtime = quiet_setup().threads(2).build();
        REQUIRE(runtime);
        runtime->shared().spawn_future(wait_an_hour(counted(alive)));
        CHECK(alive == 1);
        return runtime->spawn(heph::no_supervisor{}, heph::actor_fn(actor), &alive);
    }();
    CHECK(alive == 0);
    CHECK_FALSE(ref.is_connected());
    const auto sent = ref.try_send(1);
    CHECK_FALSE(sent);
}

TEST_CASE("runtime: what is spawned after a runtime that never started is dropped",
          "[rt][runtime]") {
    std::atomic<int> alive{0};
    auto shared = [] {
        auto runtime = quiet_setup().build();
        REQUIRE(runtime);
        return runtime->shared();
    }();
    shared.spawn_future(wait_an_hour(counted(alive)));
    CHECK(alive == 0);
}
